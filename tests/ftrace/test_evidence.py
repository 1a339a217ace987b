"""A word only where an event shows it: recordings with kinds of events left out, in disorder, altered."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import vmxsim
from tests.ftrace.conftest import CLEAN, SEED, lines, without_probes
from tests.ftrace.emitter import Emitter
from tests.ftrace.forms import FORMS
from tests.ftrace.test_simulated import HOSTS, SHOWN, scenarios
from vmxsim.ftrace.faults import KINDS, inject
from vmxsim.ftrace.recording import Recording, read, verdict

Reads = Callable[[list[str]], Recording]

#: The design of the kernel that each was recorded on.
TRUTH = dict.fromkeys(CLEAN, "guest-state-loaded")
TRUTH |= {"s1.host-from-thread": "host-from-thread"} | dict.fromkeys(SEED, "dedicated-accessors")
TEXT = {name: lines(name) for name in TRUTH}
NAMES = sorted(set(TEXT) - {"fgraph"})
QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)
#: Tracepoints without which nothing can be called ok.
NEEDED = {"read_msr", "write_msr", "kvm_entry", "kvm_exit", "kvm_userspace_exit"}


def kind(line: str) -> str:
    """A line's event, a probe's as ``probe NAME``; '' for a comment."""
    if found := re.search(r"\d: (\w+): (\(?)", line):
        return f"probe {found[1]}" if found[2] else found[1]
    return ""


def told(text: Iterable[str] | bytes) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "t"
        file.write_bytes(text if isinstance(text, bytes) else ("\n".join(text) + "\n").encode())
        return verdict(read(file))


@st.composite
def left_out(draw: st.DrawFn, text: list[str]) -> set[str]:
    """Kinds of events that were not recorded: each of the tracepoints or not, and a share of the probes."""
    kinds = sorted({kind(line) for line in text} - {""})
    share = draw(st.sampled_from([0, 0.2, 0.5, 0.8, 1]))
    random = Random(draw(st.integers(0, 10**9)))
    probes = {name for name in kinds if name.startswith("probe ") and random.random() < share}
    return probes | draw(st.sets(st.sampled_from([name for name in kinds if not name.startswith("probe ")])))


def holds(name: str, full: dict[str, object], found: dict[str, object]) -> None:
    """No contradiction to the whole recording, and its design is not ruled out."""
    assert TRUTH[name] not in found["ruled_out"]  # type: ignore[operator]
    assert found["verdict"] in ("inconclusive", full["verdict"]), found["words"]


FULL = {name: told(text) for name, text in TEXT.items()}


@QUIET
@given(st.sampled_from(NAMES), st.data())
def test_kinds_of_events_that_are_not_recorded(name: str, data: st.DataObject) -> None:
    out = data.draw(left_out(TEXT[name]))
    kept = [line for line in TEXT[name] if kind(line) not in out]
    assume(any(map(kind, kept)))
    found = told(kept)
    holds(name, FULL[name], found)
    if out & NEEDED:
        assert found["verdict"] != "ok"


@settings(QUIET, max_examples=60)
@given(st.sampled_from(NAMES), st.sampled_from(sorted(FORMS)), st.data())
def test_the_same_in_each_form(name: str, form: str, data: st.DataObject) -> None:
    out = data.draw(left_out(TEXT[name]))
    kept = [line for line in TEXT[name] if kind(line) not in out]
    assume(any(map(kind, kept)))
    holds(name, FULL[name], told(FORMS[form](kept)))


@QUIET
@given(st.sampled_from(HOSTS).flatmap(lambda host: scenarios(host=host)), st.booleans(), st.data())
def test_simulated_runs_of_which_not_all_is_recorded(
    scenario: str, probes: bool, data: st.DataObject
) -> None:
    """The run knows which design it followed and whether an invariant broke; the text does not."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.yaml"
        file.write_text(scenario)
        run = vmxsim.run(vmxsim.read_scenarios(file)[0])
    text = Emitter(run, "long_mode: true" in scenario, probes).text().splitlines()
    out = data.draw(left_out(text))
    kept = [line for line in text if kind(line) not in out]
    assume(any(map(kind, kept)))
    found = told(kept)
    design = scenario.split("\n")[0].removeprefix("design: ")
    assert design not in found["ruled_out"]  # type: ignore[operator]
    broken = any(v.invariant in SHOWN and run.actions[v.action] != "get-msr" for v in run.violations)
    assert found["verdict"] != "violated" or broken


@QUIET
@given(st.sampled_from(NAMES), st.integers(0, 10**9), st.sampled_from([1, 3, 30]))
def test_lines_in_disorder(name: str, seed: int, swaps: int) -> None:
    """Neighbours change places, with their times: the file shows that, so nothing is concluded from it."""
    text = list(TEXT[name])
    random = Random(seed)
    for _ in range(swaps):
        at = random.randrange(len(text) - 1)
        text[at], text[at + 1] = text[at + 1], text[at]
    holds(name, FULL[name], told(text))


@settings(QUIET, max_examples=40)
@given(st.sampled_from(NAMES), st.integers(1, 10**4), st.integers(0, 50), st.integers(0, 0xFFFF))
def test_other_numbers(name: str, pids: int, later: int, page: int) -> None:
    """Other pids, times, bases and guest's values: the same verdict, the same designs."""

    def other(line: str) -> str:
        line = re.sub(r"(-|pid=)(\d{2,5})\b", lambda m: f"{m[1]}{int(m[2]) + pids}", line)
        line = re.sub(r"(\d+)(\.\d{6}: )", lambda m: f"{int(m[1]) + later}{m[2]}", line)
        return line.replace("7000aaaa", f"7{page:03x}bbbb"[:8]).replace("ffff8880", "ffff9991")

    found = told(other(line) for line in TEXT[name])
    assert (found["verdict"], found["fits"]) == (FULL[name]["verdict"], FULL[name]["fits"])


@pytest.mark.parametrize("name", ["long", "preempt", "migrate", "two", "efer"])
@pytest.mark.parametrize("fault", KINDS)
def test_wrong_values_are_found_whatever_the_design(name: str, fault: str, tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.write_text("\n".join(TEXT[name]) + "\n")
    for seed in range(3):
        found = told(inject(good, seed, fault).text.splitlines())
        assert found["verdict"] == "violated" if fault == "old value loaded" else found["verdict"] != "ok"


@pytest.mark.parametrize("name", ["long", "preempt", "migrate", "two", "efer"])
def test_a_leave_that_restores_another_value_than_enter_saved(name: str) -> None:
    """Wherever a KVM_RUN's leave writes another number than the one that the probes show as saved."""
    text = TEXT[name]
    for at, line in enumerate(text):
        if "write_msr: c0000102, value 7000" in line:
            found = told([*text[:at], line.replace("value 7000", "value 7111"), *text[at + 1 :]])
            assert (found["verdict"], found["invariant"]) == ("violated", "host-value"), line


def test_a_reload_that_restores_another_value_is_not_ok() -> None:
    """An enter follows at once, before user space or a context switch: broken or not, it is no 'ok'."""
    text = TEXT["s1.host-from-thread"]
    for at, line in enumerate(text):
        if "write_msr: c0000102, value 7000" in line:
            altered = [*text[:at], line.replace("value 7000", "value 7111"), *text[at + 1 :]]
            assert told(altered)["verdict"] != "ok", line


@pytest.mark.parametrize("name", ["preempt", "migrate", "two"])
def test_leaves_of_one_run_restore_one_value(name: str) -> None:
    """Without probes too: only user space changes it, and KVM_RUN has not returned in between."""
    text = without_probes(TEXT[name])
    verdicts = []
    for at, line in enumerate(text):
        if "write_msr: c0000102, value 7000" in line:
            altered = [*text[:at], line.replace("value 7000", "value 7111"), *text[at + 1 :]]
            verdicts.append(told(altered)["verdict"])
    assert verdicts.count("violated") > 1


def event(line: int, name: str, body: str, flags: str = "d..1.") -> str:
    return f" vcpu-a-77 [000] {flags} 1.{line:06}: {name}: {body}"


def test_no_access_rules_out_nothing(reading: Reads) -> None:
    """Of the register's accesses no event was recorded, so no design fits better than another."""
    emulated = [
        event(1, "kvm_exit", "vcpu 0 reason MSR_WRITE rip 0x10 info1 0x0 info2 0x0"),
        event(2, "kvm_msr", "msr_write c0000080 = 0xd01"),
        event(3, "kvm_entry", "vcpu 0, rip 0x12"),
        event(4, "kvm_exit", "vcpu 0 reason MSR_WRITE rip 0x12"),
        event(5, "kvm_msr", "msr_write c0000102 = 0xffff888000000000"),
        event(6, "kvm_entry", "vcpu 0, rip 0x14"),
    ]
    for text in (emulated[:3], emulated[2:]):
        found = verdict(reading(text))
        assert (found["verdict"], found["fits"], found["ruled_out"]) == ("inconclusive", [], {})


def test_a_fast_path_logs_two_exits_without_an_entry(reading: Reads) -> None:
    """Until 5.12 a re-entry in the fast path has no kvm_entry."""
    text = without_probes(TEXT["two"])
    at = next(i for i, line in enumerate(text) if "EXTERNAL_INTERRUPT" in line)
    assert verdict(reading([*text[: at + 1], text[at], *text[at + 1 :]]))["verdict"] == "ok"


def test_a_write_that_can_not_be_read_is_missing_evidence(reading: Reads) -> None:
    text = TEXT["long"]
    at = next(i for i, line in enumerate(text) if "write_msr: c0000102, value ffff" in line)
    found = verdict(reading([*text[:at], text[at].replace("value", "valve"), *text[at + 1 :]]))
    assert found["verdict"] == "inconclusive" and TRUTH["long"] in found["fits"]
    assert any(f"line {at + 1}" in note for note in found["notes"])


def test_kvm_on_amd_is_not_judged(reading: Reads) -> None:
    text = [line.replace("reason EPT_VIOLATION", "reason npf") for line in TEXT["long"]]
    found = verdict(reading(text))
    assert (found["verdict"], found["fits"], found["ruled_out"]) == ("inconclusive", [], {})
    assert "AMD" in found["words"]


def test_an_intercepted_write_survives_the_reload_inside_it(reading: Reads) -> None:
    """The write of the guest's MSR reloads the host, which saves the old value first."""
    at = "loaded={} hgs=0x7f0000001000 ggs={} cefer=0xd01"
    text = [
        event(1, "read_msr", "1d9, value 0"),
        event(2, "write_msr", "c0000103, value 0"),
        event(3, "vmx_save_host_state", f"(vmx_save_host_state+0x0/0x20) {at.format(0, '0x0')}"),
        event(4, "read_msr", "c0000102, value 7f0000001000"),
        event(5, "write_msr", "c0000102, value 0"),
        event(6, "ret_vmx_save_host_state", "(a+0x1/0x20 <- vmx_save_host_state)"),
        event(7, "kvm_entry", "vcpu 0, rip 0x10"),
        event(8, "kvm_exit", "vcpu 0 reason EXCEPTION_NMI rip 0x10"),
        event(9, "vmx_set_msr", f"(vmx_set_msr+0x0/0x20) {at.format(1, '0x0')} index=0xc0000102 data=0xb000"),
        event(10, "vmx_load_host_state", f"(vmx_load_host_state+0x0/0x20) {at.format(1, '0x0')}"),
        event(11, "read_msr", "c0000102, value 0"),
        event(12, "write_msr", "c0000102, value 7f0000001000"),
        event(13, "ret_vmx_load_host_state", "(a+0x1/0x20 <- vmx_load_host_state)"),
        event(14, "ret_vmx_set_msr", "(a+0x1/0x20 <- vmx_set_msr)"),
        event(15, "kvm_userspace_exit", "reason KVM_EXIT_INTR (10)"),
        event(16, "vmx_get_msr", f"(vmx_get_msr+0x0/0x20) {at.format(0, '0xb000')} index=0xc0000102"),
        event(17, "vmx_read_guest_kernel_gs_base", "(vmx_read_guest_kernel_gs_base+0x0/0x20) loaded=0"),
        event(18, "ret_r", "(vmx_get_msr+0x1/0x20 <- vmx_read_guest_kernel_gs_base) val=0xb000"),
        event(19, "ret_vmx_get_msr", "(a+0x1/0x20 <- vmx_get_msr)"),
    ]
    assert verdict(reading(text))["verdict"] != "violated"
    text[17] = text[17].replace("0xb000", "0x0")
    assert verdict(reading(text))["verdict"] == "violated"
