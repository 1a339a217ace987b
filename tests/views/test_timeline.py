"""The timeline: gapless and true."""

import pytest

from tests.views.traces import crowded, seed
from vmxsim.views.film import film


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
        assert lane["idle"] == (f'data-box="cpu{lane["cpu"]}"' not in data["svg"])
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
