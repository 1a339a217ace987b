"""The question whether, and when, the scheduler may act."""

from __future__ import annotations

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
    later = _next_chance(span)
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
        where = f"after line {later.line} of {later.function}" if later else "later than this run goes"
        source = f", “{later.source}”" if later else ""
        options.append(
            Option(
                f"{where}{source}",
                True,
                f"{state}. The tick stays pending (TIF_NEED_RESCHED) until both allow it.",
            )
        )
    rule = "A preemptible kernel does not wait for that" if step.preemptible else "It comes earlier than that"
    options += [
        Option("when the thread goes back to user space", False, f"{rule}. {at_once}"),
        Option(
            "when the guest exits the next time", False, f"The guest does not run here: KVM does. {at_once}"
        ),
    ]
    comes = "A tick comes right after it, and another task is ready to run."
    prompt = f"{span.comes} {comes} When does the scheduler act?"
    hides = frozenset({f"cpu{step.cpu}.preempt_count", f"cpu{step.cpu}.interrupts"})
    return Question("preempt", span.before, span.after, prompt, tuple(options), span.after, hides)


def _next_chance(span: Span) -> Step | None:
    """The next step of the thread after which the scheduler may act."""
    thread = span.last.thread
    return next((s for s in span.trace.steps[span.after :] if s.thread == thread and s.preemptible), None)
