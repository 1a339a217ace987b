"""From DOT to positions: Graphviz in this process, else the ``dot`` program, else words.

pygraphviz's wheels bring Graphviz with them, so no system package is needed. Whether it or
a ``dot`` on PATH does the layout, the answer is read from the same JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from threading import Lock
from typing import Any

import graphviz
from attrs import frozen

from vmxsim.errors import InputError

#: Graphviz keeps state of its own: one layout at a time.
_ONE_AT_A_TIME = Lock()

Point = tuple[float, float]


class GraphvizMissing(InputError):
    """There is no Graphviz here; the message says what to install."""


@frozen
class Layout:
    """Where things are, in pixels from the upper left corner: nodes' corners by id, and edges' curves
    (a start, then three points for each Bézier piece) and the middle of their labels by id."""

    width: float
    height: float
    corners: Mapping[str, Point]
    curves: Mapping[str, tuple[Point, ...]]
    labels: Mapping[str, Point]


def layout(graph: graphviz.Digraph) -> Layout:
    """Lay a graph out with ``dot``. Raises GraphvizMissing where no Graphviz can be found."""
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
    """``pos`` of an edge; arrowheads (``e,`` and ``s,``) are not asked for, so only a spline is there."""
    pairs = (pair.split(",") for pair in text.split(";")[0].split())
    return tuple((float(p[0]), height - float(p[1])) for p in pairs if len(p) == 2)


def _json(graph: graphviz.Digraph) -> str:
    try:
        return _in_process(graph.source)
    except ImportError:
        pass
    try:
        with _ONE_AT_A_TIME:
            return graph.pipe(format="json0", encoding="utf-8")
    except graphviz.ExecutableNotFound:
        raise GraphvizMissing(
            "no Graphviz to draw with: run 'pip install pygraphviz' (its wheels hold Graphviz), "
            "or install your system's package 'graphviz', which brings the program 'dot'. "
            "Until then the same content is shown as a table"
        ) from None
    except graphviz.CalledProcessError as error:
        raise InputError(f"the program 'dot' could not lay the picture out: {_said(error)}") from None


def _in_process(source: str) -> str:
    from pygraphviz import AGraph

    with _ONE_AT_A_TIME:
        drawn: bytes = AGraph(string=source).draw(format="json0", prog="dot")
    return drawn.decode()


def _said(error: Any) -> str:
    said = error.stderr
    return (
        said.decode(errors="replace") if isinstance(said, bytes) else str(said or "")
    ).strip() or "no reason given"
