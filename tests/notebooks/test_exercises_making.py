"""The exercises of notebooks 08 and 09 come out as their text promises, and so do their claims."""

import re

import pytest

import vmxsim
from vmxsim.errors import InputError
from vmxsim.ftrace import examples
from vmxsim.ftrace.faults import KINDS, inject
from vmxsim.ftrace.recording import read, verdict
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.language import *

# 08: another register


class Blank(Kvm):
    """08: what is about modes, and nothing about the register."""

    interception = "never"
    names = {"prepare_guest_switch": "enter", "vcpu_put": "leave", "get_msr": "read", "set_msr": "write"}
    kvm_x86_ops = Kvm.kvm_x86_ops | names
    labels = Kvm.labels | {"loaded": "loaded_cpu_state"}

    @staticmethod
    def _in_register(vcpu):
        return vcpu.loaded

    def vmx_set_efer(self, vcpu, efer):
        vcpu.efer = efer

    def enter_lmode(self, vcpu):
        vcpu.efer = vcpu.efer | EFER_LMA

    def exit_lmode(self, vcpu):
        vcpu.efer = vcpu.efer & ~EFER_LMA


class Eager(Blank):
    """08, section 3: exchanged around every entry."""

    def enter(self, vcpu):
        vcpu.loaded_cpu_state = True
        wrmsr(MSR_KERNEL_GS_BASE, vcpu.msr_guest_kernel_gs_base)

    def give_back(self, vcpu):
        vcpu.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, current.thread.gsbase)
        vcpu.loaded_cpu_state = False

    def vcpu_enter_guest(self, vcpu):
        preempt_disable()
        self.enter(vcpu)
        local_irq_disable()
        if signal_pending() or need_resched():
            self.give_back(vcpu)
            local_irq_enable()
            preempt_enable()
            return not signal_pending()
        vm_entry(vcpu)
        self.give_back(vcpu)
        local_irq_enable()
        preempt_enable()
        return self.vmx_handle_exit(vcpu)

    def leave(self, vcpu):
        return

    def read(self, vcpu):
        return vcpu.msr_guest_kernel_gs_base

    def write(self, vcpu, data):
        vcpu.msr_guest_kernel_gs_base = data


class Finished(Blank):
    """08, section 4: the lazy design with its end."""

    def enter(self, vcpu):
        if vcpu.loaded_cpu_state:
            return
        vcpu.loaded_cpu_state = True
        wrmsr(MSR_KERNEL_GS_BASE, vcpu.msr_guest_kernel_gs_base)

    def leave(self, vcpu):
        if not vcpu.loaded_cpu_state:
            return
        vcpu.loaded_cpu_state = False
        vcpu.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, current.thread.gsbase)

    def read(self, vcpu):
        preempt_disable()
        if vcpu.loaded_cpu_state:
            vcpu.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        preempt_enable()
        return vcpu.msr_guest_kernel_gs_base

    def write(self, vcpu, data):
        preempt_disable()
        if vcpu.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        preempt_enable()
        vcpu.msr_guest_kernel_gs_base = data


class Unfinished(Finished):
    """08, section 4, as the reader finds it."""

    def leave(self, vcpu):
        vcpu.loaded_cpu_state = False


class Svm(Blank):
    """08, section 5: from scratch, with VMLOAD and VMSAVE."""

    def vmload(self, svm):
        wrmsr(MSR_KERNEL_GS_BASE, svm.msr_guest_kernel_gs_base)

    def vmsave(self, svm):
        svm.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)

    def enter(self, svm):
        if svm.loaded_cpu_state:
            return
        svm.loaded_cpu_state = True
        self.vmload(svm)

    def leave(self, svm):
        if svm.loaded_cpu_state:
            svm.loaded_cpu_state = False
            self.vmsave(svm)
            wrmsr(MSR_KERNEL_GS_BASE, current.thread.gsbase)

    def read(self, svm):
        preempt_disable()
        if svm.loaded_cpu_state:
            self.vmsave(svm)
        preempt_enable()
        return svm.msr_guest_kernel_gs_base

    def write(self, svm, data):
        preempt_disable()
        svm.msr_guest_kernel_gs_base = data
        if svm.loaded_cpu_state:
            self.vmload(svm)
        preempt_enable()


class CopyFirst(Svm):
    """08, section 5, "is the order free?": the copy written before the protected part."""

    def write(self, svm, data):
        svm.msr_guest_kernel_gs_base = data
        preempt_disable()
        if svm.loaded_cpu_state:
            self.vmload(svm)
        preempt_enable()


class BothModes(Finished):
    """08, the long way: not loaded outside long mode, and everything given back before the mode changes."""

    interception = "outside long mode"

    @staticmethod
    def _in_register(vcpu):
        return vcpu.loaded and vcpu.long_mode

    def enter(self, vcpu):
        if vcpu.loaded_cpu_state:
            return
        vcpu.loaded_cpu_state = True
        if is_long_mode(vcpu):
            wrmsr(MSR_KERNEL_GS_BASE, vcpu.msr_guest_kernel_gs_base)

    def leave(self, vcpu):
        if not vcpu.loaded_cpu_state:
            return
        vcpu.loaded_cpu_state = False
        if is_long_mode(vcpu):
            vcpu.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
            wrmsr(MSR_KERNEL_GS_BASE, current.thread.gsbase)

    def read(self, vcpu):
        preempt_disable()
        if vcpu.loaded_cpu_state and is_long_mode(vcpu):
            vcpu.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        preempt_enable()
        return vcpu.msr_guest_kernel_gs_base

    def write(self, vcpu, data):
        preempt_disable()
        if vcpu.loaded_cpu_state and is_long_mode(vcpu):
            wrmsr(MSR_KERNEL_GS_BASE, data)
        preempt_enable()
        vcpu.msr_guest_kernel_gs_base = data

    def vmx_set_efer(self, vcpu, efer):
        preempt_disable()
        self.leave(vcpu)
        vcpu.efer = efer
        preempt_enable()

    def enter_lmode(self, vcpu):
        self.vmx_set_efer(vcpu, vcpu.efer | EFER_LMA)

    def exit_lmode(self, vcpu):
        self.vmx_set_efer(vcpu, vcpu.efer & ~EFER_LMA)


class TellsNobody(BothModes):
    """08, the long way, with Blank's three functions: the old friends."""

    def vmx_set_efer(self, vcpu, efer):
        vcpu.efer = efer

    def enter_lmode(self, vcpu):
        vcpu.efer = vcpu.efer | EFER_LMA

    def exit_lmode(self, vcpu):
        vcpu.efer = vcpu.efer & ~EFER_LMA


class Wordy(Finished):
    """08, section 6."""

    def enter(self, vcpu):
        if vcpu.loaded_cpu_state:
            return
        vcpu.loaded_cpu_state = True
        vcpu.msr_host_kernel_gs_base = current.thread.gsbase
        wrmsr(MSR_KERNEL_GS_BASE, vcpu.msr_guest_kernel_gs_base)

    def leave(self, vcpu):
        if not vcpu.loaded_cpu_state:
            return
        vcpu.loaded_cpu_state = False
        vcpu.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, current.thread.gsbase)

    def write(self, vcpu, data):
        preempt_disable()
        if vcpu.loaded_cpu_state:
            wrmsr(MSR_KERNEL_GS_BASE, data)
        preempt_enable()
        vcpu.msr_guest_kernel_gs_base = data


class SavesOnly(Finished):
    """08, section 6, Modify: scheduled out, only the guest's value is saved."""

    def save(self, vcpu):
        if vcpu.loaded_cpu_state:
            vcpu.loaded_cpu_state = False
            vcpu.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)

    def kvm_sched_out(self, vcpu):
        self.save(vcpu)


@pytest.mark.parametrize("assume", [[], ["no-swapgs"]])
@pytest.mark.parametrize("design", [Eager, Finished, Svm, Wordy, SavesOnly], ids=lambda d: d.__name__)
def test_these_designs_are_safe_with_and_without_swapgs(design, assume):
    assert vmxsim.check(design, assume=assume).verdict == "safe"


def test_the_missing_end_breaks_everything_and_the_shortest_way_is_one_action():
    result = vmxsim.check(Unfinished, assume=["no-swapgs"])
    assert result.verdict == "violated"
    assert len(result.scenario.steps) == 1


def test_the_copy_may_not_be_written_before_preemption_is_disabled():
    assert vmxsim.check(CopyFirst).verdict == "violated"
    assert vmxsim.check(CopyFirst, assume=["no-preemption"]).verdict == "safe"


def test_a_mode_in_the_condition_makes_the_mode_changes_part_of_the_design():
    assert vmxsim.check(TellsNobody, assume=["no-swapgs"]).verdict == "violated"
    assert vmxsim.check(BothModes, assume=["no-swapgs"]).verdict == "safe"


def test_lazy_saves_the_exchanges_of_an_exit_and_nothing_else():
    table = vmxsim.cost([Eager, Finished]).only("run", "emulate rdmsr", "exit", long_mode=True)
    found = {(row.design, row.path): dict(row.operations) for row in table}
    read, write = "rdmsr_kernel_gs_base", "wrmsr_kernel_gs_base"
    assert found["Eager", "emulate rdmsr"] == {read: 1, write: 2}
    assert found["Finished", "emulate rdmsr"] == {read: 1}
    for path in ("run", "exit"):
        assert found["Eager", path] == found["Finished", path]


def test_two_things_in_the_wordy_design_are_not_needed():
    reasons = vmxsim.why(Wordy, assume=["no-swapgs"]).reasons
    idle = {(r.mutant.function, r.mutant.line) for r in reasons if r.counterexample is None}
    assert idle == {("enter", 5), ("write", 2)}


# 09: recordings


def lines_of(name):
    return examples.path(name).read_text().splitlines()


def judged(folder, lines):
    file = folder / "changed.trace"
    file.write_text("\n".join(lines) + "\n")
    return verdict(read(file))


def numbered(lines, word):
    return next(n for n, line in enumerate(lines) if word in line)


def test_without_probes_the_read_back_proves_what_the_entry_did(tmp_path):
    lines = lines_of("s1.dedicated-accessors")
    whole, bare = judged(tmp_path, lines), judged(tmp_path, [x for x in lines if "vmx_" not in x])
    assert (whole["verdict"], whole["event"]["name"]) == ("violated", "kvm_entry")
    assert (bare["verdict"], bare["event"]["name"]) == ("violated", "read_msr")


def test_the_first_enter_rules_out_never_trap_and_not_the_parent():
    told = verdict(read("s1.dedicated-accessors"))
    enter = told["ruled_out"]["never-trap"]
    assert "vmx_prepare_switch_to_guest" in lines_of("s1.dedicated-accessors")[enter - 1]
    assert told["ruled_out"]["host-from-thread"] > enter
    assert verdict(read("s1.guest-state-loaded"), "dedicated-accessors")["ruled_out"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [("c0000102", "inconclusive"), ("kvm_entry", "inconclusive"), ("sched_switch", "ok")],
)
def test_what_a_recording_must_have(tmp_path, word, expected):
    told = judged(tmp_path, [line for line in lines_of("migrate") if word not in line])
    assert told["verdict"] == expected


def test_a_missing_line_is_no_proof_unless_the_count_says_that_none_is_missing(tmp_path):
    lines = lines_of("s1.guest-state-loaded")
    del lines[numbered(lines, "write_msr: c0000102")]
    assert judged(tmp_path, lines)["verdict"] == "inconclusive"
    count = numbered(lines, "entries-in-buffer")
    assert "308/308" in lines[count]
    lines[count] = lines[count].replace("308/308", "307/307")
    told = judged(tmp_path, lines)
    assert (told["verdict"], told["fits"]) == ("violated", ["dedicated-accessors"])


def test_a_wrong_order_is_a_note_and_a_wrong_value_a_proof(tmp_path):
    lines = lines_of("migrate")
    save, load = numbered(lines, "read_msr: c0000102"), numbered(lines, "c0000102, value ffff888022220000")
    swapped = [*lines[:save], lines[save + 1], lines[save], *lines[save + 2 :]]
    told = judged(tmp_path, swapped)
    assert told["verdict"] == "ok"
    assert f"line {save + 1}," in told["notes"][0]
    lines[load] = lines[load].replace("22220000", "11110000")
    assert judged(tmp_path, lines)["verdict"] == "violated"


def wrong_restores(lines):
    """09, Make: the numbers of the lines on which leave restores another value than h."""
    found, h = [], None
    for number, line in enumerate(lines, 1):
        if " vmx_vcpu_put: " in line and "loaded=1" in line:
            h = int(re.search(r"hgs=(\w+)", line)[1], 0)
        if h is not None and "write_msr: c0000102" in line:
            if int(line.split()[-1], 16) != h:
                found.append(number)
            h = None
    return found


def test_a_wrong_restore_is_seen_by_a_rule_of_ones_own_only(tmp_path):
    lines = lines_of("migrate")
    restore = numbered(lines, "read_msr: c0000102") + 1
    wrong = list(lines)
    wrong[restore] = lines[restore].replace("7000aaaa0000", "ffff888022220000")
    told = judged(tmp_path, wrong)
    assert (told["verdict"], told["notes"]) == ("ok", [])
    assert wrong_restores(wrong) == [restore + 1]
    assert wrong_restores(lines) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_every_kind_of_fault_is_seen_where_it_stands(tmp_path, kind, seed):
    fault = inject("migrate", seed, kind)
    told = verdict(read(fault.write(tmp_path / "suspect.trace")))
    if told["verdict"] == "violated":
        assert kind.endswith("loaded")
        seen = told["event"]["line"]
    else:
        (place,) = (note for note in told["notes"] if "place(s)" in note)
        seen = int(re.search(r"first at line (\d+)", place)[1])
    assert abs(seen - fault.line) <= 5
    assert fault.guess(fault.line).startswith("Right")
    assert "before" in fault.guess(fault.line + 9)
    assert "after" in fault.guess(fault.line - 9)


def test_the_seeds_of_the_notebook():
    assert (inject("migrate", 13).kind, inject("migrate", 13).line) == ("old value loaded", 408)
    assert inject("migrate", 8).kind == "load forgotten"
    assert {inject("migrate", seed).kind for seed in range(1, 12)} == set(KINDS)


def test_a_fault_is_kept_to_itself_and_is_the_same_again():
    fault = inject("migrate", 3)
    assert fault.kind not in repr(fault)
    assert inject(read("migrate"), 3).text == fault.text
    assert fault.text != inject("migrate", 4).text


def test_faults_that_cannot_be():
    with pytest.raises(InputError, match="load forgotten"):
        inject("migrate", kind="load forgoten")
    with pytest.raises(InputError, match="no place"):
        inject("s1.dedicated-accessors", kind="old value loaded")
    with pytest.raises(InputError, match="no file and no example"):
        inject("migrat")
