"""Draws the pictures that README and the notebooks show: ``make images``, or ``python images/draw.py [DIR]``.

Each comes from a run. :func:`structure` tells whether a file still shows what its run shows: by marks,
classes and texts, not by positions or bytes, which depend on the Graphviz version.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import wrap
from xml.etree import ElementTree

from attrs import evolve

import vmxsim
from vmxsim.errors import InputError
from vmxsim.simulation.trace import Trace
from vmxsim.teaching.questions.ask import ask
from vmxsim.teaching.questions.question import Option, Question
from vmxsim.views.animation import animation
from vmxsim.views.drawing import text
from vmxsim.views.film import ZOOM, drawing_of, look, still
from vmxsim.views.layout import text_width
from vmxsim.views.standalone import standalone
from vmxsim.views.words import Teller, step_words

#: What every design does up to "guest state is loaded in long mode".
_LOADED = ("run", "guest wrmsr 0xa000")
#: Where the seed patch fails and its parent does not.
_ENTERS = ("run", "guest long-mode on", "guest rdmsr")
#: Of the text of a question: font size, line height, the space below.
_SIZE, _LEADING, _PAD = 12, 17, 9


def pictures() -> dict[str, Callable[[], str]]:
    """What draws each file of ``images/``, by the file's name."""
    drawn: dict[str, Callable[[], str]] = {
        "readme.svg": _accessor,
        "seed-before.svg": lambda: _end("seed-before", "host-from-thread", _ENTERS, "Before the patch"),
        "seed-after.svg": lambda: _end("seed-after", "dedicated-accessors", _ENTERS, "After the patch"),
        "seed-counterexample.svg": _counterexample,
        "predict.svg": _prediction,
    }
    for design in vmxsim.DESIGNS:
        drawn[f"loaded-{design}.svg"] = _loaded(design)
    return drawn


def _loaded(design: str) -> Callable[[], str]:
    title = "Guest state loaded in long mode"
    return lambda: _end(f"loaded-{design}", design, _LOADED, title, long_mode=True)


def _end(uid: str, design: str, actions: tuple[str, ...], title: str, long_mode: bool = False) -> str:
    """The last step of a run."""
    trace = vmxsim.run(list(actions), design=design, long_mode=long_mode, title=title)
    return still(trace, len(trace.steps), uid)


def _accessor() -> str:
    """The seed patch at work: KVM reads the guest's register while it is loaded."""
    actions = [*_LOADED, "emulate rdmsr"]
    trace = vmxsim.run(
        actions, design="dedicated-accessors", long_mode=True, title="KVM reads the guest's MSR"
    )
    return still(trace, _first_read(trace), "readme")


def _counterexample() -> str:
    """The seed patch's defect, playing: the guest enters long mode and reads the host's value."""
    title = "A guest enters long mode while its state is loaded"
    trace = vmxsim.run(list(_ENTERS), design="dedicated-accessors", cpus=1, title=title)
    return animation(trace, "seed-counterexample")


def _prediction() -> str:
    """A question at the decisive step of the seed patch, after a wrong answer."""
    trace = vmxsim.run(list(_ENTERS), "dedicated-accessors", title="The guest enters long mode")
    question = ask(trace, "owner", action=1)
    guess = next(i for i, option in enumerate(question.options) if not option.right)
    return _card(trace, question, "predict", guess)


def _card(trace: Trace, question: Question, uid: str, chosen: int | None = None) -> str:
    """The question below the picture that it is asked at; with ``chosen``, what a reader sees who chose that
    option."""
    index = question.before if chosen is None else question.telling
    drawing = drawing_of(trace)
    rows = [_prompt(question, drawing.width)]
    rows += [_option(option, n, chosen, drawing.width) for n, option in enumerate(question.options)]
    top, drawn = drawing.height, []
    for markup, height in rows:
        drawn.append(f'<g transform="translate(8 {top:g})">{markup}</g>')
        top += height
    told = "; ".join(f"{n}: {option.text}" for n, option in enumerate(question.options, 1))
    description = f"{step_words(trace, index)} {question.prompt} {told}."
    if chosen is not None:
        right = question.options[question.right]
        description += f" Chosen: {chosen + 1}. Right: {question.right + 1}. {right.reason}"
    drawn_as = evolve(look(Teller(trace), index), changed=())
    below = top - drawing.height + _PAD
    return standalone(drawing.svg(drawn_as, uid, trace.title, description, "".join(drawn), below, ZOOM))


def _lines(words: str, width: float) -> list[str]:
    return wrap(words, max(30, int(width / text_width("m", _SIZE))))


def _text(line: str, x: float, y: float, kind: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{text(line)}</text>'


def _prompt(question: Question, width: float) -> tuple[str, float]:
    lines = _lines(question.prompt, width - 16)
    drawn = [_text(line, 0, _LEADING * (n + 1), "caption-words strong") for n, line in enumerate(lines)]
    return "".join(drawn), _LEADING * len(lines) + _PAD


def _option(option: Option, number: int, chosen: int | None, width: float) -> tuple[str, float]:
    """A frame with number or mark and the option's text; with an answer given, the reason under it."""
    mark = str(number + 1)
    if chosen is not None:
        mark = "✔" if option.right else "✖" if number == chosen else "·"
    first = _lines(option.text, width - 60)
    reason = (
        _lines(f"{'Right' if option.right else 'No'}. {option.reason}", width - 60)
        if chosen is not None
        else []
    )
    height = _LEADING * (len(first) + len(reason)) + 10
    kind = {"✔": " right", "✖": " wrong"}.get(mark, "")
    parts = [
        f'<rect class="option{kind}" width="{width - 16:g}" height="{height:g}" rx="7"/>',
        _text(mark, 11, _LEADING, "caption-words"),
    ]
    parts += [_text(line, 32, _LEADING * (n + 1), "caption-words") for n, line in enumerate(first)]
    parts += [_text(line, 32, _LEADING * (n + 1 + len(first)), "caption-if") for n, line in enumerate(reason)]
    return "".join(parts), height + 6


def _first_read(trace: Trace) -> int:
    last = len(trace.actions) - 1
    return next(
        s.index + 1 for s in trace.steps if s.action == last and any(m.kind == "rdmsr" for m in s.moves)
    )


def structure(svg: str) -> list[tuple[str, ...]]:
    """What an SVG shows: for each element in order, its tag, id, classes, ``data-`` marks and text."""
    return list(_elements(ElementTree.fromstring(svg)))


def _elements(root: ElementTree.Element) -> Iterator[tuple[str, ...]]:
    for element in root.iter():
        tag = element.tag.rpartition("}")[2]
        if tag == "style":
            continue
        marks = (
            f"{k}={v}"
            for k, v in sorted(element.attrib.items())
            if k in ("id", "class") or k.startswith("data-")
        )
        yield (tag, *marks, (element.text or "").strip())


def out_of_date(folder: Path) -> list[str]:
    """The files of ``folder`` that no longer show what their runs show, are missing, or come from no run."""
    expected = pictures()
    stale = [path.name for path in folder.glob("*.svg") if path.name not in expected]
    for name, draw in expected.items():
        path = folder / name
        if not path.is_file() or structure(path.read_text(encoding="utf-8")) != structure(draw()):
            stale.append(name)
    return sorted(stale)


def main(arguments: list[str]) -> int:
    """Draw every file, and delete those that come from no run. Returns the exit status."""
    folder = Path(arguments[0]) if arguments else Path(__file__).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        drawn = pictures()
        for path in folder.glob("*.svg"):
            if path.name not in drawn:
                path.unlink()
        for name, draw in drawn.items():
            (folder / name).write_text(draw(), encoding="utf-8")
    except OSError as error:
        print(f"vmxsim: {folder}: cannot be written: {error.strerror or error}", file=sys.stderr)
        return 2
    except InputError as error:
        print(f"vmxsim: {error}", file=sys.stderr)
        return 2
    print(f"{folder}: {len(drawn)} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
