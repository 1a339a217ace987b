"""What holds for every design on every schedule that hypothesis finds."""

from functools import lru_cache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmxsim.designs import DESIGNS
from vmxsim.errors import InputError
from vmxsim.kernel.actions import VERBS
from vmxsim.simulation.run import run

#: Under the default interception rule (reference: the history of the defects).
UNSAFE = {
    ("msr-array", "64-bit"),
    ("msr-array", "32-bit"),
    ("array-passthrough", "64-bit"),
    ("array-passthrough", "32-bit"),
    ("lazy-long-mode", "64-bit"),
    ("lazy-long-mode", "32-bit"),
    ("load-gs-index", "32-bit"),
    ("dedicated-accessors", "64-bit"),
    ("dedicated-accessors", "32-bit"),
}
HARMS_THE_HOST = {"msr-array", "array-passthrough", "lazy-long-mode", "load-gs-index"}
POINTS = [
    "rdmsr",
    "wrmsr",
    "preempt_disable",
    "preempt_enable",
    "vm_entry",
    "vmcs_write",
    "local_irq_disable",
]


@lru_cache(maxsize=4096)
def possible(design, host, long_mode, cpus, vcpus, steps):
    try:
        run([thaw(step) for step in steps], design, host=host, long_mode=long_mode, cpus=cpus, vcpus=vcpus)
    except InputError as error:
        if "not possible" not in str(error) and "change nothing" not in str(error):
            raise
        return False
    return True


def thaw(step):
    vcpu, action, point = step
    item = action if point is None else {action: {"preempt": dict(point)}}
    return item if vcpu is None else {f"vcpu{vcpu}": item}


@st.composite
def schedules(draw, designs=tuple(DESIGNS)):
    """A design and a scenario that is possible on it, with ticks at any steps."""
    design, host = draw(st.sampled_from(designs)), draw(st.sampled_from(["64-bit", "32-bit"]))
    cpus, vcpus, long_mode = draw(st.integers(1, 3)), draw(st.sampled_from([1, 1, 2])), draw(st.booleans())
    steps = ()
    for _ in range(draw(st.integers(1, 9))):
        verb = draw(st.sampled_from(list(VERBS)))
        argument = {
            "value": draw(st.sampled_from([" 0xA000", " 0xB000"])),
            "cpu": f" cpu{draw(st.integers(0, cpus - 1))}",
        }
        point = None
        if draw(st.integers(0, 3)) == 0:
            point = (
                ("before", draw(st.sampled_from(POINTS))),
                ("nth", draw(st.integers(1, 2))),
                ("cpu", draw(st.integers(0, cpus - 1))),
            )
        step = (
            draw(st.integers(0, 1)) if vcpus == 2 else None,
            verb + argument.get(VERBS[verb].takes, ""),
            point,
        )
        if possible(design, host, long_mode, cpus, vcpus, (*steps, step)):
            steps += (step,)
    if not steps:
        steps = ((0 if vcpus == 2 else None, "get-msr", None),)
    ticks = draw(st.lists(st.tuples(st.integers(1, 300), st.integers(0, cpus - 1)), max_size=3))
    options = {"host": host, "long_mode": long_mode, "cpus": cpus, "vcpus": vcpus}
    return design, [thaw(step) for step in steps], options, ticks


def go(schedule):
    design, steps, options, ticks = schedule
    try:
        return run(steps, design, ticks=ticks, **options)
    except InputError as error:
        # a tick may move a thread; it never makes an action impossible
        raise AssertionError(f"{schedule}: {error}") from error


many = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@many
@given(schedules())
def test_safe_designs_keep_every_invariant_and_unsafe_ones_break_only_the_known_ones(schedule):
    trace = go(schedule)
    found = {violation.invariant for violation in trace.violations}
    if (schedule[0], schedule[2]["host"]) not in UNSAFE:
        assert not found, (schedule, trace.violations)
    else:
        assert found <= {"guest-value", "host-value", "no-leak"}
        assert "host-value" not in found or schedule[0] in HARMS_THE_HOST


@many
@given(schedules())
def test_a_run_can_be_repeated_and_stepped_backwards(schedule):
    trace, again = go(schedule), go(schedule)
    assert trace.results == again.results and trace.steps == again.steps
    forward = [trace.scene(index) for index in range(len(trace.steps) + 1)]
    assert [trace.scene(index) for index in reversed(range(len(forward)))] == forward[::-1]


@many
@given(schedules())
def test_verdicts_of_results_and_invariants_agree(schedule):
    trace = go(schedule)
    broken = {(v.action, v.invariant) for v in trace.violations}
    for number, result in enumerate(trace.results):
        for name, invariant in (("guest_wrong", "guest-value"), ("host_wrong", "host-value")):
            flags = result[name] if isinstance(result[name], list) else [result[name]]
            assert not any(flags) or (number, invariant) in broken


@many
@given(schedules())
def test_preemption_happens_only_where_it_is_possible(schedule):
    trace = go(schedule)
    for before, step in zip(trace.steps, trace.steps[1:], strict=False):
        if step.function == "preempt_schedule_irq" and step.line == 4 and before.thread == step.thread:
            assert before.preemptible or before.function in ("preempt_schedule_irq", "user space"), before


@many
@given(schedules())
def test_every_cell_has_one_honest_word(schedule):
    """One live place for each guest's value, unless it is lost; a live place holds the true number."""
    trace = go(schedule)
    for index in range(len(trace.steps) + 1):
        scene, m = trace.scene(index), trace.machine(index)
        cells = scene.cells()
        for vcpu in m.vcpus:
            true = vcpu.true_guest_value.number
            g = cells[f"{vcpu.id}.g"]
            assert g.status != "live" or g.value.number == true
            assert (g.status in ("stale", "foreign")) == (vcpu.g.number != true)
        for cpu in m.cpus:
            cell = cells[f"{cpu.id}.kernel_gs_base"]
            if cell.status == "live":
                truths = {t.true_user_gs_base.number for t in (*m.threads, m.plain)} | {
                    v.true_guest_value.number for v in m.vcpus
                }
                assert cell.value.number in truths
