"""The known defects, each by the scenario that the history tells, and the designs without them."""

import pytest

from vmxsim.designs import DESIGNS
from vmxsim.simulation.run import run

ENTER_LONG_MODE = ["run", "guest long-mode on", "guest rdmsr"]
SECURE_BOOT = ["run", "guest wrmsr 0xA000", "guest smi", "exit", "run", "guest rsm", "guest rdmsr"]
LOST_WRITE = [
    "run",
    "guest wrmsr 0xA000",
    "guest long-mode off",
    "guest wrmsr 0xB000",
    "guest long-mode on",
    "guest rdmsr",
]


def broken(steps, design, **options):
    return {violation.invariant for violation in run(steps, design, **options).violations}


@pytest.mark.parametrize("host", ["64-bit", "32-bit"])
def test_seed_patch_shows_the_guest_a_host_value_after_entering_long_mode(host):
    trace = run(ENTER_LONG_MODE, "dedicated-accessors", host=host)
    assert trace.results[-1]["returned"] == "0x7f0000001000"
    assert {v.invariant for v in trace.violations} == {"guest-value", "no-leak"}
    assert trace.violations[0].action == 1, "the guest runs with the host's value before it reads it"


def test_seed_patch_breaks_secure_boot_as_it_was_reported():
    """SMI clears LMA, the handler exits to user space, RSM enters long mode again."""
    assert "guest-value" in broken(SECURE_BOOT, "678e315e78a7", long_mode=True)
    stays = [step for step in SECURE_BOOT if step not in ("exit", "run")]
    assert not broken(["run", *stays], "678e315e78a7", long_mode=True), "with no leave in between it works"


def test_seed_patch_loses_a_value_written_out_of_long_mode():
    trace = run(LOST_WRITE, "dedicated-accessors", long_mode=True)
    assert (trace.results[-1]["returned"], trace.results[-1]["true_guest_value"]) == ("0xa000", "0xb000")
    assert {v.invariant for v in trace.violations} == {"guest-value"}


@pytest.mark.parametrize("design", [d for d in DESIGNS if d not in ("dedicated-accessors", "lazy-long-mode")])
@pytest.mark.parametrize("host", ["64-bit", "32-bit"])
def test_the_other_designs_survive_the_seed_patchs_scenarios(design, host):
    assert not broken(ENTER_LONG_MODE, design, host=host)
    if design != "load-gs-index" or host == "64-bit":
        assert not broken(SECURE_BOOT, design, long_mode=True, host=host)
        assert not broken(LOST_WRITE, design, long_mode=True, host=host)


def test_host_user_space_runs_with_the_guests_value_where_lma_changes_first():
    steps = ["run", "guest wrmsr 0xA000", "guest long-mode off", "exit"]
    assert "host-value" in broken(steps, "lazy-long-mode", long_mode=True)
    assert not broken(steps, "lma-fix", long_mode=True)


def test_load_gs_index_loses_the_guests_value_on_a_32_bit_host_only():
    steps = ["run", "guest wrmsr 0xA000", "exit", "get-msr"]
    assert "guest-value" in broken(steps, "load-gs-index", host="32-bit", long_mode=True)
    assert not broken(steps, "load-gs-index", host="64-bit", long_mode=True)
    assert not broken(steps, "host-always", host="32-bit", long_mode=True)


def test_cancelled_entry_loads_guest_state_without_running_the_guest():
    result = run(["set-msr 0xA000", "run cancelled"], "never-trap").results[-1]
    assert [kind for kind, _, _ in result["accesses"]] == ["wrmsr", "rdmsr", "wrmsr"]
    assert not result["in_guest"] and not result["loaded"]


BAD_ADDRESS = "0x8000000000000000"


@pytest.mark.parametrize("design", DESIGNS)
def test_non_canonical_write_in_long_mode_faults_in_the_guest(design):
    trace = run(["run", f"guest wrmsr {BAD_ADDRESS}", "guest rdmsr"], design, long_mode=True)
    if design == "msr-array":  # intercepted, and KVM did not check then
        assert "no-host-fault" in {v.invariant for v in trace.violations}
    else:
        assert [r["returned"] for r in trace.results] == [None, "#GP", "0x0"]
        assert not trace.violations


@pytest.mark.parametrize("design", DESIGNS)
def test_kvm_checks_the_address_from_host_from_thread_on(design):
    trace = run([f"set-msr {BAD_ADDRESS}", "run", "guest rdmsr"], design, long_mode=True)
    checks = list(DESIGNS).index(design) >= list(DESIGNS).index("host-from-thread")
    assert trace.results[0]["returned"] == ("refused" if checks else None)
    assert ("no-host-fault" in {v.invariant for v in trace.violations}) == (not checks)


def test_real_bitmaps_pass_through_what_the_rule_would_intercept():
    """4.16 to 4.18 (inferred): a new vCPU's bitmap lets a guest out of long mode reach the register."""
    steps = ["run", "guest rdmsr"]
    assert not broken(steps, "host-from-thread")
    assert broken(steps, "host-from-thread", interception="bitmap") == {"guest-value", "no-leak"}
    assert "host-value" not in broken([*steps, "exit"], "host-from-thread", interception="bitmap")
