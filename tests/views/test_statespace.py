"""The picture of a state space: every state and action is in it, nothing overlaps, all has words."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest

from vmxsim.checker.states_at_rest import states_at_rest
from vmxsim.views.layout import text_width
from vmxsim.widgets.state_graph import StateDrawing, lines_of, node_words, summary

SMALL = ("one-value", "no-smm", "no-swapgs")
DESIGNS = ("dedicated-accessors", "lazy-long-mode", "msr-array")
_NS = "{http://www.w3.org/2000/svg}"


def drawn(design: str) -> tuple[StateDrawing, ElementTree.Element]:
    drawing = StateDrawing(states_at_rest(design, assume=SMALL))
    return drawing, ElementTree.fromstring(drawing.svg("p1"))


@pytest.mark.parametrize("design", DESIGNS)
def test_every_state_and_every_edge_is_drawn_once(design: str) -> None:
    drawing, svg = drawn(design)
    ids = [e.get("id") for e in svg.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    for node in drawing.graph.nodes:
        assert f"p1-state-{node.number}" in ids
    edges = [e for e in svg.iter(f"{_NS}g") if (e.get("class") or "").startswith("edge")]
    labels = [e for e in edges if (e.get("class") or "").endswith("actions")]
    assert len(labels) == len(edges) - len(labels) == len(drawing.graph.edges)
    said = [re.sub("[ ,]", "", "".join(label.itertext())) for label in labels]
    assert said == [re.sub(" ", "", "".join(edge.actions)) for edge in drawing.graph.edges]


@pytest.mark.parametrize("design", DESIGNS)
def test_boxes_do_not_overlap_and_titles_fit(design: str) -> None:
    _, svg = drawn(design)
    boxes = []
    for group in svg.iter(f"{_NS}g"):
        kind = (group.get("class") or "").split()
        if kind and kind[0] in ("state", "sink"):
            x, y = map(float, re.findall(r"[\d.]+", group.get("transform") or ""))
            frame = next(r for r in group.iter(f"{_NS}rect") if r.get("class") == "frame")
            width, height = float(frame.get("width") or 0), float(frame.get("height") or 0)
            boxes.append((x, y, x + width, y + height))
            for one in group.iter(f"{_NS}text"):
                if one.get("class") in ("title", "verdict"):
                    left = float(one.get("x") or 0)
                    assert left + text_width(one.text or "", 13) <= width + 2, one.text
    for a, b in combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_it_has_a_title_and_says_everything_in_words() -> None:
    drawing, svg = drawn("dedicated-accessors")
    assert svg.get("role") == "img"
    labels = (svg.get("aria-labelledby") or "").split()
    title, desc = (next(e for e in svg.iter() if e.get("id") == label) for label in labels)
    assert title.text == "State space of dedicated-accessors, 64-bit host"
    text = desc.text or ""
    assert summary(drawing.graph) in text
    for node in drawing.graph.nodes:
        assert node_words(drawing.graph, node) in text


def test_what_breaks_is_marked_without_colour_too() -> None:
    _, svg = drawn("dedicated-accessors")
    sinks = [e for e in svg.iter(f"{_NS}g") if e.get("class") == "sink"]
    assert all("broken" in "".join(sink.itertext()) for sink in sinks)
    assert all(any(e.get("class") == "cross" for e in sink.iter()) for sink in sinks)
    assert any(e.get("class") == "edge breaks" for e in svg.iter(f"{_NS}g"))
    _, lazy = drawn("lazy-long-mode")
    assert "✖ a read would find 0x0" in " ".join(lazy.itertext())


def test_lines_keep_names_whole() -> None:
    lines = lines_of(["guest wrmsr 0xA000", "emulate wrmsr 0xA000", "preempt"], 22)
    assert lines == ["guest wrmsr 0xA000,", "emulate wrmsr 0xA000,", "preempt"]
