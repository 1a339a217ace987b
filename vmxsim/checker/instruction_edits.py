"""Changes to one line of a function in whatever language: its instructions are varied, not its text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from attrs import evolve

from vmxsim.kernel.program import Function, Instruction, Local, Primitive, emit, parts

REMOVED, NEGATED = "removed", "negated"
#: What is removed together with its counterpart: one without the other is not kernel code.
ENDS = {"preempt_disable": "preempt_enable", "local_irq_disable": "local_irq_enable"}
#: A text between two statements that says that the second does not follow the first.
_PARTS = re.compile(r"\b(?:else|case|default)\b")


def edits(function: Function) -> Iterator[tuple[int, str, Function]]:
    """Each line that can be changed, how, and the function afterward.

    A condition is negated, anything else removed: a call of ``preempt_disable()`` with the
    ``preempt_enable()`` that it leads to. A line without which a variable would never be set is left alone,
    and so is a ``return`` where the instructions do not tell what would run next.
    """
    for line in sorted({i.line for i in function.instructions if i.kind != "end"}):
        here = [n for n, i in enumerate(function.instructions) if i.line == line and i.kind != "end"]
        tests = [n for n in here if function.instructions[n].kind in ("branch", "switch")]
        done = [n for n in here if not tests or n > tests[-1]]  # what comes before belongs to the condition
        negated = _negated(function, tests) if tests else None
        if negated:
            yield line, NEGATED, negated
        ends = _ends(function, done)
        removed = _without(function, {*done, *ends}) if done else None
        if removed:
            below = {function.instructions[n].line for n in ends} - {line}
            others = [str(function.at(one).number) for one in sorted(below)]
            words = f" with line{'s' * (len(others) > 1)} {' and '.join(others)}" if others else ""
            yield line, f"{REMOVED}{words}", removed


def _negated(function: Function, tests: Collection[int]) -> Function | None:
    """The function with a condition negated, which takes several branches where it calls functions: the two
    places that they lead to are exchanged. None if it has more of them."""
    code = function.instructions
    first, last = min(tests), max(tests)
    if any(code[n].kind == "switch" for n in tests):
        return None
    out = list(
        dict.fromkeys(to for n in tests for to in (code[n].next, code[n].other) if not first < to <= last)
    )
    if len(out) != 2:
        return None
    swap = {out[0]: out[1], out[1]: out[0]}
    changed = [
        evolve(i, next=swap.get(i.next, i.next), other=swap.get(i.other, i.other)) if n in tests else i
        for n, i in enumerate(code)
    ]
    return _made(function, changed)


def _ends(function: Function, starts: Iterable[int]) -> set[int]:
    """The counterparts of what these instructions begin: the first ones met on every way from there."""
    code, found = function.instructions, set()
    for start in starts:
        for begin, end in ENDS.items():
            if begin not in _called(code[start]):
                continue
            todo, seen = [(to, 0) for to in _next(code[start])], set()
            while todo:
                n, depth = todo.pop()
                if (n, depth) in seen or depth > len(code):
                    continue
                seen.add((n, depth))
                depth += begin in _called(code[n])
                if end in _called(code[n]):
                    if not depth:
                        found.add(n)
                        continue
                    depth -= 1
                todo += [(to, depth) for to in _next(code[n])]
    return found


def _called(i: Instruction) -> set[str]:
    return {e.name for e in parts(i.expr) if isinstance(e, Primitive)} if i.expr else set()


def _next(i: Instruction) -> list[int]:
    """Where an instruction may lead to in its function."""
    if i.kind in ("return", "end"):
        return []
    return [to for to in (i.next, i.other, *(to for _, to in i.cases)) if to >= 0]


def _without(function: Function, gone: Collection[int]) -> Function | None:
    """The function without these instructions; None if that is not a function."""
    code = function.instructions
    follows: dict[int, int] = {}
    for n in gone:
        i = code[n]
        if i.kind == "return":
            between = function.source[i.line : code[n + 1].line] if n + 1 < len(code) else ()
            if n + 1 == len(code) or any(map(_PARTS.search, between)):
                return None
        follows[n] = i.next if i.next >= 0 else n + 1
    kept = [n for n in range(len(code)) if n not in gone]
    start = _after(0, follows)
    if start is None or not kept:
        return None
    kept = [start, *(n for n in kept if n != start)]  # a function begins with its first instruction
    where: dict[int, int] = {}
    for n in range(len(code)):
        to = _after(n, follows)
        if to is None:
            return None
        where[n] = kept.index(to)
    changed = [
        evolve(
            code[n],
            next=where.get(code[n].next, -1),
            other=where.get(code[n].other, -1),
            cases=tuple((value, where[to]) for value, to in code[n].cases),
        )
        for n in kept
    ]
    # what C computes that does not matter is never set
    return _made(function, changed) if _unset(function, changed) <= _unset(function, code) else None


def _after(n: int, follows: Mapping[int, int]) -> int | None:
    """The first instruction from ``n`` on that is kept; None if there is none."""
    seen = set()
    while n in follows:
        if n in seen:
            return None
        seen.add(n)
        n = follows[n]
    return n


def _unset(function: Function, code: list[Instruction]) -> set[int]:
    """The local variables that may be read, and not just returned, before they are set."""
    return {n for n in range(function.params, len(function.locals)) if _may_be_unset(code, n)}


def _may_be_unset(code: list[Instruction], variable: int) -> bool:
    todo, seen = [0], set()
    while todo:
        n = todo.pop()
        if n in seen:
            continue
        seen.add(n)
        i = code[n]
        returned = i.kind in ("return", "end") and isinstance(i.expr, Local)
        every = (e for e in (i.expr, *i.args) if e is not None)
        if not returned and any(
            isinstance(p, Local) and p.index == variable for e in every for p in parts(e)
        ):
            return True
        if not (isinstance(i.target, Local) and i.target.index == variable):
            todo += _next(i)
    return False


def _made(function: Function, code: list[Instruction]) -> Function:
    made = evolve(function, instructions=[evolve(i) for i in code])
    emit(made)
    return made
