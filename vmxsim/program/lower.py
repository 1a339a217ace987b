"""An ordinary Python function becomes a list of steps.

The subset: assignment to a variable or to a field, if/elif/else, while, match on
constants, return, and calls: of primitives by name, of kernel functions through ``self``,
``super()`` or ``self.kvm_x86_ops``. One statement is one step; a call is a step and the
callee's own. Everything else is refused with the line and what to write instead.
"""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import FunctionType
from typing import Any

from vmxsim.errors import InputError
from vmxsim.program.emit import emit
from vmxsim.program.expressions import INSTEAD, Expressions
from vmxsim.program.ir import (
    Const,
    Expr,
    Function,
    Instruction,
    Operation,
    Target,
)


@lru_cache(maxsize=256)
def _functions(lines: tuple[str, ...]) -> dict[int, ast.FunctionDef]:
    tree = ast.parse("".join(lines))
    return {
        (node.decorator_list[0] if node.decorator_list else node).lineno: node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }


def lower(function: Callable[..., Any], owner: str, is_method: Callable[[str], bool]) -> Function:
    """Lower one kernel function, a method of class ``owner``.

    ``is_method(name)`` tells whether the design has a kernel function of that name.
    Raises InputError (file:line, construct, what to write instead) outside the subset.
    """
    assert isinstance(function, FunctionType)
    code = inspect.unwrap(function).__code__
    lines = tuple(linecache.getlines(code.co_filename, function.__globals__))
    if not lines:
        raise InputError(
            "the source text is not to be had: define it in a file or a notebook cell", code.co_name
        )
    node = _functions(lines).get(code.co_firstlineno)
    if node is None:
        raise InputError("not an ordinary function: write 'def name(self, vmx): ...'", code.co_name)
    return _Lowering(function, node, lines, owner, is_method).function()


def lower_text(
    function: Callable[..., Any], source: Sequence[str], owner: str, is_method: Callable[[str], bool]
) -> Function:
    """Lower other lines in a function's place: ``source`` from its ``def`` on, names as it sees them.

    Raises InputError outside the subset.
    """
    assert isinstance(function, FunctionType)
    lines = tuple(f"{line}\n" for line in source)
    try:
        (node,) = ast.parse("".join(lines)).body
    except (SyntaxError, ValueError) as error:
        raise InputError(f"is not a function: {error}", function.__name__) from None
    assert isinstance(node, ast.FunctionDef)
    return _Lowering(function, node, lines, owner, is_method).function()


class _Lowering(Expressions):
    def __init__(
        self,
        function: FunctionType,
        node: ast.FunctionDef,
        lines: tuple[str, ...],
        owner: str,
        is_method: Callable[[str], bool],
    ) -> None:
        super().__init__(function, node, owner, is_method)
        self.source = self._dedent(lines[node.lineno - 1 : node.end_lineno])
        self.out: list[Instruction] = []
        self.dangling: list[tuple[int, str, int]] = []

    @staticmethod
    def _dedent(lines: tuple[str, ...]) -> tuple[str, ...]:
        margin = len(lines[0]) - len(lines[0].lstrip())
        return tuple(line[margin:].rstrip() if not line[:margin].strip() else line.strip() for line in lines)

    def function(self) -> Function:
        self.block(self.node.body)
        self.add(Instruction("end", len(self.source)))
        result = Function(
            self.node.name, self.owner, self.source, self.params, tuple(self.locals), self.out,
            getattr(self.python, "__requires__", ()), getattr(self.python, "__interrupt__", False),
        )  # fmt: skip
        emit(result)
        return result

    # -- control flow: forward jumps wait in ``dangling`` for the next instruction

    def add(self, instruction: Instruction) -> int:
        index = len(self.out)
        self.patch(index)
        self.out.append(instruction)
        return index

    def patch(self, index: int) -> None:
        for number, name, case in self.dangling:
            instruction = self.out[number]
            if name == "case":
                cases = list(instruction.cases)
                cases[case] = (cases[case][0], index)
                instruction.cases = tuple(cases)
            else:
                setattr(instruction, name, index)
        self.dangling = []

    def step(self, instruction: Instruction) -> None:
        self.dangling = [(self.add(instruction), "next", 0)]

    def block(self, body: list[ast.stmt]) -> None:
        for number, statement in enumerate(body):
            is_docstring = (
                number == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            )
            if not is_docstring and not isinstance(statement, ast.Pass):
                self.statement(statement)

    def statement(self, s: ast.stmt) -> None:
        line = s.lineno - self.node.lineno + 1
        match s:
            case ast.Expr(value):
                self.do(line, value, None)
            case ast.Assign([target], value):
                self.do(line, value, self.target(target))
            case ast.AnnAssign(target, _, value) if value is not None:
                self.do(line, value, self.target(target))
            case ast.Return(None):
                self.add(Instruction("return", line, Const(None)))
                self.dangling = []
            case ast.Return(value) if value is not None:
                # returning what a call returned is no step of its own
                kind = "end" if self.callee(value) else "return"
                self.add(Instruction(kind, line, self.value(line, value)))
                self.dangling = []
            case ast.If(test, body, orelse):
                branch = self.branch(line, test)
                self.block(body)
                after = self.dangling
                self.dangling = [(branch, "other", 0)]
                self.block(orelse)
                self.dangling = after + self.dangling
            case ast.While(test, body, []):
                head = len(self.out)
                branch = self.branch(line, test)
                self.block(body)
                self.patch(head)
                self.dangling = [(branch, "other", 0)]
            case ast.Match(subject, cases):
                self.switch(line, subject, cases)
            case _:
                raise self.refuse(s)

    def branch(self, line: int, test: ast.expr) -> int:
        condition = self.value(line, test)
        index = self.add(Instruction("branch", line, condition))
        self.dangling = [(index, "next", 0)]
        return index

    def switch(self, line: int, subject: ast.expr, cases: list[ast.match_case]) -> None:
        value = self.value(line, subject)
        index = self.add(Instruction("switch", line, value))
        after: list[tuple[int, str, int]] = []
        default = False
        for case in cases:
            match case.pattern:
                case ast.MatchValue(constant) if not default:
                    number = len(self.out[index].cases)
                    self.out[index].cases += ((self.constant(constant), -1),)
                    self.dangling = [(index, "case", number)]
                case ast.MatchAs(None, None) if not default:
                    default = True
                    self.dangling = [(index, "other", 0)]
                case _:
                    raise self.error(case.pattern, "a case must be a constant, or '_' at the end")
            if case.guard:
                raise self.error(case.guard, "a case takes no 'if': write the if inside it")
            self.block(case.body)
            after += self.dangling
        self.dangling = after if default else [*after, (index, "other", 0)]

    # -- statements that store or call

    def do(self, line: int, value: ast.expr, target: Target) -> None:
        callee = self.callee(value)
        if callee:
            assert isinstance(value, ast.Call)
            self.step(Instruction("call", line, target=target, callee=callee, args=self.arguments(value)))
        elif isinstance(value, tuple(INSTEAD)):
            raise self.refuse(value)
        elif target is None and not isinstance(value, ast.Call):
            raise self.error(value, f"'{ast.unparse(value)}' does nothing: a step is an assignment or a call")
        else:
            self.step(Instruction("do", line, self.expr(value), target))

    def value(self, line: int, e: ast.expr) -> Expr:
        """An expression that may be a call, or the negation of one: the call is a step before it."""
        if isinstance(e, ast.UnaryOp) and isinstance(e.op, ast.Not) and self.callee(e.operand):
            return Operation("not", (self.value(line, e.operand),))
        callee = self.callee(e)
        if not callee:
            return self.expr(e)
        assert isinstance(e, ast.Call)
        result = self.local(f"result of {callee.name}()")
        self.step(Instruction("call", line, target=result, callee=callee, args=self.arguments(e)))
        return result
