"""What a state space must be for the views to draw it, and how its parts are said in words."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Protocol

from vmxsim.errors import printable
from vmxsim.model.value import Value, owner_words
from vmxsim.trace import Cell
from vmxsim.views.style import holder_words, status_words


class Look(Protocol):
    """What there is to see of a state."""

    @property
    def mode(self) -> str: ...
    @property
    def long_mode(self) -> bool: ...
    @property
    def smm(self) -> bool: ...
    @property
    def loaded(self) -> bool: ...
    @property
    def cells(self) -> Sequence[Cell]: ...
    @property
    def true(self) -> Value: ...
    @property
    def read(self) -> Value: ...
    @property
    def right(self) -> bool: ...
    @property
    def told(self) -> Sequence[tuple[str, str]]: ...


class Node(Protocol):
    """A state: its number from 1, what it looks like, and the actions that leave it as it is."""

    @property
    def number(self) -> int: ...
    @property
    def look(self) -> Look: ...
    @property
    def start(self) -> bool: ...
    @property
    def stays(self) -> Sequence[str]: ...


class Edge(Protocol):
    """Actions that lead from one state to another; to 0 where they break invariants."""

    @property
    def source(self) -> int: ...
    @property
    def target(self) -> int: ...
    @property
    def actions(self) -> Sequence[str]: ...
    @property
    def broken(self) -> Sequence[str]: ...


class Graph(Protocol):
    """A state space."""

    @property
    def design(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def assumptions(self) -> Sequence[str]: ...
    @property
    def nodes(self) -> Sequence[Node]: ...
    @property
    def edges(self) -> Sequence[Edge]: ...
    @property
    def states(self) -> int: ...


#: Where a thread is at rest.
MODES = {"user": "in user space", "guest": "in the guest"}


def title_words(look: Look) -> str:
    """A state in a few words: ``in the guest, long mode, loaded``; in user space that is rare, and said."""
    words = [MODES[look.mode], "long mode" if look.long_mode else "no long mode"]
    words += ["SMM"] * look.smm
    if look.loaded or look.mode == "guest":
        words.append("loaded" if look.loaded else "not loaded")
    return ", ".join(words)


def read_words(look: Look) -> str:
    """Whether the guest would read the right value."""
    if look.right:
        return "✔ a read would be right"
    return f"✖ a read would find {look.read} ({owner_words(look.read.owner)})"


def lines_of(words: Sequence[str], width: int) -> list[str]:
    """Names with commas between them, in lines of about ``width`` characters; no name is cut."""
    text = ", ".join(printable(word).replace(" ", "\0") for word in words)
    return [
        line.replace("\0", " ") for line in wrap(text, width, break_long_words=False, break_on_hyphens=False)
    ]


def summary(graph: Graph) -> str:
    """How big it is, and under which assumptions."""
    count = len(graph.nodes)
    merged = f", drawn as {count}: some look and behave alike" if count != graph.states else ""
    granted = f"; assuming {', '.join(graph.assumptions)}" if graph.assumptions else ""
    broken = sorted({name for edge in graph.edges for name in edge.broken})
    breaks = f" Some actions break {', '.join(broken)}." if broken else " No action breaks an invariant."
    return f"{graph.states} states at rest{merged}{granted}.{breaks}"


def node_words(graph: Graph, node: Node) -> str:
    """A state and where its actions lead, as sentences."""
    look = node.look
    cells = "; ".join(
        f"{cell.label} holds {cell.value} of {holder_words(cell.value.owner)},"
        f" {status_words(cell.status)[2:]}"
        for cell in look.cells
        if cell.value is not None
    )
    parts = [f"State {node.number}{' (a start)' if node.start else ''}: {title_words(look)}.", f"{cells}."]
    parts += [f"{name}: {words}." for name, words in look.told]
    parts.append(f"True value {look.true}; {read_words(look)[2:]}.")
    going = [edge for edge in graph.edges if edge.source == node.number]
    for edge in going:
        where = f"to state {edge.target}" if edge.target else f"breaks {', '.join(edge.broken)}"
        parts.append(f"{', '.join(edge.actions)}: {where}.")
    if node.stays:
        parts.append(f"Nothing changes by {', '.join(node.stays)}.")
    return " ".join(parts)
