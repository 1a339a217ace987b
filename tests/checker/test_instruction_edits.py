"""A line of C is removed or negated as one of Python is: by its instructions, with the same outcome."""

import pytest
from attrs import evolve

from vmxsim.checker import instruction_edits, why
from vmxsim.designs import DESIGNS
from vmxsim.errors import InputError
from vmxsim.kernel.compiler import lower_text
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.patch import own_functions
from vmxsim.kernel.program import Callee, Const, Field, Function, Instruction, Local, Operation, Primitive


def plain(i):
    """An instruction whose condition is no negation: the other way round, it leads to the other place."""
    while i.kind == "branch" and isinstance(i.expr, Operation) and i.expr.op == "not":
        i = evolve(i, expr=i.expr.args[0], next=i.other, other=i.next)
    return i


def shape(function):
    """The steps that can be reached, numbered in the order of a walk; -1 where the function ends."""
    code, order, todo = [plain(i) for i in function.instructions], {}, [0]
    while todo:
        n = todo.pop()
        if n >= 0 and n not in order and code[n].kind != "end":
            order[n] = len(order)
            if code[n].kind != "return":
                todo += [*(to for _, to in reversed(code[n].cases)), code[n].other, code[n].next]
    return [
        (i.kind, i.line, i.expr, i.target, i.callee, i.args, order.get(i.next, -1), order.get(i.other, -1),
         tuple((value, order.get(to, -1)) for value, to in i.cases))
        for i in (code[n] for n in order)
    ]  # fmt: skip


def of_text(function, design):
    for line, edit, source in why.edits(function.source):
        try:
            yield (line, edit), shape(lower_text(function, source, design.functions().__contains__))
        except InputError:
            continue


@pytest.mark.parametrize("name", DESIGNS)
def test_a_function_is_varied_as_its_text_would_be(name):
    design, seen = DESIGNS[name], 0
    for function in own_functions(design).values():
        code = {
            (line, edit): shape(made)
            for line, edit, made in instruction_edits.edits(evolve(function, file="vmx.c"))
        }
        for key, expected in of_text(function, design):
            if key in code:
                assert code[key] == expected, (function.name, key)
                seen += 1
            else:  # a return from a branch that has another one; the only line, whose result is returned
                text = "\n".join(function.source[1:])
                assert "else" in text or "case" in text or "\n" not in text, (function.name, key)
    assert seen


def made(*instructions, params=1, names=("vmx",), lines=9):
    source = tuple(f"line {n}" for n in range(1, lines + 1))
    return Function("f", "C", source, params, names, list(instructions), file="vmx.c", first=101)


def do(line, name, then):
    return Instruction("do", line, Primitive(name, ()), next=then)


def test_every_way_out_of_disabled_preemption_goes_with_it():
    early = made(
        do(2, "preempt_disable", 1),
        Instruction("branch", 3, Local(0, "vmx"), next=2, other=4),
        do(4, "preempt_enable", 3),
        Instruction("return", 5, Const(None)),
        do(6, "lldt", 5),
        do(7, "preempt_enable", 6),
        Instruction("end", 8),
    )
    found = {line: (edit, function) for line, edit, function in instruction_edits.edits(early)}
    edit, function = found[2]
    assert edit == "removed with lines 104 and 107"
    assert [i.line for i in function.instructions] == [3, 5, 6, 8]
    assert function.instructions[0].next == 1 and function.instructions[0].other == 2


def test_a_nested_pair_goes_with_its_own_end():
    nested = made(
        do(2, "preempt_disable", 1), do(3, "preempt_disable", 2), do(4, "preempt_enable", 3),
        do(5, "preempt_enable", 4), Instruction("end", 6),
    )  # fmt: skip
    edits = {line: edit for line, edit, _ in instruction_edits.edits(nested)}
    assert edits == {
        2: "removed with line 105", 3: "removed with line 104", 4: "removed", 5: "removed",
    }  # fmt: skip


def test_a_condition_of_two_calls_is_negated_as_a_whole():
    given = {"args": (Local(0, "vmx"),), "target": Local(1, "r")}
    test = made(  # if (a(vmx) && b(vmx)) lldt();
        Instruction("call", 2, callee=Callee("self", "a"), next=1, **given),
        Instruction("branch", 2, Local(1, "r"), next=2, other=5),
        Instruction("call", 2, callee=Callee("self", "b"), next=3, **given),
        Instruction("branch", 2, Local(1, "r"), next=4, other=5),
        do(3, "lldt", 5),
        Instruction("end", 4),
        names=("vmx", "r"),
    )  # fmt: skip
    found = {line: (edit, function) for line, edit, function in instruction_edits.edits(test)}
    edit, negated = found[2]
    assert edit == "negated"
    assert [(i.next, i.other) for i in negated.instructions if i.kind == "branch"] == [(2, 4), (5, 4)]


def test_what_sets_a_variable_that_is_read_stays():
    reads = made(
        Instruction("do", 2, Primitive("is_long_mode", (Local(0, "vmx"),)), Local(1, "lm"), next=1),
        Instruction("branch", 3, Local(1, "lm"), next=2, other=3),
        do(4, "lldt", 3),
        Instruction("end", 5),
        names=("vmx", "lm"),
    )
    assert {line for line, _, _ in instruction_edits.edits(reads)} == {3, 4}


def test_what_sets_a_variable_on_one_of_two_ways_stays():
    either = made(
        Instruction("branch", 2, Local(0, "vmx"), next=1, other=2),
        Instruction("do", 3, Primitive("sldt", ()), Local(1, "sel"), next=3),
        Instruction("do", 5, Primitive("sldt", ()), Local(1, "sel"), next=3),
        Instruction("do", 6, Local(1, "sel"), Field(Local(0, "vmx"), "gs_sel"), next=4),
        Instruction("end", 7),
        names=("vmx", "sel"),
    )
    assert {line for line, _, _ in instruction_edits.edits(either)} == {2, 6}


def test_a_variable_that_was_never_set_is_no_reason_to_keep_a_line():
    function = made(
        do(2, "lldt", 1),
        Instruction("call", 3, callee=Callee("self", "a"), args=(Local(1, "fs_sel"),), next=2),
        Instruction("end", 4),
        names=("vmx", "fs_sel"),
    )
    assert {line for line, _, _ in instruction_edits.edits(function)} == {2, 3}


def test_a_return_before_an_else_stays():
    function = made(
        Instruction("branch", 2, Local(0, "vmx"), next=1, other=2),
        Instruction("return", 3, Const(None)),
        do(5, "lldt", 3),
        Instruction("end", 6),
    )
    assert [line for line, *_ in instruction_edits.edits(function)] == [2, 3, 5]
    function = evolve(function, source=("f", "if", "return;", "} else {", "lldt();", "}"))
    assert [line for line, *_ in instruction_edits.edits(function)] == [2, 5]


def test_lines_of_c_are_named_by_file_and_number():
    class Stepped(DESIGNS["dedicated-accessors"]):
        pass

    own = own_functions(DESIGNS["dedicated-accessors"])
    name = "vmx_read_guest_kernel_gs_base"
    Stepped._own = {name: evolve(own[name], file="vmx.c", first=2000)}
    assert issubclass(Stepped, Kvm)
    found = list(why.mutants(Stepped))
    assert found and {mutant.at.file for mutant in found} == {"vmx.c"}
    first = found[0]
    assert first.at.name == f"vmx.c:{1999 + first.line}" and first.at.name in first.design.__name__
