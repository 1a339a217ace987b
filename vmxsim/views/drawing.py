"""Draws a run's plan as SVG: every cell, fact, wire and move of all its steps.

A step changes only texts and classes (:mod:`vmxsim.views.film`), never positions. Scripts find elements by
``data-box``, ``data-place`` (a cell), ``data-fact`` and ``data-move``. Text from outside goes through
:func:`text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import hypot

from attrs import frozen

from vmxsim.errors import printable
from vmxsim.simulation.trace import Move
from vmxsim.views.layout import CELL, COLUMN_TITLES, COLUMNS, FACT, PAD, BoxPlan, Layout, Plan, move_key
from vmxsim.views.style import css, holder_words, owner_class, status_words

Point = tuple[float, float]

_HEAD_LENGTH, _HEAD_WIDTH, _TRIM = 16.0, 15.0, 10.0


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


#: Space around the layout, for headings and stub arrows.
_MARGIN, _TOP, _STUB_SIDE = 16, 44, 150


def text(value: object) -> str:
    """Text from outside, escaped for SVG and HTML, without control characters."""
    return escape(printable(value, 400))


def long_text(words: str) -> str:
    """The same for a text of any length; white space is folded."""
    return " ".join(text(word) for word in words.split())


@frozen
class Look:
    """The content of a frame: (value, owner, status) by place, facts by ``box.fact``, labels of moves by
    key, the places that changed, and the boxes where the step ran."""

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
    def left(self) -> float:
        """Space to the left of the layout."""
        return _MARGIN + (_STUB_SIDE if self._stubs(0) else 0)

    @property
    def width(self) -> float:
        """Width of the picture in pixels."""
        return round(self.left + self.layout.width + (_STUB_SIDE if self._stubs(self._last) else 0) + _MARGIN)

    @property
    def height(self) -> float:
        """Height of the picture in pixels."""
        return round(_TOP + self.layout.height + _MARGIN)

    @property
    def _last(self) -> int:
        return len(self.plan.columns) - 1

    def _stubs(self, column: int) -> bool:
        """Whether arrows need space at the outer side of this column."""
        for move in self.plan.moves:
            place = move.source or move.target
            outside = self._loops(move) if move.source and move.target else not self._in_cpu(place)
            if outside and self.plan.column(place) == column:
                return True
        return False

    def _loops(self, move: Move) -> bool:
        """Whether both ends of a move are in one column."""
        return self.plan.column(move.source) == self.plan.column(move.target)

    def _in_cpu(self, place: str) -> bool:
        return self.plan.home(place)[0].kind == "cpu"

    def corner(self, box: BoxPlan) -> tuple[float, float]:
        """The upper left corner of a box in the picture."""
        x, y = self.layout.corners[box.id]
        return round(self.left + x, 1), round(_TOP + y, 1)

    def svg(
        self, look: Look, uid: str, title: str, description: str, extra: str = "", below: float = 0
    ) -> str:
        """The picture as an ``<svg>``; ``extra`` is markup for the ``below`` pixels under it."""
        height = self.height + below
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="vmxsim-picture" role="img" id="{uid}" '
            f'viewBox="0 0 {self.width:g} {height:g}" width="{self.width:g}" height="{height:g}" '
            f'aria-labelledby="{uid}-title {uid}-desc" style="max-width:100%;height:auto">',
            f'<title id="{uid}-title">{text(title)}</title>',
            f'<desc id="{uid}-desc">{escape(description)}</desc>',
            f"<style>{css(owners=self.owners)}</style>",
            f'<defs><pattern id="{uid}-hatch" width="11" height="11" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><path class="hatch-line" d="M0 0V11"/></pattern></defs>',
            f'<rect class="canvas" width="{self.width:g}" height="{height:g}"/>',
            *self._headings(),
            *self._wires(),
            *(self._box(box, look, uid) for box in self.plan.boxes),
            *(self._move(move, look) for move in self.plan.moves),
            extra,
            "</svg>",
        ]
        return "\n".join(part for part in parts if part)

    def _headings(self) -> Iterable[str]:
        for kind in COLUMNS:
            boxes = [box for box in self.plan.boxes if box.kind == kind]
            if boxes:
                x, _ = self.corner(boxes[0])
                top = min(self.corner(box)[1] for box in boxes)
                yield f'<text class="column" x="{x + 2:g}" y="{top - 12:g}">{COLUMN_TITLES[kind]}</text>'

    def _wires(self) -> Iterable[str]:
        for pair in self.plan.wires:
            points = self._curve(pair)
            yield f'<path class="wire" data-wire="{text("=".join(pair))}" d="{Arrow.path(points)}"/>'

    def _curve(self, pair: tuple[str, str]) -> tuple[tuple[float, float], ...]:
        return tuple((x + self.left, y + _TOP) for x, y in self.layout.curves["=".join(pair)])

    def _box(self, box: BoxPlan, look: Look, uid: str) -> str:
        x, y = self.corner(box)
        here = " here" if box.id in look.here else ""
        rows = [
            f'<g class="box box-{box.kind}{here}" data-box="{text(box.id)}" '
            f'transform="translate({x:g} {y:g})">',
            f'<rect class="box-frame" width="{box.width:g}" height="{box.height:g}" rx="9"/>',
            f'<text class="box-title" x="{PAD}" y="25">{text(box.title)}</text>',
        ]
        for index, name in enumerate(box.facts):
            key, y = f"{box.id}.{name}", box.fact_top(index) + FACT - 6
            value = look.facts.get(key, "")
            rows.append(
                f'<text class="fact-name" x="{PAD}" y="{y:g}">{text(name)}</text>'
                f'<text class="fact-value" x="{box.width - PAD:g}" y="{y:g}" '
                f'data-fact="{text(key)}">{text(value)}</text>'
            )
        rows += [self._cell(box, index, look, uid) for index in range(len(box.cells))]
        return "\n".join([*rows, "</g>"])

    def _cell(self, box: BoxPlan, index: int, look: Look, uid: str) -> str:
        place, label = box.cells[index]
        value, owner, status = look.cells.get(place, ("", "", "unused"))
        width, top = box.width - 2 * PAD, box.cell_top(index)
        changed = " changed" if place in look.changed else ""
        frame = f'width="{width:g}" height="{CELL}" rx="6"'
        return (
            f'<g class="cell {owner_class(owner)} status-{status}{changed}" data-place="{text(place)}" '
            f'transform="translate({PAD} {top:g})">'
            f'<rect class="cell-ring" x="-5" y="-5" width="{width + 10:g}" height="{CELL + 10}" rx="10"/>'
            f'<rect class="cell-ground" {frame}/>'
            f'<rect class="cell-hatch" {frame} fill="url(#{uid}-hatch)"/>'
            f'<rect class="cell-bar" x="5" y="9" width="6" height="{CELL - 18}" rx="3"/>'
            f'<rect class="cell-frame" {frame}/>'
            f'<text class="cell-label" x="19" y="19">{text(label)}</text>'
            f'<text class="cell-value" x="19" y="44">{text(value)}</text>'
            f'<text class="cell-owner" x="19" y="64">{text(holder_words(owner))}</text>'
            f'<text class="cell-status" x="{width - 10:g}" y="64">{status_words(status)}</text></g>'
        )

    def _move(self, move: Move, look: Look) -> str:
        key = move_key(move)
        drawn = self._arrow(move)
        pill = self.plan.label_widths[key]
        x, y = drawn.middle
        label = look.moves.get(key, "")
        return (
            f'<g class="move{" on" if key in look.moves else ""}" data-move="{text(key)}">'
            f'<path class="move-line" d="{drawn.line}"/><path class="move-line" d="{drawn.line}"/>'
            f'<path class="move-head" d="{drawn.heads}"/>'
            f'<rect class="move-pill" x="{x - pill / 2:.1f}" y="{y - 13:.1f}" width="{pill:.1f}" '
            'height="26" rx="13"/>'
            f'<text class="move-text" x="{x:.1f}" y="{y + 5:.1f}">{text(label)}</text></g>'
        )

    def _arrow(self, move: Move) -> Arrow:
        pill = self.plan.label_widths[move_key(move)]
        if not (move.source and move.target):
            return self._stub(move, pill)
        if self._loops(move):
            return self._loop(move)
        pair = (move.source, move.target)
        if pair in self.plan.wires:
            return arrow(self._curve(pair), both=move.both)
        return arrow(tuple(reversed(self._curve(pair[::-1]))), both=move.both)

    def _edge(self, place: str, side: str) -> tuple[float, float]:
        """The middle of a cell's left, right or lower edge."""
        box, index = self.plan.home(place)
        x, y = self.corner(box)
        top = y + box.cell_top(index)
        if side == "below":
            return x + box.width / 2, top + CELL
        return (x if side == "left" else x + box.width), top + CELL / 2

    def _outer(self, place: str) -> tuple[str, int]:
        """The outer side of a cell's column, and its direction."""
        return ("right", 1) if self.plan.column(place) == self._last else ("left", -1)

    def _stub(self, move: Move, pill: float) -> Arrow:
        """An arrow with a cell at one end only: below a CPU's cell, else at the outer side."""
        place = move.target or move.source
        if self._in_cpu(place):  # there may be wires on both sides
            x, y = self._edge(place, "below")
            points: tuple[Point, ...] = ((x, y + 48), (x, y + 34), (x, y + 20), (x, y + 3))
            middle = (x + pill / 2 + 14, y + 36)
        else:
            side, sign = self._outer(place)
            x, y = self._edge(place, side)
            points = tuple((x + sign * d, y) for d in (_STUB_SIDE - 10.0, 90.0, 40.0, 0.0))
            middle = (x + sign * (_STUB_SIDE + 16) / 2, y)
        return arrow(points if move.target else points[::-1], middle=middle)

    def _loop(self, move: Move) -> Arrow:
        """An arrow between two cells of one column, along its outer side."""
        side, sign = self._outer(move.source)
        start, end = self._edge(move.source, side), self._edge(move.target, side)
        out = sign * (max(sign * start[0], sign * end[0]) + 76)
        return arrow((start, (out, start[1]), (out, end[1]), end), both=move.both)
