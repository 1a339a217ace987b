"""Draws a state space: a box for each state, an arrow for the actions that lead from one to another.

As in the other pictures, the nodes that Graphviz places hold no text and have known sizes, so the layout does
not depend on fonts. Ids start with the picture's own: ``p-state-3`` for a state, ``p-edge-3-4`` for an arrow,
``p-broken-guest-value`` for the box that stands for broken invariants.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

import graphviz
from attrs import define, field, frozen

from vmxsim.checker.states_at_rest import StateEdge, StateLook, StateNode, StateSpace
from vmxsim.errors import printable
from vmxsim.kernel.machine import owner_words
from vmxsim.simulation.trace import Cell
from vmxsim.views.drawing import arrow, opening, text
from vmxsim.views.layout import Layout, layout, text_width
from vmxsim.views.standalone import standalone
from vmxsim.views.style import STATUS_MARKS, holder_words, owner_class, statespace_css

#: Where a thread can be between two actions.
MODES = {"user": "in user space", "guest": "in the guest"}


def title_words(look: StateLook) -> str:
    """A state in a few words: ``in the guest, long mode, loaded``. In user space, not loaded is the norm."""
    words = [MODES[look.mode], "long mode" if look.long_mode else "no long mode"]
    words += ["SMM"] * look.smm
    if look.loaded or look.mode == "guest":
        words.append("loaded" if look.loaded else "not loaded")
    return ", ".join(words)


def read_words(look: StateLook) -> str:
    """Whether the guest would read the right value."""
    if look.right:
        return "a read would be right"
    return f"a read would find {look.read} ({owner_words(look.read.owner)})"


def lines_of(words: Sequence[str], width: int) -> list[str]:
    """Names, separated by commas, in lines of about ``width`` characters; no name is broken."""
    text = ", ".join(printable(word).replace(" ", "\0") for word in words)
    return [
        line.replace("\0", " ") for line in wrap(text, width, break_long_words=False, break_on_hyphens=False)
    ]


def summary(graph: StateSpace) -> str:
    """The size of the state space, its assumptions, and the invariants that actions break."""
    count = len(graph.nodes)
    merged = f", drawn as {count} because some look and behave alike" if count != graph.states else ""
    granted = f"; assuming {', '.join(graph.assumptions)}" if graph.assumptions else ""
    broken = sorted({name for edge in graph.edges for name in edge.broken})
    breaks = f" Some actions break {', '.join(broken)}." if broken else " No action breaks an invariant."
    return f"{graph.states} states at rest{merged}{granted}.{breaks}"


def node_words(graph: StateSpace, node: StateNode) -> str:
    """A state and where its actions lead, as sentences."""
    look = node.look
    cells = "; ".join(
        f"{cell.label} holds {cell.value} of {holder_words(cell.value.owner)}, {cell.status}"
        for cell in look.cells
        if cell.value is not None
    )
    parts = [f"State {node.number}{' (a start)' if node.start else ''}: {title_words(look)}.", f"{cells}."]
    parts += [f"{name}: {words}." for name, words in look.told]
    parts.append(f"True value {look.true}; {read_words(look)}.")
    going = [edge for edge in graph.edges if edge.source == node.number]
    for edge in going:
        where = f"to state {edge.target}" if edge.target else f"breaks {', '.join(edge.broken)}"
        parts.append(f"{', '.join(edge.actions)}: {where}.")
    if node.stays:
        parts.append(f"No change: {', '.join(node.stays)}.")
    return " ".join(parts)


_PAD, _TITLE, _ROW, _LINE, _WIDTH = 10, 26, 24, 17, 318
#: Characters in a line of the actions that do not change a state, and of an arrow's label.
_STAYS, _LABEL = 38, 22
_SINK_HEIGHT, _CROSS = 64, 56
_MARGIN, _POINTS = 14, 72


@frozen
class _Box:
    """A state's box: its values, a verdict, and the actions that do not change it."""

    node: StateNode

    @property
    def id(self) -> str:
        return f"state-{self.node.number}"

    @property
    def rows(self) -> list[tuple[str, Cell | str]]:
        look = self.node.look
        cells = zip(("register", "g"), look.cells, strict=True)
        return [*cells, ("true", Cell("", "", look.true, "")), *look.told]

    @property
    def stays(self) -> list[str]:
        return lines_of(self.node.stays, _STAYS)

    @property
    def height(self) -> float:
        rows = len(self.rows) * _ROW + _LINE + len(self.stays) * _LINE
        return _PAD + _TITLE + rows + (6 if self.stays else 0) + _PAD


@define(eq=False)
class StateDrawing:
    """A state space, laid out. Raises GraphvizMissing if Graphviz is not installed."""

    graph: StateSpace
    _boxes: tuple[_Box, ...] = field(init=False)
    _sinks: tuple[tuple[str, ...], ...] = field(init=False)
    _layout: Layout = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._boxes = tuple(_Box(node) for node in self.graph.nodes)
        self._sinks = tuple(dict.fromkeys(e.broken for e in self.graph.edges if not e.target))
        self._layout = layout(_digraph(self._boxes, self._sinks, self.graph.edges))

    @property
    def width(self) -> float:
        """Width of the picture in pixels."""
        return round(self._layout.width + 2 * _MARGIN)

    def svg(self, uid: str) -> str:
        """The picture. ``uid`` keeps its ids apart from those of other pictures on a page."""
        width, height = self.width, round(self._layout.height + 2 * _MARGIN)
        graph = self.graph
        description = " ".join([summary(graph), *(node_words(graph, node) for node in graph.nodes)])
        title = f"State space of {graph.design}, {graph.where}"
        parts = [
            *opening(
                "vmxsim-statespace", uid, (width, height), title, description, statespace_css(self._owners())
            ),
            f'<g transform="translate({_MARGIN} {_MARGIN})">',
            *(self._edge(edge, uid) for edge in graph.edges),
            *(self._label(edge) for edge in graph.edges),  # on top of all lines
            *(self._state(box, uid) for box in self._boxes),
            *(self._sink(broken, uid) for broken in self._sinks),
            "</g></svg>",
        ]
        return standalone("\n".join(parts))

    def _owners(self) -> list[str]:
        found = {cell.value.owner for node in self.graph.nodes for cell in node.look.cells if cell.value}
        return sorted(found | {node.look.true.owner for node in self.graph.nodes})

    def _state(self, box: _Box, uid: str) -> str:
        x, y = self._layout.corners[box.id]
        look = box.node.look
        classes = f"state {look.mode}{' start' if box.node.start else ''}{'' if look.right else ' wrong'}"
        corner = 16 if look.mode == "guest" else 3
        frame = f'width="{_WIDTH}" height="{box.height:g}" rx="{corner}"'
        number, verdict = box.node.number, f"{'✔' if look.right else '✖'} {read_words(look)}"
        parts = [
            f'<g class="{classes}" id="{text(uid)}-{box.id}" transform="translate({x:.1f} {y:.1f})">',
            f'<rect class="ring" x="-5" y="-5" width="{_WIDTH + 10}" height="{box.height + 10:g}" '
            f'rx="{corner + 5}"/>' if box.node.start else "",
            f'<rect class="frame" {frame}/>',
            f'<text class="number" x="{_PAD}" y="{_PAD + 14}">{number}</text>',
            f'<text class="title" x="{_PAD + 14 + 10 * len(str(number))}" y="{_PAD + 14}">'
            f"{text(title_words(look))}</text>",
        ]  # fmt: skip
        at = float(_PAD + _TITLE)
        for label, cell in box.rows:
            parts.append(_row(label, cell, at))
            at += _ROW
        at += _LINE - 4
        parts.append(f'<text class="verdict" x="{_PAD}" y="{at:g}">{text(verdict)}</text>')
        for n, line in enumerate(box.stays):
            at += _LINE + (0 if n else 6)
            left, lead = (_PAD + 17, "") if n else (_PAD, "↻ ")
            parts.append(f'<text class="stays" x="{left}" y="{at:g}">{lead}{text(line)}</text>')
        return "\n".join(part for part in [*parts, "</g>"] if part)

    def _sink(self, broken: tuple[str, ...], uid: str) -> str:
        x, y = self._layout.corners[_sink_id(broken)]
        width, height = _sink_width(broken), _SINK_HEIGHT
        return (
            f'<g class="sink" id="{text(uid)}-{_sink_id(broken)}" transform="translate({x:.1f} {y:.1f})">'
            f'<rect class="frame" width="{width}" height="{height}"/>'
            f'<path class="cross" d="M14 18l28 28M42 18l-28 28"/>'
            f'<text class="title" x="{_CROSS}" y="26">broken</text>'
            f'<text x="{_CROSS}" y="46">{text(", ".join(broken))}</text></g>'
        )

    def _edge(self, edge: StateEdge, uid: str) -> str:
        drawn = arrow(self._layout.curves[_edge_id(edge)])
        return (
            f'<g class="{_edge_class(edge)}" id="{text(uid)}-{_edge_id(edge)}">'
            f'<path class="line" d="{drawn.line}"/><path class="head" d="{drawn.heads}"/></g>'
        )

    def _label(self, edge: StateEdge) -> str:
        x, y = self._layout.labels[_edge_id(edge)]
        lines = lines_of(edge.actions, _LABEL)
        width, height = _label_size(lines)
        left, top = x - width / 2, y - height / 2
        texts = "".join(
            f'<text x="{x:.1f}" y="{top + 15 + n * _LINE:.1f}">{text(t)}</text>' for n, t in enumerate(lines)
        )
        return (
            f'<g class="{_edge_class(edge)} actions"><rect class="label" x="{left:.1f}" y="{top:.1f}" '
            f'width="{width:g}" height="{height:g}"/>{texts}</g>'
        )


def _edge_class(edge: StateEdge) -> str:
    return "edge" if edge.target else "edge breaks"


def _row(label: str, cell: Cell | str, top: float) -> str:
    """The name of a place, its value, the value's owner and its status."""
    base = top + 16
    if isinstance(cell, str):
        return f'<text class="place" x="{_PAD}" y="{base:g}">{text(label)}: {text(cell)}</text>'
    owner = cell.value.owner if cell.value else ""
    worth = f"{STATUS_MARKS[cell.status]} {cell.status}" if cell.status else ""
    return (
        f'<g class="row {owner_class(owner)} status-{cell.status or "none"}">'
        f'<rect class="ground" x="{_PAD + 58}" y="{top + 1:g}" width="{_WIDTH - 2 * _PAD - 58}" '
        f'height="{_ROW - 3}" rx="3"/>'
        f'<rect class="bar" x="{_PAD + 58}" y="{top + 1:g}" width="5" height="{_ROW - 3}" rx="2"/>'
        f'<text class="place" x="{_PAD}" y="{base:g}">{text(label)}</text>'
        f'<text class="value" x="{_PAD + 69}" y="{base:g}">{text(_short(cell))}</text>'
        f'<text class="owner" x="{_PAD + 136}" y="{base:g}">{text(holder_words(owner))}</text>'
        f'<text class="worth" x="{_WIDTH - _PAD - 6}" y="{base:g}">{text(worth)}</text></g>'
    )


def _short(cell: Cell) -> str:
    """A value in at most eight characters."""
    number = str(cell.value) if cell.value else "—"
    return number if len(number) <= 8 else f"{number[:4]}…{number[-3:]}"


def _label_size(lines: Sequence[str]) -> tuple[float, float]:
    return round(max(text_width(line, 12) for line in lines) + 10), len(lines) * _LINE + 5


def _sink_width(broken: tuple[str, ...]) -> int:
    return round(_CROSS + text_width(", ".join(broken), 13, 1.15) + _PAD)


def _sink_id(broken: tuple[str, ...]) -> str:
    return f"broken-{'-'.join(broken)}"


def _edge_id(edge: StateEdge) -> str:
    return f"edge-{edge.source}-{edge.target or _sink_id(edge.broken)}"


def _digraph(
    boxes: Sequence[_Box], sinks: Sequence[tuple[str, ...]], edges: Sequence[StateEdge]
) -> graphviz.Digraph:
    """The state space as DOT, with empty nodes and labels of the right sizes."""
    graph = graphviz.Digraph("statespace")
    graph.attr(rankdir="TB", splines="true", nodesep="0.5", ranksep="0.55", margin="0")
    graph.attr("node", shape="box", fixedsize="true", label="")
    graph.attr("edge", dir="none")
    for box in boxes:
        rank = {"group": "start"} if box.node.start else {}
        graph.node(box.id, id=box.id, width=_inches(_WIDTH), height=_inches(box.height), **rank)
    for broken in sinks:
        name = _sink_id(broken)
        graph.node(name, id=name, width=_inches(_sink_width(broken)), height=_inches(_SINK_HEIGHT))
    for edge in edges:
        width, height = _label_size(lines_of(edge.actions, _LABEL))
        size = f'fixedsize="true" width="{width:g}" height="{height:g}"'
        plain = 'border="0" cellborder="0" cellspacing="0" cellpadding="0"'
        label = f"<<table {plain}><tr><td {size}></td></tr></table>>"
        target = f"state-{edge.target}" if edge.target else _sink_id(edge.broken)
        graph.edge(f"state-{edge.source}", target, id=_edge_id(edge), label=label)
    return graph


def _inches(pixels: float) -> str:
    return f"{pixels / _POINTS:.4f}"
