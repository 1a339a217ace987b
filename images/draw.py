"""Draws the pictures that README and the notebooks show: ``make images``, or ``python images/draw.py [DIR]``.

Each comes from a run. :func:`structure` tells whether a file still shows what its run shows: by marks,
classes and texts, not by positions or bytes, which depend on the Graphviz version.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import vmxsim
from vmxsim.errors import InputError
from vmxsim.simulation.trace import Trace
from vmxsim.teaching.questions.ask import ask
from vmxsim.teaching.questions.card import card
from vmxsim.views.animation import animation
from vmxsim.views.film import still

#: What every design does up to "guest state is loaded in long mode".
_LOADED = ("run", "guest wrmsr 0xa000")
#: Where the seed patch fails and its parent does not.
_ENTERS = ("run", "guest long-mode on", "guest rdmsr")


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
    return card(trace, question, "predict", guess)


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
