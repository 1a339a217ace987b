"""Where KVM or the processor looks next for a guest's value, and which flag has decided that since when."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from vmxsim.errors import printable
from vmxsim.kernel.machine import EFER_LMA, Vcpu, owner_words
from vmxsim.simulation.trace import Trace
from vmxsim.views.words import several


@frozen
class Look:
    """Where the next access of a guest's value looks. ``place`` is a cell's id, ``who`` looks (``KVM's next
    read``), ``why`` is what decides it, as a clause, and ``since`` the scene that brought it about (0: the
    start)."""

    place: str
    who: str
    why: str
    since: int

    def words(self, where: str) -> str:
        """``loaded has been 0 since line 5 of ..., so KVM's next read looks in g``; ``where``: ``in g``."""
        return f"{self.why}, so {self.who} looks {where}"


def look(trace: Trace, index: int, vcpu: str) -> Look | None:
    """Where the next access of the vCPU's value would look after ``index`` steps; None for a recording, which
    does not show the flags at all times."""
    machine = getattr(trace, "machine", None)
    if machine is None:
        return None
    number, m = int(vcpu.removeprefix("vcpu")), machine(index)
    state, thread = m.vcpus[number], m.threads[number]
    register = f"cpu{thread.cpu}.kernel_gs_base"
    design: Any = trace.design  # type: ignore[attr-defined]
    if thread.mode == "guest" and trace.passes_through(state):  # type: ignore[attr-defined]
        why, since = _passed(trace, index, vcpu, state)
        return Look(register, f"{owner_words(vcpu)}'s next access does not exit: it", why, since)
    read = _Reads(state)
    inside = bool(design._in_register(read))
    fields = read.fields if inside else read.fields[-1:]  # the first one that is 0 decides
    told = [(_since(trace, index, vcpu, name), _name(design, name), getattr(state, name)) for name in fields]
    why = several(_has_been(trace, *one) for one in told) if told else "this design always looks there"
    since = max((at for at, _, _ in told), default=0)
    return Look(register if inside else f"{vcpu}.g", "KVM's next read", why, since)


def loaded_since(trace: Trace, index: int, vcpu: str) -> str:
    """``loaded_cpu_state has been 0 since ...`` after ``index`` steps, as a clause; '' for a recording."""
    machine = getattr(trace, "machine", None)
    if machine is None:
        return ""
    loaded = machine(index).vcpus[int(vcpu.removeprefix("vcpu"))].loaded
    name = trace.design.labels["loaded"]  # type: ignore[attr-defined]
    return _has_been(trace, _since(trace, index, vcpu, "loaded"), name, loaded)


def _passed(trace: Any, index: int, vcpu: str, state: Vcpu) -> tuple[str, int]:
    """Why the guest's access does not exit, and the scene since when."""
    if trace.design.interception == "never":
        return "this design never intercepts the register", 0
    field = "bitmap_passes" if trace.simulator.interception == "bitmap" else "long_mode"
    at = _since(trace, index, vcpu, field)
    if field == "long_mode":
        return _has_been(trace, at, "EFER.LMA", True), at
    return f"the MSR bitmap has let it pass since {step_name(trace, at)}", at


class _Reads:
    """A vCPU that notes which of its fields are read."""

    def __init__(self, vcpu: Vcpu) -> None:
        self._vcpu = vcpu
        self.fields: list[str] = []

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._vcpu, name)
        if name not in self.fields:
            self.fields.append(name)
        return value


def _name(design: Any, field: str) -> str:
    """What the kernel of this design calls a field of the vCPU."""
    named = {"long_mode": "EFER.LMA", "loaded": design.labels["loaded"]}
    return named.get(field, "“the list holds the MSR”" if field == "lists_kernel_gs_base" else field)


def _since(trace: Trace, index: int, owner: str, field: str) -> int:
    """The scene since which a field is as it is after ``index`` steps; 0: since the start."""
    place = f"{owner}.{'efer' if field == 'long_mode' else field}"
    for step in reversed(trace.steps[:index]):
        for change in step.changes:
            if change.place == place and (
                field != "long_mode" or (int(change.before) ^ int(change.after)) & EFER_LMA
            ):
                return step.index + 1
    return 0


def _has_been(trace: Trace, at: int, name: str, value: object) -> str:
    shown = int(value) if isinstance(value, bool) else value
    return f"{name} has been {shown} since {step_name(trace, at)}"


def step_name(trace: Trace, at: int) -> str:
    """The step that leads to scene ``at``, in a sentence: ``line 5 of vmx_vcpu_put (step 63)``."""
    if not at:
        return "the start"
    step = trace.steps[at - 1]
    if any(access.kind == "ctxsw" for access in step.accesses) and hasattr(trace, "machine"):
        return f"the context switch (step {at})"
    where = step.at.words if step.line else f"“{printable(step.source, 80)}”"
    return f"{where} (step {at})"
