"""The question whether, and when, the scheduler may act."""

from __future__ import annotations

from collections.abc import Iterator

from vmxsim.errors import InputError
from vmxsim.quiz.question import Option, Question
from vmxsim.quiz.span import Span
from vmxsim.trace import Step


def preempt(span: Span) -> Question:
    """A tick comes right after this line: when does the scheduler act?"""
    step = span.last
    if span.whole or step.mode != "kernel" or not step.line:
        raise InputError("'preempt' asks about one line of kernel code: name it by step=", "predict")
    facts = {
        name: value for box in span.scene().boxes if box.id == f"cpu{step.cpu}" for name, value in box.facts
    }
    state = (
        f"preempt_count is {facts['preempt_count']} and interrupts are {facts['interrupts']} after this line"
    )
    later, why = _next_chance(span)
    at_once = (
        f"{state}: nothing holds the scheduler back."
        if step.preemptible
        else f"{state}: {step.why_not.split(': ')[-1]}."
    )
    options = [Option("at once: the thread may be scheduled out here", step.preemptible, at_once)]
    if step.preemptible:
        options.append(
            Option("at the next preempt_enable()", False, f"{state}: nothing has to be enabled first.")
        )
    else:
        until = "interrupts are on again and the count is 0" if facts["interrupts"] == "off" else "it is 0"
        told = f"{state}. The tick stays pending (TIF_NEED_RESCHED) until {until}."
        options += _inner(span)
        options.append(Option(later, True, f"{told}{why}"))
        options += _too_late(span, {option.text for option in options})
    rule = "A preemptible kernel does not wait for that" if step.preemptible else "It comes earlier than that"
    options.append(Option("when the thread goes back to user space", False, f"{rule}. {at_once}"))
    if step.preemptible:
        told = f"The guest does not run here: KVM does. {at_once}"
        options.append(Option("when the guest exits the next time", False, told))
    comes = "A tick comes right after it, and another task is ready to run."
    prompt = f"{span.comes} {comes} When does the scheduler act?"
    hides = frozenset({f"cpu{step.cpu}.preempt_count", f"cpu{step.cpu}.interrupts"})
    return Question("preempt", span.before, span.after, prompt, tuple(options), span.after, hides)


def _next_chance(span: Span) -> tuple[str, str]:
    """The next line of the thread after which the scheduler may act, and what it has to do with the tick."""
    for step in _later(span):
        if "need_resched()" in step.source:  # this run saw no tick: with one it goes another way
            rest = span.trace.listing(step.function)[step.line :]
            found = (n for n, text in enumerate(rest, step.line + 1) if text.strip() == "preempt_enable()")
            return (
                _after(step.function, next(found, step.line), "preempt_enable()"),
                f" need_resched() in line {step.line} of {step.function} sees it: VM entry is given up.",
            )
        if step.preemptible:
            return _after(step.function, step.line, step.source), ""
    return "later than this run goes", ""


def _inner(span: Span) -> list[Option]:
    """The ``preempt_enable()`` that comes next, where it is not yet the outermost one."""
    step = next((s for s in _later(span) if s.preemptible or s.source == "preempt_enable()"), None)
    if step is None or step.preemptible or "preempt_count" not in step.why_not:
        return []
    where = _after(step.function, step.line, step.source)
    still = step.why_not.split(":")[0]
    return [Option(where, False, f"preempt_disable() nests. After that line, too, {still}.")]


def _too_late(span: Span, offered: set[str]) -> list[Option]:
    """A line of kernel code that comes only after the scheduler has acted."""
    chances = [s for s in _later(span) if s.preemptible and s.mode == "kernel" and s.line]
    for step in chances[1:]:
        where = _after(step.function, step.line, step.source)
        if where not in offered:
            return [Option(where, False, "It acts earlier: as soon as nothing holds it back.")]
    return []


def _later(span: Span) -> Iterator[Step]:
    """The thread's steps behind the one asked about."""
    return (s for s in span.trace.steps[span.after :] if s.thread == span.last.thread)


def _after(function: str, line: int, source: str) -> str:
    return f"after line {line} of {function}, “{source}”"
