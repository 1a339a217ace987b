"""Questions whose answer is a step: which one loses the guest's value, and at which does a value leak?

The reader may look at every step of the span. What each place is worth is hidden until a step is marked.
"""

from __future__ import annotations

from collections.abc import Sequence

from vmxsim.errors import InputError
from vmxsim.kernel.machine import owner_words
from vmxsim.teaching.questions.look import step_name
from vmxsim.teaching.questions.places import how_lost, lost_at, star
from vmxsim.teaching.questions.question import Option, Question, Span
from vmxsim.views.words import place_words, sentence


def lost(span: Span) -> Question:
    """Which step loses the guest's true value? Asked where no place holds it at the end."""
    guest, loss = owner_words(span.vcpu), lost_at(span)
    if not span.holds(loss) or star(span, span.after):
        raise InputError(f"no step here loses {guest}'s true value: ask 'lost' where one does", "predict")
    options = []
    first, was = span.before + 1, None
    for scene in range(span.before + 1, loss + 1):
        now = star(span, scene) if scene < loss else None
        place = place_words(*now) if now else ""
        if scene > first and place != was:
            options.append(_kept(guest, first, scene - 1, was))
            first = scene
        was = place
    how = how_lost(span, loss)
    options.append(_steps(loss, loss, how, right=True))
    if loss < span.after:
        gone = f"It was lost before that. {how}"
        options.append(_steps(loss + 1, span.after, gone))
    prompt = f"At the end no place holds {guest}'s true value. Which step loses it? Go there and mark it."
    return _marked("lost", span, prompt, options, loss)


def _kept(guest: str, first: int, last: int, place: str | None) -> Option:
    """Steps after which the value is not lost for good: it is in ``place``, or stored later if that is ''."""
    told = f"After this step, {guest}'s true value is still in {place}."
    if not place:
        told = f"After this step, no place holds {guest}'s true value, but a later one stores it."
    return _steps(first, last, told)


def _steps(first: int, last: int, reason: str, right: bool = False) -> Option:
    text = f"step {first}" if first == last else f"steps {first} to {last}"
    return Option(text, right, reason, (first, last))


def leak(span: Span) -> Question:
    """At which step does a value become readable by another owner?"""
    broken = [(s.index + 1, v) for s in span.steps for v in s.violations if v.invariant == "no-leak"]
    if not broken:
        raise InputError("no value leaks here: ask 'leak' where no-leak is broken", "predict")
    at, violation = broken[0]
    found = sentence(violation.words)
    options = []
    if at > span.before + 1:
        told = "After this step, nobody can read another owner's value yet."
        options.append(_steps(span.before + 1, at - 1, told))
    options.append(_steps(at, at, found, right=True))
    if at < span.after:
        told = f"It has been so since {step_name(span.trace, at)}. {found}"
        options.append(_steps(at + 1, span.after, told))
    prompt = (
        "In these steps a value of one owner becomes readable by another. After which step is that so first?"
    )
    return _marked("leak", span, f"{prompt} Go there and mark it.", options, at)


def _marked(kind: str, span: Span, prompt: str, options: Sequence[Option], at: int) -> Question:
    if len(options) < 2:
        raise InputError(f"one step is nothing to choose from: ask '{kind}' of an action or a run", "predict")
    hides = frozenset({"worth", f"{span.vcpu}.true value"})
    return Question(kind, span.before, span.after, prompt, tuple(options), at, hides, marks=True)
