"""A design with one line changed: removed, or negated where it is a condition."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from attrs import frozen

from vmxsim.errors import InputError
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.points import uses
from vmxsim.model.primitive import COST_ONLY, QUERIES
from vmxsim.program.ir import Expr, Function, Operation, Primitive
from vmxsim.program.lower import lower_text

REMOVED, NEGATED = "removed", "negated"
#: What begins a section that must end: removed together with its end, since one without the
#: other is no kernel code.
ENDS = {"preempt_disable()": "preempt_enable()", "local_irq_disable()": "local_irq_enable()"}


@frozen
class Mutant:
    """``design`` is the original but for line ``line`` (from 1 at its ``def``) of
    ``function``, whose text was ``source``; ``edit`` is ``removed`` (with what ends it, too) or
    ``negated``.
    ``only_costs``: the line has no effect on what is modelled."""

    design: type[Kvm]
    function: str
    line: int
    source: str
    edit: str
    only_costs: bool


def mutants(design: type[Kvm]) -> Iterator[Mutant]:
    """A mutant for each line of the functions that ``design`` itself defines."""
    for name, function in vars(design)["_own"].items():
        python = next(f for f in vars(design).values() if getattr(f, "__name__", "") == name)
        for line, edit, source in edits(function.source):
            try:
                changed = lower_text(python, source, function.owner, design.functions().__contains__)
            except InputError:
                continue  # nothing is left that could be run: a variable that nobody sets
            yield Mutant(
                variant(design, name, changed, f"{name} line {line} {edit}"),
                name,
                line,
                function.source[line - 1].strip(),
                edit,
                edit != NEGATED and only_costs(function, line),
            )


def variant(design: type[Kvm], name: str, function: Function, title: str) -> type[Kvm]:
    """The design with one function in the place of its own."""
    made: type[Kvm] = type(f"{design._name()}, {title}", (design,), {"__doc__": title})
    made._own = {name: function}
    return made


def edits(source: Sequence[str]) -> Iterator[tuple[int, str, list[str]]]:
    """Each line that can be changed, how, and the whole text afterwards. No line moves."""
    (node,) = ast.parse("\n".join(source)).body
    statements = [s for s in ast.walk(node) if isinstance(s, ast.stmt) and s is not node]
    for s in sorted(statements, key=lambda s: s.lineno):
        lines = list(source)
        match s:
            case ast.If(test) | ast.While(test):
                _replace(lines, test, _negated(test))
                yield s.lineno, NEGATED, lines
            case ast.Expr(ast.Constant()) | ast.Pass() | ast.Match():
                continue
            case _:
                end = _end_of(s, statements)
                _replace(lines, s, "pass")
                if end is not None:
                    _replace(lines, end, "pass")
                yield s.lineno, REMOVED if end is None else f"removed with line {end.lineno}", lines


def _end_of(s: ast.stmt, statements: list[ast.stmt]) -> ast.stmt | None:
    """The statement that ends what ``s`` begins: the next one of its kind below."""
    end = ENDS.get(ast.unparse(s))
    after = (t for t in statements if t.lineno > s.lineno and ast.unparse(t) == end)
    return min(after, key=lambda t: t.lineno, default=None) if end else None


def _negated(test: ast.expr) -> str:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return ast.unparse(test.operand)
    simple = isinstance(test, (ast.Name, ast.Attribute, ast.Call))
    return f"not {ast.unparse(test)}" if simple else f"not ({ast.unparse(test)})"


def _replace(lines: list[str], node: ast.expr | ast.stmt, text: str) -> None:
    """Write ``text`` where ``node`` stands; lines that it took below its first one become empty."""
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    before = lines[first].encode()[: node.col_offset].decode()
    after = lines[last].encode()[node.end_col_offset :].decode()
    lines[first : last + 1] = [before + text + after] + [""] * (last - first)


def only_costs(function: Function, line: int) -> bool:
    """Whether all that a line does is to take time."""
    on = [i for i in function.instructions if i.line == line and i.kind != "end"]
    return bool(on) and all(i.kind == "do" and i.target is None and _only_costs(i.expr) for i in on)


def _only_costs(e: Expr | None) -> bool:
    match e:
        case Primitive(name, args):
            return (name in COST_ONLY or name in QUERIES or _of_others(e)) and all(map(_only_costs, args))
        case Operation(_, args):
            return all(map(_only_costs, args))
    return True


def _of_others(e: Primitive) -> bool:
    """RDMSR or WRMSR of another MSR, or what only reads a selector."""
    if e.name in ("rdmsr", "wrmsr"):
        return not uses(e, e.name)
    return e.name in ("savesegment", "sldt", "vmcs_read")
