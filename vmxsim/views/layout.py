"""Plans a run's picture (boxes, rows, wires between cells) and lets Graphviz place it.

One layout serves all steps of the run. Each row is as wide as the longest text that it will ever hold, and
labels may be 1.4 times longer (another language, another font) without touching each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from math import ceil
from threading import Lock

import graphviz
from attrs import frozen

from vmxsim.errors import InputError
from vmxsim.simulation.trace import Box, Move, Scene, Trace
from vmxsim.views.style import STATUS_MARKS, holder_words, status_words

#: Graphviz has global state: one layout at a time.
_ONE_AT_A_TIME = Lock()

Point = tuple[float, float]


class GraphvizMissing(InputError):
    """Graphviz is not installed; the message says what to install."""


@frozen
class Layout:
    """Positions in pixels from the upper left corner, by id: the nodes' corners, the edges' curves (a start,
    then three points for each Bézier piece) and the middles of their labels."""

    width: float
    height: float
    corners: Mapping[str, Point]
    curves: Mapping[str, tuple[Point, ...]]
    labels: Mapping[str, Point]


def layout(graph: graphviz.Digraph) -> Layout:
    """Lay out a graph with pygraphviz (its wheels contain Graphviz), or else with ``dot``.

    Raises GraphvizMissing if neither is installed.
    """
    found = json.loads(_json(graph))
    width, height = (float(n) for n in found["bb"].split(",")[2:])
    corners = {}
    for node in found.get("objects", ()):
        if "pos" in node and "id" in node:
            x, y = (float(n) for n in node["pos"].split(","))
            w, h = float(node["width"]) * 72, float(node["height"]) * 72
            corners[node["id"]] = (x - w / 2, height - y - h / 2)
    edges = [edge for edge in found.get("edges", ()) if "id" in edge and "pos" in edge]
    curves = {edge["id"]: _curve(edge["pos"], height) for edge in edges}
    labels = {edge["id"]: _curve(edge["lp"], height)[0] for edge in edges if "lp" in edge}
    return Layout(width, height, corners, curves, labels)


def _curve(text: str, height: float) -> tuple[Point, ...]:
    """The points of an edge's ``pos``, which is a plain spline because the edges have no arrowheads."""
    pairs = (pair.split(",") for pair in text.split(";")[0].split())
    return tuple((float(p[0]), height - float(p[1])) for p in pairs if len(p) == 2)


def _json(graph: graphviz.Digraph) -> str:
    with suppress(ImportError), _ONE_AT_A_TIME:
        from pygraphviz import AGraph

        drawn: bytes = AGraph(string=graph.source).draw(format="json0", prog="dot")
        return drawn.decode()
    try:
        with _ONE_AT_A_TIME:
            return graph.pipe(format="json0", encoding="utf-8")
    except graphviz.ExecutableNotFound:
        raise GraphvizMissing(
            "Graphviz is not installed: run 'pip install pygraphviz' (its wheels contain Graphviz), or "
            "install your system's package 'graphviz' with the program 'dot'. "
            "Until then, a table shows the same content"
        ) from None
    except graphviz.CalledProcessError as error:
        said = error.stderr.decode(errors="replace") if isinstance(error.stderr, bytes) else error.stderr
        reason = (said or "").strip() or "no reason given"
        raise InputError(f"the program 'dot' could not lay out the picture: {reason}") from None


#: Sizes in pixels (one layout point each).
PAD, HEADER, FACT, CELL, GAP, STUB = 12, 36, 20, 74, 8, 46
#: Room for a heading between two kinds of boxes in one column.
HEADING = 20.0
#: Width of a character as a fraction of the font size; monospace fonts have 0.55 to 0.61.
_ADVANCE = 0.6
#: How much longer labels may get.
_SPARE = 1.4
_CELL_INSIDE = 30
_VALUE_CHARACTERS = 18
_MIN_GAP = 96.0

#: From left to right: the owners of values on the outside, the register in the middle.
COLUMNS = ("task", "cpu", "vcpu")
#: The same in two columns, for pictures side by side or in a narrow space.
WIDE: tuple[tuple[str, ...], ...] = tuple((kind,) for kind in COLUMNS)
TALL: tuple[tuple[str, ...], ...] = (("cpu", "task"), ("vcpu",))
COLUMN_TITLES = {"task": "Tasks", "cpu": "CPUs", "vcpu": "vCPUs"}

#: Labels of arrows by the kind of move. Other kinds are their own label.
MOVE_WORDS = {
    "guest_rdmsr": "guest rdmsr",
    "guest_wrmsr": "guest wrmsr",
    "user": "user space",
    "save": "rdgsbase",
    "guest_swapgs": "swapgs",
}


@frozen
class BoxPlan:
    """A box and its rows, in pixels. ``stub`` is the space below for an arrow that comes from no cell."""

    id: str
    kind: str
    title: str
    facts: tuple[str, ...]
    cells: tuple[tuple[str, str], ...]
    width: float
    stub: float

    @property
    def height(self) -> float:
        """Height of the frame, without the space below it."""
        rows = len(self.facts) * FACT + len(self.cells) * (CELL + GAP)
        return HEADER + rows + (GAP if self.facts else 0) + PAD - (GAP if self.cells else 0)

    def fact_top(self, index: int) -> float:
        """Distance of a fact's row from the box's upper edge."""
        return HEADER + index * FACT

    def cell_top(self, index: int) -> float:
        """Distance of a cell from the box's upper edge."""
        return HEADER + len(self.facts) * FACT + (GAP if self.facts else 0) + index * (CELL + GAP)


@frozen
class Plan:
    """The boxes, the moves of all steps without duplicates, the wires that carry them as (left, right)
    places, and the space between two columns."""

    boxes: tuple[BoxPlan, ...]
    moves: tuple[Move, ...]
    wires: tuple[tuple[str, str], ...]
    gap: float
    label_widths: dict[str, float]
    columns: tuple[tuple[str, ...], ...] = WIDE

    def home(self, place: str) -> tuple[BoxPlan, int]:
        """The box that holds a cell, and the cell's index in it. Raises KeyError for any other place."""
        for box in self.boxes:
            for index, (candidate, _) in enumerate(box.cells):
                if candidate == place:
                    return box, index
        raise KeyError(place)

    def column(self, place: str) -> int:
        """The column of a cell's box, counted from the left."""
        return _column(self.columns, self.home(place)[0].kind)


def move_key(move: Move) -> str:
    """A move's key in films and in ``data-move``: ``cpu0.kernel_gs_base>vcpu0.g``; ``<>`` for an exchange."""
    return f"{move.source}{'<>' if move.both else '>'}{move.target}"


def move_label(move: Move) -> str:
    """The arrow's label: ``rdmsr``."""
    return MOVE_WORDS.get(move.kind, move.kind)


def text_width(text: str, size: float, spare: float = 1.0) -> float:
    """An upper estimate of a text's width in pixels."""
    return len(text) * size * _ADVANCE * spare


def _cell_width(label: str, owners: Iterable[str]) -> float:
    owner = max((text_width(holder_words(o), 13, _SPARE) for o in owners), default=0.0)
    status = max(text_width(status_words(s), 13, _SPARE) for s in STATUS_MARKS)
    widest = max(text_width(label, 12, _SPARE), _VALUE_CHARACTERS * 20 * 0.61, owner * 0.9 + status * 0.9)
    return widest + _CELL_INSIDE


def _column(columns: Sequence[Sequence[str]], kind: str) -> int:
    return next((n for n, kinds in enumerate(columns) if kind in kinds), 0)


def plan(trace: Trace, scenes: Sequence[Scene], columns: tuple[tuple[str, ...], ...] = WIDE) -> Plan:
    """Plan the picture of ``trace``. ``scenes`` are all its scenes in order; ``columns``, WIDE or TALL, are
    the kinds of boxes in each column."""
    first = scenes[0].boxes
    places = {cell.place: box for box in first for cell in box.cells}
    moves: dict[str, Move] = {}
    labels: dict[str, float] = {}  # widths
    for move in (move for step in trace.steps for move in step.moves):
        ends = [place for place in (move.source, move.target) if place]
        if ends and all(place in places for place in ends):
            key = move_key(move)
            moves[key] = move
            labels[key] = max(labels.get(key, 0.0), text_width(move_label(move), 14, _SPARE) + 14)
    texts: dict[tuple[str, str], int] = {}
    owners: dict[str, set[str]] = {}
    for scene in scenes:
        for box in scene.boxes:
            for name, value in box.facts:
                texts[box.id, name] = max(texts.get((box.id, name), 0), len(value))
            for cell in box.cells:
                owners.setdefault(box.kind, set()).add(cell.value.owner if cell.value else "")
    stubbed = {place for m in moves.values() for place in (m.source, m.target) if not (m.source and m.target)}
    widest = {kind: _column_width(kind, first, texts, owners) for kind in COLUMNS}
    widths = {kind: max(widest[other] for other in kinds) for kinds in columns for kind in kinds}
    above = {kind for kinds in columns for kind in kinds[:-1]}
    above_heading = {box.kind: box.id for box in first if box.kind in above}.values()  # the last of its kind
    boxes = tuple(
        BoxPlan(
            id=box.id,
            kind=box.kind,
            title=box.title,
            facts=tuple(name for name, _ in box.facts),
            cells=tuple((cell.place, cell.label) for cell in box.cells),
            width=widths.get(box.kind, 0.0),
            stub=STUB
            if box.kind == "cpu" and any(cell.place in stubbed for cell in box.cells)
            else HEADING * (box.id in above_heading),
        )
        for box in first
    )
    return Plan(
        boxes=boxes,
        moves=tuple(moves.values()),
        wires=_wires(moves.values(), places, columns),
        gap=max([_MIN_GAP, *(labels[key] + 58 for key, m in moves.items() if m.source and m.target)]),
        label_widths=labels,
        columns=columns,
    )


def _column_width(
    kind: str, boxes: Sequence[Box], texts: dict[tuple[str, str], int], owners: dict[str, set[str]]
) -> float:
    widest = 0.0
    for box in boxes:
        if box.kind != kind:
            continue
        rows = [text_width(box.title, 15, _SPARE)]
        rows += [text_width(n, 13, _SPARE) + texts[box.id, n] * 13 * _ADVANCE + 14 for n, _ in box.facts]
        rows += [_cell_width(cell.label, owners[kind]) for cell in box.cells]
        widest = max(widest, *rows)
    return ceil(widest + 2 * PAD)


def _wires(
    moves: Iterable[Move], places: dict[str, Box], columns: Sequence[Sequence[str]]
) -> tuple[tuple[str, str], ...]:
    """Pairs of places in different columns with a move between them, left one first."""

    def column(place: str) -> int:
        return _column(columns, places[place].kind)

    found: dict[tuple[str, str], None] = {}
    for m in moves:
        if not (m.source and m.target):
            continue
        pair = sorted((m.source, m.target), key=column)
        if column(pair[0]) != column(pair[1]):
            found[pair[0], pair[1]] = None
    return tuple(found)


#: Pixels between two boxes of a column.
_BETWEEN = 26
_POINTS = 72


def digraph(plan: Plan) -> graphviz.Digraph:
    """A plan as DOT: a node per box, a port per cell, an edge per wire with the id ``left=right``.

    The nodes hold no text, only rows of known sizes, so the layout does not depend on fonts.
    """
    graph = graphviz.Digraph("vmxsim")
    graph.attr(
        rankdir="LR",
        splines="true",
        nodesep=str(_BETWEEN / _POINTS),
        ranksep=str(plan.gap / _POINTS),
        margin="0",
    )
    graph.attr("node", shape="plain", margin="0")
    graph.attr("edge", dir="none")
    nodes = {box.id: f"b{number}" for number, box in enumerate(plan.boxes)}
    columns = [[box for kind in kinds for box in plan.boxes if box.kind == kind] for kinds in plan.columns]
    columns = [column for column in columns if column]
    for column in columns:
        with graph.subgraph() as same:
            same.attr(rank="same")
            for box in column:
                same.node(nodes[box.id], label=_table(box), id=box.id)
            for above, below in pairwise(column):
                same.edge(nodes[above.id], nodes[below.id], style="invis")
    for left, right in pairwise(columns):
        # align the upper edges of the columns: heavy edges are drawn straight
        heads = (f"{nodes[left[0].id]}:head:e", f"{nodes[right[0].id]}:head:w")
        graph.edge(*heads, style="invis", weight="1000")
    for pair in plan.wires:
        (box, index), (other, port) = map(plan.home, pair)
        graph.edge(f"{nodes[box.id]}:p{index}:e", f"{nodes[other.id]}:p{port}:w", id="=".join(pair))
    return graph


def _table(box: BoxPlan) -> str:
    """An HTML-like label of empty rows, with a port for each cell."""

    def row(height: float, port: str = "") -> str:
        name = f' port="{port}"' if port else ""
        size = f'fixedsize="true" width="{box.width:g}" height="{height:g}"'
        return f"<tr><td{name} {size}></td></tr>"

    rows, end = [row(HEADER, "head")], float(HEADER)
    for index in range(len(box.cells)):
        if box.cell_top(index) > end:
            rows.append(row(box.cell_top(index) - end))
        rows.append(row(CELL, f"p{index}"))
        end = box.cell_top(index) + CELL
    rows.append(row(box.height - end + box.stub))
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="0">{"".join(rows)}</table>>'
