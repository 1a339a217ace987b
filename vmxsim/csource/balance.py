"""Whether a function leaves preemption and interrupts as it found them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from vmxsim.csource.interface import TOGGLES
from vmxsim.csource.syntax import Block, Call, CFunction, If, Jump, Loop, Name, Return, Switch, expressions_of

#: How deep calls are looked into.
_DEEPEST = 6
#: How often each is disabled at the end of a way, less how often at its beginning.
Changes = frozenset[int]
_NONE = frozenset({0})


class Balance:
    """Looks into functions; ``find`` gives one of the files by name, as code in a file would call it."""

    def __init__(self, find: Callable[[str, str], CFunction | None]) -> None:
        self._find = find
        self._known: dict[tuple[CFunction, str], Changes] = {}

    def is_unbalanced(self, f: CFunction) -> bool:
        """Whether it ends on no way as it began, or disables preemption or interrupts on some way and enables
        them on none, or the reverse. Which ways there are together is not looked at."""
        for what in ("preempt", "local_irq"):
            found = self._changes(f, what, 0)
            one_sided = any(n > 0 for n in found) != any(n < 0 for n in found)
            if 0 not in found or (one_sided and not _does_both(f, what)):
                return True
        return False

    def _changes(self, f: CFunction, what: str, depth: int) -> Changes:
        if (f, what) not in self._known:
            self._known[f, what] = _NONE  # of a function that calls itself, while it is looked into
            through, ended = self._ways(f.body, f, what, depth)
            self._known[f, what] = (through | ended) or _NONE
        return self._known[f, what]

    def _ways(self, body: Iterable[Any], f: CFunction, what: str, depth: int) -> tuple[Changes, Changes]:
        """The changes on the ways through a body, and on those that leave the function in it. A jump is taken
        to go to the end of the body."""
        through, jumped, ended = _NONE, Changes(), Changes()
        for s in body:
            for name in _called(expressions_of(s)):
                through = _sums(through, self._of_call(name, f, what, depth))
            ways = []
            match s:
                case If(_, _, yes, no):
                    ways = [self._ways(one, f, what, depth) for one in (yes, no)]
                case Loop(body=inner) | Switch(body=inner):
                    ways = [self._ways(inner, f, what, depth), (_NONE, Changes())]
                case Block(body=inner):
                    ways = [self._ways(inner, f, what, depth)]
                case Return():
                    ended, through = ended | through, Changes()
                case Jump():
                    jumped, through = jumped | through, Changes()
            if ways:
                ended |= Changes().union(*(_sums(through, out) for _, out in ways))
                through = Changes().union(*(_sums(through, on) for on, _ in ways))
        return through | jumped, ended

    def _of_call(self, name: str, f: CFunction, what: str, depth: int) -> Changes:
        toggle = TOGGLES.get(name, "")
        if toggle.startswith(what):
            return frozenset({1 if toggle.endswith("_disable") else -1})
        callee = self._find(name, f.file) if not toggle and depth < _DEEPEST else None
        return self._changes(callee, what, depth + 1) if callee else _NONE


def _does_both(f: CFunction, what: str) -> bool:
    found = {TOGGLES.get(name) for name in _called(e for _, e in f.expressions)}
    return {f"{what}_disable", f"{what}_enable"} <= found


def _called(expressions: Iterable[Any]) -> Iterator[str]:
    for e in expressions:
        if isinstance(e, Call) and isinstance(e.function, Name):
            yield e.function.name


def _sums(a: Changes, b: Changes) -> Changes:
    """Every sum of two, none far from 0."""
    return frozenset(max(-3, min(3, x + y)) for x in a for y in b)
