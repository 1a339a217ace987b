"""Recordings in the player: the verdict, the first broken event, long files in stretches."""

from __future__ import annotations

from pathlib import Path

import pytest

import vmxsim
from vmxsim.errors import InputError
from vmxsim.ftrace.recording import example_path
from vmxsim.widgets import replay as recorded


def test_a_broken_recording_opens_at_the_event() -> None:
    shown = vmxsim.replay("s1.dedicated-accessors")
    assert shown.verdict["verdict"] == "violated"
    frame = shown.player.films[0]["frames"][shown.player.position]
    assert frame["violations"][0][0] == shown.verdict["invariant"]
    assert "guest-value" in shown.children[0].value


def test_a_call_of_enter_that_does_nothing_is_not_skipped() -> None:
    """It is the answer to "where should the value have been loaded?"."""
    player = vmxsim.replay("s1.dedicated-accessors").player
    before = player.films[0]["frames"][player.start - 1]
    assert "vmx_prepare_switch_to_guest" in before["source"] and not before["changes"]
    assert not before["quiet"]


def test_a_long_recording_is_played_in_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "windows", lambda trace: recorded_windows(trace, 30))
    from vmxsim.simulation.trace import windows as recorded_windows

    shown = vmxsim.replay("s1.dedicated-accessors")
    assert len(shown.stretch.options) > 1
    frame = shown.player.films[0]["frames"][shown.player.position]
    assert frame["violations"], "the stretch with the broken event comes first"
    shown.stretch.value = 0
    assert shown.player.position == 0
    assert len(shown.player.films[0]["frames"]) == 31


def test_text_of_a_trace_is_no_markup(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>.trace"
    copy = tmp_path / name
    copy.write_text(example_path("s1.dedicated-accessors").read_text())
    shown = vmxsim.replay(copy)
    assert "<img" not in shown.children[0].value
    assert "<img" not in shown.player.films[0]["svg"]


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere"):
        vmxsim.replay(tmp_path / "nowhere.trace")


@pytest.mark.parametrize("name", ["explore", "predict", "present", "export", "exercise", "replay"])
def test_none_is_refused_in_words(name: str) -> None:
    with pytest.raises(InputError, match="expected"):
        getattr(vmxsim, name)(None)
