"""A scenario written as YAML and read again is the same scenario."""

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from vmxsim.checker.check import check
from vmxsim.designs import DESIGNS
from vmxsim.kernel.actions import VERBS
from vmxsim.simulation.scenario import HOSTS, INTERCEPTIONS, make_scenario, read_scenarios, scenario_yaml

VALUE = st.integers(0, 2**64 - 1).map(lambda number: f" 0x{number:X}")
CPU = st.integers(0, 63).map(lambda number: f" cpu{number}")
PLACES = ["rdmsr", "wrmsr", "preempt_disable", "vm_entry", "line 3", "line 120"]


@st.composite
def points(draw):
    point = {"before": draw(st.sampled_from(PLACES))}
    optional = {
        "in": st.sampled_from(["vmx_set_cr0", "__vmx_load_host_state"]),
        "nth": st.integers(1, 50),
        "cpu": st.integers(0, 63),
    }
    return point | {key: draw(values) for key, values in optional.items() if draw(st.booleans())}


@st.composite
def steps(draw, vcpus):
    verb = draw(st.sampled_from(list(VERBS)))
    text = verb + {"value": draw(VALUE), "cpu": draw(CPU)}.get(VERBS[verb].takes, "")
    if VERBS[verb].returns and draw(st.booleans()):
        text += f" ->{draw(VALUE)}"
    step = text
    ticks = draw(st.lists(points(), max_size=4))
    if len(ticks) == 1 and draw(st.booleans()):
        step = {text: {"preempt": ticks[0]}}
    elif ticks:
        step = {text: {"preempt": ticks}}
    return {f"vcpu{draw(st.integers(0, vcpus - 1))}": step} if draw(st.booleans()) else step


@st.composite
def scenarios(draw):
    vcpus = draw(st.integers(1, 2))
    return make_scenario(
        draw(st.lists(steps(vcpus), min_size=1, max_size=6)),
        vcpus=vcpus,
        cpus=draw(st.integers(1, 64)),
        title=draw(st.text(max_size=200)),
        design=draw(st.sampled_from([None, *DESIGNS])),
        host=draw(st.sampled_from(HOSTS)),
        long_mode=draw(st.booleans()),
        interception=draw(st.sampled_from(INTERCEPTIONS)),
    )


def without_place(scenario):
    return evolve(scenario, file="", lines=(), design_line=0)


@settings(deadline=None, max_examples=80)
@given(st.lists(scenarios(), min_size=1, max_size=3))
def test_what_was_written_is_read_again(several):
    text = "---\n".join(map(scenario_yaml, several))
    assert [without_place(scenario) for scenario in read_scenarios(text)] == several


@settings(deadline=None, max_examples=25)
@given(scenarios())
def test_every_action_stands_on_a_line_of_its_own(scenario):
    lines = scenario_yaml(scenario).split("\n")
    first = lines.index("steps:") + 1
    assert len(lines[first:]) == len(scenario.steps) + 1
    assert all(line.startswith("  - ") for line in lines[first:-1])


def test_a_counterexample_is_read_again_from_text_and_from_its_data():
    for design, assume in (
        ("dedicated-accessors", "guest-wrote-first,no-mode-switch"),
        ("load-gs-index", ""),
    ):
        example = check(design, assume=assume).counterexample
        assert [without_place(s) for s in read_scenarios(scenario_yaml(example.scenario))] == [
            example.scenario
        ]
        assert [without_place(s) for s in read_scenarios(scenario_yaml(example.as_data()))] == [
            example.scenario
        ]
