"""The explorer's panel that checks every schedule, without a browser."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import vmxsim
from vmxsim.checker.assumptions import ASSUMPTIONS
from vmxsim.checker.result import headline
from vmxsim.designs.host_from_thread import HostFromThread
from vmxsim.kernel.kvm import name_of
from vmxsim.widgets.check_form import Background, CheckForm
from vmxsim.widgets.explore import Explorer


class NothingSaved(HostFromThread):
    """Enters the guest without saving the host's value."""

    def vmx_save_host_state(self, vmx):
        return


def opened(explorer: Explorer) -> CheckForm:
    explorer.panel.fold.click()
    assert explorer.panel.form is not None
    return explorer.panel.form


def checked(explorer: Explorer, **chosen: object) -> CheckForm:
    form = explorer.panel.form or opened(explorer)
    for name, value in chosen.items():
        getattr(form, name).value = value
    form.check.click()
    form.background.wait(60)
    assert not form.background.running
    return form


def test_the_checker_is_loaded_when_the_panel_opens() -> None:
    code = (
        "import sys, vmxsim; e = vmxsim.explore();"
        "print(any(name.startswith('vmxsim.checker') for name in sys.modules));"
        "e.panel.fold.click(); print('vmxsim.checker.check' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_it_opens_folds_and_keeps_what_it_holds() -> None:
    explorer = vmxsim.explore()
    form = opened(explorer)
    assert explorer.panel.unfolded
    form.assumptions["no-smm"].value = True
    explorer.panel.fold.click()
    assert not explorer.panel.unfolded
    assert opened(explorer) is form
    assert form.assumed == ("no-smm",)
    assert set(form.assumptions) == set(ASSUMPTIONS)


def test_a_violated_design_and_its_counterexample_in_the_stepper() -> None:
    explorer = vmxsim.explore()
    form = checked(explorer)
    told = form.findings.verdict.value
    assert "is VIOLATED" in told
    assert "✖</b> violated" in told
    assert "✔</b> holds" in told
    assert "situations that a pass should cover" in told
    assert len(form.findings.choice.options) == 4
    example = form.findings.chosen
    assert example is not None
    assert example.invariant == "guest-value"
    assert "Why is this wrong?" in form.findings.example.value
    assert "guest long-mode on" in form.findings.example.value
    form.findings.button.click()
    assert form.findings.message.value == ""
    assert explorer.controls.operation.value == "own"
    assert "guest long-mode on" in explorer.controls.text.value
    trace = explorer.traces[0]
    assert trace.violations[0].invariant == "guest-value"
    assert explorer.player.position == example.explanation.step + 1
    assert f"step {explorer.player.position} loses" in form.findings.loaded.value


def test_another_counterexample_on_the_other_host() -> None:
    explorer = vmxsim.explore()
    form = checked(explorer)
    form.findings.choice.value = 3
    assert "32-bit" in form.findings.choice.label
    form.findings.button.click()
    assert "32-bit" in explorer.controls.text.value
    assert explorer.traces[0].scenario.host == "32-bit"


def test_a_safe_design() -> None:
    form = checked(vmxsim.explore("vcpu-vt"), host="64-bit")
    assert "is SAFE on a 64-bit host" in form.findings.verdict.value
    assert form.findings.counterexample.layout.display == "none"
    assert form.line.value.startswith("<span>Done: ")


def test_a_result_says_whose_it_is_when_another_design_was_chosen_meanwhile() -> None:
    explorer = vmxsim.explore("dedicated-accessors")
    form = checked(explorer, host="64-bit")
    explorer.controls.designs[0].value = "vcpu-vt"
    assert form.check.description == "Check vcpu-vt"
    assert "dedicated-accessors is VIOLATED" in form.findings.verdict.value
    form.findings.button.click()
    assert explorer.controls.designs[0].value == "dedicated-accessors", "the design that was checked"
    assert explorer.traces[0].violations


def test_a_tick_of_the_reader_does_not_disturb_the_counterexample() -> None:
    explorer = vmxsim.explore()
    explorer._on_tick(explorer.player.position + 3, 1)
    form = checked(explorer, host="64-bit")
    form.findings.button.click()
    assert explorer._ticks == []
    assert not explorer.controls.preemption.value


def test_the_readers_own_design() -> None:
    explorer = vmxsim.explore(NothingSaved)
    form = checked(explorer, host="64-bit")
    assert "NothingSaved is VIOLATED" in form.findings.verdict.value
    form.findings.button.click()
    assert form.findings.message.value == ""
    assert explorer.traces[0].design is NothingSaved
    assert explorer.traces[0].violations


class Failing(HostFromThread):
    """Enables preemption that is enabled already."""

    def vmx_save_host_state(self, vmx):
        preempt_enable()  # noqa: F821
        preempt_enable()  # noqa: F821


def test_a_design_that_fails_has_no_run_to_step_through() -> None:
    explorer = vmxsim.explore("vcpu-vt")
    explorer.controls.choose_design(0, Failing)
    form = checked(explorer, host="64-bit")
    assert "contract" in form.findings.verdict.value
    film = explorer.player.films
    form.findings.button.click()
    assert "no run to step through: the design fails" in form.findings.message.value
    assert explorer.player.films == film


def test_either_of_two_designs() -> None:
    explorer = vmxsim.compare("vcpu-vt", "dedicated-accessors")
    form = opened(explorer)
    assert [label for label, _ in form.which.options] == ["A: vcpu-vt", "B: dedicated-accessors"]
    form.which.value = 1
    assert form.check.description == "Check dedicated-accessors"
    checked(explorer, host="64-bit")
    form.which.value = 0
    form.findings.button.click()
    assert form.findings.message.value == ""
    assert [name_of(t.design) for t in explorer.traces] == ["vcpu-vt", "dedicated-accessors"]
    example = form.findings.chosen
    slot = explorer.player.pairs[explorer.player.position]
    assert slot[1] == example.explanation.step + 1, "the step of the design that was checked"
    assert f"step {explorer.player.position} loses" in form.findings.loaded.value


def test_what_is_wrong_is_said_in_the_panel() -> None:
    form = opened(vmxsim.explore())
    form.assume(("starts-in-long-mode", "starts-outside-long-mode"))
    form.check.click()
    form.background.wait(60)
    assert 'role="alert"' in form.message.value
    assert "cannot start both" in form.message.value
    assert not form.check.disabled
    assert form.stop.disabled
    form.nothing.click()
    assert form.assumed == ()


def test_stop_ends_a_long_check() -> None:
    form = opened(vmxsim.explore("vcpu-vt"))
    form.vcpus.value = form.cpus.value = 4
    form.check.click()
    assert form.check.disabled
    assert not form.stop.disabled
    assert "<progress" in form.bar.value
    form.stop.click()
    form.background.wait(60)
    assert "INCOMPLETE" in form.findings.verdict.value
    assert "✔" not in form.findings.verdict.value
    assert form.line.value.startswith("<span>Stopped")
    assert "<progress" not in form.bar.value
    assert form.stop.disabled


def test_a_defect_of_our_own_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    form = opened(vmxsim.explore())
    monkeypatch.setattr("vmxsim.widgets.check_form.check", lambda *a, **options: 1 / 0)
    form.check.click()
    form.background.wait(60)
    assert "ZeroDivisionError" in form.message.value
    assert not form.check.disabled


def test_the_state_space_is_drawn_or_it_says_what_would_make_it_small() -> None:
    form = opened(vmxsim.explore())
    form.space.draw.click()
    assert "Not drawn: 626 states at rest" in form.space.told.value
    assert "assuming one-value, no-smm, no-swapgs there are 12" in form.space.told.value
    assert form.space.picture.value == ""
    form.space.fewer.click()
    assert set(form.assumed) == {"one-value", "no-smm", "no-swapgs"}
    assert 'class="vmxsim-statespace"' in form.space.picture.value
    form.space.clear.click()
    assert form.space.picture.value == ""


def test_progress_is_told_a_few_times_a_second() -> None:
    heard: list[int] = []
    background = Background()
    background.start(
        lambda progress, stopped: [progress(n, 0.1) for n in range(10_000)], lambda n, _: heard.append(n)
    )
    background.wait(10)
    assert len(heard) < 10


def test_options_of_the_command_line_are_left_out() -> None:
    cut = vmxsim.check("never-trap", host="64-bit", max_states=20)
    assert re.search(r"the limit of 20 states was reached \(--max-states\); ", headline(cut))
    assert re.search(r"the limit of 20 states was reached; ", headline(cut, options=False))


def test_the_host_that_is_chosen_is_checked_and_drawn() -> None:
    """Mainline's hole: a 64-bit task that has loaded a selector, on a kernel without FSGSBASE."""
    form = opened(vmxsim.explore("vcpu-vt"))
    form.host.value, form.gs_base_from.value, form.fsgsbase.value = "64-bit", "descriptor", "off"
    form.check.click()
    form.background.wait(60)
    result = form.findings.result
    assert result is not None and result.verdict == "violated"
    assert result.counterexample.scenario.gs_base_from == "descriptor"
    form.assume(("one-value", "no-smm", "no-swapgs"))
    form.space.draw.click()
    assert "GS base from a descriptor, no FSGSBASE" in form.space.picture.value
