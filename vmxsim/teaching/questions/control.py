"""Questions about control: when may the scheduler act, and which line of kernel code runs next?"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from textwrap import dedent

from attrs import evolve, frozen

from vmxsim.errors import InputError
from vmxsim.kernel.program import Function, Instruction, SourceLine
from vmxsim.simulation.trace import Step, Trace, function_of
from vmxsim.teaching.questions.question import Option, Question, Span
from vmxsim.views.words import sentence


def preempt(span: Span) -> Question:
    """A tick comes right after this line: when does the scheduler act?"""
    step = span.last
    if span.whole or step.mode != "kernel" or not step.line:
        raise InputError("'preempt' asks about one line of kernel code: name it by step=", "predict")
    facts = _cpu_facts(span, step)
    state = (
        f"preempt_count is {facts['preempt_count']} and interrupts are {facts['interrupts']} after this line"
    )
    later, why = _next_chance(span)
    at_once = (
        f"{state}: nothing holds the scheduler back."
        if step.preemptible
        else f"{state}: {step.until or step.held_back}."
    )
    options = [Option("right away: the thread may be scheduled out here", step.preemptible, at_once)]
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
    options.append(Option("when the thread returns to user space", False, f"{rule}. {at_once}"))
    if step.preemptible:
        told = f"The guest does not run here: KVM does. {at_once}"
        options.append(Option("at the guest's next exit", False, told))
    comes = "A tick comes right after it, and another task is ready to run."
    prompt = f"{span.comes} {comes} When does the scheduler act?"
    hides = frozenset({f"cpu{step.cpu}.preempt_count", f"cpu{step.cpu}.interrupts"})
    return Question("preempt", span.before, span.after, prompt, tuple(options), span.after, hides)


def _next_chance(span: Span) -> tuple[str, str]:
    """The next line of the thread after which the scheduler may act, and what it has to do with the tick."""
    for step in _later(span):
        if "need_resched" in step.calls:  # this run saw no tick: with one it goes another way
            rest = span.trace.listing(step.function)[step.line :]
            found = (n for n, text in enumerate(rest, step.line + 1) if text.strip() == "preempt_enable()")
            enables = evolve(step.at, line=next(found, step.line))
            return (
                _after(enables, "preempt_enable()"),
                f" need_resched() in {step.at.words} sees it: VM entry is called off.",
            )
        if step.preemptible:
            return _after(step.at, step.source), ""
    return "after the end of this run", ""


def _inner(span: Span) -> list[Option]:
    """The ``preempt_enable()`` that comes next, where it is not yet the outermost one."""
    step = next((s for s in _later(span) if s.preemptible or "preempt_enable" in s.calls), None)
    if step is None or step.preemptible or _cpu_facts(span, step)["interrupts"] == "off":
        return []
    where = _after(step.at, step.source)
    return [Option(where, False, f"preempt_disable() nests. After that line, too, {step.held_back}.")]


def _cpu_facts(span: Span, step: Step) -> dict[str, str]:
    """The facts of the step's CPU after it."""
    boxes = span.trace.scene(step.index + 1).boxes
    return {name: value for box in boxes if box.id == f"cpu{step.cpu}" for name, value in box.facts}


def _too_late(span: Span, offered: set[str]) -> list[Option]:
    """A line of kernel code that comes only after the scheduler has acted."""
    chances = [s for s in _later(span) if s.preemptible and s.mode == "kernel" and s.line]
    for step in chances[1:]:
        where = _after(step.at, step.source)
        if where not in offered:
            return [Option(where, False, "It acts earlier: as soon as nothing holds it back.")]
    return []


def _later(span: Span) -> Iterator[Step]:
    """The thread's steps after the one asked about."""
    return (s for s in span.trace.steps[span.after :] if s.thread == span.last.thread)


def _after(at: SourceLine, source: str) -> str:
    return f"after {at.words}, “{source}”"


#: Wrong lines that are offered.
_OTHERS = 3


@frozen
class _Test:
    """An ``if``, ``while`` or ``case``: its line, its text, and the lines that it lets run (``body``) or
    that run where it is false (``other``)."""

    line: int
    text: str
    body: Collection[int]
    other: Collection[int]


def line(span: Span) -> Question:
    """Which line runs next?"""
    step = span.last
    before = span.trace.steps[span.before - 1] if span.before else None
    if span.whole or not step.line or before is None:
        raise InputError("'line' asks which line of kernel code runs next: name the line by step=", "predict")
    next_one = (step.function, step.line, step.source)
    others = list(dict.fromkeys(_candidates(span)))[:_OTHERS]
    if not others:
        raise InputError("there is no other line to choose from here: ask 'line' at another step", "predict")
    options = []
    for one in sorted([next_one, *others]):
        function, number, source = one
        right = one == next_one
        why = _why(span.trace, span.before) if right else _why_not(span, function, number)
        name = _at(span.trace, function, number).name
        options.append(Option(f"{function}, {name}: “{source}”", right, why))
    ran = sentence(f"{before.at.words} has run: “{before.source}”") if before.line else ""
    prompt = f"{ran} Which line runs next?".strip()
    return Question("line", span.before, span.after, prompt, tuple(options), span.after, frozenset({"next"}))


def _candidates(span: Span) -> Iterator[tuple[str, int, str]]:
    """Lines that a reader may take for the next one: those that follow in the text, of the function that
    has just run a line and of the one that runs the next."""
    step, before = span.last, span.trace.steps[span.before - 1]
    for function, from_line in ((before.function, before.line), (step.function, step.line)):
        for number, source in _statements(span.trace, function):
            if number > from_line and (function, number) != (step.function, step.line):
                yield function, number, source
    for number, source in _statements(span.trace, step.function):
        if number < step.line:
            yield step.function, number, source


def _at(trace: Trace, function: str, line: int) -> SourceLine:
    """A line of a function."""
    known = function_of(trace.listing(function))
    return known.at(line) if known else SourceLine(function, line)


def _statements(trace: Trace, function: str) -> tuple[tuple[int, str], ...]:
    """Lines that are statements of their own; ``else:`` and comments are not. Of C those that were
    followed."""
    listing = trace.listing(function)
    c = _of_c(listing)
    if c is None:
        return _statements_of(tuple(listing))
    lines = sorted({i.line for i in c.instructions if i.line < len(c.source)})
    return tuple((line, c.text(line)) for line in lines)


def _of_c(listing: Sequence[str]) -> Function | None:
    """The function of C that a listing shows; None if it shows another."""
    found = function_of(listing)
    return found if found and found.file else None


@lru_cache(maxsize=256)  # the same few functions are asked about again and again
def _statements_of(listing: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
    tree = _parsed(listing)
    if tree is None:
        return ()
    starts = {node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)}
    doc = {n.lineno for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)}
    found = ((number, listing[number - 1].strip()) for number in sorted(starts - doc))
    return tuple((number, source) for number, source in found if not source.startswith(("def ", "@")))


def _parsed(listing: Sequence[str]) -> ast.Module | None:
    try:
        return ast.parse(dedent("\n".join(listing)))
    except SyntaxError:  # not Python: nothing can be said of its structure
        return None


def _tests(trace: Trace, function: str) -> list[_Test]:
    """The conditions of a function, outermost first."""
    listing = trace.listing(function)
    c = _of_c(listing)
    return _tests_of(tuple(listing)) if c is None else sorted(_tests_of_c(c), key=lambda test: test.line)


def _tests_of_c(function: Function) -> Iterator[_Test]:
    """The conditions of a function of C. What a test lets run is what only one of its ways leads to: where
    that way returns, the other one has all that follows."""
    code = function.instructions
    for i in code:
        if i.kind == "branch":
            yes, no = (_reached(code, to) for to in (i.next, i.other))
            yield _Test(i.line, _condition(function.text(i.line)), yes - no, no - yes)


def _reached(code: Sequence[Instruction], start: int) -> frozenset[int]:
    """The lines that may run from an instruction on."""
    seen: set[int] = set()
    todo = [start]
    while todo:
        n = todo.pop()
        if n >= 0 and n not in seen:
            seen.add(n)
            i = code[n]
            ends = i.kind in ("return", "end")
            todo += [] if ends else [i.next, i.other, *(to for _, to in i.cases)]
    return frozenset(code[n].line for n in seen if code[n].kind != "end")


def _condition(text: str) -> str:
    """What stands between the brackets of ``if (...)``; the whole text where it has none."""
    begin = text.find("(")
    depth = 0
    for at in range(max(begin, 0), len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if not depth:
            return text[begin + 1 : at] if begin >= 0 else text
    return text


@lru_cache(maxsize=256)
def _tests_of(listing: tuple[str, ...]) -> list[_Test]:
    tree = _parsed(listing)
    found = []
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.If | ast.While):
            found.append(_Test(node.lineno, ast.unparse(node.test), _lines(node.body), _lines(node.orelse)))
        elif isinstance(node, ast.Match):
            subject = ast.unparse(node.subject)
            for case in node.cases:
                text = f"{subject} is {ast.unparse(case.pattern)}"
                found.append(_Test(node.lineno, text, _lines(case.body), range(0)))
    return sorted(found, key=lambda test: test.line)


def _lines(body: Sequence[ast.stmt]) -> range:
    return range(body[0].lineno, (body[-1].end_lineno or body[-1].lineno) + 1) if body else range(0)


def _why(trace: Trace, index: int) -> str:
    """Why step ``index`` (from 0) is what runs next."""
    step, before = trace.steps[index], trace.steps[index - 1]
    if len(step.stack) > len(before.stack):
        return f"{before.function} calls {step.function}."
    if len(step.stack) < len(before.stack):
        return f"{before.function} is done: {step.function} continues."
    return _decided(trace, index) or "It is the next line of the source."


def _decided(trace: Trace, index: int) -> str:
    """How the condition on the line before step ``index`` turned out, as a sentence; '' if it has none."""
    step, before = trace.steps[index], trace.steps[index - 1]
    tests = [t for t in _tests(trace, before.function) if t.line == before.line]
    if not tests or step.function != before.function:
        return ""
    holds = next((t for t in tests if step.line in t.body), None)
    if holds is not None:
        return sentence(f"{before.at.name} tests “{holds.text}”, and that is true")
    return sentence(f"{before.at.name} tests “{tests[0].text}”, and that is false")


def _why_not(span: Span, function: str, number: int) -> str:
    """Why line ``number`` of ``function`` is not next."""
    step, before = span.last, span.trace.steps[span.before - 1]
    if function == before.function and len(step.stack) < len(before.stack) and number > before.line:
        return sentence(f"{before.at.name} leaves {function}: “{before.source}”")
    if function == before.function and len(step.stack) > len(before.stack):
        return sentence(f"{before.at.name} calls {step.function} first")
    for test in _tests(span.trace, function):
        if test.line != before.line:
            continue
        if number in test.body and step.line not in test.body:
            return f"It runs only if {test.text}, and that is false here."
        if number in test.other and step.line not in test.other:
            return f"It runs only if {test.text} is false, and it is true here."
    here = (step.action, function, number)
    runs = [s.index for s in span.trace.steps if (s.action, s.function, s.line) == here]
    if later := [index for index in runs if index >= span.after]:
        return f"It runs later, at step {later[0] + 1}: {step.at.name} comes first."
    if ran := [index for index in runs if index < span.before]:
        return f"It has run, at step {ran[-1] + 1}."
    decides = [t.line for t in _tests(span.trace, function) if number in t.body or number in t.other]
    if function == step.function and step.line in decides:
        return sentence(f"{step.at.name} decides that, and comes first")
    decided = _decided(span.trace, span.before)
    never = _at(span.trace, function, number).name
    return (
        f"{decided} {sentence(f'{step.at.name} comes next, and this action never comes to {never}')}".strip()
    )
