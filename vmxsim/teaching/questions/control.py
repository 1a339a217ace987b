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
from vmxsim.teaching.questions.look import loaded_since
from vmxsim.teaching.questions.question import Option, Question, Span
from vmxsim.teaching.questions.values import box_of
from vmxsim.views.words import sentence

#: When a design lets the guest's access exit, by the design's ``interception``; ``bitmap`` is the run's.
_RULES = {
    "always": "This design intercepts the register in every mode.",
    "outside long mode": "This design intercepts the register exactly while EFER.LMA is 0.",
    "bitmap": "What was last written to the MSR bitmap decides.",
    "never": "This design never intercepts the register.",
}


def intercepted(span: Span) -> Question:
    """Does the guest's access exit, and what decides that?"""
    access = next(
        (s for s in span.steps if s.mode == "guest" and s.source.startswith(("RDMSR", "WRMSR"))), None
    )
    if access is None:
        raise InputError("the guest executes no RDMSR or WRMSR here: ask 'intercepted' about one", "predict")
    box = box_of(span, span.vcpu, access.index)
    facts = dict(box.facts)
    passes = facts["guest access"] == "passed through"
    how = getattr(getattr(span.trace, "design", None), "interception", "")
    bitmap = getattr(getattr(span.trace, "simulator", None), "interception", "") == "bitmap"
    if bitmap and how == "outside long mode":  # elsewhere the design decides, see passes_through()
        how = "bitmap"
    loaded = next(name for name, _ in box.facts if "loaded" in name)
    mode = f"EFER.LMA is {facts['EFER.LMA']}"
    rule = _RULES.get(how, "")
    if how == "bitmap":
        rule += f" It says: {'no exit' if passes else 'an exit'}."
    told = f"{rule} {mode.replace('EFER.LMA', 'It') if rule.endswith('EFER.LMA is 0.') else mode}. "
    told += (
        f"The access does not exit: the processor uses KERNEL_GS_BASE of CPU {access.cpu}."
        if passes
        else "It exits, and KVM answers."
    )
    told = told.strip()
    reasons = {  # why it exits, and why it does not
        "outside long mode": (mode, mode),
        "loaded": (f"{loaded} is {facts[loaded]}",) * 2,
        "rule": ("in this design it always does", "in this design it never does"),
        "bitmap": ("the MSR bitmap, as last written, says so",) * 2,
        "": ("KVM answers", "the processor answers"),
    }
    decides = "rule" if how in ("always", "never") else how if how in reasons else ""
    tempting = [name for name in ("outside long mode", "loaded", "rule") if name != decides]
    pairs = [decides, tempting[access.index % len(tempting)]] if decides else [""]
    verb = "No" if passes else "Yes"
    other = f"{'It does not exit' if passes else 'It exits'}, but this does not decide it. {rule}"
    options = [
        Option(f"{said}: {why}", right, other.strip() if said == verb and not right else told)
        for name in pairs
        for said, why in zip(("Yes", "No"), reasons[name], strict=True)
        for right in [name == decides and said == verb]
    ]
    prompt = f"{span.comes} Does this access exit, and what decides that?"
    hides = frozenset({f"{span.vcpu}.guest access"})
    return Question("intercepted", span.before, span.after, prompt, tuple(options), access.index + 1, hides)


def preempt(span: Span) -> Question:
    """A tick comes right after this line, or has come: when does the scheduler act?"""
    step = span.last
    if span.whole or step.mode != "kernel" or not step.line:
        raise InputError("'preempt' asks about one line of kernel code: name it by at= or step=", "predict")
    following = next(_later(span), None)
    called = following.function if following and _calls(step, following) else ""
    right_away = f"{RIGHT_AWAY}, {f'before the first line of {called}' if called else 'after this line'}"
    facts = _cpu_facts(span, step.cpu, span.after)
    state = (
        f"preempt_count is {facts['preempt_count']} and interrupts are {facts['interrupts']} after this line"
    )
    if step.preemptible:
        acts = f"{state}: nothing holds the scheduler back."
        options = [Option(right_away, True, acts)]
    else:
        acts = f"{state}: {step.until or step.held_back}."
        later, why = _next_chance(span)
        until = "interrupts are on again and the count is 0" if facts["interrupts"] == "off" else "it is 0"
        told = f"{state}. The tick stays pending (TIF_NEED_RESCHED) until {until}."
        options = [Option(right_away, False, acts), Option(later, True, f"{told}{why}")]
    for tempting in (*_inner(span), *_enables(span, acts), *_much_later(acts, step.preemptible)):
        lines = sum("preempt_enable()" in option.text for option in (*options, tempting))
        if len(options) < 4 and lines <= 2 and tempting.text not in [option.text for option in options]:
            options.append(tempting)
    if _cpu_facts(span, step.cpu, span.before).get("TIF_NEED_RESCHED") == "1":
        comes = "A tick has come already"
    elif called:
        comes = f"It calls {called}. A tick comes before the first line of that"
    else:
        comes = "A tick comes right after it"
    comes += ", and another task is ready to run."
    prompt = f"{span.comes} {comes} When does the scheduler act?"
    hides = frozenset({f"cpu{step.cpu}.preempt_count", f"cpu{step.cpu}.interrupts"})
    return Question("preempt", span.before, span.after, prompt, tuple(options), span.after, hides)


#: The beginning of the answer where nothing holds the scheduler back; the rest says between which lines.
RIGHT_AWAY = "right away"


def _calls(step: Step, following: Step) -> bool:
    """Whether a line calls the function whose lines come next. ``preempt_enable()`` does not call the
    scheduler: a tick does."""
    return len(following.stack) > len(step.stack) and "preempt_enable" not in step.calls


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
    if step is None or step.preemptible or _cpu_facts(span, step.cpu, step.index + 1)["interrupts"] == "off":
        return []
    where = _after(step.at, step.source)
    return [Option(where, False, f"preempt_disable() nests. After that line, too, {step.held_back}.")]


def _cpu_facts(span: Span, cpu: int, position: int) -> dict[str, str]:
    """The facts of a CPU after so many steps."""
    boxes = span.trace.scene(position).boxes
    return {name: value for box in boxes if box.id == f"cpu{cpu}" for name, value in box.facts}


def _enables(span: Span, acts: str) -> list[Option]:
    """The lines further on that enable preemption."""
    ahead = [s for s in _later(span) if "preempt_enable" in s.calls and s.line]
    texts = list(dict.fromkeys(_after(s.at, s.source) for s in ahead))
    return [Option(text, False, f"It acts earlier. {acts}") for text in texts]


def _much_later(acts: str, preemptible: bool) -> list[Option]:
    """What a kernel without preemption does, and what a guest's time slice suggests."""
    rule = "A preemptible kernel does not wait for that." if preemptible else "It comes earlier than that."
    return [
        Option("after the guest's next exit", False, f"The guest does not run here: KVM does. {acts}"),
        Option("when the thread returns to user space", False, f"{rule} {acts}"),
    ]


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
    flag = getattr(getattr(span.trace, "design", None), "labels", {}).get("loaded", "")
    tests_flag = flag and flag in before.source and before.kind == "branch"
    since = sentence(loaded_since(span.trace, span.before, span.vcpu)) if tests_flag else ""
    chosen = sorted([next_one, *others])
    elsewhere = {function for function, _, _ in chosen} != {before.function}  # the prompt names that
    options = []
    for one in chosen:
        function, number, source = one
        right = one == next_one
        why = f"{_why(span.trace, span.before)} {since}" if right else _why_not(span, function, number)
        name = _at(span.trace, function, number).name
        text = f"{name}: “{source}”"
        options.append(Option(f"{function}, {text}" if elsewhere else text, right, why.strip()))
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


def _went(span: Span, function: str, test: _Test) -> bool | None:
    """How a test came out that the function has made, as of the question; None if it has not."""
    here = [
        s for s in span.trace.steps[: span.before] if s.function == function and s.action == span.last.action
    ]
    made = next((n for n in range(len(here) - 1, -1, -1) if here[n].line == test.line), None)
    if made is None:
        return None
    then = here[made + 1].line if made + 1 < len(here) else span.last.line
    return then in test.body


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
    tests = [t for t in _tests(span.trace, function) if number in t.body or number in t.other]
    if function == step.function and step.line in [t.line for t in tests]:
        return sentence(f"{step.at.name} decides that, and comes first")
    for test in tests:
        went = _went(span, function, test)
        if went is not None and number not in (test.body if went else test.other):
            when = "" if number in test.body else " is false"
            name = _at(span.trace, function, test.line).name
            return f"It runs only if {test.text}{when}; {name} has found it {'true' if went else 'false'}."
    decided = _decided(span.trace, span.before)
    never = _at(span.trace, function, number).name
    return (
        f"{decided} {sentence(f'{step.at.name} comes next, and this action never comes to {never}')}".strip()
    )
