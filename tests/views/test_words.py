"""Steps in words."""

import re

import pytest

import vmxsim
from tests.views.traces import Hostile, crowded, seed
from vmxsim.designs import DESIGNS
from vmxsim.views.film import film
from vmxsim.views.words import now_words, step_words


def told(trace, **wanted):
    """The words of the first step that has the wanted attributes."""
    for step in trace.steps:
        kinds = {move.kind for move in step.moves}
        if all(getattr(step, k) == v for k, v in wanted.items() if k != "move") and (
            wanted.get("move") in kinds or "move" not in wanted
        ):
            return step_words(trace, step.index + 1)
    raise AssertionError(f"no step with {wanted}")


def test_a_read_by_the_kernel_says_who_did_what():
    trace = vmxsim.run(
        ["run", "guest wrmsr 0xa000", "emulate rdmsr"], design="dedicated-accessors", long_mode=True
    )
    assert told(trace, function="vmx_read_guest_kernel_gs_base", move="rdmsr") == (
        "vCPU thread 0, in the kernel on CPU 0, runs line 5 of vmx_read_guest_kernel_gs_base: RDMSR reads "
        "guest 0's value 0xa000 from KERNEL_GS_BASE of CPU 0 into msr_guest_kernel_gs_base of vCPU 0."
    )


def test_a_foreign_value_is_called_so_where_it_is_read():
    words = told(seed(), move="guest_rdmsr")
    assert words.startswith(
        "Guest 0, on CPU 0: RDMSR in the guest reads vCPU thread 0's user GS base 0x7f0000001000"
    )
    assert "where it is foreign" in words


def test_swapgs_says_what_both_places_hold():
    trace = vmxsim.run(["run", "guest swapgs"], design="never-trap", long_mode=True)
    words = told(trace, move="guest_swapgs")
    assert "KERNEL_GS_BASE of CPU 0 now holds guest 0's value 0xffff800000001000" in words
    assert "guest GS base of vCPU 0 holds guest 0's value 0x0" in words
    assert "msr_guest_kernel_gs_base of vCPU 0 (guest 0's value 0x0) is now stale" in words


def test_a_context_switch_names_both_tasks():
    trace = vmxsim.run(["run", "preempt cpu1"], design="never-trap")
    words = told(trace, function="preempt_schedule_irq", move="ctxsw")
    assert (
        "the context switch puts plain task's user GS base 0x7f0000002000 into KERNEL_GS_BASE of CPU 0"
        in words
    )
    assert "CPU 0 now runs plain task" in words


@pytest.mark.parametrize("design", DESIGNS)
def test_every_change_of_a_cell_is_told(design):
    actions = [
        "run",
        "guest long-mode on",
        "guest wrmsr 0xa000",
        "guest swapgs",
        "preempt cpu1",
        "exit",
        "set-msr 1",
    ]
    trace = vmxsim.run(actions, design=design)
    for index, frame in enumerate(film(trace)["frames"][1:], 1):
        for place in frame["changed"]:
            value = trace.scene(index).cells()[place].value
            assert str(value) in frame["words"], f"step {index}: {frame['words']}"
            assert str(value) in frame["brief"] or "exchanges" in frame["brief"], frame["brief"]
        assert frame["words"].endswith(".")
        assert re.fullmatch(r"[^\n]{4,250}[^.]\.", frame["brief"]) and ". " not in frame["brief"], (
            "one sentence"
        )
        assert frame["words"][0] in "vGP_abcdefghijklmnopqrstuwxyz"


def test_what_would_go_wrong_is_said():
    trace = seed()
    after = next(s.index + 1 for s in trace.steps if s.violations)
    words = now_words(trace, after)
    assert "Live:" in words
    assert "Foreign: KERNEL_GS_BASE of CPU 0 (vCPU thread 0's user GS base 0x7f0000001000)" in words
    assert "If guest 0 read its KERNEL_GS_BASE now" in words


def test_the_start_and_the_end_can_be_told():
    trace = crowded()
    assert step_words(trace, 0).startswith("The start: CPU 0 runs vCPU thread 0")
    assert step_words(trace, len(trace.steps))


def test_control_characters_do_not_reach_a_terminal():
    words = step_words(Hostile(), 1) + now_words(Hostile(), 1)
    assert "\x1b" not in words
    assert "\x07" not in words


@pytest.mark.parametrize("design", DESIGNS)
def test_one_place_is_live_for_each_owner_whose_true_value_is_anywhere(design):
    """The register of the owner's CPU, the saved values and the task's base: one of those that hold the true
    value has the star, the others that are used are copies, and none that holds another value has it."""
    actions = [
        "run",
        "guest long-mode on",
        "guest wrmsr 0xA000",
        "guest swapgs",
        "preempt cpu1",
        "exit",
        "run",
    ]
    actions += ["guest long-mode off", "exit", "set-msr 0xB000", "run"]
    for host in ("64-bit", "32-bit"):
        trace = vmxsim.run(actions, design, host=host)
        for index in range(len(trace.steps) + 1):
            scene = trace.scene(index)
            facts = {f"{box.id}.{name}": value for box in scene.boxes for name, value in box.facts}
            mine = [cell for cell in scene.cells().values() if cell.place.startswith(("vcpu0", "thread0"))]
            mine.append(scene.cells()[f"cpu{facts['thread0.CPU']}.kernel_gs_base"])
            for owner, true in (("vcpu0", facts["vcpu0.true value"]), ("thread0", "0x7f0000001000")):
                own = [c for c in mine if c.value and c.value.owner == owner and c.place != "vcpu0.gs_base"]
                right = [cell.status for cell in own if str(cell.value) == true]
                assert right.count("live") == bool({"live", "copy", "stale"} & set(right)), (host, index, own)
                assert not {cell.status for cell in own if str(cell.value) != true} & {"live", "copy"}


def statuses(trace, index):
    return {place: cell.status for place, cell in trace.scene(index).cells().items() if "thread0" in place}


def test_user_space_changes_its_gs_base_and_saving_reads_the_register():
    trace = vmxsim.run(["user gs-base 0x7f0000005000", "run"], "fsgsbase")
    changed = step_words(trace, 1)
    assert "WRGSBASE 0x7f0000005000; user space changes its GS base, and the kernel finds" in changed
    assert "the true user GS base of vCPU thread 0 is now 0x7f0000005000" in changed
    assert statuses(trace, 1) == {"thread0.gs_base": "stale"}
    saved = next(s.index + 1 for s in trace.steps if s.source == "current_save_fsgs()")
    words = step_words(trace, saved)
    assert "saving the bases reads vCPU thread 0's user GS base 0x7f0000005000 from KERNEL_GS_BASE" in words
    assert "into thread.gsbase of vCPU thread 0" in words
    assert trace.notes == [], "the thread's own new base is no guest's value"


@pytest.mark.parametrize(
    ("design", "host", "status"),
    [
        ("load-gs-index", "32-bit", "foreign"),  # its leave restores thread.gs
        ("host-always", "32-bit", "unused"),
        ("never-trap", "32-bit", "unused"),  # only for a 64-bit host task
        ("never-trap", "64-bit", "foreign"),
        ("vcpu-vt", "64-bit", "copy"),  # FSGSBASE: saving reads the register
    ],
)
def test_thread_gsbase_is_unused_only_where_nothing_takes_the_base_from_it(design, host, status):
    trace = vmxsim.run(["run", "exit"], design, host=host, gs_base_from="descriptor")
    assert statuses(trace, len(trace.steps))["thread0.gs_base"] == status
    assert statuses(trace, 0)["thread0.descriptor_base"] == "copy"
