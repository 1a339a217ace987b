"""Lanes: gapless, true, and drawn three ways."""

from xml.etree import ElementTree

import pytest

from tests.views.traces import Hostile, crowded, seed
from vmxsim.views.film import film
from vmxsim.views.lanes import timeline_svg, timeline_text


@pytest.mark.parametrize("make", [seed, crowded])
def test_lanes_are_gapless_and_true(make):
    trace = make()
    data = film(trace)
    for lane in data["timeline"]["cpus"]:
        expected = 0
        for span in lane["spans"]:
            assert span["from"] == expected <= span["to"]
            expected = span["to"] + 1
            for frame in range(span["from"], span["to"] + 1):
                assert data["frames"][frame]["cells"][f"cpu{lane['cpu']}.kernel_gs_base"][1] == span["owner"]
        assert expected == len(data["frames"])
    actions = data["timeline"]["actions"]
    assert [span["label"] for span in actions] == list(trace.actions)
    assert actions[0]["from"] == 0
    assert actions[-1]["to"] == len(trace.steps)


def test_the_guest_s_stretches_are_told_apart():
    trace = seed()
    lane = film(trace)["timeline"]["cpus"][0]
    guest = [span for span in lane["spans"] if span["mode"] == "guest"]
    assert guest
    for span in guest:
        assert "in the guest" in dict(trace.scene(span["from"]).boxes[0].facts)["runs"]


def test_preemption_and_migration_are_marked():
    marks = film(crowded())["timeline"]["marks"]
    assert {("preempt", 0), ("preempt", 1), ("migrate", 3), ("migrate", 2)} <= {
        (m["kind"], m["cpu"]) for m in marks
    }
    assert any(mark["kind"] == "pending" for mark in marks)


def test_violations_are_marked_where_they_happen():
    trace = seed()
    marks = [mark for mark in film(trace)["timeline"]["marks"] if mark["kind"] == "violation"]
    assert [mark["frame"] - 1 for mark in marks] == [s.index for s in trace.steps for _ in s.violations]


def test_the_svg_says_itself_in_words():
    root = ElementTree.fromstring(timeline_svg(crowded(), 5))
    assert root.get("role") == "img"
    words = root.findtext("{http://www.w3.org/2000/svg}desc")
    assert "CPU 0 holds the value of: vCPU thread 0 from step 0" in words
    assert "vCPU thread 0 continues on CPU 3" in words


def test_hostile_text_stays_text():
    assert ElementTree.fromstring(timeline_svg(Hostile())) is not None


def test_the_terminal_s_version_has_a_row_a_cpu():
    lines = timeline_text(crowded(), 80).splitlines()
    assert [line[:5] for line in lines if line.startswith("CPU")] == ["CPU 0", "CPU 1", "CPU 2", "CPU 3"]
    assert max(map(len, lines[:-1])) <= 80
    assert "▼" in "".join(lines)
