"""Spin on the exported models: the same verdicts, the same number of states, the same shortest paths.

The export is written from the designs' instructions without the checker's tables, so that the
two are independent of each other.
"""

from __future__ import annotations

import re
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from attrs import evolve

from tests.checker.odd import KeepsFields
from tests.csource.reading import carried
from vmxsim.checker.assumptions import restriction
from vmxsim.checker.footprints import BROKEN
from vmxsim.checker.lengths import counts, graph_of, kinds_of
from vmxsim.checker.reach import ReachableStates, reachable
from vmxsim.checker.search import shortest_path
from vmxsim.checker.states import GUEST_VALUES, NON_CANONICAL
from vmxsim.checker.together import together
from vmxsim.checker.transition_table import TransitionTable
from vmxsim.cli import _status
from vmxsim.designs import DESIGNS
from vmxsim.designs.dedicated_accessors import DedicatedAccessors
from vmxsim.designs.never_trap import NeverTrap
from vmxsim.errors import InputError
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.language import *
from vmxsim.promela import promela, restricted
from vmxsim.promela.spin import Options, SpinRun, missing, run_spin
from vmxsim.simulation.scenario import make_host

#: tcc where it is installed: gcc takes longer to compile a search than the search to run, even with -O0.
QUICK = Options(compiler="gcc" if missing("tcc") else "tcc", optimize="-O0")
needs_spin = pytest.mark.skipif(
    bool(missing(QUICK.compiler)),
    reason=f"NOT COMPARED WITH SPIN: {' and '.join(missing(QUICK.compiler))} not installed",
)
#: Array bounds are checked in the searches for a shortest trail. The stack for ``depth`` is allocated in
#: advance; the deepest of these searches needs a tenth of it.
COUNT = evolve(QUICK, count=True, depth=100_000, gcc=("-DNOBOUNDCHECK",))
ALWAYS_VIOLATED = ("msr-array", "array-passthrough", "lazy-long-mode", "dedicated-accessors")
VIOLATED = {(d, bits) for d in ALWAYS_VIOLATED for bits in (32, 64)} | {("load-gs-index", 32)}


NOTHING = restriction(())


def table_of(design, bits, assumed=NOTHING, non_canonical=False, **options):
    """The checker's table on a host, see make_host()."""
    host = make_host(f"{bits}-bit", design, **{n: options.pop(n) for n in tuple(options) if n in HOST})
    written = (GUEST_VALUES[0], NON_CANONICAL) if non_canonical else GUEST_VALUES
    return TransitionTable(design, host, assumed, written=written, **options)


HOST = ("gs_base_from", "fsgsbase", "bases")
POOL = ThreadPoolExecutor(2)  # Spin and our own search at the same time


def counted(found: ReachableStates, cpus: int = 2, moves: bool = True) -> int:
    """The states that Spin has to store: ours with their CPUs, one before the start, the sink."""
    return counts(found, cpus, moves).states + 1 + bool(found.broken)


def shortest(model: str, invariants: list[str]) -> Future[SpinRun]:
    watch = sum(BROKEN[name] for name in invariants)
    return POOL.submit(run_spin, model, evolve(QUICK, watch=watch, breadth_first=True))


@needs_spin
@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("name", DESIGNS)
def test_spin_stores_exactly_our_states(name: str, bits: int) -> None:
    model = promela(DESIGNS[name], bits=bits)
    storing = POOL.submit(run_spin, model, COUNT)
    violated = (name, bits) in VIOLATED
    trail = shortest(model, list(BROKEN)) if violated else None
    control = table_of(DESIGNS[name], bits)
    found = reachable(control)
    assert bool(found.broken) is violated
    run = storing.result()
    assert run.complete
    assert run.states == counted(found)
    if trail:
        path = shortest_path(control, BROKEN, steps_alone=True)
        assert path is not None
        assert trail.result().steps == len(path.transitions)
    else:
        # one move before the start, one for each mode in which the guest starts
        assert run.transitions == 2 * found.transitions + 3


@needs_spin
def test_spin_stores_our_states_of_a_design_with_fields_of_its_own() -> None:
    assumed = restriction("one-value,no-smm")
    storing = POOL.submit(run_spin, promela(KeepsFields, environment=restricted(assumed)), COUNT)
    found = reachable(table_of(KeepsFields, 64, assumed))
    assert found.broken, "a read that is not the first returns what was there before"
    run = storing.result()
    assert run.complete and run.states == counted(found)


@needs_spin
@pytest.mark.parametrize("name", ["msr-array", "dedicated-accessors", "shared-accessors"])
def test_spin_stores_our_states_of_a_design_made_from_c(name: str) -> None:
    design = carried(name).design
    storing = POOL.submit(run_spin, promela(design), COUNT)
    found = reachable(table_of(design, 64))
    assert bool(found.broken) is ((name, 64) in VIOLATED)
    run = storing.result()
    assert run.complete and run.states == counted(found)


class AroundTheSwitch(NeverTrap):
    fields = {"was": False}

    def prepare_task_switch(self, vcpu):
        vcpu.was = vcpu.loaded_cpu_state

    def finish_task_switch(self, vcpu):
        if vcpu.was:
            vmcs_write("A")
        vcpu.was = False


@needs_spin
def test_spin_stores_our_states_of_a_design_with_hooks_around_the_context_switch() -> None:
    storing = POOL.submit(run_spin, promela(AroundTheSwitch), COUNT)
    found = reachable(table_of(AroundTheSwitch, 64))
    assert not found.broken
    assert storing.result().states == counted(found)


class OnTheCpu(NeverTrap):
    cpu_fields = {"reads": 0}

    def vmx_get_msr(self, vmx):
        this_cpu_write("reads", 1 - this_cpu_read("reads"))
        return super().vmx_get_msr(vmx)


ERAS = [
    ("load-gs-index", 64, {"gs_base_from": "descriptor"}),
    ("host-from-thread", 64, {"gs_base_from": "descriptor"}),
    ("never-trap", 64, {"bases": "zero"}),
    ("never-trap", 64, {"fsgsbase": True}),
    ("fsgsbase", 64, {"gs_base_from": "descriptor"}),
    ("fsgsbase", 64, {"fsgsbase": False, "bases": "zero"}),
    ("vcpu-vt", 32, {"gs_base_from": "msr"}),
]


@needs_spin
@pytest.mark.parametrize(("name", "bits", "host"), ERAS)
def test_spin_agrees_wherever_a_task_has_its_base_from(name, bits, host) -> None:
    model = promela(DESIGNS[name], bits=bits, **host)
    storing = POOL.submit(run_spin, model, COUNT)
    control = table_of(DESIGNS[name], bits, **host)
    found = reachable(control)
    assert storing.result().states == counted(found)
    if found.broken:
        path = shortest_path(control, BROKEN, steps_alone=True)
        assert path is not None
        assert shortest(model, list(BROKEN)).result().steps == len(path.transitions)


@needs_spin
def test_each_invariant_can_be_looked_for_alone() -> None:
    design = DESIGNS["lazy-long-mode"]
    paths = [
        shortest_path(table_of(design, 64), name, steps_alone=True) for name in ("guest-value", "host-value")
    ]
    trail = shortest(promela(design), ["guest-value"]).result()
    assert [path and len(path.transitions) for path in paths] == [trail.steps, 25]


class Compares(NeverTrap):
    """Looks at values, keeps them in variables."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        preempt_disable()
        if vmx.loaded_cpu_state:
            old = vmx.msr_guest_kernel_gs_base
            new = rdmsr(MSR_KERNEL_GS_BASE)
            if old != new:
                vmx.msr_guest_kernel_gs_base = new
        preempt_enable()
        again = vmx.msr_guest_kernel_gs_base
        vmx.msr_guest_kernel_gs_base = again
        return again


class NeverSet(NeverTrap):
    """Returns a variable that is not always set."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        preempt_disable()
        if vmx.loaded_cpu_state:
            data = rdmsr(MSR_KERNEL_GS_BASE)
        preempt_enable()
        return data


class Unlocked(NeverTrap):
    """The accessor without preempt_disable()."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        if vmx.loaded_cpu_state:
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        return vmx.msr_guest_kernel_gs_base


class Unbalanced(NeverTrap):
    """One preempt_enable() too many."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        preempt_enable()
        return vmx.msr_guest_kernel_gs_base


class NoEnd(NeverTrap):
    """Loops forever with preemption disabled."""

    def vmx_read_guest_kernel_gs_base(self, vmx):
        preempt_disable()
        while vmx.loaded_cpu_state:
            lldt(0)
        preempt_enable()
        return vmx.msr_guest_kernel_gs_base


class Asks(DedicatedAccessors):
    """Interrupts off, need_resched() in other places, a function of the design before it."""

    def vmx_set_efer(self, vmx, efer):
        local_irq_disable()
        due = need_resched()
        local_irq_enable()
        super().vmx_set_efer(vmx, efer)
        if due and need_resched():
            vmx.efer = efer


@needs_spin
@pytest.mark.parametrize(
    ("design", "broken"),
    [
        (Compares, ""), (NeverSet, "contract"), (Unlocked, "guest-value"), (Unbalanced, "contract"),
        (NoEnd, "contract"), (Asks, "guest-value"),
    ],
)  # fmt: skip
def test_a_readers_own_design(design: type[Kvm], broken: str) -> None:
    assumed = restriction("one-value")
    model = promela(design, environment=restricted(assumed))
    running = shortest(model, [broken]) if broken else POOL.submit(run_spin, model, COUNT)
    control = table_of(design, 64, assumed)
    if broken:
        path = shortest_path(control, broken, steps_alone=True)
        assert path is not None
        assert running.result().steps == len(path.transitions)
    else:
        assert running.result().states == counted(reachable(control))


@needs_spin
@pytest.mark.parametrize(
    ("name", "names", "options"),
    [
        ("dedicated-accessors", "no-preemption", {}),
        ("dedicated-accessors", "no-kernel-preemption,no-smm", {}),
        ("dedicated-accessors", "no-migration,starts-in-long-mode", {}),
        ("dedicated-accessors", "guest-wrote-first,one-value", {}),
        ("host-from-thread", "one-value", {"interception": "bitmap"}),
        ("load-gs-index", "no-swapgs", {"non_canonical": True}),
    ],
)
def test_environments(name: str, names: str, options: dict[str, object]) -> None:
    assumed = restriction(names)
    model = promela(
        DESIGNS[name],
        bits=32,
        long_modes=assumed.long_modes,
        environment=restricted(assumed),
        **options,  # type: ignore[arg-type]
    )
    storing = POOL.submit(run_spin, model, COUNT)
    control = table_of(DESIGNS[name], 32, assumed, **options)  # type: ignore[arg-type]
    assert storing.result().states == counted(reachable(control), moves=assumed.moves)


@needs_spin
@pytest.mark.parametrize("cpus", [1, 2])
def test_two_vcpus(cpus: int) -> None:
    """All pairs of two threads' states that can be together."""
    assumed = restriction(
        "no-swapgs,no-smm,no-emulation,no-set-msr,no-get-msr,no-set-efer,no-mode-switch,no-cancelled-run,one-value"
    )
    control = table_of(NeverTrap, 64, assumed)
    alone, late = (kinds_of(graph_of(reachable(control, waiting=w), waiting=w)) for w in (False, True))
    ours = together(alone, late, 2, cpus)
    run = run_spin(promela(NeverTrap, cpus=cpus, vcpus=2, environment=restricted(assumed)), COUNT)
    assert (run.verdict, run.states) == ("safe", ours.states + 1)
    # one move before the start, one for each mode in which the guests start
    assert run.transitions == ours.transitions + 3
    assert run.states > 10_000


@needs_spin
def test_the_shortest_trail_of_two_vcpus_is_as_long_as_the_checkers() -> None:
    assumed = restriction(
        "no-swapgs,no-smm,no-emulation,no-set-msr,no-get-msr,no-set-efer,no-cancelled-run,one-value,"
        "no-kernel-preemption,no-user-gs-base"
    )
    trail = shortest(promela(DedicatedAccessors, vcpus=2, environment=restricted(assumed)), ["guest-value"])
    path = shortest_path(table_of(DedicatedAccessors, 64, assumed), "guest-value", steps_alone=True)
    assert path is not None
    assert trail.result().steps == len(path.transitions)


# -- what needs no Spin


def test_the_model_shows_every_line_of_the_designs_own_functions() -> None:
    model = promela(DESIGNS["never-trap"])
    for function in NeverTrap.functions().values():
        for i in function.instructions:
            if i.kind != "end" and function.owner == "NeverTrap":
                assert f"/* {function.name}, line {i.line}: {function.source[i.line - 1].strip()} */" in model


def test_the_text_does_not_depend_on_pythons_sets() -> None:
    assert promela(DESIGNS["msr-array"], bits=32) == promela(DESIGNS["msr-array"], bits=32)
    words = re.findall(r"#define (\w+) \d+$", promela(NeverTrap), re.MULTILINE)
    assert words[words.index("USER") :][:3] == ["USER", "KERNEL", "GUEST"]


class LooksInside(NeverTrap):
    def vmx_read_guest_kernel_gs_base(self, vmx):
        return vmx.msr_guest_kernel_gs_base & 7


class CallsItself(NeverTrap):
    def vmx_read_guest_kernel_gs_base(self, vmx):
        return self.vmx_read_guest_kernel_gs_base(vmx)


class Counter(NeverTrap):
    def vmx_set_efer(self, vmx, efer):
        n = 0
        while n != 1 << 20:
            n = n + 1
        vmx.efer = efer


@pytest.mark.parametrize(
    ("design", "words"),
    [
        (LooksInside, "LooksInside.vmx_read_guest_kernel_gs_base, line 2: '&' on a word or on a value"),
        (OnTheCpu, "OnTheCpu.vmx_get_msr, line 2: the Promela model has no fields of the CPU"),
        (CallsItself, "vmx_read_guest_kernel_gs_base: calls itself"),
        (Counter, "Counter.vmx_set_efer, line 4: 'vmx_set_efer__n' takes more than 64 values"),
    ],
)
def test_what_the_model_cannot_express_is_refused(design: type[Kvm], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        promela(design)


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    assert _status(["export", "never", "--to", "promela", "--host", "32-bit"]) == 0
    assert capsys.readouterr().out == promela(NeverTrap, bits=32)
    assert _status(["export", "never", "--to", "promela", "-o", str(tmp_path / "model.pml")]) == 0
    assert (tmp_path / "model.pml").read_text() == promela(NeverTrap)
    assert _status(["export", "nothing", "--to", "promela"]) == 2
    assert _status(["export", "never", "--to", "promela", "-o", str(tmp_path / "no" / "folder")]) == 2
