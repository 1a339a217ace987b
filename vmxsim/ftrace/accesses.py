"""What each access of the register was for, told from the events around it.

A thread's accesses are collected until its next event of another kind. That event, the functions
the thread is in (where probes show them) and whether its state is loaded tell what they were.
"""

from __future__ import annotations

from attrs import define, field

from vmxsim.ftrace.events import KERNEL_GS_BASE, Event, Fields
from vmxsim.ftrace.residence import words
from vmxsim.ftrace.vcpu import Vcpu

#: Without probes: accesses between a VM exit and the next entry while state is loaded, and how many
#: of them are a leave; the others are the enter after it.
_LEAVE_LENGTH = {"rw": 2, "ww": 1, "rww": 2, "rwrw": 2, "wrw": 1, "rwr": 2, "wr": 1}


@define
class Accesses:
    """Collects a thread's accesses and tells its Vcpu what they were."""

    vcpu: Vcpu
    cpu: int
    #: In KVM at all: only such threads are shown as vCPU threads.
    in_kvm: bool = False
    group: list[Event] = field(factory=list)
    calls: list[tuple[str, Fields, Event]] = field(factory=list)
    entering: Event | None = None
    leaving: tuple[Event, bool] | None = None
    out: Event | None = None
    late: Event | None = None
    in_guest: bool = False
    ran_before: bool = False
    vcpu_number: int = 0
    efer_call: Event | None = None
    writing: int | None = None
    touched: bool = False
    #: The last VM exit was for a control register: no MSR access of the guest's is emulated.
    in_cr_exit: bool = False

    # ----------------------------------------------------------------------------- whose accesses?

    def settle(self, event: Event) -> None:
        """Tell what the accesses before ``event`` were for."""
        group, self.group = self.group, []
        vcpu = self.vcpu
        if self.entering is not None:
            at, self.entering = self.entering, None
            if vcpu.loaded is not True:
                if vcpu.loaded is False or group:
                    vcpu.enter(group, at, certain=True)
                vcpu.loaded = True
            elif group:
                self._strange(group)
        elif self.leaving is not None:
            self._end_leaving(group, event)
        elif self.out is not None:
            self._trailing(group, event)
        elif self.late is not None:
            self._late(group, event)
        elif group and self.calls:
            self._inside(group)
        elif group:
            self._between(group, event)

    def _strange(self, group: list[Event]) -> None:
        self.vcpu.unknown(group)
        self.vcpu.anomaly(group[0].line)

    def _end_leaving(self, group: list[Event], event: Event) -> None:
        assert self.leaving is not None
        if not group and event.kind == "probe" and event.data[0] in ("put", "leave"):
            return
        (at, out_of_band), self.leaving = self.leaving, None
        if not group and event.kind == "switch":
            return  # preempted before put disabled preemption: the leave follows
        vcpu = self.vcpu
        switched: list[Event] = []
        if self.out is not None and (len(group) > 2 or (group and vcpu.loaded is False)):
            group, switched = group[:-1], group[-1:]
        if vcpu.loaded is True or (vcpu.loaded is None and group):
            vcpu.leave(group, at, out_of_band)
        elif group:
            self._strange(group)
        vcpu.loaded = False
        self._switch_writes(switched)

    def _switch_writes(self, events: list[Event]) -> None:
        for event in events:
            self.vcpu.roles[event.line] = "switch"

    def _trailing(self, group: list[Event], event: Event) -> None:
        """After the sched_switch line that takes this thread off its CPU: its leave, and on a host
        without FSGSBASE the switch's own write of the next task's user GS base."""
        assert self.out is not None
        if not group and event.kind in ("probe", "return") and event.data[0] in ("put", "leave"):
            return
        vcpu = self.vcpu
        ops = words(group)
        if vcpu.loaded is True and not (ops == "w" and group[0].data != vcpu.residence.host):
            switch = 1 if ops in ("ww", "rww", "wrww") else 0
            vcpu.leave(group[: len(group) - switch], self.out)
            self._switch_writes(group[len(group) - switch :])
        elif vcpu.loaded is None and ops in ("rw", "rww"):
            vcpu.leave(group[:2], self.out)
            self._switch_writes(group[2:])
        elif ops == "w" and (vcpu.loaded is False or not self.in_kvm):
            self._switch_writes(group)
        elif group:
            vcpu.unknown(group)
            if vcpu.loaded is not None:
                vcpu.anomaly(group[0].line)
        vcpu.loaded = False

    def _late(self, group: list[Event], event: Event) -> None:
        """After a kvm_userspace_exit that no leave preceded: until 4.15 vcpu_put came after it."""
        assert self.late is not None
        at, self.late = self.late, None
        vcpu = self.vcpu
        if group and event.kind in ("entry", "exit"):
            vcpu.unknown(group)
            vcpu.loaded = None
            vcpu.maybe_set_sregs()
        elif event.kind == "probe" and event.data[0] in ("put", "leave"):
            return
        else:
            vcpu.leave(group, at)
            vcpu.returns_to_user(at)

    def _inside(self, group: list[Event]) -> None:
        """In a function that a probe shows, other than enter, leave and put."""
        role, fields, _ = self.calls[-1]
        vcpu = self.vcpu
        ops = words(group)
        if vcpu.loaded is False or ops not in ("r", "w", "rw"):
            self._strange(group)
        elif ops == "r":
            if vcpu.loaded is None:
                vcpu.unknown(group)
            else:
                vcpu.read(group[0], self._in_efer())
        elif ops == "w" and self.writing is not None and group[0].data == self.writing:
            vcpu.write(group[0])
            vcpu.loaded = True
        elif ops == "w" and role in ("set", "accessor_write") and not fields:
            vcpu.unknown(group)
        else:
            self._reload(group)

    def _in_efer(self) -> bool:
        return any(role in ("efer", "efer_work", "set_cr0") for role, _, _ in self.calls)

    def _between(self, group: list[Event], event: Event) -> None:
        """Without probes around: by the next event."""
        vcpu = self.vcpu
        kind = event.kind
        role = event.data[0] if kind in ("probe", "return", "leaf") else ""
        if kind in ("entry", "exit") or role == "run":
            self._before_entry(group, event)
        elif kind == "msr":
            self._before_emulated(group, event)
        elif vcpu.loaded is False:
            if event.kind == "probe" and event.data[1].get("loaded") == 1:
                vcpu.enter(group, event)
            else:
                for access in group:
                    vcpu.roles[access.line] = "host"
                    vcpu.base = access.data
        else:
            ops = words(group)
            loaded = event.data[1].get("loaded") if kind == "probe" else None
            known = vcpu.loaded is True
            if loaded != 1 and (
                ops in ("rw", "wrw") or (known and ops == "w" and (kind == "userspace" or loaded == 0))
            ):
                vcpu.leave(group, event)
            elif loaded != 1 and known and ops == "w" and group[0].data == vcpu.residence.host:
                vcpu.leave(group, event)
            elif known and ops == "r" and kind not in ("userspace", "switch"):
                vcpu.read(group[0], False)
            else:
                vcpu.unknown(group)
                vcpu.loaded = None

    def _before_entry(self, group: list[Event], event: Event) -> None:
        vcpu = self.vcpu
        ops = words(group)
        if vcpu.loaded is False:
            vcpu.enter(group, event)
        elif vcpu.loaded is None:
            vcpu.unknown(group)
        elif ops == "r":
            vcpu.read(group[0], self.in_cr_exit)
        elif ops == "w" and group[0].data == vcpu.true != vcpu.residence.host:
            vcpu.write(group[0])
        elif ops == "w" and group[0].data == vcpu.residence.host:
            self._leave_and_enter(group, 1, event)
        elif ops == "wrw" and group[0].data == group[2].data != group[1].data:
            self._leave_and_enter(group, 3, event)
        elif ops in _LEAVE_LENGTH:
            self._leave_and_enter(group, _LEAVE_LENGTH[ops], event)
        else:
            self._strange(group)

    def _leave_and_enter(self, group: list[Event], length: int, event: Event) -> None:
        if self.out is None:
            self.vcpu.evidence.between_exits = self.vcpu.evidence.between_exits or group[0].line
        self.vcpu.leave(group[:length], group[0], inside=True)
        self.vcpu.enter(group[length:], event)

    def _before_emulated(self, group: list[Event], event: Event) -> None:
        vcpu = self.vcpu
        ops = words(group)
        is_write, number, value = event.data
        if vcpu.loaded is False or ops not in ("r", "w", "rw"):
            self._strange(group)
        elif ops == "r" and vcpu.loaded is True:
            vcpu.read(group[0], False)
        elif ops == "w" and is_write and number == KERNEL_GS_BASE and value == group[0].data:
            vcpu.write(group[0])
        elif ops == "rw" or (ops == "w" and vcpu.loaded is True):
            self._reload(group)
        else:
            vcpu.unknown(group)

    def _reload(self, group: list[Event]) -> None:
        """A full host reload in the middle of KVM's work."""
        self.vcpu.evidence.fits.reload(group[0].line)
        self.vcpu.leave(group, group[0], inside=True)
