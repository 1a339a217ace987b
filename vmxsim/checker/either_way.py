"""Conditions that are not modeled: whether a verdict depends on how they come out.

The design is explored with each of them coming out either way at each test. What holds then, holds whatever
they say. What breaks only then is neither called safe nor violated: it is unknown, and the conditions that
decide are named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from attrs import define, evolve, field

from vmxsim.checker.cut import Cut
from vmxsim.checker.result import HOLDS, SAFE, UNKNOWN, VIOLATED, Counterexample, HostResult
from vmxsim.checker.transition_table import AS_ASSUMED, EITHER_WAY, Unknowns
from vmxsim.designs.history import expressions
from vmxsim.errors import counted
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.program import Const, Primitive

#: Searches one host width with conditions that come out in a certain way.
Search = Callable[[Unknowns], HostResult]


def conditions_of(design: type[Kvm]) -> tuple[str, ...]:
    """The conditions in a design's functions that are not modeled."""
    found: dict[str, None] = {}
    for function in design.code():
        for e in expressions(function):
            if isinstance(e, Primitive) and e.name == "not_modeled":
                name = e.args[0] if e.args else None
                found[str(name.value) if isinstance(name, Const) else "a condition without a name"] = None
    return tuple(found)


@define
class Ways:
    """What comes of a design if its ``conditions`` come out another way than is assumed: in words, for each
    host width what is violated, None if the search came to no end."""

    conditions: tuple[str, ...]
    told: dict[str, dict[str, set[str] | None]] = field(factory=dict)

    def host(self, search: Search) -> HostResult:
        """The result for one host width, as far as it does not depend on the conditions."""
        either = search(EITHER_WAY)
        self._tell(self._either_words(), either)
        if either.verdict == SAFE:
            return either
        assumed = search(AS_ASSUMED)
        only_then = {
            name: example for name, example in either.counterexamples.items()
            if name not in assumed.counterexamples
        }  # fmt: skip
        for example in only_then.values():
            self._tell(_words_of(example), either)
        self._follow_up(assumed, search)
        if not only_then and not either.cut_by:
            return assumed
        invariants = {
            name: UNKNOWN if how == HOLDS and (either.cut_by or name in only_then) else how
            for name, how in assumed.invariants.items()
        }
        return evolve(assumed, invariants=invariants, cut_by=assumed.cut_by or _cut(only_then, either))

    def _follow_up(self, assumed: HostResult, search: Search) -> None:
        """Whether what is violated as is assumed depends on a condition that its counterexamples test."""
        tested: dict[str, bool] = {}
        for example in assumed.counterexamples.values():
            tested |= {text: holds for text, holds, _ in example.tests}
        for text, holds in tested.items():
            words = f"if '{text}' is {_truth(not holds)}"
            if assumed.host not in self.told.get(words, {}):
                self._tell(words, search(Unknowns(inverted=frozenset([text]))))

    def _tell(self, words: str, found: HostResult) -> None:
        unfinished = found.cut_by is not None and not found.counterexamples
        self.told.setdefault(words, {})[found.host] = None if unfinished else {*found.counterexamples}

    def _either_words(self) -> str:
        if len(self.conditions) > _MOST_NAMED:
            number = counted(len(self.conditions), "condition")
            return f"if each of {number} comes out either way at each test"
        named = " and ".join(f"'{text}'" for text in self.conditions)
        verb = "comes" if len(self.conditions) == 1 else "come"
        return f"if {named} {verb} out either way at each test"

    def verdicts(self, hosts: Iterable[HostResult]) -> dict[str, str]:
        """What comes of it, in words, with the verdict and what is violated if that is something else than
        in the results ``hosts``. A width on which it was not tried is as it is there."""
        now = {host.host: {*host.counterexamples} for host in hosts}
        found = {}
        for words, by_host in self.told.items():
            all_hosts = {**now, **by_host}
            broken = {host: names for host, names in all_hosts.items() if names}
            verdict = VIOLATED if broken else "incomplete" if None in all_hosts.values() else SAFE
            found[words] = verdict if all_hosts == now else _told(verdict, broken)
        return found


#: The most conditions that are named one by one.
_MOST_NAMED = 3


def _told(verdict: str, broken: Mapping[str, set[str] | None]) -> str:
    """The verdict, and what is violated: ``violated (64-bit: no-leak)``."""
    told = [f"{host}: {', '.join(sorted(names or ()))}" for host, names in broken.items()]
    return f"{verdict} ({'; '.join(told)})" if told else verdict


def _cut(only_then: Mapping[str, Counterexample], either: HostResult) -> Cut | None:
    """Why nothing is known of what holds as is assumed."""
    if only_then:
        name, example = next(iter(only_then.items()))
        words = f"{_words_of(example)}, it is violated ({example.schedule})"
        return Cut(f"{name} depends on what is not modeled: {words}", undecided=True)
    cut = either.cut_by
    return cut and evolve(cut, words=f"with what is not modeled coming out either way, {cut.words}")


def _words_of(example: Counterexample) -> str:
    """The conditions that come out the other way: ``if 'x' is false``."""
    ways: dict[str, set[bool]] = {}
    for text, holds, _ in example.tests:
        ways.setdefault(text, set()).add(holds)
    flipped = dict.fromkeys(text for text, _, other in example.tests if other)
    words = [
        f"'{text}' " + (f"is {_truth(*ways[text])}" if len(ways[text]) == 1 else "changes between two tests")
        for text in flipped
    ]
    return f"if {' and '.join(words)}"


def _truth(holds: bool) -> str:
    return "true" if holds else "false"
