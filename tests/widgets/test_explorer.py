"""The explorer without a browser: every choice runs, every error is said, nothing is lost."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import vmxsim
from vmxsim.designs import DESIGNS
from vmxsim.designs.dedicated_accessors import DedicatedAccessors
from vmxsim.errors import InputError
from vmxsim.simulation.compare import align
from vmxsim.simulation.run import run
from vmxsim.simulation.trace import Window, windows
from vmxsim.widgets.controls import OPERATIONS, actions_of
from vmxsim.widgets.explore import Explorer, scenario_text


def message(explorer: Explorer) -> str:
    return str(explorer.controls.message.value)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.id)
def test_every_operation_runs_on_every_design(operation: object) -> None:
    for design in DESIGNS:
        for long_mode in (False, True):
            for loaded in (False, True):
                actions, preparation = actions_of(operation, long_mode, loaded)  # type: ignore[arg-type]
                trace = run(actions, design, long_mode=long_mode)
                assert any(step.action >= preparation for step in trace.steps)


def test_the_view_starts_at_the_operation() -> None:
    explorer = vmxsim.explore(operation="leave", loaded=True)
    step = explorer.traces[0].steps[explorer.player.position]
    assert step.function in OPERATIONS["leave"].focus
    assert explorer.player.position > 0


def test_a_tick_stays_when_a_toggle_changes_the_preparation() -> None:
    explorer = vmxsim.explore("host-from-thread", "read")
    before = explorer.player.position
    explorer._on_tick(before + 3, 1)
    assert message(explorer) == ""
    assert explorer.player.position == before + 3
    assert explorer.controls.preemption.value
    explorer.controls.long_mode.value = False
    assert explorer.controls.step.value == explorer.player.position + 3
    explorer.controls.preemption.value = False
    assert explorer._ticks == []


def test_a_tick_beyond_the_end_of_a_shorter_run_is_not_moved_by_the_control(monkeypatch: Any) -> None:
    explorer = vmxsim.explore(operation="smm")
    explorer._on_tick(len(explorer.traces[0].steps) - 1, 1)
    ticks = list(explorer._ticks)
    assert ticks
    monkeypatch.setattr(explorer, "_try_ticks", None)  # nothing calls it: nothing is run twice
    explorer.controls.operation.value = "read"
    assert message(explorer) == "" and explorer._ticks == ticks


def test_a_later_tick_is_kept_out_of_a_future_that_changed() -> None:
    explorer = vmxsim.explore(operation="read")
    start = explorer.player.position
    explorer._on_tick(start + 4, 1)
    explorer._on_tick(start + 9, 0)
    assert [offset for offset, _ in explorer._ticks] == [4, 9]
    explorer._on_tick(start + 5, 0)
    assert explorer._ticks == [(4, 1), (5, 0)]


def test_a_tick_before_anything_ran_is_refused_in_words() -> None:
    explorer = vmxsim.explore()
    explorer._on_tick(0, 1)
    assert "nothing has run yet" in message(explorer)
    assert explorer._ticks == []


def test_what_is_wrong_is_said_and_the_last_picture_stays() -> None:
    explorer = vmxsim.explore()
    film = explorer.player.films
    explorer.controls.operation.value = "own"
    assert "emulate rdmsr" in explorer.controls.text.value, "the reader starts from what was shown"
    for bad in (
        "steps: [rum]",
        "steps:\n- guest rdmsr",
        "a: [",
        "<b>x</b>:\n- 1",
        "\0",
        "host: 16-bit\nsteps:\n- run",
    ):
        explorer.controls.text.value = bad
        assert 'role="alert"' in message(explorer)
        assert "<b>" not in message(explorer)
        assert explorer.controls.text.value == bad
        assert explorer.player.films[0]["frames"] == film[0]["frames"]
    explorer.controls.text.value = "steps:\n- run"
    assert message(explorer) == ""


def test_a_defect_of_our_own_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    explorer = vmxsim.explore()
    monkeypatch.setattr("vmxsim.widgets.explore.film", lambda trace, **options: 1 / 0)
    explorer.controls.long_mode.value = False
    assert "ZeroDivisionError" in message(explorer)


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("design: never-trap\nsteps:\n- run\n- guest wrmsr 0x1000\n")
    explorer = vmxsim.explore(scenario=path)
    assert "0x1000" in explorer.controls.text.value
    explorer.controls.text.value = ""
    explorer.controls.file.value = str(path)
    assert message(explorer) == ""
    assert explorer.controls.designs[0].value == "never-trap"
    explorer.controls.file.value = str(tmp_path / "none.yaml")
    assert "none.yaml" in message(explorer)


def test_what_cannot_be_explored_is_refused() -> None:
    for arguments in ({"design": "dedicated"}, {"operation": "reed"}, {"host": "16-bit"}, {"scenario": 3}):
        if arguments == {"design": "dedicated"}:
            vmxsim.explore(**arguments)  # an unambiguous prefix
            continue
        with pytest.raises(InputError):
            vmxsim.explore(**arguments)


def test_the_readers_own_design() -> None:
    class Mine(DedicatedAccessors):
        """Reads without looking where the value is."""

        def vmx_read_guest_kernel_gs_base(self, vmx):
            return vmx.msr_guest_kernel_gs_base

    explorer = vmxsim.explore(Mine, "read")
    assert explorer.controls.designs[0].label == "Mine (yours)"
    assert explorer.traces[0].design is Mine


def test_a_list_of_actions_becomes_text() -> None:
    text = scenario_text(["run", {"guest long-mode on": {"preempt": {"before": "rdmsr", "cpu": 1}}}])
    assert vmxsim.read_scenarios(text)[0].steps[0] == "run"


def test_alignment_goes_through_both_runs() -> None:
    scenario = ["run", "guest long-mode on", "guest rdmsr", "exit"]
    for pair in (
        ("host-from-thread", "dedicated-accessors"),
        ("msr-array", "vcpu-vt"),
        ("vcpu-vt", "vcpu-vt"),
    ):
        a, b = (run(scenario, design) for design in pair)
        pairs = align(a, b)
        assert pairs[0] == (0, 0)
        assert pairs[-1] == (len(a.steps), len(b.steps))
        for (i, j), (k, n) in pairwise(pairs):
            assert (k - i, n - j) in {(1, 1), (1, 0), (0, 1)}
    assert all(i == j for i, j in pairs)


def test_compare_marks_the_first_divergence() -> None:
    shown = vmxsim.compare("host-from-thread", "dedicated-accessors")
    assert shown.player.divergence["text"].startswith("First divergence")
    assert 0 < shown.player.divergence["slot"] < len(shown.player.pairs)
    steps = len(shown.traces[1].steps)
    shown._on_tick(30, 0)
    assert message(shown) == ""
    assert len(shown.traces[1].steps) > steps


def test_compare_of_two_that_never_differ_says_so() -> None:
    shown = vmxsim.compare("guest-state-loaded", "vcpu-vt")
    assert ">No schedule shows a difference" in message(shown)
    assert shown.player.divergence["text"].startswith("No divergence")


def test_films_are_plain_data() -> None:
    json.dumps(vmxsim.explore().player.films)


def test_windows_cover_a_long_trace() -> None:
    trace = run(["run", "exit"] * 4, "vcpu-vt")
    spans = windows(trace, 50)
    assert spans[0][0] == 0
    assert spans[-1][1] == len(trace.steps)
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    window = Window(trace, *spans[1])
    assert window.scene(0) == trace.scene(spans[1][0])
    assert [step.index for step in window.steps] == list(range(len(window.steps)))
    assert all(0 <= step.action < len(window.actions) for step in window.steps)


def test_where_the_gs_base_comes_from_is_a_control_and_reaches_the_schedule() -> None:
    """Mainline's hole: a 64-bit task that has loaded a selector, on a kernel without FSGSBASE."""
    explorer = vmxsim.explore("vcpu-vt", "leave", gs_base_from="descriptor")
    assert not explorer.traces[0].violations
    explorer.controls.fsgsbase.value = "off"
    assert {v.invariant for v in explorer.traces[0].violations} == {"host-value"}
    labels = {cell.label for cell in explorer.traces[0].scene(0).cells().values()}
    assert {"thread.gsbase", "descriptor's base"} <= labels
    explorer.controls.operation.value = "own"
    assert "gs_base_from: descriptor" in explorer.controls.text.value
    assert "fsgsbase: false" in explorer.controls.text.value
    assert explorer.controls.gs_base_from.layout.display == "none", "the scenario says it"


def test_two_designs_are_compared_on_the_host_that_was_chosen() -> None:
    shown = vmxsim.compare("host-always", "vcpu-vt", gs_base_from="descriptor", fsgsbase=False)
    assert [bool(trace.violations) for trace in shown.traces] == [False, True]
    for arguments in ({"gs_base_from": "register"}, {"fsgsbase": "yes"}):
        with pytest.raises(InputError):
            vmxsim.explore(**arguments)  # type: ignore[arg-type]
