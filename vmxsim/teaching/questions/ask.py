"""The kinds of questions by name, and which of them are worth asking of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2s
from itertools import pairwise
from typing import Any

from attrs import evolve

from vmxsim.designs import DESIGNS
from vmxsim.errors import InputError, unknown
from vmxsim.kernel.kvm import name_of
from vmxsim.simulation.run import run
from vmxsim.simulation.scenario import scenario_yaml
from vmxsim.simulation.trace import Trace
from vmxsim.teaching.questions.control import intercepted, line, preempt
from vmxsim.teaching.questions.marks import leak, lost
from vmxsim.teaching.questions.places import live, stale
from vmxsim.teaching.questions.question import Option, Question, Span
from vmxsim.teaching.questions.typed import count, reads
from vmxsim.teaching.questions.values import owner, returned
from vmxsim.teaching.questions.where import WHERE, place

KINDS: dict[str, Callable[..., Question]] = {
    "live": live,
    "stale": stale,
    "owner": owner,
    "preempt": preempt,
    "intercepted": intercepted,
    "value": returned,
    "reads": reads,
    "line": line,
    "count": count,
    "lost": lost,
    "leak": leak,
}


#: Kinds whose answer the function in view would tell.
_TELLING = ("line", "lost", "leak", "intercepted")


def ask(trace: Trace, kind: str, **where: Any) -> Question:
    """The question of this kind about a step or an action, which ``where`` names as ``place`` describes;
    without it, about the last action, the last step for ``preempt`` and ``line``, or the whole run for
    ``lost`` and ``leak``. ``count`` takes ``of`` too, a key of ``OPERATIONS``.

    Raises InputError for an unknown kind, and where this one cannot be asked.
    """
    if kind not in KINDS:
        raise unknown("question", kind, KINDS)
    of = {"of": where["of"]} if kind == "count" and where.get("of") is not None else {}
    if where.pop("of", None) is not None and not of:
        raise InputError(f"'{kind}' counts nothing: only 'count' takes it", "of")
    for name in where:
        if name not in WHERE:
            raise unknown("place", name, WHERE, "predict")
    if all(value is None for value in where.values()):
        last = [s.index + 1 for s in trace.steps if s.mode == "kernel" and s.line]
        if kind in ("preempt", "line") and last:
            where = {"step": last[-1]}
        if kind in ("lost", "leak") and trace.steps:
            return KINDS[kind](Span(trace, 0, len(trace.steps), whole=False))
    asked = place(trace, where)
    found = KINDS[kind](asked, **of)
    at = {"action": asked.last.action} if asked.whole else {"step": asked.after}
    return shuffled(
        evolve(found, where=at | of, about="" if kind in _TELLING else asked.about),
        f"{trace.title}; {trace.subtitle}",
    )


def recipe(trace: Trace, question: Question) -> dict[str, Any] | None:
    """How to ask a question of a run again: plain data for :func:`ask_again`. None for a recording, and for a
    design that the package does not have."""
    scenario: Any = getattr(trace, "scenario", None)
    design: Any = getattr(trace, "design", None)
    name = name_of(design) if design is not None else ""
    if scenario is None or DESIGNS.get(name) is not design:
        return None
    return {
        "design": name,
        "scenario": scenario_yaml(scenario),
        "kind": question.kind,
        "where": dict(question.where),
    }


def ask_again(recipe: Mapping[str, Any]) -> tuple[Trace, Question]:
    """The run and the question of a recipe. Raises InputError if this version of vmxsim cannot ask it."""
    scenario, design, kind = (recipe.get(name) for name in ("scenario", "design", "kind"))
    where: Any = recipe.get("where")
    if not (isinstance(scenario, str) and isinstance(design, str) and isinstance(kind, str)):
        raise InputError("expected a scenario, a design and a kind of question", "recipe")
    known = isinstance(where, Mapping) and set(where) <= {"step", "action", "of"}
    if not known or not all(isinstance(value, str if name == "of" else int) for name, value in where.items()):
        raise InputError("expected a step or an action", "recipe")
    trace = run(scenario, design)
    return trace, ask(trace, kind, **where)


def shuffled(question: Question, of: str) -> Question:
    """The question with its options in an order that tells nothing: by a hash of what is asked of the run."""
    if question.typed or question.marks:
        return question  # its options are not shown

    def rank(option: Option) -> bytes:
        asked = repr((of, question.kind, question.before, question.after, option.text))
        return blake2s(asked.encode(), digest_size=8).digest()

    return evolve(question, options=tuple(sorted(question.options, key=rank)))


def voted(question: Question, of: str) -> Question:
    """The question as an audience is asked: one whose answer is typed has its options to choose from.

    Raises InputError for one whose answer is a step.
    """
    if question.marks:
        raise InputError(f"an audience cannot mark a step: ask '{question.kind}' without votes", "predict")
    if not question.typed:
        return question
    return shuffled(evolve(question, options=question.options[:-1], typed=""), of)


def key_questions(trace: Trace, limit: int = 3) -> list[Question]:
    """Up to ``limit`` questions about the actions that decide a run: where the register's content becomes
    wrong or changes hands, and what the access that breaks an invariant returns."""
    decisive = {violation.action for violation in trace.violations}
    ranked: list[tuple[int, Question]] = []
    for action in range(len(trace.actions)):
        asked = _about(trace, action, action in decisive)
        if asked is not None:
            rank = 0 if action in decisive else 1 if asked.kind == "owner" else 2
            ranked.append((rank, asked))
    if sum(rank < 2 for rank, _ in ranked) > 1:  # what merely moves is asked about where little else is
        ranked = [pair for pair in ranked if pair[0] < 2]
    chosen = sorted(ranked, key=lambda pair: pair[0])[:limit]
    return sorted((question for _, question in chosen), key=lambda question: question.before)


def _about(trace: Trace, action: int, decisive: bool) -> Question | None:
    """The question about an action that says most; None if nothing of interest happens."""
    steps = [s for s in trace.steps if s.action == action]
    if not steps:
        return None
    lma = any(c.place.endswith(".efer") for s in steps for c in s.changes)
    moved = any(s.moves for s in steps)
    kinds = ["value"]
    if lma or (decisive and not moved):
        kinds.append("owner")
    elif moved:
        kinds.append("live")
    for kind in kinds:
        with suppress(InputError):  # it returns nothing, or all owners have the same value
            return ask(trace, kind, action=action)
    return None


def spans_apart(questions: Sequence[Question]) -> bool:
    """Whether each question is answered before the next one is asked."""
    return all(a.after <= b.before for a, b in pairwise(questions))
