"""A recording as a Trace: steps, scenes, groups; what the views get."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.ftrace.conftest import CLEAN, SEED, lines
from vmxsim.ftrace import recording as module
from vmxsim.ftrace.recording import Recording, read, verdict
from vmxsim.simulation.trace import STATUSES

Reads = Callable[[list[str]], Recording]


@pytest.mark.parametrize("name", [*CLEAN, *SEED])
def test_scenes_go_forth_and_back(name: str, reading: Reads) -> None:
    recording = reading(lines(name))
    count = len(recording.steps)
    assert count > 10
    forth = [recording.scene(index) for index in range(count + 1)]
    assert [recording.scene(index) for index in range(count, -1, -1)] == forth[::-1]
    places = list(forth[0].cells())
    facts = [[name for name, _ in box.facts] for box in forth[0].boxes]
    for scene in forth:
        assert list(scene.cells()) == places
        assert [[name for name, _ in box.facts] for box in scene.boxes] == facts
        assert {cell.status for cell in scene.cells().values()} <= set(STATUSES)


@pytest.mark.parametrize("name", [*CLEAN, *SEED])
def test_steps_are_numbered_and_grouped(name: str, reading: Reads) -> None:
    recording = reading(lines(name))
    assert [step.index for step in recording.steps] == list(range(len(recording.steps)))
    actions = [step.action for step in recording.steps]
    assert actions == sorted(actions) and actions[-1] < len(recording.actions)
    assert sum("KVM_RUN" in action for action in recording.actions) >= 2
    places = recording.scene(0).cells()
    for step in recording.steps:
        for move in step.moves:
            assert {move.source, move.target} - {""} <= set(places)


@pytest.mark.parametrize("name", CLEAN)
def test_nothing_is_foreign_where_nothing_is_wrong(name: str, reading: Reads) -> None:
    recording = reading(lines(name))
    for index, step in enumerate(recording.steps, 1):
        for place, cell in recording.scene(index).cells().items():
            if not place.startswith("cpu") or step.mode == "guest":
                assert cell.status != "foreign", (index, place)


def test_the_wrong_value_is_seen() -> None:
    recording = read("s1.dedicated-accessors")
    first = recording.violations[0]
    cell = recording.scene(first.step + 1).cells()["cpu0.kernel_gs_base"]
    assert cell.value is not None and cell.value.number == 0x7000AAAA0000
    assert (cell.value.owner, cell.status) == ("thread0", "foreign")
    assert recording.steps[first.step].violations == (first,)
    saved = recording.scene(len(recording.steps)).cells()["vcpu0.g"]
    assert saved.value is not None and (saved.value.owner, saved.status) == ("thread0", "foreign")


def test_a_long_recording_shows_the_steps_around_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read("s1.dedicated-accessors")
    expected = whole.violations[0]
    before = whole.scene(expected.step)
    monkeypatch.setattr(module, "MAX_STEPS", 20)
    recording = read("s1.dedicated-accessors")
    assert len(recording.steps) <= 20
    assert recording.violations[0].words == expected.words
    scene = recording.scene(recording.violations[0].step)
    assert scene.cells()["cpu0.kernel_gs_base"] == before.cells()["cpu0.kernel_gs_base"]
    assert any("events are shown as steps" in note for note in recording.notes)
    assert verdict(recording) == verdict(whole)


def test_names_from_the_trace_are_data(reading: Reads) -> None:
    text = [line.replace("kvmtest", "<b>\x1b[1m") for line in lines("long")]
    recording = reading(text)
    titles = [box.title for box in recording.scene(0).boxes]
    assert not any("\x1b" in title for title in titles)
    assert not any("\x1b" in step.source + step.function for step in recording.steps)
