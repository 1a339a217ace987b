"""The step that an explanation names is one without which, or with what it lacks, the schedule is right."""

import pytest

from tests.checker.blamed import CASES, FieldOnlyWrite
from tests.checker.failing import SwitchesNothing, TakesEqualForDone
from tests.checker.replaying import checked
from vmxsim.checker import explanation
from vmxsim.checker.assumptions import restriction
from vmxsim.checker.explanation import KINDS, explain
from vmxsim.checker.rerun import Remedy, mends, rerun
from vmxsim.checker.why import variant
from vmxsim.designs.dedicated_accessors import DedicatedAccessors
from vmxsim.designs.host_always import HostAlways
from vmxsim.kernel.compiler import lower_text
from vmxsim.kernel.language import *
from vmxsim.simulation.run import run


def with_lines(design, name, number, lines):
    """The design with other lines in place of one of a function's."""
    function = design.functions()[name]
    source = list(function.source)
    old = source[number - 1]
    indent = old[: len(old) - len(old.lstrip())]
    source[number - 1 : number] = [f"{indent}{line}" for line in lines or ("pass",)]
    changed = lower_text(function, source, design.functions().__contains__)
    return variant(design, name, changed, "mended")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_names_the_line_and_with_another_one_there_the_schedule_is_right(case):
    (host,) = checked(case.design, host=case.host).hosts
    example = host.counterexamples[case.invariant]
    found = example.explanation
    step = example.trace.steps[found.step]
    assert (step.function, step.source, found.kind) == (case.function, case.line, case.kind), found.words
    assert f"step {found.step + 1} of the run ({step.function}, line {step.line}: " in found.words
    assert found.mechanism and found.why and found.effect
    broken = {v.invariant for v in run(example.scenario, case.design).violations}
    assert case.invariant in broken
    mended = run(example.scenario, with_lines(case.design, case.function, step.line, case.instead))
    assert not [v for v in mended.violations if v.invariant == case.invariant], mended.violations


def test_every_kind_is_among_them():
    assert {case.kind for case in CASES} == set(KINDS)


THREE, GUEST = ("host-value", "no-leak", "guest-value"), ("guest-value", "no-leak")
WROTE_FIRST = "guest-wrote-first,no-mode-switch"
LONG_MODE = "starts-in-long-mode,no-exit,no-preemption,no-smm"
#: What is broken: (design, assumptions), then the invariants on a 64-bit and on a 32-bit host.
BROKEN = {
    ("lazy-long-mode", ""): (THREE, THREE),
    ("lazy-long-mode", WROTE_FIRST): (THREE, THREE),
    ("lazy-long-mode", LONG_MODE): (GUEST, GUEST),
    ("load-gs-index", ""): ((), ("host-value", "guest-value")),
    ("load-gs-index", WROTE_FIRST): ((), ("guest-value", "host-value")),
    ("load-gs-index", LONG_MODE): ((), ("guest-value",)),
    ("dedicated-accessors", ""): (GUEST, GUEST),
    ("dedicated-accessors", WROTE_FIRST): (GUEST, GUEST),
    ("dedicated-accessors", LONG_MODE): (GUEST, GUEST),
}
EXAMPLES = [
    (design, assume, host, invariant)
    for (design, assume), hosts in BROKEN.items()
    for host, broken in enumerate(hosts)
    for invariant in broken
]


def title(case):
    design, assume, _, invariant = case
    granted = f", assuming {', '.join(restriction(assume).names)}" if assume else ""
    return f"{design} Schedule on which {design} breaks {invariant}{granted}"


@pytest.fixture
def example(case):
    """A counterexample of :data:`EXAMPLES`: searched for where a test asks for it, not by every worker."""
    design, assume, host, invariant = case
    found = checked(design, assume=assume).hosts[host].counterexamples
    assert tuple(found) == BROKEN[design, assume][host]
    assert title(case) == f"{design} {found[invariant].scenario.title}"
    return found[invariant]


@pytest.mark.parametrize("case", EXAMPLES, ids=title)
def test_the_remedy_of_a_counterexample_mends_its_run(example):
    found = example.explanation
    assert found.step >= 0, found.words
    again = rerun(example.trace, found.remedy, example.actions)
    assert not [v for v in again.violations if v.invariant == example.invariant]


@pytest.mark.parametrize("case", EXAMPLES[::3], ids=title)
def test_a_run_in_which_nothing_is_changed_is_the_same(example):
    again = rerun(example.trace, Remedy("undo", 10**6), example.actions)
    one, other = ([(s.source, s.changes, s.violations) for s in t.steps] for t in (example.trace, again))
    assert one == other


def test_it_does_not_start_before_the_value_came_to_be():
    """What the guest wrote before does not matter: the last write is lost."""
    example = checked(TakesEqualForDone, host="64-bit").hosts[0].counterexample
    step = example.trace.steps[example.explanation.step]
    assert step.action == example.actions - 1 and step.mode == "kernel"


def test_a_tick_between_two_lines_is_told_from_the_scheduler_s_own_lines():
    trace = run(["run", "guest wrmsr 0xA000", "preempt cpu1"], SwitchesNothing, long_mode=True)
    found = explain(trace, "guest-value")
    assert found.why.startswith("vCPU thread 0 is scheduled out") and "preempted" not in found.words
    assert found.effect.endswith("after its thread was scheduled out with state loaded")


def test_a_fault_is_blamed_on_the_line_that_stored_the_address_unchecked():
    (host,) = checked("host-always", host="64-bit", non_canonical=True).hosts
    example = host.counterexamples["no-host-fault"]
    found = example.explanation
    step = example.trace.steps[found.step]
    assert (step.function, step.source) == ("vmx_set_msr", "vmx.msr_guest_kernel_gs_base = data")
    again = rerun(example.trace, found.remedy, example.actions)
    assert "no-host-fault" not in {v.invariant for v in again.violations}


class StoresTwice(HostAlways):
    """A second copy is stored unchecked, and enter loads that one."""

    fields = {"written": u64}

    def vmx_set_msr(self, vmx, data):
        super().vmx_set_msr(vmx, data)
        vmx.written = data

    @requires("preemption disabled", "vCPU loaded")
    def vmx_save_host_state(self, vmx):
        if vmx.host_state.loaded:
            return
        vmx.host_state.loaded = True
        vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        if is_long_mode(vmx):
            wrmsr(MSR_KERNEL_GS_BASE, vmx.written)


class LoadsBoth(StoresTwice):
    """Both copies are loaded: the host faults unless both stores are mended."""

    @requires("preemption disabled", "vCPU loaded")
    def vmx_save_host_state(self, vmx):
        if vmx.host_state.loaded:
            return
        vmx.host_state.loaded = True
        vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        if is_long_mode(vmx):
            wrmsr(MSR_KERNEL_GS_BASE, vmx.written)
            wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)


def faulting(design):
    return run(["set-msr 0x800000000000", "run"], design, long_mode=True)


def test_of_two_unchecked_stores_the_one_whose_copy_faults_is_blamed():
    trace = faulting(StoresTwice)
    found = explain(trace, "no-host-fault")
    assert trace.steps[found.step].source == "vmx.written = data"


@pytest.mark.parametrize(
    ("most", "told"), [(150, "none mends the run."), (1, "none mends the run; 3 more not")]
)
def test_if_no_single_line_mends_the_run_it_says_how_many_were_tried(monkeypatch, most, told):
    monkeypatch.setattr(explanation, "MOST_TRIED", most)
    tried = []
    monkeypatch.setattr(explanation, "mends", lambda *a: tried.append(a) or mends(*a))
    found = explain(faulting(LoadsBoth), "no-host-fault")
    assert (found.step, found.where, found.remedy) == (-1, "", None)
    assert len(tried) == min(most, 4)  # either store undone, once and each time
    assert told in found.words and f": {len(tried)} change" in found.words


def test_if_a_line_is_wrong_each_time_that_it_runs_it_says_so():
    """Either store alone leaves an address in the saved copy that faults."""
    trace = run(["set-msr 0x800000000000", "set-msr 0x900000000000", "run"], "host-always", long_mode=True)
    found = explain(trace, "no-host-fault")
    assert found.step in {s.index for s in trace.steps if s.source == "vmx.msr_guest_kernel_gs_base = data"}
    assert "at action 1 (set-msr 0x800000000000) and each time that this line runs again: " in found.words


def test_an_address_that_only_57_bits_allow_is_no_fault_to_blame():
    """The store of such an address comes first; the one that faults is blamed."""
    actions = ["set-msr 0x800000000000", "run", "exit", "set-msr 0x100000000000000", "run"]
    trace = run(actions, "host-always", long_mode=True, address_bits=57)
    step = trace.steps[explain(trace, "no-host-fault").step]
    assert trace.scenario.actions[step.action].text == "set-msr 0x100000000000000"


def test_a_store_of_what_the_saved_copy_holds_already_is_a_store():
    actions = ["set-msr 0xA000", "run", "guest wrmsr 0xB000", "emulate wrmsr 0xA000"]
    found = explain(run(actions, FieldOnlyWrite, long_mode=True), "guest-value")
    assert found.why.startswith("only msr_guest_kernel_gs_base is written")


class RestoresInSmm(DedicatedAccessors):
    """exit_lmode() saves the guest's value and restores the host's, but guest state stays loaded."""

    def vmx_set_efer(self, vmx, efer):
        if not efer & EFER_LMA:
            self.vmx_read_guest_kernel_gs_base(vmx)
            wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)
        vmx.efer = efer
        self.setup_msrs(vmx)


@pytest.mark.parametrize(("design", "unloads"), [(RestoresInSmm, False), (DedicatedAccessors, True)])
def test_rsm_is_blamed_for_an_unload_in_smm_only_if_there_was_one(design, unloads):
    actions = ["run", "guest wrmsr 0xA000", "guest smi", "preempt cpu0", "guest rsm"]
    found = explain(run(actions[: 3 + unloads] + actions[4:], design, long_mode=True), "guest-value")
    assert found.why.startswith("EFER.LMA is set while guest state is loaded"), found.words
    assert ("guest state was unloaded" in found.why) == unloads
