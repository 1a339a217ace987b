"""Several vCPUs: what is computed from each thread's states is what a visit to every joint state finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checker.joint import steps_to_breach, visited
from tests.checker.walks import table
from vmxsim.checker import lengths
from vmxsim.checker.check import GUESTS, check
from vmxsim.checker.footprints import BROKEN
from vmxsim.checker.lengths import IN_GUEST, LOADED, WAITS, Graph, counts, graph_of, kinds_of
from vmxsim.checker.reach import reachable
from vmxsim.checker.search import shortest_path
from vmxsim.checker.together import SITUATIONS, TAKEN_OVER, together
from vmxsim.designs import DESIGNS
from vmxsim.errors import InputError
from vmxsim.simulation.run import run

SMALL = "no-swapgs,no-smm,no-emulation,no-cancelled-run,no-set-efer,one-value"
TINY = f"{SMALL},no-mode-switch,no-get-msr,no-exit,starts-in-long-mode,no-kernel-preemption"

SEVERAL_HOSTS = pytest.mark.parametrize(
    ("design", "host", "options"),
    [("never-trap", "64-bit", {"bases": "zero"}), ("load-gs-index", "32-bit", {}),
     ("host-always", "64-bit", {"gs_base_from": "descriptor"})],
)  # fmt: skip


@st.composite
def graphs(draw):
    """A thread's graph, twice: from starts with a CPU, and without. State 0 holds one, state 1 waits."""
    size = draw(st.integers(2, 5))
    marks = [0, WAITS, *draw(st.lists(st.sampled_from([0, WAITS]), min_size=size - 2, max_size=size - 2))]
    rows = [draw(st.lists(st.integers(0, size - 1), max_size=3)) for _ in marks]
    first = [0]
    for row in rows:
        first.append(first[-1] + len(row))
    ends = draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
    modes = draw(st.integers(1, 2))
    starts = [
        draw(
            st.lists(
                st.sampled_from([n for n, m in enumerate(marks) if m == mark]), min_size=modes, max_size=modes
            )
        )
        for mark in (0, WAITS)
    ]
    return tuple(Graph(first, [to for row in rows for to in row], ends, marks, start) for start in starts)


def as_arrays(graph):
    parts = (np.array(part, np.int64) for part in (graph.first, graph.target, graph.ends, graph.marks))
    return Graph(*parts, graph.start)


@settings(deadline=None, max_examples=120)
@given(graphs(), st.integers(1, 4), st.integers(1, 3), st.booleans(), st.booleans())
def test_any_threads_are_counted_as_if_each_joint_state_were_visited(two, vcpus, cpus, moves, same_guest):
    options = {"moves": moves, "same_guest": same_guest}
    layers, transitions = visited(*two, vcpus, cpus, **options)
    found = together(*map(kinds_of, two), vcpus, cpus, **options)
    assert (found.layers, found.transitions) == (layers, transitions)
    assert sum(sum(held.values()) for held in found.held[:1]) == found.states or not moves
    assert [kinds_of(as_arrays(graph)) for graph in two] == [kinds_of(graph) for graph in two]


def both(design, host, assume, cpus, **options):
    control = table(DESIGNS[design], host, assume, **options)
    alone = graph_of(reachable(control))
    return alone, graph_of(reachable(control, waiting=True), waiting=True) if cpus == 1 else alone


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("moves", [True, False])
@SEVERAL_HOSTS
def test_two_vcpus_of_a_design_are_counted_as_if_visited(design, host, options, moves, cpus):
    two = both(design, host, TINY + ",no-migration" * (not moves), cpus, **options)
    found = together(*map(kinds_of, two), 2, cpus, moves=moves)
    assert (found.layers, found.transitions) == visited(*two, 2, cpus, moves=moves)
    assert found.states > 300


def test_the_graph_and_its_kinds_are_the_same_with_numpy_and_without(monkeypatch):
    control = table(DESIGNS["dedicated-accessors"], "32-bit", SMALL)
    quick = kinds_of(graph_of(reachable(control)))
    monkeypatch.setattr(lengths, "np", None)
    graph = graph_of(reachable(control, plain=True))
    assert isinstance(graph.first, list) and kinds_of(graph) == quick
    marks = {kind.marks for kind in quick}
    assert {WAITS, LOADED, LOADED | IN_GUEST} <= marks and WAITS | IN_GUEST not in marks


@pytest.mark.parametrize("cpus", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"gs_base_from": "descriptor"}])
@pytest.mark.parametrize("assume", [SMALL, f"{SMALL},no-migration", f"{SMALL},no-preemption"])
def test_one_vcpu_is_counted_alike_by_both_ways_to_count(assume, options, cpus):
    found = reachable(table(DESIGNS["never-trap"], "64-bit", assume, **options))
    moves = "no-migration" not in assume and "no-preemption" not in assume
    kinds = kinds_of(graph_of(found))
    one, told = together(kinds, kinds, 1, cpus, moves=moves), counts(found, cpus, moves)
    assert (one.states, one.transitions) == (told.states, told.transitions)
    if cpus == 1:
        assert one.layers == tuple(map(len, found.layers))


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize(
    ("design", "host", "name"),
    [("dedicated-accessors", "64-bit", "guest-value"), ("load-gs-index", "32-bit", "host-value")],
)
def test_a_counterexample_is_as_short_as_a_search_of_both_threads_finds(design, host, name, cpus):
    control = table(
        DESIGNS[design], host, f"{SMALL},no-get-msr,no-set-msr,no-user-gs-base,no-kernel-preemption"
    )
    path = shortest_path(control, name, steps_alone=True)
    assert len(path.transitions) == steps_to_breach(control, BROKEN[name], cpus)


@pytest.mark.parametrize("design", ["never-trap", "dedicated-accessors"])
def test_two_vcpus_are_decided_as_one_is_and_nothing_is_assumed(design):
    one, two = (check(design, host="64-bit", vcpus=vcpus).hosts[0] for vcpus in (1, 2))
    assert one.invariants == two.invariants and not two.cut and not two.ended_early
    assert two.states > 10**9 and two.depth > one.depth
    lengths_of = [{name: c.steps for name, c in r.counterexamples.items()} for r in (one, two)]
    assert lengths_of[0] == lengths_of[1]
    assert two.sometimes[TAKEN_OVER] and all(two.sometimes[name] for name in SITUATIONS)
    assert all(c.scenario.vcpus == 2 for c in two.counterexamples.values())


def test_what_is_computed_for_two_is_told_in_full():
    host = check("never-trap", host="64-bit", vcpus=2).hosts[0]
    assert host.states == sum(host.together.layers) == 13_266_395_888
    assert (host.transitions, host.depth) == (49_789_752_192, 253)


def test_it_is_said_that_joint_states_were_not_visited():
    one, two = (check("never-trap", host="64-bit", vcpus=n, assume=SMALL) for n in (1, 2))
    assert "no thread can tell what another left" in repr(two) and "no thread can tell" not in repr(one)


@pytest.mark.parametrize(("vcpus", "cpus"), [(3, 1), (3, 2), (4, 4)])
def test_three_and_four_vcpus_are_checked_too(vcpus, cpus):
    assume = f"{SMALL},no-mode-switch"
    hosts = [check("vcpu-vt", host="64-bit", vcpus=n, cpus=cpus, assume=assume).hosts[0] for n in (2, vcpus)]
    assert [host.verdict for host in hosts] == ["safe", "safe"]
    assert hosts[1].states > hosts[0].states ** 1.4


def test_what_three_vcpus_break_is_a_scenario_of_two():
    result = check("dedicated-accessors", host="64-bit", vcpus=3, assume=SMALL)
    assert result.verdict == "violated" and result.scenario.vcpus == 2
    assert "guest-value" in {violation.invariant for violation in run(result.scenario).violations}


def test_guests_of_their_own_start_each_in_its_own_mode():
    assume = f"{SMALL},no-mode-switch,no-set-efer"
    same, different = (check("never-trap", host="64-bit", vcpus=2, guests=g, assume=assume) for g in GUESTS)
    assert (same.verdict, different.verdict) == ("safe", "safe")
    alone = [
        check("never-trap", host="64-bit", vcpus=2, assume=f"{assume},starts-{mode}-long-mode")
        .hosts[0]
        .states
        for mode in ("in", "outside")
    ]
    assert same.hosts[0].states == sum(alone) < different.hosts[0].states
    assert "2 vCPUs of different guests" in repr(different) and "guests" not in repr(same).splitlines()[0]
    with pytest.raises(InputError, match="one vCPU has one guest"):
        check("never-trap", guests="different")
    with pytest.raises(InputError, match="did you mean 'different'"):
        check("never-trap", vcpus=2, guests="diferent")


def test_whoever_waits_for_the_result_is_asked_whether_to_go_on():
    alone = kinds_of(both("never-trap", "64-bit", TINY, 2)[0])
    asked = []
    together(alone, alone, 3, 2, ask=lambda: asked.append(True))
    assert len(asked) > 10


def test_where_no_thread_is_ever_switched_out_one_without_a_cpu_never_runs():
    assume = "no-preemption,starts-in-long-mode"
    one, two = (check("never-trap", host="64-bit", vcpus=n, cpus=1, assume=assume) for n in (1, 2))
    assert one.hosts[0].states == two.hosts[0].states and not two.hosts[0].sometimes[TAKEN_OVER]
    assert TAKEN_OVER not in one.hosts[0].sometimes


def test_threads_that_keep_to_their_own_cpus_never_meet():
    found = check("never-trap", host="64-bit", vcpus=2, assume=f"{SMALL},no-migration")
    alone = check("never-trap", host="64-bit", assume=f"{SMALL},no-migration,starts-in-long-mode").hosts[0]
    assert not found.hosts[0].sometimes[TAKEN_OVER]
    both = check("never-trap", host="64-bit", vcpus=2, assume=f"{SMALL},no-migration,starts-in-long-mode")
    assert both.hosts[0].states == alone.states**2 and both.hosts[0].depth == 2 * alone.depth
