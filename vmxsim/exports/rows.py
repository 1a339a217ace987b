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

#: Rows of a text; where there are more, those around the violation.
MOST = 40
_AFTER = 12


@frozen
class Row:
    """Step ``number`` (from 1). ``where`` is function and line, '' where ``source`` says it;
    ``broken`` the invariants that break here; ``lost``: here the value goes missing."""

    number: int
    action: int
    cpu: int
    where: str
    source: str
    effects: tuple[str, ...]
    broken: tuple[str, ...]
    lost: bool


@frozen
class Rows:
    """Rows of a trace of ``steps`` steps; ``earlier`` and ``later``: how many telling ones are left out."""

    rows: tuple[Row, ...]
    steps: int
    earlier: int = 0
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
    """The rows of the telling steps (at most :data:`MOST`, around the violation), or of those asked for."""
    if about.trace is None:
        return Rows((), 0)
    numbers = [number for number in chosen_steps(about, steps) if number]
    first, last = 0, len(numbers)
    if steps is None and last > MOST:
        centre = next((i for i, number in enumerate(numbers) if number >= about.broken), 0)
        last = min(last, max(centre + _AFTER, MOST)) if about.broken else MOST
        first = last - MOST
    shown = tuple(_row(about, number) for number in numbers[first:last])
    return Rows(shown, len(about.trace.steps), first, len(numbers) - last)


def _row(about: Subject, number: int) -> Row:
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
    )
