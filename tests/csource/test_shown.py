"""C as people see it: the numbers of its file everywhere, what was left out dimmed, folded and explained."""

import re

import pytest
from attrs import evolve

import vmxsim
from tests.csource.reading import carried
from vmxsim.checker.check import check
from vmxsim.checker.why import mutants
from vmxsim.csource.design import from_tree
from vmxsim.csource.tree import Tree
from vmxsim.kernel.program import Const, Function, Instruction
from vmxsim.simulation.compare import run_together
from vmxsim.simulation.trace import Listing
from vmxsim.teaching.questions.ask import ask
from vmxsim.views.film import film
from vmxsim.views.listing import folds, source_data
from vmxsim.views.telling import passed_over, telling_steps
from vmxsim.views.words import step_words

SCHEDULE = ["run", "guest wrmsr 0xA000", "emulate wrmsr 0xB000", "guest long-mode off", "exit"]
NAME = "dedicated-accessors"


@pytest.fixture(scope="module")
def design():
    return carried(NAME).design


@pytest.fixture(scope="module")
def trace(design):
    return vmxsim.run(SCHEDULE, design, long_mode=True)


@pytest.fixture(scope="module")
def file():
    """The lines of the file, by their numbers."""
    (text,) = (text for path, text in carried(NAME).tree.files.items() if path.endswith("/vmx.c"))
    return dict(enumerate(text.splitlines(), 1))


def test_a_step_is_told_with_the_line_of_its_file(trace, file):
    told = [(step, step_words(trace, step.index + 1)) for step in trace.steps if step.file]
    assert len(told) > 20
    for step, words in told:
        assert f"runs vmx.c:{step.at.number} in {step.function}: " in words
        assert step.source.startswith(file[step.at.number].strip().split("(")[0])


def test_common_code_keeps_its_lines(trace):
    step = next(s for s in trace.steps if s.function == "vcpu_enter_guest")
    assert step.at.words == f"line {step.line} of vcpu_enter_guest" and not step.file


def test_the_player_gets_file_numbers_and_reasons(trace, design):
    found = film(trace)
    functions = {name: f for name, f in design.functions().items() if f.file}
    assert set(found["sources"]) == set(found["listings"]) & set(functions)
    for name, source in found["sources"].items():
        f = functions[name]
        assert (source["file"], source["first"]) == ("vmx.c", f.first)
        assert source["dropped"] == {str(line): why for line, why in f.dropped.items()}
        assert found["listings"][name] == list(f.source)
    assert not film(vmxsim.run(SCHEDULE, NAME, long_mode=True))["sources"]


def test_no_line_that_runs_is_dimmed_or_folded(trace, design):
    functions = design.functions()
    for step in trace.steps:
        if step.file:
            f = functions[step.function]
            assert step.line not in f.dropped
            assert not any(first <= step.line <= last for first, last in folds(f))


def function(*source, dropped):
    code = [Instruction("return", len(source), Const(None))]
    return Function(
        "f", "C", source, 0, (), code, file="vmx.c", first=11, dropped=dict.fromkeys(dropped, "why")
    )


@pytest.mark.parametrize(
    ("dropped", "expected"),
    [
        ((), []),
        ((3, 4, 5), []),  # too short
        ((3, 4, 5, 6), [(3, 6)]),
        ((3, 4, 6, 7), [(3, 7)]),  # a blank line, and the brace in line 5, belong to it
        ((3, 4, 8, 9), []),
        ((2, 3, 4, 5, 6, 7, 8, 9), [(2, 9)]),
    ],
)
def test_long_stretches_are_folded(dropped, expected):
    lines = ("f()", "{", "a;", "b;", "}", "c;", "d;", "e;", "g;", "}")
    assert folds(function(*lines, dropped=dropped)) == expected


AROUND = """\
\t/* a comment goes with what is below it */
\tpreempt_disable();
#ifdef CONFIG_X86_32
\tloadsegment(gs, 0);
#else
\tvmx->unused.word = 1;
#endif
\t/*
\t * and so does a long one
\t */
\tif (vmx->unused.word) {
\t\tvmx->unused.word = 2;
\t} else {
\t\tunknown(3);
\t}
"""


def test_why_a_line_was_left_out():
    tree = carried(NAME).tree
    (path,) = (path for path, text in tree.files.items() if "preempt_disable();" in text)
    text = tree.files[path].replace("\tpreempt_disable();\n", AROUND, 1)
    made = from_tree(Tree("around", {**tree.files, path: text})).design
    f = next(f for f in made.functions().values() if any("CONFIG_X86_32" in line for line in f.source))
    told = [(text.strip(), f.dropped.get(n, "")) for n, text in enumerate(f.source, 1)]
    begin = told.index(("/* a comment goes with what is below it */", ""))
    depends, word = "nothing that matters depends on it", "nothing that matters reads vmx->unused->word"
    assert told[begin + 1 : begin + 15] == [
        ("preempt_disable();", ""),
        ("#ifdef CONFIG_X86_32", ""),
        ("loadsegment(gs, 0);", "not compiled with this configuration"),
        ("#else", "not compiled with this configuration"),
        ("vmx->unused.word = 1;", word),
        ("#endif", word),
        ("/*", depends),
        ("* and so does a long one", depends),
        ("*/", depends),
        ("if (vmx->unused.word) {", depends),
        ("vmx->unused.word = 2;", word),
        ("} else {", word),
        ("unknown(3);", "unknown() does nothing that matters here"),
        ("}", ""),
    ]


def test_a_function_in_python_is_not_folded():
    own = vmxsim.find_design(NAME).functions()["vmx_read_guest_kernel_gs_base"]
    assert source_data(Listing(own)) is None
    assert source_data(("a recording has no functions",)) is None


def test_a_statement_on_several_lines_is_told_whole():
    f = function(
        "f()", "{", "\twrmsrl(MSR_KERNEL_GS_BASE,", "\t       vmx->h);", "\tnext();", "}", dropped=()
    )
    assert f.text(3) == "wrmsrl(MSR_KERNEL_GS_BASE, vmx->h);"
    assert f.text(5) == "next();"
    assert evolve(f, file="").text(3) == "wrmsrl(MSR_KERNEL_GS_BASE,"


def test_what_a_test_passes_over_is_found_in_c(design):
    schedule = ["run", "guest long-mode on"]
    on_c, on_python = (vmxsim.run(schedule, one) for one in (design, NAME))

    def skipped(trace):
        return [
            (step.function, re.findall(r"rdmsr|wrmsr", text))
            for step in trace.steps
            for _, text in passed_over(trace, step)
        ]

    assert skipped(on_c) == skipped(on_python)
    assert len(telling_steps(on_c)) == len(telling_steps(on_python))


@pytest.mark.parametrize("to", ["mail", "markdown", "html", "storyboard"])
def test_exports_name_lines_of_the_file(design, to):
    result = check(design, host="64-bit")
    example = result.counterexample
    blamed = example.trace.steps[example.explanation.step]
    text = " ".join(vmxsim.export(result, to).split())
    assert blamed.at.name.startswith("vmx.c:") and blamed.at.name in text
    assert "It rests on the C of" in text
    assert "counts from the function's 'def'" not in text and "Lines count from the 'def'" not in text


def test_a_verdict_says_what_it_rests_on(design):
    result = check(design, host="64-bit")
    told = f"{result!r}\n{result._repr_html_()}"
    for words in ("msr_guest_kernel_gs_base", "exits outside long mode", "Not covered: nested"):
        assert told.count(words) >= 2
    assert "It rests on" not in repr(check(NAME, host="64-bit"))


def test_questions_are_asked_on_c(trace):
    tests = [s for s in trace.steps if s.file and s.kind == "branch"]
    asked = [ask(trace, "line", step=s.index + 2) for s in tests]
    for step, question in zip(tests, asked, strict=True):
        assert question.prompt.startswith(f"vmx.c:{step.at.number} in {step.function} has run: “if (")
        right = question.options[question.right]
        assert re.search(r"vmx\.c:\d+ tests “.*”, and that is (true|false)\.|is done|calls", right.reason)
    kinds = {"preempt": 0, "line": 0, "live": 0}
    for step in trace.steps:
        for kind in kinds if step.file else ():
            try:
                kinds[kind] += bool(ask(trace, kind, step=step.index + 1).options)
            except vmxsim.InputError:
                continue
    assert all(number > 10 for number in kinds.values())


def test_a_tick_is_placed_by_the_line_of_the_file(design):
    f = design.functions()["vmx_write_guest_kernel_gs_base"]
    store = next(i for i in f.instructions if f.text(i.line) == "vmx->msr_guest_kernel_gs_base = data;")
    number = f.at(store.line).number

    def ran(line):
        point = {"before": f"line {line}", "in": f.name, "cpu": 1}
        return vmxsim.run(["run", {"emulate wrmsr 0xB000": {"preempt": point}}], design, long_mode=True)

    stored = next(s for s in ran(number).steps if s.at.number == number and s.function == f.name)
    assert stored.cpu == 1
    with pytest.raises(vmxsim.InputError, match=rf"steps start on lines .*\b{number}\b"):
        ran(store.line)


def test_a_file_may_be_long_and_a_line_that_moved_is_another_one(design):
    """The file in front of which a patch put twelve thousand lines is compared with what it was."""
    tree = carried(NAME).tree
    files = {path: "\n" * 12_000 + text for path, text in tree.files.items()}
    longer = from_tree(Tree("longer", files)).design
    f = longer.functions()["vmx_write_guest_kernel_gs_base"]
    store = next(i for i in f.instructions if f.text(i.line) == "vmx->msr_guest_kernel_gs_base = data;")
    assert f.at(store.line).number > 12_000
    point = {"before": f"line {f.at(store.line).number}", "in": f.name, "cpu": 1}
    schedule = ["run", {"emulate wrmsr 0xB000": {"preempt": point}}]
    traces, _ = run_together(schedule, [longer, design], long_mode=True)
    stored = [
        [step.cpu for step in trace.steps if step.function == f.name and step.line == store.line]
        for trace in traces
    ]
    assert stored == [[1], [1]]


def test_mutants_of_c_break_what_those_of_python_break(design):
    """The lines of the two accessors: the same edits in the same order, with the same outcome."""
    accessors = ("vmx_read_guest_kernel_gs_base", "vmx_write_guest_kernel_gs_base")

    def outcomes(one):
        found = []
        for mutant in mutants(one):
            if mutant.function in accessors:
                result = check(mutant.design, host="64-bit", assume="no-long-mode-entry")
                edit = mutant.edit.partition(" with ")[0]
                found.append((mutant.function, edit, result.telling.invariants))
        return found

    expected = outcomes(vmxsim.find_design(NAME))
    assert len(expected) > 10
    assert outcomes(design) == expected
