"""Wherever a run comes to, the checker has been: no schedule of the simulator is missing in it."""

from functools import cache, partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.checker.odd import ODD
from tests.checker.packing import packed
from tests.checker.schedules import Thread, schedules
from tests.checker.walks import table
from vmxsim.checker.footprints import BROKEN
from vmxsim.checker.reach import reachable
from vmxsim.designs import DESIGNS
from vmxsim.kernel.machine import EFER_LMA
from vmxsim.simulation.run import run

settled = settings(deadline=None, suppress_health_check=list(HealthCheck))
#: lazy-long-mode has ten times as many states as the others: one test of it is enough.
QUICK = [design for design in DESIGNS.values() if design.id != "lazy-long-mode"]


@cache
def reached(design, host, waiting=False):
    """All states of the checker in one sorted array, and the names of what breaks."""
    found = reachable(table(design, host), waiting=waiting)
    broken = {name for name, bit in BROKEN.items() if found.broken & bit}
    return np.sort(np.concatenate(found.layers)), broken


def check_run(design, steps, options, ticks):
    """Run it, and look for where it ends; what it breaks the checker must have broken as well."""
    trace = run(steps, design, ticks=ticks, **options)
    machine = trace.simulator.m
    waits = options["vcpus"] > options["cpus"]  # vCPU 1's thread starts without a CPU
    for n in range(options["vcpus"]):
        states, broken = reached(design, options["host"], waiting=waits and n == 1)
        if trace.violations:
            assert {violation.invariant for violation in trace.violations} <= broken
            continue
        if machine.cpus[machine.threads[n].cpu].need_resched:
            continue  # a tick in the last step waits: the checker lets it come later
        state = packed(table(design, options["host"]), machine, n)
        assert state is not None, (design, n, steps, ticks)
        at = np.searchsorted(states, np.uint64(state))
        assert at < len(states) and states[at] == state, (design, n, steps, ticks)


@settings(settled, max_examples=120)
@given(st.sampled_from(QUICK), schedules())
def test_every_run_ends_in_a_state_that_the_checker_found(design, schedule):
    check_run(design, *schedule)


@settings(settled, max_examples=60)
@given(st.sampled_from(QUICK[-3:]), schedules(vcpus=2))
def test_with_two_vcpus_each_thread_is_where_it_can_be_alone(design, schedule):
    check_run(design, *schedule)


@settings(settled, max_examples=60)
@given(st.sampled_from(ODD), schedules())
def test_it_holds_for_designs_that_no_kernel_ever_had(design, schedule):
    check_run(design, *schedule)


@pytest.mark.parametrize("design", QUICK[::4])
def test_at_rest_every_action_of_a_scenario_is_tried(design):
    control = table(design)
    tried, rests = {}, {}
    for edge in control.edges:
        if edge.at_rest:
            choice = edge.leaf.choice
            tried.setdefault(edge.source, set()).add("preempt" if choice.kind == "out" else choice.verb)
            rests[edge.source] = control.states[edge.source]
    assert len(tried) > 10
    for number, state in rests.items():
        get = partial(control.get, state)
        thread = Thread(bool(get("vcpu0", "efer") & EFER_LMA), get("thread0", "mode") == "guest")
        thread.in_smm = get("vcpu0", "smm")
        assert tried[number] == {verb.split(" 0x")[0] for verb in thread.verbs()} | {"preempt"}
