"""A question on paper: the picture that it is asked at, or that answers it, and the options under it."""

from __future__ import annotations

from textwrap import wrap

from vmxsim.simulation.trace import Trace
from vmxsim.teaching.questions.question import Option, Question
from vmxsim.views.drawing import text
from vmxsim.views.film import drawing_of, look
from vmxsim.views.layout import text_width
from vmxsim.views.standalone import standalone
from vmxsim.views.words import step_words

_SIZE, _LEADING, _PAD = 16, 22, 12


def card(trace: Trace, question: Question, uid: str, chosen: int | None = None) -> str:
    """The question as an SVG file of its own; with ``chosen``, what a reader sees who chose that option.

    Raises GraphvizMissing if nothing can draw it, and IndexError for an option that there is not.
    """
    index = question.before if chosen is None else question.telling
    if chosen is not None:
        question.options[chosen]
    drawing = drawing_of(trace)
    step = trace.steps[index - 1] if index else None
    rows = [_prompt(question, drawing.width)]
    rows += [_option(option, n, chosen, drawing.width) for n, option in enumerate(question.options)]
    top, drawn = drawing.height, []
    for markup, height in rows:
        drawn.append(f'<g transform="translate(20 {top:g})">{markup}</g>')
        top += height
    told = "; ".join(f"{n}: {option.text}" for n, option in enumerate(question.options, 1))
    description = f"{step_words(trace, index)} {question.prompt} {told}."
    if chosen is not None:
        right = question.options[question.right]
        description += f" Chosen: {chosen + 1}. Right: {question.right + 1}. {right.reason}"
    drawn_as = look(trace.scene(index), step, frozenset())
    below = top - drawing.height + _PAD
    return standalone(drawing.svg(drawn_as, uid, trace.title, description, "".join(drawn), below))


def _lines(words: str, width: float) -> list[str]:
    return wrap(words, max(30, int(width / text_width("m", _SIZE))))


def _text(line: str, x: float, y: float, kind: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{text(line)}</text>'


def _prompt(question: Question, width: float) -> tuple[str, float]:
    lines = _lines(question.prompt, width - 40)
    drawn = [_text(line, 0, _LEADING * (n + 1), "caption-words strong") for n, line in enumerate(lines)]
    return "".join(drawn), _LEADING * len(lines) + _PAD


def _option(option: Option, number: int, chosen: int | None, width: float) -> tuple[str, float]:
    """A frame with number or mark and the option's text; with an answer given, the reason under it."""
    mark = str(number + 1)
    if chosen is not None:
        mark = "✔" if option.right else "✖" if number == chosen else "·"
    first = _lines(option.text, width - 100)
    reason = (
        _lines(f"{'Right' if option.right else 'No'}. {option.reason}", width - 100)
        if chosen is not None
        else []
    )
    height = _LEADING * (len(first) + len(reason)) + 14
    kind = {"✔": " right", "✖": " wrong"}.get(mark, "")
    parts = [
        f'<rect class="option{kind}" width="{width - 40:g}" height="{height:g}" rx="7"/>',
        _text(mark, 14, _LEADING, "caption-words"),
    ]
    parts += [_text(line, 44, _LEADING * (n + 1), "caption-words") for n, line in enumerate(first)]
    parts += [_text(line, 44, _LEADING * (n + 1 + len(first)), "caption-if") for n, line in enumerate(reason)]
    return "".join(parts), height + 8
