"""KVM's common code: everything around a design that is the same in every version."""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import evolve

from vmxsim.kernel.language import *
from vmxsim.kernel.machine import Vcpu
from vmxsim.kernel.patch import KernelSource
from vmxsim.kernel.program import Callee, Function, Instruction, Local, Primitive


class Kvm(KernelSource, abstract=("enter_lmode", "exit_lmode")):
    """Base of all designs. A design adds *enter*, *leave*, the MSR accessors and what happens when EFER
    changes, and describes itself in the attributes below."""

    id: ClassVar[str] = ""
    title: ClassVar[str] = ""
    #: None where the facts give nothing; invent none.
    commit: ClassVar[str | None] = None
    #: The commit's own title, '' where there are several or the facts do not give it.
    commit_title: ClassVar[str] = ""
    release: ClassVar[str | None] = None
    #: What is to be said about the release beside its number.
    release_note: ClassVar[str] = ""
    #: One paragraph: what this version does, and why.
    story: ClassVar[str] = ""
    changed: ClassVar[str | None] = None
    #: None where no defect is known.
    defect: ClassVar[str | None] = None
    #: When the guest's RDMSR and WRMSR exit: ``always``, ``outside long mode`` or ``never``.
    interception: ClassVar[str] = "outside long mode"
    #: A new vCPU's MSR bitmap passes the register through, in any mode.
    bitmap_passes_at_creation: ClassVar[bool] = False
    #: The release uses the FSGSBASE instructions for user GS bases (5.9 on, where the processor has them).
    fsgsbase: ClassVar[bool] = False
    #: How many shared MSRs enter sets, outside long mode and in it.
    shared_msrs: ClassVar[tuple[int, int]] = (0, 0)
    #: What this version calls g, h and L.
    labels: ClassVar[dict[str, str]] = {
        "g": "msr_guest_kernel_gs_base",
        "h": "msr_host_kernel_gs_base",
        "loaded": "host_state.loaded",
    }
    #: What the design is not made for, in words, and why: a condition that is not modeled and comes out the
    #: other way.
    _only_as_assumed: ClassVar[dict[str, str]] = {}
    #: Of a design made from C, what it was made of.
    _carried: ClassVar[Any] = None
    #: What a verdict on it rests on, in sentences: of C that is what was followed and what was not.
    _rests_on: ClassVar[tuple[str, ...]] = ()
    kvm_x86_ops = {
        "prepare_guest_switch": "vmx_save_host_state",
        "vcpu_load": "vmx_vcpu_load",
        "vcpu_put": "vmx_vcpu_put",
        "get_msr": "vmx_get_msr",
        "set_msr": "vmx_set_msr",
        "set_efer": "vmx_set_efer",
        "set_cr0": "vmx_set_cr0",
    }

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # a design's description is not inherited: a reader's patch is not its parent's release
        own = {
            "id": "",
            "title": cls.__name__,
            "commit": None,
            "commit_title": "",
            "release": None,
            "release_note": "",
            "story": "",
        }
        for name, value in {**own, "changed": None, "defect": None}.items():
            if name not in vars(cls):
                setattr(cls, name, value)
        super().__init_subclass__(**kwargs)

    @staticmethod
    def _in_register(vcpu: Vcpu) -> bool:
        """Whether this design assumes that the register is the guest's now: it would look for the
        guest's value there, and the next leave would save it."""
        return vcpu.loaded and vcpu.long_mode

    @classmethod
    def _find(cls, callee: Callee) -> Function:
        found = super()._find(callee)
        return with_hooks(cls, found) if found.interrupt else found

    # -- vCPU ioctls (virt/kvm/kvm_main.c, arch/x86/kvm/x86.c): vcpu_load() and vcpu_put() bracket each of
    # them. Only KVM_RUN enters the guest, so guest state is never loaded in the others.

    @requires("preemption enabled")
    def vcpu_load(self, vcpu):
        preempt_disable()
        preempt_notifier_register()
        self.kvm_x86_ops.vcpu_load(vcpu)
        preempt_enable()

    @requires("preemption enabled", "vCPU loaded")
    def vcpu_put(self, vcpu):
        preempt_disable()
        self.kvm_x86_ops.vcpu_put(vcpu)
        preempt_notifier_unregister()
        preempt_enable()

    def kvm_vcpu_ioctl_get_msrs(self, vcpu):
        self.vcpu_load(vcpu)
        data = self.kvm_x86_ops.get_msr(vcpu)
        copy_to_user(vcpu, data)
        self.vcpu_put(vcpu)

    def kvm_vcpu_ioctl_set_msrs(self, vcpu):
        self.vcpu_load(vcpu)
        if self.kvm_set_msr(vcpu, vcpu.msr_data):
            refuse_msr(vcpu)
        else:
            complete_wrmsr(vcpu)
        self.vcpu_put(vcpu)

    def kvm_vcpu_ioctl_set_sregs(self, vcpu, efer, cr0):
        self.vcpu_load(vcpu)
        self.kvm_x86_ops.set_efer(vcpu, efer)
        self.kvm_x86_ops.set_cr0(vcpu, cr0)
        self.vcpu_put(vcpu)

    # -- KVM_RUN (arch/x86/kvm/x86.c, vmx.c): enter the guest, handle its exit, enter it again

    def kvm_arch_vcpu_ioctl_run(self, vcpu):
        self.vcpu_load(vcpu)
        again = True
        while again:
            again = self.vcpu_enter_guest(vcpu)
        self.vcpu_put(vcpu)

    def vcpu_enter_guest(self, vcpu):
        preempt_disable()
        self.kvm_x86_ops.prepare_guest_switch(vcpu)
        local_irq_disable()
        if signal_pending() or need_resched():
            local_irq_enable()
            preempt_enable()
            return not signal_pending()
        vm_entry(vcpu)
        local_irq_enable()
        preempt_enable()
        return self.vmx_handle_exit(vcpu)

    def vmx_handle_exit(self, vcpu):
        match vcpu.exit_reason:
            case "MSR_READ":
                self.handle_rdmsr(vcpu)
            case "MSR_WRITE":
                self.handle_wrmsr(vcpu)
            case "MSR_WRITE of EFER":
                self.set_efer(vcpu)
            case "CR_ACCESS":
                self.handle_set_cr0(vcpu)
            case "emulated RDMSR":
                self.em_rdmsr(vcpu)
            case "emulated WRMSR":
                self.em_wrmsr(vcpu)
            case "SMI":
                self.enter_smm(vcpu)
            case "RSM":
                self.em_rsm(vcpu)
            case "IO_INSTRUCTION":
                return False
        # with a signal pending, vcpu_run() returns to user space instead of entering the guest again
        return not signal_pending()

    # -- the guest's RDMSR and WRMSR in KVM's hands (vmx.c, emulate.c, x86.c): intercepted or emulated

    def handle_rdmsr(self, vcpu):
        data = self.kvm_x86_ops.get_msr(vcpu)
        complete_rdmsr(vcpu, data)

    def handle_wrmsr(self, vcpu):
        if self.kvm_set_msr(vcpu, vcpu.msr_data):
            kvm_inject_gp(vcpu)
        else:
            complete_wrmsr(vcpu)

    def em_rdmsr(self, vcpu):
        data = self.kvm_x86_ops.get_msr(vcpu)
        complete_rdmsr(vcpu, data)

    def em_wrmsr(self, vcpu):
        if self.kvm_set_msr(vcpu, vcpu.msr_data):
            kvm_inject_gp(vcpu)
        else:
            complete_wrmsr(vcpu)

    def kvm_set_msr(self, vcpu, data):
        self.kvm_x86_ops.set_msr(vcpu, data)
        return 0

    def set_efer(self, vcpu):
        # the guest sets EFER.LME, with paging off: LMA stays clear
        self.kvm_x86_ops.set_efer(vcpu, vcpu.efer | EFER_LME)

    # -- CR0.PG (vmx.c), the switch that turns EFER.LME into EFER.LMA

    def handle_set_cr0(self, vcpu):
        self.kvm_x86_ops.set_cr0(vcpu, vcpu.cr0 ^ X86_CR0_PG)

    def vmx_set_cr0(self, vcpu, cr0):
        if vcpu.efer & EFER_LME:
            if not vcpu.cr0 & X86_CR0_PG and cr0 & X86_CR0_PG:
                self.enter_lmode(vcpu)
            if vcpu.cr0 & X86_CR0_PG and not cr0 & X86_CR0_PG:
                self.exit_lmode(vcpu)
        vmcs_write("CR0_READ_SHADOW", cr0)
        vmcs_write("GUEST_CR0", cr0)
        vcpu.cr0 = cr0

    # -- preemption (kernel/sched/core.c, virt/kvm/kvm_main.c): out and in again through the notifier, perhaps
    # on another CPU. Being scheduled in loads no guest state; the next enter does.

    @interrupt
    @requires("preemption enabled")
    def preempt_schedule_irq(self, vcpu):
        preempt_disable()
        if preempt_notifier_registered():
            self.kvm_sched_out(vcpu)
        context_switch()
        if preempt_notifier_registered():
            self.kvm_sched_in(vcpu)
        preempt_enable()

    @requires("preemption disabled")
    def kvm_sched_out(self, vcpu):
        self.kvm_x86_ops.vcpu_put(vcpu)

    @requires("preemption disabled")
    def kvm_sched_in(self, vcpu):
        self.kvm_x86_ops.vcpu_load(vcpu)

    # -- hooks: they do nothing, cost nothing and are no step unless a design overrides them. The first two
    # run with preemption disabled, whatever the vCPU thread was doing and whether or not its notifier is
    # registered; the third runs with preemption enabled.

    def prepare_task_switch(self, vcpu):
        """Right before the context switch, after kvm_sched_out()."""

    def finish_task_switch(self, vcpu):
        """Right after the context switch that brings the thread back, before kvm_sched_in()."""

    def exit_to_user_mode(self, vcpu):
        """The last thing before a vCPU thread returns to user space, as a user-return notifier would be."""

    # -- SMI and RSM (x86.c, emulate.c; since Linux 4.2, not looked up), which KVM emulates while guest state
    # may be loaded. SMRAM holds EFER and CR0, but not KERNEL_GS_BASE: neither one touches the register.

    def enter_smm(self, vcpu):
        vcpu.smram_efer = vcpu.efer
        vcpu.smram_cr0 = vcpu.cr0
        vcpu.smm = True
        self.kvm_x86_ops.set_cr0(vcpu, vcpu.cr0 & ~X86_CR0_PG)
        self.kvm_x86_ops.set_efer(vcpu, 0)

    def em_rsm(self, vcpu):
        vcpu.smm = False
        if vcpu.cr0 & X86_CR0_PG:
            self.kvm_x86_ops.set_cr0(vcpu, vcpu.cr0 & ~X86_CR0_PG)
        self.kvm_x86_ops.set_efer(vcpu, 0)
        self.kvm_x86_ops.set_efer(vcpu, vcpu.smram_efer & ~EFER_LMA)
        self.kvm_x86_ops.set_cr0(vcpu, vcpu.smram_cr0)

    # -- the VMCS

    def vmx_vcpu_load(self, vmx):
        """The VMCS becomes current on this CPU. Guest state is not loaded."""


#: Functions that the kernel calls only if a design overrides them.
HOOKS = ("prepare_task_switch", "finish_task_switch", "exit_to_user_mode")


def hook(design: type[Kvm], name: str) -> Function | None:
    """The design's function for a hook; None if it does nothing."""
    function = design.link(Callee("self", name))
    return None if function.instructions[0].kind == "end" else function


def with_hooks(design: type[Kvm], scheduler: Function) -> Function:
    """The function with the design's hooks around its context switch, on the same line."""
    before, after = (hook(design, name) for name in HOOKS[:2])
    if not before and not after:
        return scheduler
    steps = [evolve(i) for i in scheduler.instructions]
    switches = [n for n, i in enumerate(steps) if i.expr == Primitive("context_switch", ())]
    for n in switches:
        if before:
            _redirect(steps, n, len(steps))
            steps.append(_call(steps[n].line, before.name, n))
        if after:
            steps.append(_call(steps[n].line, after.name, steps[n].next))
            steps[n].next = len(steps) - 1
    return evolve(scheduler, instructions=steps)


def _call(line: int, name: str, then: int) -> Instruction:
    """A call of a hook for the vCPU, which is the first local."""
    callee, vcpu = Callee("self", name), Local(0, "vcpu")
    return Instruction("call", line, next=then, callee=callee, args=(vcpu,), run=lambda m, L: L[:1])


def _redirect(steps: list[Instruction], old: int, new: int) -> None:
    for i in steps:
        i.next = new if i.next == old else i.next
        i.other = new if i.other == old else i.other
        i.cases = tuple((case, new if to == old else to) for case, to in i.cases)


def returns_through(design: type[Kvm], before: Any) -> Function | None:
    """The hook that runs before a thread is back in user space, None if there is none or it has just run.
    ``before`` is the continuation before the last step in the kernel."""
    found = hook(design, "exit_to_user_mode")
    while found and before[3] is not None:
        before = before[3]
    return found if found and before[0] is not found else None


def name_of(design: type[Kvm]) -> str:
    """What to call a design: its id, or the class's name where it is a reader's own."""
    return design.id or design.__name__


def release_of(design: type[Kvm]) -> str | None:
    """The design's first release with its note: ``by 4.18 (4.17, not looked up)``."""
    return f"{design.release} ({design.release_note})" if design.release_note else design.release


def passes_through(design: type[Kvm], vcpu: Vcpu, interception: str) -> bool:
    """Whether the guest's RDMSR and WRMSR of the register reach the processor's.

    ``interception`` is ``rule`` or ``bitmap``, as :class:`~vmxsim.kernel.simulator.Simulator` has it.
    """
    if design.interception == "outside long mode":
        return bool(vcpu.bitmap_passes if interception == "bitmap" else vcpu.long_mode)
    return design.interception == "never"
