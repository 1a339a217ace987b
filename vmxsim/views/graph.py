"""A plan as DOT: a node per box, a port per cell, an edge per wire.

The nodes hold no text: every row has its size already (:mod:`vmxsim.views.plan`), so the
layout depends on no font and is the same on every machine.
"""

from __future__ import annotations

from itertools import pairwise

import graphviz

from vmxsim.views.plan import CELL, GAP, HEADER, BoxPlan, Plan

#: Pixels between two boxes of a column.
_BETWEEN = 26
_POINTS = 72


def digraph(plan: Plan) -> graphviz.Digraph:
    """The DOT of a picture's layout. Ids: a node has its box's, a port its cell's, an edge ``left=right``."""
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
        # The columns' upper edges in line: the heavier an edge, the straighter it is drawn.
        heads = (f"{nodes[left[0].id]}:head:e", f"{nodes[right[0].id]}:head:w")
        graph.edge(*heads, style="invis", weight="1000")
    for pair in plan.wires:
        ends = []
        for place, side in zip(pair, "ew", strict=True):
            home = plan.home(place)
            if home is not None:
                ends.append(f"{nodes[home[0].id]}:p{home[1]}:{side}")
        graph.edge(*ends, id="=".join(pair))
    return graph


def _table(box: BoxPlan) -> str:
    """An HTML-like label: empty rows of the right sizes, the cells' rows with ports."""

    def row(height: float, port: str = "") -> str:
        name = f' port="{port}"' if port else ""
        size = f'fixedsize="true" width="{box.width:g}" height="{height:g}"'
        return f"<tr><td{name} {size}></td></tr>"

    rows = [row(HEADER, "head")]
    if box.cells and box.cell_top(0) > HEADER:
        rows.append(row(box.cell_top(0) - HEADER))
    for index in range(len(box.cells)):
        rows.append(row(CELL, f"p{index}"))
        rows.append(
            row(GAP if index + 1 < len(box.cells) else box.height - box.cell_top(index) - CELL + box.stub)
        )
    if not box.cells:
        rows.append(row(box.height - HEADER + box.stub))
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="0">{"".join(rows)}</table>>'
