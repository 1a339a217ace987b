"""Draws a run's plan as SVG: every cell, fact and move of all its steps.

A step changes only texts and classes (:mod:`vmxsim.views.film`), never positions. Scripts find elements by
``data-box``, ``data-place`` (a cell), ``data-fact`` and ``data-move``. A part that does not matter yet has
the class ``later`` and is not seen. Text from outside goes through :func:`text`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import hypot

from attrs import frozen

from vmxsim.errors import printable
from vmxsim.simulation.trace import Move
from vmxsim.views.layout import (
    INSIDE_LEFT,
    INSIDE_RIGHT,
    PAD,
    BoxPlan,
    Layout,
    Plan,
    fact_name,
    label_room,
    move_key,
    named,
    plate_words,
)
from vmxsim.views.shown import TRUE_VALUE, is_loaded, sign
from vmxsim.views.style import css, holder_words, owner_class, status_words

Point = tuple[float, float]

_HEAD_LENGTH, _HEAD_WIDTH, _TRIM = 11.0, 11.0, 7.0


@frozen
class Arrow:
    """``line`` and ``heads`` are SVG path data; the label goes to ``middle``."""

    line: str
    heads: str
    middle: Point

    @staticmethod
    def path(points: Sequence[Point]) -> str:
        """A start and Bézier pieces as SVG path data."""
        start, *rest = (f"{x:.1f} {y:.1f}" for x, y in points)
        return f"M{start}C{' '.join(rest)}"


def arrow(points: Sequence[Point], both: bool = False, middle: Point | None = None) -> Arrow:
    """An arrow along ``points`` (a start, then three for each Bézier piece); ``both`` gives it two heads."""
    drawn = list(points)
    heads = _head(points[-1], _before(points))
    drawn[-1] = _towards(points[-1], _before(points), _TRIM)
    if both:
        back = points[::-1]
        heads += _head(back[-1], _before(back))
        drawn[0] = _towards(back[-1], _before(back), _TRIM)
    return Arrow(Arrow.path(drawn), heads, middle or _middle(points))


def _before(points: Sequence[Point]) -> Point:
    """The last point that differs from the end; it gives the direction of the head."""
    return next((p for p in reversed(points) if p != points[-1]), points[-1])


def _towards(start: Point, aim: Point, distance: float) -> Point:
    length = hypot(aim[0] - start[0], aim[1] - start[1]) or 1.0
    return (
        start[0] + (aim[0] - start[0]) * distance / length,
        start[1] + (aim[1] - start[1]) * distance / length,
    )


def _head(tip: Point, origin: Point) -> str:
    base = _towards(tip, origin, _HEAD_LENGTH)
    across = ((base[1] - tip[1]) / _HEAD_LENGTH, (tip[0] - base[0]) / _HEAD_LENGTH)
    half = _HEAD_WIDTH / 2
    one = (base[0] + across[0] * half, base[1] + across[1] * half)
    two = (base[0] - across[0] * half, base[1] - across[1] * half)
    return f"M{tip[0]:.1f} {tip[1]:.1f}L{one[0]:.1f} {one[1]:.1f}L{two[0]:.1f} {two[1]:.1f}Z"


def _middle(points: Sequence[Point]) -> Point:
    """The middle of the curve's longest piece, away from corners."""
    pieces = [points[i : i + 4] for i in range(0, len(points) - 1, 3)]
    longest = max(pieces, key=lambda piece: hypot(piece[3][0] - piece[0][0], piece[3][1] - piece[0][1]))
    x, y = (sum(w * p[i] for w, p in zip((1, 3, 3, 1), longest, strict=True)) / 8 for i in (0, 1))
    return x, y


#: Space around the layout, for the ring of a changed cell and the frames of boxes.
_MARGIN = 6


def text(value: object) -> str:
    """Text from outside, escaped for SVG and HTML, without control characters."""
    return escape(printable(value, 400))


def long_text(words: str) -> str:
    """The same for a text of any length; white space is folded."""
    return " ".join(text(word) for word in words.split())


def opening(
    kind: str, uid: str, size: tuple[float, float], title: str, description: str, css: str
) -> list[str]:
    """How a diagram of ``size`` pixels begins, ``<svg>`` to its ground: ``kind`` is its class, ``uid`` its
    id, and ``description`` says in words what it shows."""
    width, height = size
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" role="img" id="{text(uid)}" '
        f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'aria-labelledby="{text(uid)}-title {text(uid)}-desc">',
        f'<title id="{text(uid)}-title">{text(title)}</title>',
        f'<desc id="{text(uid)}-desc">{long_text(description)}</desc>',
        f"<style>{css}</style>",
        f'<rect class="canvas" width="{width:g}" height="{height:g}"/>',
    ]


@frozen
class Look:
    """The content of a frame: its scene's number, (value, owner, status) by place, facts by ``box.fact``,
    labels of moves by key, the places that changed, and the boxes where the step ran."""

    index: int

    cells: Mapping[str, tuple[str, str, str]]
    facts: Mapping[str, str]
    moves: Mapping[str, str]
    changed: Sequence[str]
    here: frozenset[str]


@frozen
class Drawing:
    """The picture of a run, laid out; :meth:`svg` draws it with any look."""

    plan: Plan
    layout: Layout
    owners: tuple[str, ...]

    @property
    def width(self) -> float:
        """Width of the picture in pixels."""
        return round(self.layout.width + 2 * _MARGIN)

    @property
    def height(self) -> float:
        """Height of the picture in pixels."""
        return round(self.layout.height + 2 * _MARGIN)

    def corner(self, box: BoxPlan) -> Point:
        """The upper left corner of a box's frame in the picture."""
        x, y = self.layout.corners[box.id]
        return round(_MARGIN + x, 1), round(_MARGIN + y + box.plate, 1)

    def _later(self, key: str, look: Look) -> str:
        """The class of a part that does not matter yet; '' once it does."""
        return " later" if look.index < self.plan.since[key] else ""

    def svg(
        self,
        look: Look,
        uid: str,
        title: str,
        description: str,
        extra: str = "",
        below: float = 0,
        zoom: float = 1,
    ) -> str:
        """The picture as an ``<svg>``; ``extra`` is markup for the ``below`` pixels under it, and ``zoom``
        enlarges it where the page does not set its size."""
        height, looks = self.height + below, f"vmxsim-picture {self.plan.face.name}".strip()
        size = f'width="{self.width * zoom:g}" height="{height * zoom:g}"'
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="{looks}" role="img" id="{uid}" '
            f'viewBox="0 0 {self.width:g} {height:g}" {size} '
            f'aria-labelledby="{uid}-title {uid}-desc" style="max-width:100%;height:auto">',
            f'<title id="{uid}-title">{text(title)}</title>',
            f'<desc id="{uid}-desc">{escape(description)}</desc>',
            f"<style>{css(owners=self.owners)}</style>",
            f'<defs><pattern id="{uid}-hatch" width="9" height="9" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><path class="hatch-line" d="M0 0V9"/></pattern></defs>',
            f'<rect class="canvas" width="{self.width:g}" height="{height:g}"/>',
            *(self._box(box, look, uid) for box in self.plan.boxes),
            *(self._move(move, look) for move in self.plan.moves),
            extra,
            "</svg>",
        ]
        return "\n".join(part for part in parts if part)

    def _box(self, box: BoxPlan, look: Look, uid: str) -> str:
        x, y = self.corner(box)
        here = " here" if box.id in look.here else ""
        later = self._later(box.id, look)
        rows = [
            f'<g class="box box-{box.kind}{here}{later}" data-box="{text(box.id)}" '
            f'transform="translate({x:g} {y:g})">',
            f'<rect class="box-frame" width="{box.width:g}" height="{box.height:g}" rx="6"/>',
            f'<text class="box-title" x="{PAD}" y="{box.face.header - 6:g}">{text(box.title)}</text>',
        ]
        if box.plate:
            rows.append(self._plate(box, look))
        rows += [self._fact(box, name, box.fact_top(n), look) for n, name in enumerate(box.facts)]
        rows += [self._fact(box, name, box.later_top(n), look) for n, name in enumerate(box.later)]
        rows += [self._cell(box, index, look, uid) for index in range(len(box.cells))]
        return "\n".join([*rows, "</g>"])

    def _plate(self, box: BoxPlan, look: Look) -> str:
        """The guest's true value: above the box, because no field holds it."""
        key = f"{box.id}.{TRUE_VALUE}"
        several = sum(other.kind == "vcpu" for other in self.plan.boxes) > 1
        return (
            f'<text class="plate" x="2" y="{8 - box.plate:g}">{plate_words(box.id, several, box.face)}: '
            f'<tspan class="plate-value" data-fact="{text(key)}">{text(look.facts.get(key, ""))}</tspan>'
            "</text>"
        )

    def _fact(self, box: BoxPlan, name: str, top: float, look: Look) -> str:
        """A row of name and value. What a CPU runs needs no name."""
        key, y = f"{box.id}.{name}", top + box.face.fact - 4
        later = self._later(key, look)
        value = f'data-fact="{text(key)}">{text(look.facts.get(key, ""))}</text>'
        if name == "runs":
            inside = f'<text class="fact-runs" x="{PAD}" y="{y:g}" {value}'
        else:
            short = '<tspan class="sign">L</tspan> ' if is_loaded(box.kind, name) else ""
            words = text(fact_name(short, name, box.face))
            inside = (
                f'<text class="fact-name" x="{PAD}" y="{y:g}">{short}{words}</text>'
                f'<text class="fact-value" x="{box.width - PAD:g}" y="{y:g}" {value}'
            )
        return f'<g class="fact{later}">{inside}</g>'

    def _cell(self, box: BoxPlan, index: int, look: Look, uid: str) -> str:
        place, label = box.cells[index]
        value, owner, status = look.cells.get(place, ("", "", "unused"))
        width, top = box.width - 2 * PAD, box.cell_top(index)
        owners = text(box.face.words(holder_words(owner)))
        changed = " changed" if place in look.changed else ""
        later = self._later(place, look)
        height, (first, second, third) = box.face.cell, box.face.lines
        after = INSIDE_LEFT + label_room(named(place, label), box.face)
        at_end = f'x="{width - INSIDE_RIGHT:g}" y="{third:g}"'
        frame = f'width="{width:g}" height="{height:g}" rx="4"'
        short = f'<tspan class="sign">{sign(place)}</tspan> ' if sign(place) else ""
        return (
            f'<g class="cell {owner_class(owner)} status-{status}{changed}{later}" '
            f'data-place="{text(place)}" '
            f'transform="translate({PAD} {top:g})">'
            f'<rect class="cell-ring" x="-4" y="-3" width="{width + 8:g}" height="{height + 6:g}" rx="6"/>'
            f'<rect class="cell-ground" {frame}/>'
            f'<rect class="cell-hatch" {frame} fill="url(#{uid}-hatch)"/>'
            f'<rect class="cell-bar" x="5" y="6" width="4" height="{height - 12:g}" rx="2"/>'
            f'<rect class="cell-frame" {frame}/>'
            f'<text class="cell-label" x="{INSIDE_LEFT}" y="{first:g}">{short}{text(label)}</text>'
            f'<text class="cell-value" x="{after:g}" y="{second:g}">{text(value)}</text>'
            f'<text class="cell-owner" x="{INSIDE_LEFT}" y="{third:g}">{owners}</text>'
            f'<text class="cell-status" {at_end}>{status_words(status)}</text></g>'
        )

    def _move(self, move: Move, look: Look) -> str:
        key = move_key(move)
        drawn = self._arrow(move)
        pill, tall = self.plan.label_widths[key], self.plan.face.pill
        x, y = drawn.middle
        label = look.moves.get(key, "")
        return (
            f'<g class="move{" on" if key in look.moves else ""}" data-move="{text(key)}">'
            f'<path class="move-line" d="{drawn.line}"/><path class="move-line" d="{drawn.line}"/>'
            f'<path class="move-head" d="{drawn.heads}"/>'
            f'<rect class="move-pill" x="{x - pill / 2:.1f}" y="{y - tall / 2:.1f}" width="{pill:.1f}" '
            f'height="{tall:g}" rx="{tall / 2:g}"/>'
            f'<text class="move-text" x="{x:.1f}" y="{y + tall / 4.5:.1f}">{text(label)}</text></g>'
        )

    def _arrow(self, move: Move) -> Arrow:
        """Within the gap between the columns, whatever its ends are."""
        if not (move.source and move.target):
            return self._stub(move)
        if self.plan.column(move.source) == self.plan.column(move.target):
            return self._loop(move)
        pair = (move.source, move.target)
        if pair in self.plan.ways:
            return arrow(self._curve(pair), both=move.both)
        return arrow(tuple(reversed(self._curve(pair[::-1]))), both=move.both)

    def _curve(self, pair: tuple[str, str]) -> tuple[Point, ...]:
        """Graphviz's curve, kept to the gap: a steep one would swing out over the boxes."""
        left, right = (self._edge(place)[0][0] for place in pair)
        curve = self.layout.curves["=".join(pair)]
        return tuple((min(max(x + _MARGIN, left), right), y + _MARGIN) for x, y in curve)

    def _edge(self, place: str) -> tuple[Point, int]:
        """Where a cell's box meets the gap, at the height of the cell's middle, and the way into the gap."""
        box, index = self.plan.home(place)
        x, y = self.corner(box)
        middle = y + box.cell_top(index) + box.face.cell / 2
        return ((x, middle), -1) if self.plan.column(place) else ((x + box.width, middle), 1)

    def _stub(self, move: Move) -> Arrow:
        """An arrow with a cell at one end only: its label stands at the other."""
        (x, y), way = self._edge(move.target or move.source)
        pill = self.plan.label_widths[move_key(move)]
        far = self.plan.gap - pill - 5
        points: tuple[Point, ...] = tuple((x + way * far * share, y) for share in (1, 0.7, 0.3, 0))
        return arrow(points if move.target else points[::-1], middle=(x + way * (far + pill / 2), y))

    def _loop(self, move: Move) -> Arrow:
        """An arrow between two cells of one column."""
        (start, way), (end, _) = self._edge(move.source), self._edge(move.target)
        out = start[0] + way * self.plan.gap * 0.6
        middle = (start[0] + way * self.plan.gap / 2, (start[1] + end[1]) / 2)
        return arrow((start, (out, start[1]), (out, end[1]), end), both=move.both, middle=middle)
