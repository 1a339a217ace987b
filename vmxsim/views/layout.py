"""Plans a run's picture (boxes, rows, ways between cells) and lets Graphviz place it.

One layout serves all steps of the run. CPUs stand on the left, each above the vCPU thread of its number,
``struct vcpu_vmx`` and other tasks on the right. Every arrow and its label keep to the gap between these two
columns, so they cover nothing. Each row is as wide as the longest text that it will ever hold.

One pixel of the layout is one pixel on the screen: the picture of an ordinary run is about 500 by 300, its
labels have 11 px and its values 14, which is as small as text may get.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import pairwise, zip_longest
from math import ceil
from threading import Lock

import graphviz
from attrs import evolve, frozen

from vmxsim.errors import InputError, in_browser, printable
from vmxsim.simulation.trace import Box, Move, Scene, Trace
from vmxsim.views.shown import TRUE_VALUE, first_shown, is_loaded, sign
from vmxsim.views.style import STATUS_MARKS, cell_state, holder_words, status_words

#: What pygraphviz leaves to the system, as Debian's packages: libglib, libgobject, libX11, libXext,
#: libXrender, libexpat.
LIBRARIES = "libglib2.0-0 libxext6 libxrender1 libexpat1"
#: Graphviz has global state: one layout at a time.
_ONE_AT_A_TIME = Lock()

Point = tuple[float, float]


class GraphvizMissing(InputError):
    """There is no Graphviz that works; the message says what to install."""


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
    """Lay out a graph with pygraphviz (its wheels contain Graphviz), in a browser with what the site brings
    (``deploy/site``), or else with ``dot``.

    Raises GraphvizMissing if neither works.
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
    why = "is not installed: run 'pip install pygraphviz' (its wheels contain Graphviz)"
    try:
        with _ONE_AT_A_TIME:
            from pygraphviz import AGraph

            drawn: bytes = AGraph(string=graph.source).draw(format="json0", prog="dot")
            return drawn.decode()
    except ModuleNotFoundError:
        pass
    except ImportError as error:
        why = _cannot_be_loaded(str(error))
    if in_browser():
        return _in_browser(graph.source)
    try:
        with _ONE_AT_A_TIME:
            return graph.pipe(format="json0", encoding="utf-8")
    except graphviz.ExecutableNotFound:
        raise GraphvizMissing(
            f"Graphviz {why}, or install your system's package 'graphviz' with the program 'dot'. "
            "Until then, a table shows the same content"
        ) from None
    except graphviz.CalledProcessError as error:
        said = error.stderr.decode(errors="replace") if isinstance(error.stderr, bytes) else error.stderr
        reason = (said or "").strip() or "no reason given"
        raise InputError(f"the program 'dot' could not lay out the picture: {reason}") from None


def _in_browser(source: str) -> str:
    try:
        json0 = import_module("vmxsim_graphviz").json0
    except ModuleNotFoundError:
        raise GraphvizMissing(
            "this site has no Graphviz for the browser: one that 'make site' builds has. Until then, a table"
            " shows the same content"
        ) from None
    try:
        return str(json0(source))
    except ValueError as error:
        raise InputError(f"Graphviz could not lay out the picture: {printable(error, 300)}") from None


def _cannot_be_loaded(error: str) -> str:
    """Why pygraphviz, which is installed, is of no use. Its wheels leave a few libraries to the system, and a
    slim one has not got them."""
    library, found, _ = error.partition(": cannot open shared object file")
    if not found:
        return f"cannot be loaded: importing pygraphviz says '{error}'. Mend that"
    return (
        f"cannot be loaded: pygraphviz is installed, but it needs the system's library {library}. "
        f"On Debian or Ubuntu, run 'apt-get install {LIBRARIES}'"
    )


#: Sizes in pixels (one layout point each).
PAD, GAP = 6, 6


@frozen
class Face:
    """Sizes of a picture in pixels. ``title``, ``value`` and ``label`` are those of the fonts: a box's title,
    a value, everything else; ``lines`` are the base lines of label, value and owner in a cell. ``shorter``
    has the words that this picture puts in fewer letters; with any, its columns are only as wide as the run
    needs. A ``terse`` picture has a cell's label and value in one line, and leaves out what its sign or its
    box says already."""

    name: str
    header: float
    fact: float
    cell: float
    plate: float
    pill: float
    title: int
    value: int
    label: int
    lines: tuple[float, float, float]
    advance: float  # width of a character that is not in monospace, as a fraction of the font size
    arrow: float  # what an arrow needs besides its label
    shorter: tuple[tuple[str, str], ...] = ()
    terse: bool = False

    def words(self, words: str) -> str:
        """A text of the trace as this picture has it."""
        for long, short in self.shorter:
            words = words.replace(long, short)
        return words


NORMAL = Face("", 20, 15, 48, 22, 18, 12, 14, 11, (13, 28, 42), 0.57, 26)
_SHORTER = (("vCPU thread", "thread"), ("the guest's true value", "true value"), ("load_gs_index", "load_gs"))
#: For two pictures side by side in a notebook: as small as text may get where each has 480 px.
SIDE = evolve(NORMAL, shorter=_SHORTER, arrow=22)
#: For two pictures side by side on a projector: no text under 18 px at 1280x720.
LARGE = Face(
    "large", 27, 24, 54, 28, 26, 18, 19, 18, (22, 22, 45), 0.52, 20,
    shorter=(
        *_SHORTER, ("nothing stored", "nothing"), ("passed through", "passed"), ("guest GS base", "GS base"),
        ("struct vcpu_vmx", "vcpu_vmx"), ("thread.gsbase", "gsbase"), ("descriptor's base", "descr."),
    ),
    terse=True,
)  # fmt: skip
#: Width of a character as a fraction of the font size, at most: in monospace fonts, and on average in others.
MONO_ADVANCE, _BOLD_ADVANCE = 0.61, 0.6
#: Space inside a cell to the left and to the right of its texts.
INSIDE_LEFT, INSIDE_RIGHT = 14, 6
_VALUE_CHARACTERS = 18
#: The narrowest space between the columns.
_MIN_GAP = 66.0

#: Labels of arrows by the kind of move. Other kinds are their own label.
MOVE_WORDS = {
    "guest_rdmsr": "rdmsr",
    "guest_wrmsr": "wrmsr",
    "user": "user",
    "save": "rdgsbase",
    "guest_swapgs": "swapgs",
}


@frozen
class BoxPlan:
    """A box and its rows, in pixels: ``facts``, then ``cells``, then the facts that come ``later``.
    ``plate`` is the space above it, for what is nobody's field."""

    id: str
    kind: str
    title: str
    facts: tuple[str, ...]
    cells: tuple[tuple[str, str], ...]
    later: tuple[str, ...]
    width: float
    plate: float = 0
    face: Face = NORMAL

    @property
    def height(self) -> float:
        """Height of the frame, without the plate."""
        return self.later_top(len(self.later)) + PAD

    def fact_top(self, index: int) -> float:
        """Distance of a fact's row from the frame's upper edge."""
        return self.face.header + index * self.face.fact

    def cell_top(self, index: int) -> float:
        """Distance of a cell from the frame's upper edge."""
        return self.fact_top(len(self.facts)) + (GAP if self.facts else 0) + index * (self.face.cell + GAP)

    def later_top(self, index: int) -> float:
        """Distance from the frame's upper edge of the row of a fact that comes later."""
        gap = 0 if self.later or not self.cells else GAP
        return self.cell_top(len(self.cells)) - gap + index * self.face.fact


@frozen
class Plan:
    """The boxes, the moves of all steps without duplicates, the ways between the columns that carry them as
    (left, right) places, and the space between the columns. ``since`` is the first scene in which each part
    is drawn (:mod:`vmxsim.views.shown`)."""

    boxes: tuple[BoxPlan, ...]
    moves: tuple[Move, ...]
    ways: tuple[tuple[str, str], ...]
    gap: float
    label_widths: dict[str, float]
    since: Mapping[str, int]
    face: Face = NORMAL

    def home(self, place: str) -> tuple[BoxPlan, int]:
        """The box that holds a cell, and the cell's index in it. Raises KeyError for any other place."""
        for box in self.boxes:
            for index, (candidate, _) in enumerate(box.cells):
                if candidate == place:
                    return box, index
        raise KeyError(place)

    def column(self, place: str) -> int:
        """The column of a cell's box: 0 on the left, 1 on the right."""
        return column_of(self.home(place)[0].id)

    def columns(self) -> list[list[BoxPlan]]:
        """The boxes of each column from top to bottom; an empty column is left out."""
        columns = [[box for box in self.boxes if column_of(box.id) == side] for side in (0, 1)]
        return [column for column in columns if column]


def column_of(box_id: str) -> int:
    """0 for a CPU and for a vCPU's thread, which stand on the left, else 1."""
    return 0 if box_id.startswith(("cpu", "thread")) else 1


def move_key(move: Move) -> str:
    """A move's key in films and in ``data-move``: ``cpu0.kernel_gs_base>vcpu0.g``; ``<>`` for an exchange."""
    return f"{move.source}{'<>' if move.both else '>'}{move.target}"


def move_label(move: Move, face: Face = NORMAL) -> str:
    """The arrow's label: ``rdmsr``."""
    return face.words(MOVE_WORDS.get(move.kind, move.kind))


def text_width(text: str, size: float, spare: float = 1.0) -> float:
    """An upper estimate of a text's width in pixels, in any font."""
    return len(text) * size * MONO_ADVANCE * spare


def _sans(text: str, face: Face) -> float:
    """The same for a label that is not in monospace."""
    return len(face.words(text)) * face.label * face.advance


def named(place: str, label: str) -> str:
    """A cell's label with its sign before it: ``g msr_guest_kernel_gs_base``."""
    return f"{sign(place)} {label}".lstrip()


def _label(box: Box, place: str, label: str, face: Face) -> str:
    """What stands in a cell beside its sign."""
    return "" if face.terse and (sign(place) or len(box.cells) == 1) else face.words(label)


def plan(trace: Trace, scenes: Sequence[Scene], face: Face = NORMAL) -> Plan:
    """Plan the picture of ``trace``. ``scenes`` are all its scenes in order."""
    since = first_shown(trace, scenes)
    shown = [box for box in _ordered(scenes[0].boxes) if box.id in since]
    places = {cell.place: box.id for box in shown for cell in box.cells if cell.place in since}
    moves: dict[str, Move] = {}
    labels: dict[str, float] = {}  # widths
    for move in (move for step in trace.steps for move in step.moves):
        ends = [place for place in (move.source, move.target) if place]
        if ends and all(place in places for place in ends):
            key = move_key(move)
            moves[key] = move
            labels[key] = max(labels.get(key, 0.0), text_width(move_label(move, face), face.label) + 12)
    widths = _widths(shown, scenes, since, face)
    boxes = tuple(
        BoxPlan(
            id=box.id,
            kind=box.kind,
            title=face.words(box.title),
            facts=_facts(box, since, at_start=True),
            cells=tuple(
                (cell.place, _label(box, cell.place, cell.label, face))
                for cell in box.cells
                if cell.place in since
            ),
            later=_facts(box, since, at_start=False),
            width=widths[column_of(box.id)],
            plate=face.plate if f"{box.id}.{TRUE_VALUE}" in since else 0,
            face=face,
        )
        for box in shown
    )
    across = {
        (m.source, m.target) if column_of(places[m.source]) == 0 else (m.target, m.source): None
        for m in moves.values()
        if m.source and m.target and column_of(places[m.source]) != column_of(places[m.target])
    }
    return Plan(
        boxes=boxes,
        moves=tuple(moves.values()),
        ways=tuple(across),
        gap=max([_MIN_GAP, *(width + face.arrow for width in labels.values())]),
        label_widths=labels,
        since=since,
        face=face,
    )


def _facts(box: Box, since: Mapping[str, int], at_start: bool) -> tuple[str, ...]:
    """The facts inside the box that are drawn from its start on, or those that come later."""
    start = since[box.id]
    return tuple(
        name
        for name, _ in box.facts
        if name != TRUE_VALUE and (found := since.get(f"{box.id}.{name}")) is not None
        if (found == start) == at_start
    )


def _ordered(boxes: Sequence[Box]) -> list[Box]:
    """CPUs and vCPU threads by turns, so that the arrows between them are short; then all other boxes."""
    cpus = [box for box in boxes if column_of(box.id) == 0 and box.kind == "cpu"]
    threads = [box for box in boxes if column_of(box.id) == 0 and box.kind != "cpu"]
    left = [box for pair in zip_longest(cpus, threads) for box in pair if box]
    return [*left, *(box for box in boxes if column_of(box.id) == 1)]


def plate_words(box_id: str, several: bool, face: Face = NORMAL) -> str:
    """What stands on a vCPU's plate before the true value."""
    return (
        f"guest {box_id.removeprefix('vcpu')}'s true value"
        if several
        else face.words("the guest's true value")
    )


def _widths(
    shown: Sequence[Box], scenes: Sequence[Scene], since: Mapping[str, int], face: Face
) -> list[float]:
    """The widths of the two columns: every text that a row will ever hold fits in."""
    rows: list[list[float]] = [[0.0], [0.0]]
    ids = {box.id for box in shown}
    several = sum(box.kind == "vcpu" for box in shown) > 1
    widest = max(_sans(status_words(s), face) for s in STATUS_MARKS)
    every = [box for scene in scenes for box in scene.boxes if box.id in ids]
    cells = [(box.id, *cell_state(c)) for box in every for c in box.cells if c.place in since]
    longest = max((len(value) for _, value, _, _ in cells), default=0)
    value = text_width("0" * (longest if face.shorter else _VALUE_CHARACTERS), face.value)
    for box in shown:
        row = rows[column_of(box.id)]
        row.append(len(face.words(box.title)) * face.title * _BOLD_ADVANCE)
        labels = [
            named(cell.place, _label(box, cell.place, cell.label, face))
            for cell in box.cells
            if cell.place in since
        ]
        widths = [text_width(label, face.label) for label in labels]
        row += [
            (label_room(label, face) + value if face.terse else max(width, value))
            + INSIDE_LEFT
            + INSIDE_RIGHT
            for label, width in zip(labels, widths, strict=True)
        ]
    for box_id, name, held in {(box.id, *fact) for box in every for fact in box.facts}:
        if f"{box_id}.{name}" in since:
            rows[column_of(box_id)].append(_fact_width(box_id, name, held, several, face))
    for box_id, owner, status in {(box_id, owner, status) for box_id, _, owner, status in cells}:
        room = _sans(status_words(status), face) if face.shorter else widest
        width = _sans(holder_words(owner), face) + 6 + room + INSIDE_LEFT + INSIDE_RIGHT
        rows[column_of(box_id)].append(width)
    return [ceil(max(row) + 2 * PAD) for row in rows]


def label_room(label: str, face: Face) -> float:
    """The space before a cell's value that its label takes if both stand in one line."""
    return text_width(label, face.label) + 10 if face.terse and label else 0


def _fact_width(box_id: str, name: str, value: str, several: bool, face: Face) -> float:
    if name == TRUE_VALUE:
        return _sans(f"{plate_words(box_id, several, face)}: ", face) + text_width(value, face.label)
    lead = "L " if is_loaded(box_id.rstrip("0123456789"), name) else ""
    return _sans(
        value if name == "runs" else f"{lead}{fact_name(lead, name, face)}  {face.words(value)}", face
    )


def fact_name(lead: str, name: str, face: Face) -> str:
    """A fact's name; in a terse picture the sign before it says which flag is loaded."""
    return "loaded" if lead and face.terse else name


#: Pixels between two boxes of a column.
_BETWEEN = 10
_POINTS = 72


def digraph(plan: Plan) -> graphviz.Digraph:
    """A plan as DOT: a node per box, a port per cell, an edge per way with the id ``left=right``.

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
    columns = plan.columns()
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
    for pair in plan.ways:
        (box, index), (other, port) = map(plan.home, pair)
        ends = (f"{nodes[box.id]}:p{index}:e", f"{nodes[other.id]}:p{port}:w")
        graph.edge(*ends, id="=".join(pair), weight="0")  # must not pull boxes apart
    return graph


def _table(box: BoxPlan) -> str:
    """An HTML-like label of empty rows, with a port for each cell."""

    def row(height: float, port: str = "") -> str:
        name = f' port="{port}"' if port else ""
        size = f'fixedsize="true" width="{box.width:g}" height="{height:g}"'
        return f"<tr><td{name} {size}></td></tr>"

    rows, end = [row(box.face.header, "head")], box.face.header
    for index in range(len(box.cells)):
        top = box.plate + box.cell_top(index)
        if top > end:
            rows.append(row(top - end))
        rows.append(row(box.face.cell, f"p{index}"))
        end = top + box.face.cell
    rows.append(row(box.plate + box.height - end))
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="0">{"".join(rows)}</table>>'
