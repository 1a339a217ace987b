"""Traces of simulated runs: the reader must find what the run knows about itself."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vmxsim
from tests.ftrace.emitter import Emitter
from vmxsim.ftrace.evidence import DESIGNS
from vmxsim.ftrace.recording import read, verdict

#: A kernel with FSGSBASE and without; a task whose base comes from a descriptor.
HOSTS = (
    "host: 64-bit\nfsgsbase: true\n",
    "host: 64-bit\nfsgsbase: false\n",
    "host: 64-bit\n",
    "host: 64-bit\ngs_base_from: descriptor\n",
    "host: 32-bit\n",
    "host: 32-bit\ngs_base_from: msr\n",
)
#: What user space changes its own GS base to.
BASES = ("0x7f0000005000", "0x7f0000001000")
VALUES = ("0xA000", "0xffff888011110000", "0xB000")
#: Invariants that a recording can show to be broken.
SHOWN = ("guest-value", "host-value", "no-leak")


@st.composite
def scenarios(draw: st.DrawFn, design: str = "", host: str = "host: 64-bit\n") -> str:
    """Scenario text in which every action is possible; ``host`` is its fields of the host."""
    long_mode = start = draw(st.booleans())
    inside = False
    steps = []
    for _ in range(draw(st.integers(1, 12))):
        choices = ["run", "run", "run cancelled", "get-msr", "set-msr", "set-efer", "preempt", "user gs-base"]
        if inside:
            choices = [
                "guest wrmsr",
                "guest rdmsr",
                "guest long-mode",
                "emulate rdmsr",
                "emulate wrmsr",
                "preempt",
                "exit",
            ]
            choices += ["guest swapgs"] * long_mode
        action = draw(st.sampled_from(choices))
        if action.endswith(("wrmsr", "set-msr")):
            action += f" {draw(st.sampled_from(VALUES))}"
        elif action in ("guest long-mode", "set-efer"):
            long_mode = not long_mode
            action = action.removesuffix(" long-mode") + f" long-mode {'on' if long_mode else 'off'}"
        elif action == "user gs-base":
            action += f" {draw(st.sampled_from(BASES))}"
        elif action == "preempt":
            action += f" cpu{draw(st.integers(0, 1))}"
        elif action in ("run", "exit"):
            inside = action == "run"
        if action.startswith(("emulate", "guest long-mode")) and draw(st.booleans()):
            action, inside = f"{action}: {{signal: true}}", False
        steps.append(action)
    design = design or draw(st.sampled_from(DESIGNS))
    listed = "".join(f"\n  - {step}" for step in steps)
    return f"design: {design}\nlong_mode: {str(start).lower()}\n{host}steps:{listed}\n"


def replayed(scenario: str, probes: bool) -> tuple[dict[str, object], list[int], int]:
    """The verdict; the steps of the run that broke an invariant; the step of the event that is named."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.yaml"
        file.write_text(scenario)
        run = vmxsim.run(vmxsim.read_scenarios(file)[0])
        emitter = Emitter(run, "long_mode: true" in scenario, probes)
        trace = Path(folder) / "a.trace"
        trace.write_text(emitter.text())
        told = verdict(read(trace))
    broken = [
        violation.step
        for violation in run.violations
        # no event shows what KVM_GET_MSRS returns
        if violation.invariant in SHOWN and run.actions[violation.action] != "get-msr"
    ]
    event = told["event"]
    return told, broken, emitter.step_of_line[event["line"]] if event else -1


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)
@given(st.sampled_from(HOSTS).flatmap(lambda host: scenarios(host=host)), st.booleans())
def test_no_false_alarm_and_the_design_fits(scenario: str, probes: bool) -> None:
    told, broken, step = replayed(scenario, probes)
    design = scenario.split("\n")[0].removeprefix("design: ")
    assert design in told["fits"]  # type: ignore[operator]
    if told["verdict"] == "violated":
        assert broken and step >= broken[0] - 1


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)
@given(scenarios("dedicated-accessors"))
def test_every_break_of_the_seed_patch_is_found_with_probes(scenario: str) -> None:
    told, broken, step = replayed(scenario, probes=True)
    assert (told["verdict"] == "violated") == bool(broken), scenario
    if broken:
        assert abs(step - broken[0]) <= 1


def test_first_lazy_design_leaves_the_guests_value_to_the_host() -> None:
    steps = "\n  - run\n  - guest wrmsr 0xA000\n  - guest long-mode off\n  - exit"
    told, broken, step = replayed(
        f"design: lazy-long-mode\nlong_mode: true\nhost: 64-bit\nsteps:{steps}\n", True
    )
    assert told["verdict"] == "violated" and told["invariant"] == "host-value"
    assert abs(step - broken[0]) <= 1


@pytest.mark.parametrize("design", ["never-trap", "host-from-thread", "dedicated-accessors"])
def test_the_switchs_own_writes_without_fsgsbase(design: str) -> None:
    steps = "\n  - run\n  - guest wrmsr 0xA000\n  - preempt cpu1\n  - guest rdmsr\n  - exit"
    told, broken, _ = replayed(
        f"design: {design}\nlong_mode: true\nhost: 64-bit\nfsgsbase: false\nsteps:{steps}\n", False
    )
    assert not broken and told["verdict"] == "ok" and design in told["fits"]  # type: ignore[operator]


def test_a_host_value_that_leave_takes_for_the_guests_breaks_the_next_entry() -> None:
    """A signal ends KVM_RUN after the mode change, so that the guest has not run with it yet."""
    steps = "\n  - run\n  - guest long-mode on: {signal: true}"
    head = "design: dedicated-accessors\nlong_mode: false\nhost: 64-bit\nsteps:"
    told, broken, _ = replayed(f"{head}{steps}\n", True)
    assert (told["verdict"], broken) == ("ok", [])
    told, broken, step = replayed(f"{head}{steps}\n  - run\n", True)
    assert (told["verdict"], told["invariant"]) == ("violated", "guest-value") and abs(step - broken[0]) <= 1
    assert "leave had read it back as the guest's value" in str(told["words"])


def test_a_write_by_wrmsrns_leaves_no_event() -> None:
    steps = "\n  - run\n  - guest wrmsr 0xA000\n  - emulate wrmsr 0xB000\n  - guest rdmsr\n  - exit"
    for design, others in (("vcpu-vt", True), ("shared-accessors", False)):
        text = f"design: {design}\nlong_mode: true\nhost: 64-bit\nsteps:{steps}\n"
        told, broken, _ = replayed(text, False)
        assert not broken and told["verdict"] == "ok" and "shared-accessors" in told["fits"]  # type: ignore[operator]
        assert ("fsgsbase" in told["fits"]) == others  # type: ignore[operator]


def test_after_such_a_write_the_register_is_not_known_until_it_is_read(tmp_path: Path) -> None:
    actions = ["run", "guest wrmsr 0xA000", "emulate wrmsr 0xB000", "emulate rdmsr"]
    file = tmp_path / "a.trace"
    file.write_text(Emitter(vmxsim.run(actions, "shared-accessors", long_mode=True), True).text())
    recording = read(file)
    written = next(step.index for step in recording.steps if any("WRMSRNS" in note for note in step.notes))
    held = [recording.scene(n).cells()["cpu0.kernel_gs_base"].value for n in range(len(recording.steps) + 1)]
    assert held[written + 1] is None and held[-1] is not None and held[-1].number == 0xB000
