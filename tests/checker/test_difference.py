"""The shortest schedule on which two designs can be told apart, or that there is none."""

from itertools import pairwise

import pytest

from tests.checker.failing import LooksAtTheRegister, WithoutPreemptDisable
from tests.checker.test_verdicts import BREAKS, sequences
from vmxsim.checker.difference import shortest_difference
from vmxsim.designs import DESIGNS
from vmxsim.simulation.run import run
from vmxsim.simulation.scenario import HOSTS


def visible(steps, design, host, long_mode):
    """All that guest, user space and host tasks have read in a run, and would read now."""
    trace = run(steps, design, host=host, long_mode=long_mode)
    read = "guest rdmsr" if trace.results[-1]["in_guest"] else "get-msr"
    returned = [result["returned"] for result in trace.results]
    user = [None if r["in_guest"] else r["registers"][r["cpu"]] for r in trace.results]
    last = run([*steps, read], design, host=host, long_mode=long_mode).results[-1]["returned"]
    return returned, user, last


def difference(a, b, *hosts):
    found = shortest_difference(a, b, hosts or HOSTS)
    return found, found.scenario and [visible_in(found.scenario, design) for design in (a, b)]


def visible_in(scenario, design):
    return {v.invariant for v in run(scenario, design).violations}


SAFE = [d for d in DESIGNS if not any((d, host) in BREAKS for host in HOSTS)]


def test_no_schedule_tells_two_safe_designs_apart():
    for a, b in pairwise(SAFE[::3]):
        found, _ = difference(a, b)
        assert found.scenario is None and found.complete
        assert "no schedule shows a difference" in found.reason


def test_the_seed_patch_and_its_parent_differ_where_long_mode_is_entered():
    found, broken = difference("host-from-thread", "678e315e78a7")
    assert list(found.scenario.steps) == ["run", "guest long-mode on"] and not found.scenario.long_mode
    assert broken == [set(), {"guest-value", "no-leak"}]
    assert "host-from-thread is safe" in found.reason and "dedicated-accessors breaks" in found.reason


def test_a_difference_on_a_32_bit_host_only_is_found_there():
    found, broken = difference("load-gs-index", "lma-fix")
    assert found.scenario.host == "32-bit" and broken[0] and not broken[1]
    assert shortest_difference("load-gs-index", "lma-fix", ["64-bit"]).scenario is None


@pytest.mark.parametrize("host", HOSTS)
def test_two_violated_designs_differ_on_the_shortest_schedule_of_whole_actions(host):
    pair = "lazy-long-mode", "dedicated-accessors"
    found = shortest_difference(*pair, [host])
    scenario = found.scenario
    seen = [visible(list(scenario.steps), design, host, scenario.long_mode) for design in pair]
    assert seen[0] != seen[1] and "both lazy-long-mode and dedicated-accessors are violated" in found.reason
    for long_mode in (False, True):
        for length in range(1, len(scenario.steps)):
            for steps in sequences(length, long_mode):
                if not all(isinstance(step, str) for step in steps):
                    continue  # a signal interrupts an action
                seen = [visible(steps, design, host, long_mode) for design in pair]
                assert seen[0] == seen[1], steps


def test_a_readers_own_design_is_told_from_the_one_it_comes_from():
    found, broken = difference("never-trap", WithoutPreemptDisable)
    assert broken[1] and not broken[0] and "preempt" in str(found.scenario.steps)
    assert shortest_difference("never-trap", LooksAtTheRegister).scenario is None


def test_mainline_differs_from_host_always_where_a_64_bit_task_has_a_selector():
    found = shortest_difference("host-always", "vcpu-vt", ["64-bit"], "descriptor", False)
    assert found.reason.startswith(
        "on a 64-bit host (GS base from a descriptor, no FSGSBASE) host-always is safe"
    )
    assert [visible_in(found.scenario, design) for design in ("host-always", "vcpu-vt")] == [
        set(),
        {"host-value"},
    ]
    pair = "lazy-long-mode", "dedicated-accessors"
    together = shortest_difference(*pair, ["32-bit"], "msr").scenario
    assert (together.host, together.gs_base_from, together.fsgsbase) == ("32-bit", "msr", None)
