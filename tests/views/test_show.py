"""A picture as a cell's result, and a scene as a table."""

import pytest

import vmxsim
from tests.views.traces import Hostile, seed
from vmxsim.errors import InputError
from vmxsim.views import film as show
from vmxsim.views.layout import GraphvizMissing
from vmxsim.views.table import html_table


def test_a_notebook_gets_svg_and_words():
    bundle = vmxsim.picture(seed(), 12)._repr_mimebundle_()
    assert bundle["text/html"].startswith("<svg")
    assert bundle["text/plain"].startswith("vCPU thread 0, in the kernel on CPU 0")


def test_steps_count_from_either_end():
    trace = seed()
    assert vmxsim.picture(trace).index == len(trace.steps)
    assert vmxsim.picture(trace, -2).index == len(trace.steps) - 1
    with pytest.raises(InputError, match=r"has steps 0 .* to \d+"):
        vmxsim.picture(trace, len(trace.steps) + 1)


def test_only_a_run_or_a_recording_has_pictures():
    with pytest.raises(InputError, match="expected a run or a recording, not None"):
        vmxsim.picture(None)


def test_without_graphviz_a_notebook_gets_a_table(monkeypatch):
    def missing(trace, index):
        raise GraphvizMissing("install it")

    monkeypatch.setattr(show, "still", missing)
    html = vmxsim.picture(seed(), 3)._repr_mimebundle_()["text/html"]
    assert "install it" in html
    assert "<table>" in html


def test_a_picture_can_be_saved(tmp_path):
    vmxsim.picture(seed(), 3).save(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text(encoding="utf-8").startswith("<svg")


def test_hostile_text_stays_text_in_tables():
    html = html_table(Hostile().scene(0), "x", "<b>")
    assert "<script" not in html
    assert "<b>" not in html
