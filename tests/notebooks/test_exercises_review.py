"""The exercises of notebooks 05, 06, 06b, 07 and 07b come out as their text promises."""

import json
import re
from html import escape
from pathlib import Path

import pytest
from attrs import evolve

import vmxsim
from vmxsim import inbox
from vmxsim.designs import DedicatedAccessors, HostAlways, HostFromThread, LazyLongMode, NeverTrap
from vmxsim.kernel.language import *
from vmxsim.teaching.questions.session import SESSION
from vmxsim.teaching.questions.store import Store
from vmxsim.teaching.reviews import Inbox, Review
from vmxsim.teaching.reviews.unseen_patches import AlwaysKnown, OnTheWayOut, SavedValue, StoreFirst

# 05, Long mode and interception


class Told(HostFromThread):
    """05b, section 1: a new vCPU's bitmap starts as the rule says."""

    bitmap_passes_at_creation = False


class HalfRepaired(LazyLongMode):
    """05, section 7, as it is given: one direction."""

    def exit_lmode(self, vmx):
        self.vmx_load_host_state(vmx)
        vmx.efer = vmx.efer & ~EFER_LMA
        vmcs_write("VM_ENTRY_CONTROLS", vmcs_read("VM_ENTRY_CONTROLS"))


class Repaired(HalfRepaired):
    """05, section 7: both directions."""

    def enter_lmode(self, vmx):
        vmcs_read("GUEST_TR_AR_BYTES")
        self.vmx_load_host_state(vmx)
        vmx.efer = vmx.efer | EFER_LMA
        self.vmx_set_efer(vmx, vmx.efer)


class LoadsOnEntry(DedicatedAccessors):
    """05b, section 3: the register is loaded on LMA 0 -> 1, after EFER was stored."""

    def vmx_set_efer(self, vmx, efer):
        entering = efer & EFER_LMA and not is_long_mode(vmx)
        if not efer & EFER_LMA:
            self.vmx_read_guest_kernel_gs_base(vmx)
        vmx.efer = efer
        if efer & EFER_LMA:
            vm_entry_controls_setbit("IA32E_MODE")
        self.setup_msrs(vmx)
        if entering:
            preempt_disable()
            if vmx.loaded_cpu_state:
                wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
            preempt_enable()


def actions(before, after, loaded):
    """05b, section 3, filled in."""
    word = "on" if after else "off"
    if before == after:
        change = ["run"]
    elif loaded:
        change = ["run", f"guest long-mode {word}"]
    else:
        change = [f"set-efer long-mode {word}", "run"]
    return ["set-msr 0xA000", *change, "guest rdmsr", "exit", "get-msr"]


def wrong_cells(design, host="64-bit"):
    cells = [(b, a, loaded) for b in (0, 1) for a in (0, 1) for loaded in (0, 1)]
    return [
        cell
        for cell in cells
        if vmxsim.run(actions(*cell), design, long_mode=bool(cell[0]), host=host).violations
    ]


def test_the_bitmap_is_right_when_it_is_told():
    untold = vmxsim.check("host-from-thread", interception="bitmap", host="64-bit")
    assert untold.verdict == "violated"
    assert untold.hosts[0].invariants["host-value"] == "holds"
    assert vmxsim.check(Told, interception="bitmap").verdict == "safe"


def test_each_direction_of_2_6_33_breaks_something_else():
    found = vmxsim.check("lazy-long-mode", host="64-bit").hosts[0].counterexamples
    assert found["guest-value"].scenario.steps == ("run", "guest long-mode on")
    assert found["host-value"].scenario.steps == ("run", {"guest long-mode off": {"signal": True}})


@pytest.mark.parametrize("design", ["msr-array", "array-passthrough"])
def test_the_array_designs_need_more_than_a_change_of_mode(design):
    """05b, section 2, and 06, section 1."""
    assert vmxsim.check(design, assume=["no-user-gs-base"]).verdict == "safe"
    assert vmxsim.check(design).counterexample.schedule == (
        "run; guest long-mode off (then a signal); user gs-base 0x7F0000005000; run cancelled"
    )


def test_2_6_33_is_repaired_in_both_directions():
    half = vmxsim.check(HalfRepaired, host="64-bit")
    assert set(half.hosts[0].counterexamples) == {"guest-value", "host-value", "no-leak"}
    assert vmxsim.check(Repaired).verdict == "safe"


def test_the_table_of_mode_changes_has_three_wrong_cells():
    wrong = {design: wrong_cells(design) for design in vmxsim.DESIGNS}
    assert {design: cells for design, cells in wrong.items() if cells} == {
        "lazy-long-mode": [(0, 1, 1), (1, 0, 1)],
        "dedicated-accessors": [(0, 1, 1)],
    }


def test_what_the_table_does_not_show():
    assert not wrong_cells("load-gs-index")
    assert wrong_cells("load-gs-index", "32-bit")
    assert not wrong_cells(LoadsOnEntry)
    assert vmxsim.check(LoadsOnEntry).verdict == "violated"


# 06, Fifteen years of one register


class NotAlways(HostAlways):
    """06, section 5: leave writes the host's value in long mode only."""

    @requires("preemption disabled", "vCPU loaded")
    def __vmx_load_host_state(self, vmx):
        if not vmx.host_state.loaded:
            return
        count_host_state_reload()
        vmx.host_state.loaded = False
        if is_long_mode(vmx):
            vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        if vmx.host_state.ldt_sel or vmx.host_state.gs_sel & 7:
            lldt(vmx.host_state.ldt_sel)
            load_gs_index(vmx.host_state.gs_sel)
        ltr()
        if is_long_mode(vmx):
            wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)
        load_gdt()


class Early(LazyLongMode):
    """06b, section 1: never-trap's rule in 2.6.33."""

    interception = "never"

    @staticmethod
    def _in_register(vcpu):
        return vcpu.loaded

    @requires("preemption disabled", "vCPU loaded")
    def vmx_save_host_state(self, vmx):
        if vmx.host_state.loaded:
            return
        vmx.host_state.loaded = True
        vmx.host_state.ldt_sel = sldt()
        vmcs_write("HOST_FS_SELECTOR", savesegment("fs"))
        vmx.host_state.gs_sel = savesegment("gs")
        vmcs_write("HOST_GS_SELECTOR", vmx.host_state.gs_sel)
        vmcs_write("HOST_FS_BASE", rdmsr(MSR_FS_BASE))
        vmcs_write("HOST_GS_BASE", rdmsr(MSR_GS_BASE))
        vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)
        kvm_set_shared_msr(vmx.save_nmsrs)

    @requires("preemption disabled", "vCPU loaded")
    def __vmx_load_host_state(self, vmx):
        if not vmx.host_state.loaded:
            return
        count_host_state_reload()
        vmx.host_state.loaded = False
        if vmx.host_state.ldt_sel or vmx.host_state.gs_sel & 7:
            lldt(vmx.host_state.ldt_sel)
            local_irq_disable()
            loadsegment("gs", vmx.host_state.gs_sel)
            wrmsr(MSR_GS_BASE, vmcs_read("HOST_GS_BASE"))
            local_irq_enable()
        sgdt()
        ltr()
        vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base)


def test_five_designs_are_wrong_and_the_next_right_one_repairs_each():
    order = list(vmxsim.DESIGNS)
    wrong = [name for name in order if vmxsim.check(name).verdict == "violated"]
    assert wrong == [
        "msr-array",
        "array-passthrough",
        "lazy-long-mode",
        "load-gs-index",
        "dedicated-accessors",
    ]
    repairs = [order[order.index(name) + 1] for name in wrong[2:]]
    assert repairs == ["lma-fix", "host-always", "never-trap"]


def test_always_is_needed_on_a_32_bit_host_outside_long_mode_if_the_descriptor_does_not_hold_the_base():
    assert vmxsim.check(NotAlways).verdict == "safe"
    wide, narrow = vmxsim.check(NotAlways, gs_base_from="msr").hosts
    assert (wide.verdict, narrow.verdict) == ("safe", "violated")
    assert set(narrow.counterexamples) == {"host-value"}
    assert not narrow.counterexample.scenario.long_mode


def test_the_last_puzzle_has_an_answer():
    """06b, section 2: h is thread.gsbase, which a save without FSGSBASE sets to 0."""

    def verdict(design, fsgsbase=False):
        found = vmxsim.check(design, host="64-bit", gs_base_from="descriptor", fsgsbase=fsgsbase)
        return found.verdict

    assert verdict("vcpu-vt") == "violated"
    assert verdict("vcpu-vt", fsgsbase=True) == verdict("host-always") == "safe"
    assert verdict("host-from-thread") == "violated"


def on_register(design, path):
    (row,) = vmxsim.cost(design).only(path, long_mode=False)
    return sum(n for name, n in row.operations.items() if "kernel_gs_base" in name)


def test_never_trap_could_have_been_had_in_2_6_33():
    assert vmxsim.check(Early).verdict == "safe"
    assert [on_register(LazyLongMode, path) for path in ("run", "exit")] == [0, 0]
    assert [on_register(Early, path) for path in ("run", "exit")] == [2, 2]


# 07 and 07b, Would you have caught it?

#: Of each patch: None if it is right, else the invariants that it breaks and the shortest schedule.
VERDICTS = {
    1: ({"guest-value"}, "run; emulate wrmsr 0xA000"),
    2: None,
    3: ({"guest-value"}, "run; guest swapgs; guest rdmsr"),
    4: None,
    5: (
        {"host-value", "no-leak"},
        "run; emulate wrmsr 0xA000 (tick before line 6 in vmx_write_guest_kernel_gs_base)",
    ),
    6: (
        {"guest-value"},
        "run; emulate wrmsr 0xA000 (tick before preempt_disable in vmx_write_guest_kernel_gs_base)",
    ),
}
FOLDER = Path(__file__).parents[2] / "notebooks"
CELLS = [
    "".join(cell["source"])
    for name in ("07-would-you-have-caught-it", "07b-three-harder-patches")
    for cell in json.loads((FOLDER / f"{name}.ipynb").read_text())["cells"]
]


@pytest.mark.parametrize("number", VERDICTS)
def test_each_patch_is_as_its_folded_review_says(number):
    (review,) = [text for text in CELLS if f"Our review of patch {number}<" in text]
    found = vmxsim.check(inbox[number].patch)
    if VERDICTS[number] is None:
        assert found.verdict == "safe"
        assert len(found.hosts) == 2
        assert "**Approve.**" in review
        return
    broken, schedule = VERDICTS[number]
    assert set(found.telling.counterexamples) == broken
    assert found.counterexample.schedule == schedule
    assert "**Request changes.**" in review
    assert f"`{schedule}`" in review


def test_nothing_gives_a_patch_away_before_the_verdict():
    tells = re.compile(r"swapgs|emulat|wrong|right|bug|safe|broke|stale|leak|SMI", re.I)
    for review in inbox:
        told = f"{review.subject} {review.message} {review.patch.__name__} {review.patch.__doc__}"
        assert not tells.search(told), review.number
        assert review.diff
        assert review.diff in str(review)
        assert escape(review.diff.splitlines()[-1]) in review._repr_html_()
    for cell in CELLS:
        if "Our review" in cell:
            assert cell.startswith("<details>")
            assert not tells.search(
                cell.split("</details>")[1].replace("Your score", "").split("A verdict")[0]
            )


class CallsAgain(SavedValue):
    """07, patch 1: through the accessors, as before."""

    def vmx_get_msr(self, vmx):
        return self.vmx_read_guest_kernel_gs_base(vmx)

    def vmx_set_msr(self, vmx, data):
        self.vmx_write_guest_kernel_gs_base(vmx, data)


class ReadsBack(AlwaysKnown):
    """07, patch 3: only the register knows what a SWAPGS has put there."""

    vmx_prepare_switch_to_host = NeverTrap.vmx_prepare_switch_to_host
    vmx_read_guest_kernel_gs_base = NeverTrap.vmx_read_guest_kernel_gs_base


class Restores(OnTheWayOut):
    """07b, patch 5: the host's value is back before the switch."""

    @requires("preemption disabled")
    def kvm_sched_out(self, vmx):
        self.vmx_vcpu_put(vmx)


class StoresInside(StoreFirst):
    """07b, patch 6: register and saved value change together."""

    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        preempt_disable()
        vmx.msr_guest_kernel_gs_base = data
        if vmx.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        preempt_enable()


@pytest.mark.parametrize(
    ("number", "repair"), [(1, CallsAgain), (3, ReadsBack), (5, Restores), (6, StoresInside)]
)
def test_each_wrong_patch_has_the_repair_that_its_review_names(number, repair):
    review = evolve(inbox[number], verdict=None, repaired=False)
    assert "verdict first" in review.repair(repair)
    review.judge("request changes")
    assert review.repair(repair) == "Safe on every schedule, on both host widths."
    assert review.repaired


def fresh(number=6):
    one = inbox[number]
    return Review(one.number, one.subject, one.message, one.patch, one.before)


def test_a_review_keeps_the_first_verdict_and_scores_it():
    review = fresh()
    box = Inbox((review,))
    for told in (review.check(), review.attack(["run"]), review.reply("text")):
        assert "Your verdict first" in told
    assert "No verdict yet" in review.judge("?")
    assert review.judge("approve", confidence=90, minutes=3.5) == "Kept: approve, 90 % sure, 3.5 min."
    assert "first verdict counts" in review.judge("request changes")
    assert "nothing is wrong" in repr(review.attack(["run"]))
    tick = {"before": "preempt_disable", "in": "vmx_write_guest_kernel_gs_base"}
    assert "broken" in repr(review.attack(["run", {"emulate wrmsr 0xA000": {"preempt": tick}}]))
    assert "does not name an action" not in review.reply("vmx_set_msr() loses it")
    assert "does not name a function" in review.reply("It loses the value.")
    assert "does not name a function" not in review.reply("The emulator calls set_msr, too.")
    assert "not asked yet" in repr(box)
    assert review.check().verdict == "violated"
    assert "violated: run" in review.repair(review.patch)
    assert review.points == (pytest.approx(1.9 + 5), 20)  # 10 * (1 - 0.9 ** 2), and the schedule
    review.repair(StoresInside)
    assert "11.9 of 20" in repr(box)
    sure = fresh(2)
    sure.judge("approve", confidence=100)
    assert sure.check().verdict == "safe"
    assert sure.points == (10, 10)
    empty = type("Empty", (sure.patch,), {})
    assert "changes nothing" in sure.repair(empty)
    assert "| safe | - |" in repr(Inbox((sure,))), "an untouched repair of a right patch is none"


def test_an_attack_is_its_verdict_and_the_run_where_it_breaks(monkeypatch):
    monkeypatch.setattr(SESSION, "store", Store(None))
    review = evolve(inbox[3], verdict=None)
    assert "verdict first" in review.attack(["run"])
    review.judge("request changes")
    broken = review.attack(["run", "guest swapgs", "guest rdmsr"], long_mode=True)
    line, player = broken.children
    why = broken.attack.run.violations[0]
    assert "broken" in line.value and "(guest rdmsr)" in line.value
    assert player.position == why.step + 1 < len(player.films[0]["frames"]) - 1
    safe = review.attack(["run", "exit"], long_mode=True)
    assert safe.children[1].position == len(safe.children[1].films[0]["frames"]) - 1
    assert "nothing is wrong" in safe.children[0].value
    for attack, words in ((broken, "guest rdmsr: broken."), (safe, "exit: nothing is wrong.")):
        assert words in str(attack), "printed"
        assert words in attack._repr_mimebundle_()[0]["text/plain"], "and where there are no widgets"
    assert [broke for _, broke in review.attacks] == [True, False]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"answer": "aprove"}, "did you mean 'approve'"),
        ({"answer": "approve", "confidence": 0.9}, "expected 50 to 100 percent, not 0.9"),
        ({"answer": "approve", "minutes": "3"}, "expected a number of minutes, not '3'"),
    ],
)
def test_a_verdict_that_is_none_is_refused(how, words):
    with pytest.raises(vmxsim.InputError, match=words):
        fresh().judge(**how)
    with pytest.raises(vmxsim.InputError, match="unknown patch '9'"):
        inbox[9]


def test_what_was_said_stands_in_the_next_kernel(monkeypatch, tmp_path):
    monkeypatch.setattr(SESSION, "store", Store(tmp_path / "answers.json"))
    first = fresh(1)
    first.judge("request changes", confidence=80, minutes=4)
    first.attack(["run", "emulate wrmsr 0xA000"])
    assert first.check().verdict == "violated"
    again = Inbox((fresh(1), fresh(2)))
    again.remember()
    assert again[1].said == "request changes, 80 % sure, 4 min"
    assert again[1].points == first.points == (pytest.approx(9.6 + 5), 20)
    assert again[2].verdict is None
    again.forget()
    once_more = Inbox((fresh(1),))
    once_more.remember()
    assert once_more[1].verdict is None
    for broken in ({"verdict": 3}, {"verdict": ["aprove", 80, 4]}, {"verdict": ["approve", "x", 4]}):
        one = fresh(1)
        one.load(broken)
        assert one.verdict is None
