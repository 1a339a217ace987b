"""The telling steps as rows: where each ran, what it did, and whether it lost or broke something."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from attrs import frozen

from vmxsim.errors import InputError, printable
from vmxsim.exports.subject import Subject
from vmxsim.trace import Trace
from vmxsim.views.effects import effects
from vmxsim.views.telling import telling_steps

#: Rows of a text; where there are more, those around the loss and the breach.
MOST = 25


@frozen
class Row:
    """Step ``number`` (from 1). ``where`` is function and line, '' where ``source`` says it;
    ``broken`` the invariants that break here; ``lost``: here the value goes missing; ``skipped``: how many
    telling steps are left out just before it."""

    number: int
    action: int
    cpu: int
    where: str
    source: str
    effects: tuple[str, ...]
    broken: tuple[str, ...]
    lost: bool
    skipped: int = 0


@frozen
class Rows:
    """Rows of a trace of ``steps`` steps; ``skipped``: how many telling ones are left out in all,
    ``later``: how many of them behind the last row."""

    rows: tuple[Row, ...]
    steps: int
    skipped: int = 0
    later: int = 0

    def by_action(self, trace: Trace) -> Iterable[tuple[int, str, list[Row]]]:
        """(number of the action, from 0; the action; its rows), in order."""
        for number, rows in groupby(self.rows, key=lambda row: row.action):
            known = 0 <= number < len(trace.actions)
            yield number, printable(trace.actions[number] if known else "?", 200), list(rows)


def chosen_steps(about: Subject, steps: str | Sequence[int] | None) -> list[int]:
    """Numbers of the steps asked for: ``telling``, ``all``, or numbers (0 the start, negative from the end).

    Raises InputError for a step that the trace does not have.
    """
    trace = about.shown
    last = len(trace.steps)
    if steps is None or steps == "telling":
        return telling_steps(trace, {about.lost} - {0})
    if steps == "all":
        return list(range(last + 1))
    if isinstance(steps, str) or not isinstance(steps, Iterable):
        raise InputError("'telling', 'all' or a list of step numbers was expected", "steps")
    found = []
    for step in steps:
        if not isinstance(step, int) or isinstance(step, bool) or not -last - 1 <= step <= last:
            raise InputError(
                f"{printable(repr(step))} is no step: this one has steps 0 (its start) to {last} (its end)",
                "steps",
            )
        found.append(step + last + 1 if step < 0 else step)
    if not found:
        raise InputError("no step was asked for", "steps")
    return sorted(set(found))


def rows_of(about: Subject, steps: str | Sequence[int] | None = None) -> Rows:
    """The rows of the telling steps (at most :data:`MOST`, around loss and breach), or of those asked for."""
    if about.trace is None:
        return Rows((), 0)
    numbers = [number for number in chosen_steps(about, steps) if number]
    kept = _nearest(numbers, {about.lost, about.broken} - {0}) if steps is None else range(len(numbers))
    shown, last = [], -1
    for at in kept:
        shown.append(_row(about, numbers[at], at - last - 1))
        last = at
    return Rows(tuple(shown), len(about.trace.steps), len(numbers) - len(shown), len(numbers) - 1 - last)


def _nearest(numbers: Sequence[int], centres: set[int]) -> Sequence[int]:
    """Indices of at most :data:`MOST` numbers: those nearest to a centre, else the first ones."""
    at = [n for n, number in enumerate(numbers) if number in centres] or [0]
    ranked = sorted(range(len(numbers)), key=lambda n: (min(abs(n - centre) for centre in at), n))
    return sorted(ranked[:MOST])


def _row(about: Subject, number: int, skipped: int = 0) -> Row:
    step = about.shown.steps[number - 1]
    where = printable(step.function, 60)
    if step.line:
        where += f":{step.line}"
    elif where and where in step.source:  # an event of a recording names itself
        where = ""
    return Row(
        number=number,
        action=step.action,
        cpu=step.cpu,
        where=where,
        source=printable(step.source, 400),
        effects=tuple(effects(about.shown, number)),
        broken=tuple(dict.fromkeys(v.invariant for v in step.violations)),
        lost=number == about.lost,
        skipped=skipped,
    )
