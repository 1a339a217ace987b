"""What happens around the kernel: user space calls ioctls, the guest runs, the tick comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define

from vmxsim.errors import InputError, SimulationError, nearest
from vmxsim.kernel.actions import VERBS, Action, PreemptPoint
from vmxsim.kernel.points import is_before
from vmxsim.kernel.system import MAX_STEPS, System
from vmxsim.model.machine import MODE_WORDS, Task
from vmxsim.model.processor import guest_rdmsr, guest_swapgs, guest_wrmsr
from vmxsim.model.registers import EFER_LMA, EFER_LME, X86_CR0_PG
from vmxsim.model.value import Value
from vmxsim.model.vcpu import Vcpu
from vmxsim.program.ir import Function

#: Functions that changed their name: a point named by one is found under the other.
RENAMED = {
    "vmx_save_host_state": "vmx_prepare_switch_to_guest",
    "__vmx_load_host_state": "vmx_prepare_switch_to_host",
    "vmx_prepare_switch_to_guest": "vmx_save_host_state",
    "vmx_prepare_switch_to_host": "__vmx_load_host_state",
}


@define(eq=False)
class Environment(System):
    """Performs a scenario's actions on a :class:`~vmxsim.kernel.system.System`."""

    def perform(self, action: Action) -> None:
        """Carry out one action, to where every thread is at rest again.

        Raises InputError where the action is not possible now, SimulationError where
        the design does what the kernel must not.
        """
        thread = self.m.threads[action.vcpu]
        self.action += 1
        self.steps_left = MAX_STEPS
        due: list[tuple[PreemptPoint, int]] = []
        for point in action.preempt:
            number = self._find_point(action, point, due)
            if number:
                due.append((point, number))
        if due:
            self.before_step = self._deliverer(due, thread)
        try:
            self._perform(action, thread)
        finally:
            self.before_step = None
        self.check_rest()

    def _perform(self, action: Action, thread: Task) -> None:
        if not self.m.is_current(thread):
            self.switch_in(thread, thread.cpu)
            self.settle(thread)
        vcpu = self.m.vcpus[action.vcpu]
        self._check_possible(action, thread, vcpu)
        self.m.set(vcpu, "returned", None)
        self.m.set(vcpu, "msr_data", None if action.value is None else Value(action.value, vcpu.id))
        name = "_" + action.verb.replace(" ", "_").replace("-", "_")
        getattr(self, name)(thread, vcpu, action)
        self.settle(thread)

    # -- what is possible when

    def _check_possible(self, action: Action, thread: Task, vcpu: Vcpu) -> None:
        when = VERBS[action.verb].when
        if when != "either" and thread.mode != when:
            hint = "'run' first" if when == "guest" else "'exit' first"
            raise InputError(
                f"'{action.text}' is not possible: the thread is {MODE_WORDS[thread.mode]}, and it must be"
                f" {MODE_WORDS[when]} ({hint})"
            )
        verb, want = action.verb.rsplit(" ", 1)[0], action.verb.endswith(" on")
        if action.verb == "guest swapgs" and not vcpu.long_mode:
            raise InputError(
                f"'{action.text}' is not possible: SWAPGS exists in long mode only, and EFER.LMA is 0"
            )
        if action.verb == "guest smi" and vcpu.smm:
            raise InputError(
                f"'{action.text}' is not possible: the vCPU is in SMM already ('guest rsm' first)"
            )
        if action.verb == "guest rsm" and not vcpu.smm:
            raise InputError(f"'{action.text}' is not possible: the vCPU is not in SMM ('guest smi' first)")
        if verb.endswith("long-mode") and vcpu.long_mode == want:
            raise InputError(f"'{action.text}' would change nothing: EFER.LMA is {int(want)} already")
        if verb == "set-efer long-mode" and vcpu.smm:
            raise InputError(f"'{action.text}' is not possible while the vCPU is in SMM ('guest rsm' first)")
        if action.cpu is not None and action.cpu >= len(self.m.cpus):
            raise InputError(
                f"'{action.text}': there is no CPU {action.cpu}; the last is cpu{len(self.m.cpus) - 1}"
            )

    # -- user space

    def _ioctl(self, thread: Task, request: str, function: str, *args: Any) -> None:
        self.act(
            thread, "user", "user space", f"ioctl(vcpu_fd, {request})",
            lambda: self.call(thread, function, thread.vcpu, *args),
        )  # fmt: skip

    def _run(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        self._ioctl(thread, "KVM_RUN", "kvm_arch_vcpu_ioctl_run")

    def _run_cancelled(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        self.m.set(thread, "signal_pending", True)
        self._ioctl(thread, "KVM_RUN", "kvm_arch_vcpu_ioctl_run")
        self.settle(thread)
        self.m.set(thread, "signal_pending", False)

    def _get_msr(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        self._ioctl(thread, "KVM_GET_MSRS", "kvm_vcpu_ioctl_get_msrs")

    def _set_msr(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        self._ioctl(thread, "KVM_SET_MSRS", "kvm_vcpu_ioctl_set_msrs")

    def _set_sregs(self, thread: Task, efer: int, cr0: int) -> None:
        self._ioctl(thread, "KVM_SET_SREGS", "kvm_vcpu_ioctl_set_sregs", efer, cr0)

    def _set_efer_long_mode_on(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        self._set_sregs(thread, vcpu.efer | EFER_LME | EFER_LMA, vcpu.cr0 | X86_CR0_PG)

    def _set_efer_long_mode_off(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        self._set_sregs(thread, vcpu.efer & ~EFER_LMA, vcpu.cr0 & ~X86_CR0_PG)

    # -- the guest

    def _exit(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        self.exit_guest(thread, "IO_INSTRUCTION", "OUT: VM exit, for user space to handle")

    def _guest_rdmsr(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        if self.passes_through(vcpu):
            self.act(thread, "guest", "guest", "RDMSR KERNEL_GS_BASE", lambda: guest_rdmsr(self.m, vcpu))
        else:
            self.exit_guest(thread, "MSR_READ", "RDMSR KERNEL_GS_BASE: intercepted, VM exit")

    def _guest_wrmsr(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        value = Value(action.value or 0, vcpu.id)
        if self.passes_through(vcpu):
            self.act(
                thread, "guest", "guest", f"WRMSR KERNEL_GS_BASE, {value}",
                lambda: guest_wrmsr(self.m, vcpu, value),
            )  # fmt: skip
        else:
            self.exit_guest(thread, "MSR_WRITE", f"WRMSR KERNEL_GS_BASE, {value}: intercepted, VM exit")

    def _guest_swapgs(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        self.act(thread, "guest", "guest", "SWAPGS", lambda: guest_swapgs(self.m, vcpu))

    def _guest_long_mode_on(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        if vcpu.cr0 & X86_CR0_PG:  # paging without LME, in SMM: it has to be off to set LME
            self.exit_guest(thread, "CR_ACCESS", "MOV to CR0, PG = 0: VM exit")
            self.settle(thread)
        if not vcpu.efer & EFER_LME:
            self.note("EFER.LME is 0 since the SMI: the guest sets it first, which is one more VM exit")
            self.exit_guest(thread, "MSR_WRITE of EFER", "WRMSR EFER, LME = 1: VM exit")
            self.settle(thread)
        self.exit_guest(thread, "CR_ACCESS", "MOV to CR0, PG = 1: VM exit")

    def _guest_long_mode_off(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        self.exit_guest(thread, "CR_ACCESS", "MOV to CR0, PG = 0: VM exit")

    def _guest_smi(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        self.exit_guest(thread, "SMI", "an SMI comes: VM exit")

    def _guest_rsm(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        self.exit_guest(thread, "RSM", "RSM: VM exit, KVM emulates it")

    def _emulate_rdmsr(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        self.exit_guest(thread, "emulated RDMSR", "VM exit: KVM emulates the guest's RDMSR KERNEL_GS_BASE")

    def _emulate_wrmsr(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        value = Value(action.value or 0, vcpu.id)
        self.exit_guest(
            thread, "emulated WRMSR", f"VM exit: KVM emulates the guest's WRMSR KERNEL_GS_BASE, {value}"
        )

    # -- the scheduler

    def _preempt(self, thread: Task, vcpu: Vcpu, action: Action) -> None:
        self.tick(thread, action.cpu)

    def _find_point(self, action: Action, point: PreemptPoint, due: list[tuple[PreemptPoint, int]]) -> int:
        """Which match of the preemption point gets the tick (from 1); 0 if none is reached.

        The action is run once without that tick, those in ``due`` delivered, to see the
        points, and taken back.
        """
        self._check_point(point)
        m, thread = self.m, self.m.threads[action.vcpu]
        saved, kept, broken = m.save(), len(self.records), set(self.broken)
        targets, picked, notes = dict(self.targets), dict(self.picked), list(self.pending_notes)
        seen: list[bool] = []

        deliver = self._deliverer(due, thread)

        def watch(running: Task) -> None:
            if running is thread and self._matches(running, point):
                seen.append(not self.why_not_preemptible(running))
            deliver(running)

        after_record, self.after_record = self.after_record, None
        self.before_step = watch
        try:
            self._perform(action, thread)
        except SimulationError:
            pass  # with the tick it may go well, or fail in another way; without, it fails again
        finally:
            self.before_step, self.after_record = None, after_record
            m.restore(saved)
            m.forget()
            del self.records[kept:]
            self.broken, self.targets, self.picked, self.pending_notes = broken, targets, picked, notes
            self.steps_left = MAX_STEPS
        possible = [number for number, preemptible in enumerate(seen, 1) if preemptible]
        if len(possible) >= point.nth:
            return possible[point.nth - 1]
        where = f"before {point.before}" + (f" in {point.function}" if point.function else "")
        if seen and not possible:
            self.note(f"the preemption point {where} is reached only with preemption disabled")
            return min(point.nth, len(seen))
        times = f"is reached {len(possible)} times only with preemption enabled" if seen else "is not reached"
        self.note(f"the preemption point {where} {times}: the tick stays pending until preempt_enable()")
        self.targets[thread.id] = thread.cpu if point.cpu is None else point.cpu
        m.set(m.cpus[thread.cpu], "need_resched", True)
        return 0

    def _deliverer(self, due: list[tuple[PreemptPoint, int]], thread: Task) -> Callable[[Task], None]:
        """What to call before each step: delivers the tick of each (point, number of its match)."""
        left = [number for _, number in due]  # matches until the tick

        def deliver(running: Task) -> None:
            if running is not thread:
                return
            for n, (point, _) in enumerate(due):
                if left[n] and self._matches(running, point):
                    left[n] -= 1
                    if not left[n]:
                        self.tick(running, point.cpu)

        return deliver

    def _check_point(self, point: PreemptPoint) -> None:
        functions = self.design.functions()
        if (
            point.function
            and point.function not in functions
            and RENAMED.get(point.function) not in functions
        ):
            raise InputError(
                f"{self.design._name()} has no function '{point.function}'"
                f"{nearest(point.function, functions)}",
                "preempt, in",
            )
        if point.cpu is not None and point.cpu >= len(self.m.cpus):
            raise InputError(
                f"there is no CPU {point.cpu}; the last is {len(self.m.cpus) - 1}", "preempt, cpu"
            )
        if point.before.startswith("line ") and point.function:
            name = point.function if point.function in functions else RENAMED[point.function]
            lines = {i.line for f in self._versions(name) for i in f.instructions if i.kind != "end"}
            if int(point.before[5:]) not in lines:
                known = ", ".join(map(str, sorted(lines)))
                raise InputError(
                    f"no step starts on {point.before} of {name}; the lines are {known}", "preempt, before"
                )

    def _versions(self, name: str) -> list[Function]:
        """The function of that name, and those that it calls by ``super()``."""
        found = [self.design.functions()[name]]
        for function in found:
            calls = [i.callee for i in function.instructions if i.callee and i.callee.kind == "super"]
            found += [self.design.link(callee) for callee in calls if callee.name == name]
        return found

    def _matches(self, thread: Task, point: PreemptPoint) -> bool:
        function, index, _, _ = thread.stack
        if point.function not in (None, function.name, RENAMED.get(function.name)):
            return False
        return is_before(function.instructions[index], point.before)
