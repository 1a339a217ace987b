"""The quick engines against slow ones: numpy, plain Python, and a search written here."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checker.failing import TakesEqualForDone
from tests.checker.walks import edges_from, table
from vmxsim.checker.check import check
from vmxsim.checker.footprints import BROKEN
from vmxsim.checker.lengths import counts
from vmxsim.checker.reach import SortedSet, _Effects, reachable
from vmxsim.checker.states import CONSTANTS, DATA_MASK
from vmxsim.checker.transition_table import make_doers
from vmxsim.designs import DESIGNS

SMALL = "no-swapgs,no-smm,no-emulation,no-cancelled-run,no-set-efer,one-value"
TINY = f"{SMALL},no-mode-switch,no-get-msr,no-exit,starts-in-long-mode,no-kernel-preemption"


NUMBERS = st.integers(0, 40)


def one_thread(design, host="64-bit", assume=SMALL):
    return table(DESIGNS.get(design, design), host, assume)


def after(control, doers, state):
    """Where a state leads: (state, -1 where the search does not go on; bits of what breaks)."""
    for edge in edges_from(control, state):
        data, broken = doers[edge.effect].done(state & DATA_MASK)
        yield -1 if broken or edge.target < 0 else (edge.target << CONSTANTS) | data, broken


@pytest.mark.parametrize(
    "options", [{}, {"ignore": BROKEN["guest-value"]}, {"ghosts": False}, {"waiting": True}]
)
@pytest.mark.parametrize("design", ["dedicated-accessors", "load-gs-index", TakesEqualForDone])
def test_the_reachable_states_are_the_same_with_numpy_and_without(design, options):
    control = one_thread(design, "32-bit")
    quick, plain = reachable(control, **options), reachable(control, plain=True, **options)
    assert (quick.states, quick.transitions, quick.broken) == (plain.states, plain.transitions, plain.broken)
    assert [sorted(map(int, layer)) for layer in quick.layers] == [sorted(layer) for layer in plain.layers]
    assert list(map(bool, quick.taken)) == list(map(bool, plain.taken))


def test_they_are_the_same_once_there_are_too_many_data_to_keep_what_effects_do(monkeypatch):
    control = one_thread("dedicated-accessors", assume="one-value")
    found = reachable(control)
    monkeypatch.setattr(_Effects, "MOST", 300 * len(control.effects))
    again = reachable(control)
    assert len({state & DATA_MASK for layer in found.layers for state in map(int, layer)}) > 300
    assert (again.transitions, again.broken) == (found.transitions, found.broken)
    assert all(map(np.array_equal, map(np.sort, again.layers), map(np.sort, found.layers)))


@pytest.mark.parametrize("cpus", [1, 2, 3])
@pytest.mark.parametrize("assume", [SMALL, f"{SMALL},no-migration", f"{SMALL},no-preemption"])
def test_the_counts_are_those_of_a_search_that_keeps_the_cpu(assume, cpus):
    control = one_thread("never-trap", assume=assume)
    moves = "no-migration" not in assume and "no-preemption" not in assume
    doers = make_doers(control.values, control.effects)
    waits = [control.get(state, "thread0", "waiting") for state in control.states]
    todo = [((number << CONSTANTS) | data, 0) for number, data in control.initial]
    seen, transitions = set(todo), 0
    for state, cpu in todo:
        waiting = waits[state >> CONSTANTS]
        for to, _ in after(control, doers, state):
            holds = to >= 0 and not waits[to >> CONSTANTS]
            there = range(cpus) if waiting and holds and moves else [cpu if holds or not moves else None]
            for where in there:
                transitions += 1
                if to >= 0 and (to, where) not in seen:
                    seen.add((to, where))
                    todo.append((to, where))
    told = counts(reachable(control), cpus, moves)
    assert (told.states, told.transitions) == (len(seen), transitions)


@settings(deadline=None, max_examples=60)
@given(st.sets(NUMBERS, min_size=1), st.lists(st.lists(NUMBERS, max_size=30), max_size=8))
def test_a_sorted_set_adds_what_is_new_once_and_in_order(start, batches):
    known, ordered = set(start), SortedSet(np.array(sorted(start), np.int64))
    for batch in batches:
        new = sorted(set(batch) - known)
        known |= set(batch)
        assert ordered.add(np.array(batch, np.int64)).tolist() == new


@pytest.mark.parametrize("design", ["never-trap", "dedicated-accessors"])
def test_the_verdict_does_not_depend_on_how_many_cpus_there_are(design):
    results = [check(design, host="64-bit", cpus=cpus, assume=SMALL).hosts[0] for cpus in (1, 2, 3)]
    assert results[0].invariants == results[1].invariants == results[2].invariants
    assert results[0].states < results[1].states < results[2].states


@pytest.mark.parametrize("cpus", [1, 2])
def test_the_verdict_is_the_same_with_a_second_vcpu(cpus):
    assume = SMALL.replace("no-smm,", "") + ",no-kernel-preemption,no-get-msr,no-set-msr,no-signal"
    for design in ("never-trap", "dedicated-accessors"):
        one, two = (check(design, host="64-bit", cpus=cpus, vcpus=n, assume=assume) for n in (1, 2))
        assert one.hosts[0].invariants == two.hosts[0].invariants


def test_a_second_vcpu_on_one_cpu_waits_and_both_are_explored():
    result = check("vcpu-vt", host="64-bit", cpus=1, vcpus=2, assume=TINY)
    assert result.verdict == "safe"
    assert result.hosts[0].states > check("vcpu-vt", host="64-bit", cpus=1, assume=TINY).hosts[0].states
