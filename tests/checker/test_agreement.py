"""What ``check`` explores is what ``run`` does: walks through its table, run, come to the same states."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.checker.odd import ODD
from tests.checker.packing import fields_at_rest, packed, slots_at_rest, unpacked
from tests.checker.walks import WALKS, Walk, table
from vmxsim.checker.states import GUEST_VALUES, NON_CANONICAL
from vmxsim.checker.why import mutants
from vmxsim.designs import DESIGNS
from vmxsim.errors import SimulationError
from vmxsim.simulation.run import run
from vmxsim.simulation.scenario import HOSTS

#: A few spoiled designs: what runs on them is not as well-behaved as what was merged.
SPOILED = [
    m.design
    for name in ("lazy-long-mode", "never-trap")
    for m in mutants(DESIGNS[name])
    if not m.only_costs and not m.source.startswith("return")
][2::9]

#: Where there is most to agree about.
VIOLATED = [DESIGNS[name] for name in ("lazy-long-mode", "load-gs-index", "dedicated-accessors")]

settled = settings(deadline=None, suppress_health_check=list(HealthCheck))


def follow(design, host, choices, cpus, on_cpus, interception="rule", written=GUEST_VALUES):
    """A walk through the checker's table and what the simulator says of it."""
    control = table(design, host, interception=interception, written=written)
    walk = Walk(control, choices)
    scenario = walk.scenario(cpus, lambda tick: on_cpus[tick % len(on_cpus)], interception=interception)
    try:
        trace, failure = run(scenario, design), None
    except SimulationError as error:
        trace, failure = None, error.message
    if trace is None or walk.error:
        why = walk.error and walk.error.message
        forever = failure and why and "forever" in failure and "forever" in why
        assert failure == why or forever, scenario.steps
        return
    broken = [set() for _ in scenario.actions]
    for violation in trace.violations:
        broken[violation.action].add(violation.invariant)
    assert broken == walk.broken, scenario.steps
    ends = {record.action: number for number, record in enumerate(trace.simulator.records, 1)}
    for action, state in enumerate(walk.rests):
        machine, (fields, slots) = trace.machine(ends[action]), unpacked(control, state)
        assert fields_at_rest(control, machine) == fields, (action, scenario.steps)
        found = slots_at_rest(control, machine)
        assert found == slots[: len(found)], (action, scenario.steps)
    assert packed(control, trace.simulator.m) == walk.state, scenario.steps


@settings(settled, max_examples=150)
@given(
    st.sampled_from([*DESIGNS.values()]),
    st.sampled_from(HOSTS),
    WALKS,
    st.integers(1, 3),
    st.lists(st.integers(0, 2), min_size=1, max_size=5),
)
def test_every_walk_of_a_design_is_a_run_with_the_same_states_and_the_same_breaches(
    design, host, choices, cpus, on_cpus
):
    follow(design, host, choices, cpus, on_cpus)


@settings(settled, max_examples=150)
@given(st.sampled_from(VIOLATED), st.sampled_from(HOSTS), WALKS)
def test_they_agree_on_what_breaks_where_something_does(design, host, choices):
    follow(design, host, choices, 2, [0])


@settings(settled, max_examples=40)
@given(
    WALKS,
    st.sampled_from(["rule", "bitmap"]),
)
def test_they_agree_on_non_canonical_addresses_and_on_the_real_bitmaps(choices, interception):
    follow(
        DESIGNS["host-from-thread"],
        "64-bit",
        choices,
        2,
        [0, 1],
        interception,
        written=(GUEST_VALUES[0], NON_CANONICAL),
    )


@settings(settled, max_examples=150)
@given(st.sampled_from([*ODD, *SPOILED]), WALKS)
def test_they_agree_on_designs_that_no_kernel_ever_had(design, choices):
    follow(design, "64-bit", choices, 2, [1, 0, 0])
