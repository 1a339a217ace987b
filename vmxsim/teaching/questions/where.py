"""Where a question is asked: the step that ``at``, ``after`` or ``before`` names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from typing import Any

from vmxsim.errors import InputError, counted, printable
from vmxsim.simulation.trace import Step, Trace, action_name
from vmxsim.teaching.questions.question import Span, span
from vmxsim.views.words import several

#: How a place can be given.
WHERE = ("step", "action", "at", "after", "before", "nth")
#: How far from the named step the one asked about lies.
_OFFSETS = {"at": 0, "after": 1, "before": -1}
#: Choices that an error names.
_CHOICES = 5


def place(trace: Trace, where: Mapping[str, Any]) -> Span:
    """The steps that a question is about.

    ``step`` (from 1) and ``action`` (from 0) count from the end if negative. ``at`` names a step by
    ``"FUNCTION: TEXT"``, the first one in that function whose source contains the text, or by
    ``"FUNCTION"``, the first one in it, and an event of a recording by a text of its line; ``after`` and
    ``before`` mean the step next to it. With these ``action`` says which action to look in, and ``nth``
    (from 1; negative: from the end) which of several.
    Raises InputError for a place that the run does not have.
    """
    given = {name: value for name, value in where.items() if value is not None}
    named = [name for name in _OFFSETS if name in given]
    if len(named) > 1 or (named and "step" in given):
        raise InputError(f"one of step, {', '.join(_OFFSETS)}: not {several(sorted(given))}", "predict")
    if not named:
        if "nth" in given:
            raise InputError("nth chooses between the steps that at, after or before names", "nth")
        return span(trace, given.get("step"), given.get("action"))
    name = named[0]
    found = _named(trace, name, given[name], given.get("action"))
    nth = given.get("nth", 1)
    if not isinstance(nth, int) or not 1 <= abs(nth) <= len(found):
        these = several(step.index + 1 for step in found)
        many = f"{counted(len(found), 'time')} (step{'s' * (len(found) > 1)} {these})"
        raise InputError(f"'{printable(given[name])}' comes {many}: there is no {nth!r}", "nth")
    step = found[nth if nth < 0 else nth - 1]
    return span(trace, step.index + 1 + _OFFSETS[name])


def _named(trace: Trace, name: str, text: Any, action: int | None) -> list[Step]:
    """The steps that ``FUNCTION: TEXT`` names, in order; at least one."""
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"expected 'FUNCTION' or 'FUNCTION: TEXT', not {text!r}", name)
    function, _, source = (part.strip() for part in text.partition(":"))
    steps: Sequence[Step] = trace.steps
    within = ""
    if action is not None:
        inside = span(trace, action=action)
        steps, within = inside.steps, f" in {action_name(trace, inside.last.action)}"
    here = [step for step in steps if step.function == function]
    if not here:  # an event of a recording, named as its line does
        here = [step for step in steps if not step.line and text.strip() in step.source]
        if here:
            return here
        ran = list(dict.fromkeys(step.function for step in steps))
        told = f"no step of '{printable(function)}' runs{within}; {_nearest(function, ran)}"
        raise InputError(told, name)
    found = [step for step in here if source in step.source]
    if not found:
        lines = list(dict.fromkeys(step.source for step in here))
        told = f"no line of {function} that runs{within} contains '{printable(source)}'; "
        raise InputError(told + _nearest(source, lines), name)
    return found


def _nearest(word: str, choices: Sequence[str]) -> str:
    """The choices that come closest, best first; the first few if none comes close."""
    close = get_close_matches(word, choices, n=3, cutoff=0.5)
    if not close:  # a word of a line is not like the line, but like a part of it
        rank = {c: _shared(word, c) for c in choices}
        close = sorted((c for c in choices if rank[c] >= 4), key=lambda c: -rank[c])[:3]
    if close:
        return "did you mean " + " or ".join(f"“{printable(c)}”" for c in close) + "?"
    more = ", ..." if len(choices) > _CHOICES else ""
    return "these run: " + ", ".join(f"“{printable(c)}”" for c in choices[:_CHOICES]) + more


def _shared(a: str, b: str) -> int:
    """How long the longest text is that both contain."""
    return SequenceMatcher(None, a, b, autojunk=False).find_longest_match().size
