"""The verdicts that the history of the defects gives, each by exploring every schedule."""

from itertools import islice, product

import pytest

from tests.checker.failing import (
    LooksAtTheRegister,
    ReloadsOnEntry,
    SwitchesNothing,
    TakesEqualForDone,
    WithoutPreemptDisable,
    WrongAtTheSecondPoll,
)
from tests.checker.replaying import checked, replay
from tests.checker.schedules import EXITS, Thread
from vmxsim.checker.assumptions import restriction
from vmxsim.checker.check import check, kept_table
from vmxsim.checker.footprints import EARLY
from vmxsim.checker.search import SOMETIMES, shortest_path
from vmxsim.checker.states import DATA_MASK
from vmxsim.checker.transition_table import make_doers
from vmxsim.designs import DESIGNS, find_design
from vmxsim.kernel.machine import Host
from vmxsim.simulation.run import run
from vmxsim.simulation.scenario import HOSTS

#: Under the default interception rule: which invariants which design breaks on which host.
BREAKS = {
    ("msr-array", "64-bit"): {"host-value"},
    ("msr-array", "32-bit"): {"host-value"},
    ("array-passthrough", "64-bit"): {"host-value"},
    ("array-passthrough", "32-bit"): {"host-value"},
    ("lazy-long-mode", "64-bit"): {"guest-value", "host-value", "no-leak"},
    ("lazy-long-mode", "32-bit"): {"guest-value", "host-value", "no-leak"},
    ("load-gs-index", "32-bit"): {"guest-value", "host-value"},
    ("dedicated-accessors", "64-bit"): {"guest-value", "no-leak"},
    ("dedicated-accessors", "32-bit"): {"guest-value", "no-leak"},
}


@pytest.mark.parametrize("design", DESIGNS)
def test_exactly_the_designs_with_a_known_defect_are_violated(design):
    for host in checked(design).hosts:
        broken = {name for name, how in host.invariants.items() if how == "violated"}
        assert broken == BREAKS.get((design, host.host), set())
        assert host.verdict == ("violated" if broken else "safe")
        if not broken:
            assert all(how == "holds" for how in host.invariants.values()) and host.states > 10_000


#: With a base from a descriptor, closed searches over the kernel's real functions found these. (A 64-bit task
#: that has loaded a selector; the kernel without FSGSBASE.)
FROM_THREAD_ON = [
    name for name in DESIGNS if list(DESIGNS).index(name) >= list(DESIGNS).index("host-from-thread")
]


@pytest.mark.parametrize("design", FROM_THREAD_ON)
def test_a_64_bit_task_with_a_selector_loses_its_base_without_fsgsbase(design):
    (host,) = check(design, host="64-bit", gs_base_from="descriptor", fsgsbase=False).hosts
    assert host.invariants["host-value"] == "violated"
    trace = run(["run", "exit"], design, gs_base_from="descriptor", fsgsbase=False)
    assert {v.invariant for v in trace.violations} == {"host-value"}
    assert trace.results[-1]["registers"][0] == "0x0", "h was saved as 0"


@pytest.mark.parametrize("design", ["host-always", "lma-fix"])
def test_a_64_bit_task_with_a_selector_is_safe_where_h_is_read_from_the_register(design):
    (host,) = check(design, host="64-bit", gs_base_from="descriptor", fsgsbase=False).hosts
    assert host.verdict == "safe" and host.bases == ("own",)


@pytest.mark.parametrize("design", ["fsgsbase", "vcpu-vt", "shared-accessors"])
def test_with_fsgsbase_a_task_with_a_selector_keeps_its_base(design):
    (host,) = check(design, host="64-bit", gs_base_from="descriptor").hosts
    assert host.verdict == "safe"


def test_load_gs_index_takes_the_saved_base_of_a_32_bit_task_for_its_own():
    """thread.gs is 0 for a task whose base comes from a descriptor: leave writes that over the base."""
    trace = run(["run", "exit"], "load-gs-index", host="32-bit")
    assert {v.invariant for v in trace.violations} == {"host-value"}
    trace = run(["run", "guest long-mode off", "exit"], "load-gs-index", host="32-bit", long_mode=True)
    assert "host-value" in {v.invariant for v in trace.violations}


def test_the_arrays_restore_an_old_base_after_the_guest_left_long_mode():
    """enter saves the host's value only in long mode; the list keeps the register until setup_msrs()."""
    steps = ["run", "guest long-mode off", "exit", "user gs-base 0x7f0000005000", "run", "exit"]
    for design in ("msr-array", "array-passthrough"):
        trace = run(steps, design, long_mode=True)
        assert {v.invariant for v in trace.violations} == {"host-value"}
        assert check(design, assume="no-user-gs-base").verdict == "safe"
    assert not run(steps, "lma-fix", long_mode=True).violations


def test_a_verdict_says_for_which_bases_it_holds():
    safe = check("never-trap", host="64-bit").hosts[0]
    assert (safe.verdict, safe.bases) == ("safe", ("own", "zero"))
    trace = run(["run", "exit", "preempt cpu1"], "never-trap", user_gs_bases="zero")
    assert not trace.violations and set(trace.results[-1]["registers"]) == {"0x0"}


@pytest.mark.parametrize("design", ["msr-array", "never-trap"])
def test_a_pass_covers_every_situation_it_should(design):
    """All of them, but for a tick that can be seen only where a design enters the guest."""
    for host in checked(design).hosts:
        assert host.sometimes.keys() == SOMETIMES.keys()
        assert all(host.sometimes.values()), [name for name, was in host.sometimes.items() if not was]


MECHANISMS = {
    "": (2, "nothing is loaded when LMA is set"),
    "guest-wrote-first,no-mode-switch": (4, "RSM sets LMA after state was left in SMM"),
    "starts-in-long-mode,no-exit,no-preemption,no-set-efer,no-smm": (
        4,
        "a value written outside long mode is lost",
    ),
}


@pytest.mark.parametrize("assume", MECHANISMS)
def test_the_seed_patch_fails_in_three_ways(assume):
    result = checked("dedicated-accessors", assume=assume)
    for host in result.hosts:
        example = host.counterexample
        assert (example.actions, example.mechanism) == MECHANISMS[assume]
        assert host.invariants["host-value"] == "holds", "the host's own value is never harmed"


def test_the_story_of_rsm_is_the_one_that_was_reported():
    steps = checked("dedicated-accessors", assume="guest-wrote-first,no-mode-switch").scenario.steps
    actions = [step if isinstance(step, str) else next(iter(step)) for step in steps]
    assert [action.split(" 0x")[0] for action in actions] == ["run", "guest wrmsr", "guest smi", "guest rsm"]
    assert actions != list(steps), "with no leave in between it works: somewhere a tick comes"


def test_a_value_written_outside_long_mode_is_lost_without_any_leak():
    result = checked("dedicated-accessors", assume=[*MECHANISMS][2])
    assert result.hosts[0].invariants["no-leak"] == "holds"


@pytest.mark.parametrize("assume", ["no-mode-switch,no-smm", "no-long-mode-entry"])
def test_the_seed_patch_is_right_while_long_mode_is_not_entered_with_state_loaded(assume):
    assert checked("dedicated-accessors", assume=assume).verdict == "safe"


def test_load_gs_index_harms_nobody_whose_state_is_never_left():
    """The descriptor's base overwrites the register when leaving: no leave, no harm."""
    quiet = "no-preemption,no-exit,no-get-msr,no-set-msr,no-set-efer,no-mode-switch,no-smm,no-emulation"
    assert checked("load-gs-index", assume=quiet).verdict == "safe"


def test_the_accessors_need_preempt_disable():
    result = check(WithoutPreemptDisable, host="64-bit")
    example = result.counterexample
    assert example.mechanism == "preempted between the test and the access"
    assert "'preempt'" in str(example.scenario.steps), "a tick inside the kernel"
    replay(WithoutPreemptDisable, example)
    assert check(WithoutPreemptDisable, host="64-bit", assume="no-kernel-preemption").verdict == "safe"


def test_without_preempt_disable_a_write_harms_the_host():
    """The guest's value lands in the host task's register. A 32-bit host's is saved from there by the next
    enter; any host's stays there if a signal keeps KVM from entering again."""
    for host in check(WithoutPreemptDisable).hosts:
        assert host.invariants["host-value"] == "violated"
        example = host.counterexamples["host-value"]
        replay(WithoutPreemptDisable, example)
        assert "wrmsr" in str(example.scenario.steps)
    wide, narrow = check(WithoutPreemptDisable, assume="no-signal").hosts
    assert narrow.counterexamples["host-value"].scenario.user_gs_bases == "own"
    # a 64-bit host's is left there for another task whose base is 0, as this one's
    assert wide.counterexamples["host-value"].scenario.user_gs_bases == "zero"


@pytest.mark.parametrize("design", [SwitchesNothing, TakesEqualForDone, WrongAtTheSecondPoll])
def test_a_readers_own_mistake_is_found(design):
    result = check(design, host="64-bit")
    assert result.verdict == "violated" and result.name == design.__name__
    replay(design, result.counterexample)


@pytest.mark.parametrize("design", [LooksAtTheRegister, ReloadsOnEntry])
def test_a_readers_own_right_design_is_safe(design):
    assert check(design).verdict == "safe"


# -- no shorter schedule breaks anything


def sequences(length, long_mode):
    """All sequences of so many actions that are possible."""
    if not length:
        yield []
        return
    for before in sequences(length - 1, long_mode):
        thread = Thread(long_mode)
        for step in before:
            (verb,) = step if isinstance(step, dict) else (step,)
            thread.do(verb)
            if verb != step:
                thread.in_guest = False
        for verb in [*thread.verbs(), "preempt cpu1"]:
            yield [*before, verb]
            if verb.startswith(EXITS):
                yield [*before, {verb: {"signal": True}}]


@pytest.mark.parametrize(("design", "host"), BREAKS)
def test_no_schedule_with_fewer_actions_breaks_anything(design, host):
    (result,) = (one for one in checked(design).hosts if one.host == host)
    fewer = result.counterexample.actions - 1
    for long_mode, length in product((False, True), range(1, fewer + 1)):
        # of more than two actions a sample, without ticks
        for steps in islice(sequences(length, long_mode), 0, None, 1 if length < 3 else 7):
            trace = run(steps, design, host=host, long_mode=long_mode)
            assert not trace.violations, steps
            for tick in range(1, len(trace.steps) if length < 3 else 0, 3 if length > 1 else 1):
                ticked = run(steps, design, host=host, long_mode=long_mode, ticks=[(tick, 1)])
                assert not ticked.violations, (steps, tick)


def test_without_ticks_the_third_way_needs_its_four_actions():
    for steps in sequences(3, long_mode=True):
        # a signal takes the guest out like an exit
        left_out = ("preempt", "set-efer", "exit", "run c", "guest smi")
        if all(isinstance(step, str) and not step.startswith(left_out) for step in steps):
            assert not run(steps, "dedicated-accessors", long_mode=True).violations, steps


def test_widths_agree_where_the_host_is_no_part_of_the_defect():
    found = [checked("dedicated-accessors").hosts[n].counterexample.scenario for n in range(len(HOSTS))]
    assert found[0].steps == found[1].steps


@pytest.mark.parametrize("design", ["lazy-long-mode", "dedicated-accessors"])
def test_what_an_assumption_forbids_is_forbidden_behind_other_breaches_too(design):
    """With guest-wrote-first no path may break anything before the guest wrote."""
    control = kept_table(find_design(design), Host(), restriction("guest-wrote-first,one-value,no-smm"))
    doers = make_doers(control.values, control.effects)
    for invariant in ("host-value", "no-leak"):
        path = shortest_path(control, invariant, past_others=True)
        for state, edge in path.transitions if path else ():
            assert not doers[edge.effect].done(state & DATA_MASK)[1] & EARLY


@pytest.mark.parametrize("design", ["never-trap", "dedicated-accessors"])
def test_beside_a_verdict_stands_what_the_model_leaves_out(design):
    result = checked(design)
    for text in (repr(result), result._repr_html_()):
        told = text.partition("Not in the model: ")[2]
        names = ("NMI", "machine check", "nested VMX", "TDX", "INIT", "host-side")
        assert all(name in told for name in names)
