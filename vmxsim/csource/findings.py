"""A patch reviewed: what the checker says before and after it, what it changes that matters, and the run that
shows the difference."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

from attrs import evolve, frozen

from vmxsim.checker.check import check
from vmxsim.checker.result import INCOMPLETE, SAFE, VIOLATED, CheckResult, Counterexample
from vmxsim.csource.applying import Applied, apply
from vmxsim.csource.design import Carried, from_tree
from vmxsim.csource.diff import Line, WholeFunction, whole_functions
from vmxsim.csource.patches import Patch
from vmxsim.csource.tree import Tree
from vmxsim.errors import InputError, NotUnderstoodError
from vmxsim.kernel.kvm import Kvm
from vmxsim.simulation.compare import Divergence, Pairs, divergence, run_together
from vmxsim.simulation.run import RunTrace

NOT_UNDERSTOOD = "not understood"
_COMMENT = re.compile(r"/\*.*?(?:\*/|$)|//.*")
#: What a line of a hunk does in a run: the patched code runs it, the unpatched code ran it, or both do.
RUNS, RAN, SAME = "runs", "ran", "same"


@frozen(slots=False)
class Side:
    """The code before the patches, or after one of them. Either ``refusal`` says why the C is not understood,
    or ``carried`` is what was made of it and ``result`` what the checker says."""

    name: str
    tree: Tree
    carried: Carried | None = None
    refusal: NotUnderstoodError | None = None
    result: CheckResult | None = None

    @property
    def verdict(self) -> str:
        """``safe``, ``violated``, ``incomplete`` or ``not understood``."""
        return self.result.verdict if self.result else NOT_UNDERSTOOD

    @property
    def broken(self) -> set[tuple[str, str]]:
        """What is violated: (width of the host, invariant)."""
        hosts = self.result.hosts if self.result else ()
        return {(host.host, name) for host in hosts for name in host.counterexamples}

    @property
    def example(self) -> Counterexample | None:
        """The shortest counterexample."""
        return self.result.counterexample if self.result else None

    def kept(self) -> dict[str, tuple[tuple[str, int, str], ...]]:
        """Of each function the lines that matter: file, number, and the statement there without comments."""
        if self.carried is None:
            return {}
        functions = {(f.file, f.first): f for f in self.carried.design.functions().values() if f.file}
        found = {}
        for name, numbers in self.carried.kept_lines().items():
            at = self.carried.unit.functions[name]
            if function := functions.get((at.file, at.first)):
                texts = ((n, function.text(n - at.first + 1)) for n in numbers)
                found[name] = tuple(
                    (at.file, n, " ".join(_COMMENT.sub(" ", text).split())) for n, text in texts
                )
        return found


@frozen
class Changed:
    """A function of which what matters changed, with the lines that matter before and after."""

    name: str
    before: tuple[tuple[str, int, str], ...]
    after: tuple[tuple[str, int, str], ...]


@frozen(slots=False)
class Encounter:
    """One schedule on the code before and after a patch: the counterexample ``example`` of one of the sides.

    ``which`` is the patch (from 0); ``broken`` is 1 if the code after it is violated, 0 if only that before
    it is. ``traces`` are the runs, the one before the patch first; only that of the violated side if the
    other cannot run the schedule, which ``note`` then says.
    """

    which: int
    broken: int
    example: Counterexample
    traces: tuple[RunTrace, ...]
    pairs: Pairs
    split: Divergence | None
    note: str = ""

    @property
    def violated(self) -> RunTrace | None:
        """The run that shows the violation; None if the design fails on the schedule instead."""
        return self.traces[self.broken if len(self.traces) == 2 else 0] if self.traces else None

    @cached_property
    def ran(self) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
        """The lines of C (file and number) that ran before and after."""
        lines: list[set[tuple[str, int]]] = [set(), set()]
        for n, trace in enumerate(self.traces):
            side = n if len(self.traces) == 2 else self.broken
            lines[side] = {(step.at.file, step.at.number) for step in trace.steps if step.at.file}
        return lines[0], lines[1]

    def mark(self, old_path: str, path: str, line: Line) -> str:
        """What a line of a hunk does in these runs: :data:`RUNS`, :data:`RAN`, :data:`SAME`, or ''."""
        ran = line.before and (PurePosixPath(old_path).name, line.before) in self.ran[0]
        runs = line.after and (PurePosixPath(path).name, line.after) in self.ran[1]
        if ran and runs:
            return SAME
        return RUNS if runs else RAN if ran else ""


@frozen(slots=False)
class Findings:
    """What a review found: ``sides`` are the code before the patches and after each of them, ``applied`` the
    patches as they were applied. Without a tree both are empty, and ``pieces`` are the functions that the
    patches hold whole."""

    patches: tuple[Patch, ...]
    applied: tuple[Applied, ...] = ()
    sides: tuple[Side, ...] = ()
    pieces: tuple[WholeFunction, ...] = ()

    @property
    def before(self) -> Side | None:
        """The code before the first patch; None without a tree."""
        return self.sides[0] if self.sides else None

    @property
    def after(self) -> Side | None:
        """The code after the last patch; None without a tree."""
        return self.sides[-1] if self.sides else None

    @property
    def verdict(self) -> str:
        """``violated`` or ``safe``, as the code after the patches is; ``incomplete`` or ``not understood`` if
        nothing could be concluded about a side."""
        if not self.sides:
            return NOT_UNDERSTOOD
        if self.sides[-1].verdict == VIOLATED:
            return VIOLATED
        verdicts = [self.sides[-1].verdict, *(side.verdict for side in self.sides)]
        return next((v for v in verdicts if v in (NOT_UNDERSTOOD, INCOMPLETE)), SAFE)

    @cached_property
    def changed(self) -> tuple[Changed, ...]:
        """The functions of which what matters is other than before, if both sides are understood."""
        if not self.sides or not (self.sides[0].carried and self.sides[-1].carried):
            return ()
        old, new = self.sides[0].kept(), self.sides[-1].kept()

        def text(side: dict[str, tuple[tuple[str, int, str], ...]], name: str) -> list[str]:
            return [line for _, _, line in side.get(name, ())]

        return tuple(
            Changed(name, old.get(name, ()), new.get(name, ()))
            for name in dict.fromkeys([*old, *new])
            if text(old, name) != text(new, name)
        )

    @cached_property
    def encounter(self) -> Encounter | None:
        """The schedule that shows what the patches break or mend; None if neither is shown."""
        verdicts = [side.verdict for side in self.sides]
        steps = list(pairwise(verdicts))
        broke = [n for n, (old, new) in enumerate(steps) if new == VIOLATED != old]
        mended = [n for n, (old, new) in enumerate(steps) if old == VIOLATED != new]
        if self.sides and verdicts[-1] == VIOLATED:
            return self._encounter(broke[-1] if broke else len(steps) - 1, 1)
        return self._encounter(mended[-1], 0) if mended else None

    def _encounter(self, which: int, broken: int) -> Encounter:
        pair = self.sides[which : which + 2]
        example = pair[broken].example
        assert example is not None
        if example.failure:
            return Encounter(which, broken, example, (), [], None, example.failure)
        designs = [side.carried.design for side in pair if side.carried]
        if len(designs) == 2:
            try:
                traces, pairs = run_together(example.scenario, designs)
                return Encounter(which, broken, example, tuple(traces), pairs, divergence(*traces))
            except InputError as error:
                note = f"the other side cannot run this schedule: {error}"
        else:
            note = "the other side is not understood, so it is not run"
        return Encounter(which, broken, example, (example.trace,), [], None, note)


def reviewed(
    patches: Sequence[Patch], tree: Tree | None, tell: Callable[[str], None] = lambda words: None
) -> Findings:
    """Review patches, each on top of the last. ``tell`` is told what is being done.

    Raises InputError if a patch does not apply. C that is not understood is a side's ``refusal``.
    """
    if tree is None:
        return Findings(tuple(patches), pieces=whole_functions([f for patch in patches for f in patch.files]))
    applied: list[Applied] = []
    for patch in patches:
        applied.append(apply(patch, applied[-1].tree if applied else tree))
    sides: list[Side] = []
    for number, after in enumerate([tree, *(one.tree for one in applied)]):
        name = _name(number, len(patches))
        tell(name)
        sides.append(_side(name, after, next((s for s in reversed(sides) if s.carried), None)))
    return Findings(tuple(patches), tuple(applied), tuple(sides))


_BEFORE, _AFTER = "before the patch", "after the patch"
#: What the design of a side is called; in a series it is "patched 1 of 3" and so on.
_DESIGNS = {_BEFORE: "unpatched", _AFTER: "patched"}


def _name(number: int, total: int) -> str:
    """What the side after so many patches is called."""
    if not number:
        return _BEFORE
    return _AFTER if total == 1 else f"after patch {number} of {total}"


def _side(name: str, tree: Tree, last: Side | None) -> Side:
    """One side; ``last`` is the one before it that is understood."""
    try:
        named = tree if last is None and name == _BEFORE else evolve(tree, name=f"{tree.name} {name}")
        hint = last.carried.roles if last and last.carried else None
        carried = from_tree(named, _DESIGNS.get(name, name.replace("after patch", "patched")), hint)
        if last and last.result and last.verdict == SAFE and _same_code(carried.design, last.result.design):
            return Side(name, tree, carried, None, evolve(last.result, design=carried.design))
        return Side(name, tree, carried, None, check(carried.design))
    except NotUnderstoodError as error:
        return Side(name, tree, refusal=error)


def _same_code(one: type[Kvm], other: type[Kvm]) -> bool:
    """Whether two designs made from C do the same, so that what is safe in one is safe in the other."""

    def does(design: type[Kvm]) -> tuple[Any, ...]:
        code = {name: (f.locals, f.requires, f.instructions) for name, f in design.functions().items()}
        rest = (design.interception, design.fsgsbase, design.kvm_x86_ops, design.fields, design.labels)
        return code, rest, design._fields_at_start, design._only_as_assumed

    return does(one) == does(other)
