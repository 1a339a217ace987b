"""What each primitive with an effect means in Promela, written by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from vmxsim.checker.promela.routines import Routine
from vmxsim.checker.promela.terms import Term, Terms
from vmxsim.model.registers import MSR_KERNEL_GS_BASE
from vmxsim.program.ir import Primitive

Meaning = Callable[["Effects", list[Term], Routine, int], list[str]]


class Effects:
    """The statements of primitives that change the machine."""

    #: Those with the same statements whatever their arguments.
    _plain: ClassVar[dict[str, list[str]]] = {
        "load_gs_index": ["T.kernel_gs_base = DESCRIPTOR"],
        "vm_entry": ["T.mode = GUEST", "guest_runs()"],
        "preempt_disable": ["disable_preemption()"],
        "preempt_enable": ["enable_preemption()"],
        "local_irq_disable": ["T.irqs_disabled = 1"],
        "local_irq_enable": ["T.irqs_disabled = 0"],
        "preempt_notifier_register": ["T.preempt_notifier = 1"],
        "preempt_notifier_unregister": ["T.preempt_notifier = 0"],
        "context_switch": ["switch_out()"],
        "complete_wrmsr": ["T.true_guest_value = T.msr_data"],
        "kvm_inject_gp": [],
        "refuse_msr": [],
    }
    known = frozenset({*_plain, "wrmsr", "complete_rdmsr", "copy_to_user"})

    def __init__(self, terms: Terms) -> None:
        self.terms = terms

    def statements(self, e: Primitive, routine: Routine, index: int) -> list[str]:
        """What a call of a primitive does."""
        args = [self.terms.term(arg, routine, index) for arg in e.args]
        fails = [fail for arg in args for fail in arg.fails]
        if e.name == "wrmsr":
            done = self._wrmsr(e, args, fails, routine, index)
        elif e.name in ("complete_rdmsr", "copy_to_user"):
            self.terms.handle(e.args[0], routine, index)
            data = self.terms.register_value(args[1], routine, index)
            fails += data.fails
            done = [f"guest_finds({data.text}, T.true_guest_value)"]
        else:
            if e.name in ("vm_entry", "complete_wrmsr", "kvm_inject_gp", "refuse_msr"):
                self.terms.handle(e.args[0], routine, index)
            done = self._plain[e.name]
        return [f"fails_if({' || '.join(dict.fromkeys(fails))})", *done] if fails else list(done)

    def _wrmsr(
        self, e: Primitive, args: list[Term], fails: list[str], routine: Routine, index: int
    ) -> list[str]:
        if self.terms.msr(e, routine, routine.function.instructions[index]) != MSR_KERNEL_GS_BASE:
            return []
        if len(args) < 2:
            fails.append("true")
            return []
        data = self.terms.register_value(args[1], routine, index)
        fails += data.fails
        return [f"host_wrmsr({data.text})"]
