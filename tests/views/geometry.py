"""Where everything stands that a picture shows, read from its SVG as a renderer without scripts does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from attrs import frozen

from vmxsim.views.standalone import standalone

#: Width of a character as a fraction of the font size: DejaVu's, the widest of the usual fonts.
MONO, SANS, BOLD = 0.602, 0.56, 0.6
_INHERITED = ("font-size", "font-family", "font-weight", "text-anchor", "visibility")


@frozen
class Shape:
    """A rectangle with its element's class; a text has its font ``size`` too."""

    left: float
    top: float
    right: float
    bottom: float
    kind: str
    text: str = ""
    size: float = 0

    def meets(self, other: Shape, spare: float = 0) -> bool:
        """Whether the two overlap, or come closer than ``spare``."""
        across = self.left < other.right + spare and other.left < self.right + spare
        return across and self.top < other.bottom + spare and other.top < self.bottom + spare

    def within(self, other: Shape) -> bool:
        """Whether it lies inside the other."""
        across = other.left <= self.left and self.right <= other.right
        return across and other.top <= self.top and self.bottom <= other.bottom


def shapes(svg: str) -> list[Shape]:
    """Every text, frame, pill and arrow head or line that is seen."""
    return list(_shapes(ElementTree.fromstring(standalone(svg, "light")), 0, 0, {}))


def _shapes(element: ElementTree.Element, x: float, y: float, style: dict[str, str]) -> Iterator[Shape]:
    style = style | {name: element.attrib[name] for name in _INHERITED if name in element.attrib}
    moved = re.search(r"translate\(([-\d.]+) ([-\d.]+)\)", element.get("transform", ""))
    x, y = (x + float(moved[1]), y + float(moved[2])) if moved else (x, y)
    tag, kind = element.tag.rpartition("}")[2], element.get("class", "")
    if tag in ("style", "defs", "title", "desc"):
        return
    if style.get("visibility") != "hidden":
        if tag == "text":
            yield _text(element, x, y, style, kind)
        elif tag == "rect" and element.get("class") != "canvas":
            left, top = x + float(element.get("x", 0)), y + float(element.get("y", 0))
            yield Shape(
                left, top, left + float(element.attrib["width"]), top + float(element.attrib["height"]), kind
            )
        elif tag == "path":
            numbers = [float(n) for n in re.findall(r"-?\d+\.?\d*", element.get("d", ""))]
            xs, ys = numbers[::2], numbers[1::2]
            yield Shape(x + min(xs), y + min(ys), x + max(xs), y + max(ys), kind)
    if tag != "text":
        for child in element:
            yield from _shapes(child, x, y, style)


def _text(element: ElementTree.Element, x: float, y: float, style: dict[str, str], kind: str) -> Shape:
    words = "".join(element.itertext())
    size = float(style["font-size"].removesuffix("px"))
    mono = "mono" in style["font-family"].split(",")[-1]
    advance = MONO if mono else BOLD if style.get("font-weight", "400") >= "600" else SANS
    width = len(words) * size * advance
    if element.find("*") is not None and not mono:  # the plate: words, then a value in monospace
        value = "".join(element[-1].itertext())
        width = (len(words) - len(value)) * size * SANS + len(value) * size * MONO
    start = {"end": width, "middle": width / 2}.get(style.get("text-anchor", ""), 0.0)
    left, base = x + float(element.get("x", 0)) - start, y + float(element.get("y", 0))
    return Shape(left, base - 0.75 * size, left + width, base + 0.2 * size, kind, words, size)
