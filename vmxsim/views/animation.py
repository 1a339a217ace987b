"""Animates a run in a single SVG without scripts, as for a README.

What stays the same is drawn once. Each state of a part that changes is a layer that CSS shows and hides.
Readers who prefer reduced motion, and programs without animation, see the end of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from itertools import accumulate
from textwrap import wrap
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from vmxsim.errors import printable
from vmxsim.simulation.trace import Step, Trace
from vmxsim.views.film import ZOOM, lay_out, look
from vmxsim.views.layout import text_width
from vmxsim.views.standalone import standalone
from vmxsim.views.style import MONO
from vmxsim.views.telling import effects, telling_steps
from vmxsim.views.words import Teller, sentence

_SVG = "{http://www.w3.org/2000/svg}"
_SIZE, _LEADING, _LEFT = 12, 18, 8
#: Seconds that a frame stays: the minimum, for each character of its text, and extra at the end.
_LEAST, _EACH, _END = 1.1, 0.006, 2.5


def animation(trace: Trace, uid: str, steps: Sequence[int] | None = None) -> str:
    """The run as an SVG that plays the start and ``steps`` (numbers from 1; by default the telling steps).

    Raises GraphvizMissing if Graphviz is not installed.
    """
    numbers = [0, *(steps if steps is not None else telling_steps(trace, turns=False))]
    told = Teller(trace)
    drawing = lay_out(told)
    columns = int((drawing.width - 2 * _LEFT) / text_width("m", _SIZE))
    captions = [_caption(told, number, columns) for number in numbers]
    below = _LEADING * max(len(lines) for lines in captions) + 26
    frames = [
        drawing.svg(look(told, number), uid, trace.title, "", below=below, zoom=ZOOM) for number in numbers
    ]
    description = " ".join(
        f"{number}. {sentence(told.step_words(number) if not number else _spoken(trace, number))}"
        for number in numbers
    )
    layers = _Layers([_LEAST + _EACH * len(" ".join(line for _, line in lines)) for lines in captions])
    root = layers.merged([ElementTree.fromstring(frame) for frame in frames])
    desc = root.find(f"{_SVG}desc")
    assert desc is not None
    desc.text = printable(description, 4000)
    for element in _words(captions, drawing.height, layers):
        root.append(element)
    bar = {"class": "bar", "x": str(_LEFT), "y": f"{drawing.height + below - 12:g}", "rx": "2"}
    bar |= {"width": f"{drawing.width - 2 * _LEFT:g}", "height": "4"}
    ElementTree.SubElement(root, f"{_SVG}rect", bar)
    style = root.find(f"{_SVG}style")
    assert style is not None
    style.text = (style.text or "") + layers.css(f"#{uid}")
    return standalone(ElementTree.tostring(root, encoding="unicode"))


def _where(step: Step) -> str:
    return f"{step.function}, {step.at.name}" if step.line else step.function


def _spoken(trace: Trace, number: int) -> str:
    """A step in a sentence, for screen readers."""
    step = trace.steps[number - 1]
    broken = [f"broken: {v.invariant}, {v.words}" for v in step.violations]
    return "; ".join([f"{_where(step)}: {step.source}", *effects(trace, number), *broken])


def _caption(told: Teller, number: int, columns: int) -> list[tuple[str, str]]:
    """The text under a frame as (class, line)."""
    trace, step = told.trace, told.step(number)
    if step is None:
        title = [("caption-code", line) for line in wrap(trace.title, columns)]
        start = [("caption-words", line) for line in wrap(told.step_words(0), columns)]
        return [("caption-title", trace.subtitle), *title, *start]
    action = trace.actions[step.action]
    lines = [
        ("caption-title", f"{action} · step {number} of {len(trace.steps)} · CPU {step.cpu} · {_where(step)}")
    ]
    lines.append(("caption-code", step.source))
    for clause in effects(trace, number):
        lines += [("caption-words", line) for line in wrap(clause, round(columns * 1.08))]
    for violation in step.violations[:1]:
        lines += [
            ("caption-danger", line) for line in wrap(f"✖ {violation.invariant}: {violation.words}", columns)
        ]
    return lines


def _words(captions: Sequence[list[tuple[str, str]]], top: float, layers: _Layers) -> list[Element]:
    found = []
    for index, lines in enumerate(captions):
        group = ElementTree.Element(f"{_SVG}g")
        for row, (name, line) in enumerate(lines, 1):
            y = f"{top + _LEADING * row - 4:g}"
            element = ElementTree.SubElement(group, f"{_SVG}text", {"class": name, "x": str(_LEFT), "y": y})
            element.text = printable(line, 200)
        found.append(layers.layer(group, [i == index for i in range(len(captions))]))
    return found


class _Layers:
    """Merges the frames of a drawing, which differ in classes and texts but not in structure. Each frame
    stays for its number of seconds, the last one longer."""

    def __init__(self, seconds: Sequence[float]) -> None:
        self.starts = [0.0, *accumulate(seconds)]
        self.seconds = self.starts.pop() + _END
        self.names: dict[tuple[bool, ...], str] = {}

    def layer(self, content: Element, shown: Sequence[bool]) -> Element:
        """``content``, visible in the frames that ``shown`` marks."""
        key = tuple(shown)
        name = self.names.setdefault(key, f"k{len(self.names)}")
        end = " end" if key[-1] else ""
        group = ElementTree.Element(f"{_SVG}g", {"class": f"t {name}{end}"})
        group.append(content)
        return group

    def merged(self, frames: Sequence[Element]) -> Element:
        """One element for all frames, in which every difference is a layer."""
        first = frames[0]
        element = ElementTree.Element(first.tag, {**first.attrib, **_without(first, "here")})
        element.text, element.tail = first.text, first.tail
        for children in zip(*frames, strict=True):
            seen = ["later" not in _classes(child) for child in children]
            if all(seen):
                element.extend(self._child(children))
            elif any(seen):
                first = children[seen.index(True)]
                group = ElementTree.Element(f"{_SVG}g")
                group.extend(
                    self._child([c if there else first for c, there in zip(children, seen, strict=True)])
                )
                element.append(self.layer(group, seen))
        here = ["here" in _classes(frame) for frame in frames]
        if any(here) and not all(here):
            element.insert(1, self._frame(element, here))
        elif all(here) and "class" in element.attrib:
            element.set("class", first.attrib["class"])
        return element

    def _child(self, frames: Sequence[Element]) -> list[Element]:
        """The elements of a part that is drawn in every frame."""
        if len({ElementTree.tostring(frame) for frame in frames}) == 1:
            return [frames[0]]
        if any(f"data-{mark}" in frames[0].attrib for mark in ("place", "fact", "move")):
            return self._states(frames)
        return [self.merged(frames)]

    def _states(self, frames: Sequence[Element]) -> list[Element]:
        """A layer for each state of a cell, a fact or a move; none for an arrow that is off."""
        states: dict[str, tuple[Element, list[bool]]] = {}
        rings = ["changed" in _classes(frame) for frame in frames]
        for index, frame in enumerate(frames):
            if "data-move" in frame.attrib and "on" not in _classes(frame):
                continue
            bare = _bare(frame)
            shown = states.setdefault(ElementTree.tostring(bare, "unicode"), (bare, [False] * len(frames)))[1]
            shown[index] = True
        found = [self.layer(*state) if not all(state[1]) else state[0] for state in states.values()]
        if any(rings):
            found.append(self.layer(_ring(frames[0]), rings))
        return found

    def _frame(self, box: Element, here: Sequence[bool]) -> Element:
        """The bold frame of a box where the step ran, on top of the normal one."""
        rect = next(child for child in box if "box-frame" in _classes(child))
        group = ElementTree.Element(f"{_SVG}g", {"class": "box here"})
        bold = deepcopy(rect)
        bold.tail = None
        group.append(bold)
        return self.layer(group, here)

    def css(self, scope: str) -> str:
        """When each layer is visible: with reduced motion, only the last frame's layers are."""
        keyframes = "\n".join(
            f"@keyframes {name}{{{self._turns(shown)}}}{scope} .{name}{{animation-name:{name}}}"
            for shown, name in self.names.items()
        )
        seconds = round(self.seconds, 1)
        return (
            f"{scope} .t{{opacity:0}}\n{scope} .t.end{{opacity:1}}\n"
            f"{scope} .caption-code{{font:700 {_SIZE}px {MONO}}}\n"
            f"{scope} .bar{{fill:var(--vx-muted);transform-origin:{_LEFT}px 0}}\n"
            "@keyframes bar{from{transform:scaleX(0)}to{transform:scaleX(1)}}\n"
            "@media (prefers-reduced-motion:no-preference){\n"
            f"{scope} .t{{animation:k0 {seconds}s step-end infinite}}\n"
            f"{scope} .bar{{animation:bar {seconds}s linear infinite}}\n{keyframes}\n}}\n"
        )

    def _turns(self, shown: Sequence[bool]) -> str:
        """Keyframes in which a layer appears or disappears, by their share of the duration in percent."""
        shares = [f"{100 * start / self.seconds:.2f}%" for start in self.starts]
        turns = [i for i in range(len(shown)) if not i or shown[i] != shown[i - 1]]
        return "".join(f"{shares[i]}{{opacity:{int(shown[i])}}}" for i in turns)


def _classes(element: Element) -> list[str]:
    return element.get("class", "").split()


def _without(element: Element, name: str) -> dict[str, str]:
    """The class attribute without ``name``; empty if there is no such attribute."""
    kept = " ".join(one for one in _classes(element) if one != name)
    return {"class": kept} if "class" in element.attrib else {}


def _bare(frame: Element) -> Element:
    """A state without the ring of a change and without invisible hatching."""
    bare = deepcopy(frame)
    bare.attrib.update(_without(frame, "changed"))
    bare.tail = None
    for child in list(bare):
        hatch = "cell-hatch" in _classes(child) and "status-foreign" not in _classes(frame)
        if hatch or "cell-ring" in _classes(child):
            bare.remove(child)
    return bare


def _ring(cell: Element) -> Element:
    """The ring around a cell that changed."""
    attributes = {"class": "cell changed"}
    if "transform" in cell.attrib:
        attributes["transform"] = cell.attrib["transform"]
    group = ElementTree.Element(f"{_SVG}g", attributes)
    group.extend(deepcopy(child) for child in cell if "cell-ring" in _classes(child))
    return group
