"""One thread of a trace: tells its vCPU what the thread's events mean.

Accesses of the register are collected until the thread's next event of another kind. That event, the
functions the thread is in (where probes show them), and whether state is loaded show what they were for.
"""

from __future__ import annotations

from attrs import define, field

from vmxsim.ftrace.events import CR0_PG, EFER, EFER_LMA, EFER_LME, KERNEL_GS_BASE, Event, Fields
from vmxsim.ftrace.evidence import EXITS, FOLLOWED, PROBED, is_user
from vmxsim.ftrace.vcpu import Vcpu, words

#: Without probes: accesses between a VM exit and the next entry while state is loaded, and how many
#: of them are a leave; the others are the enter after it.
_LEAVE_LENGTH = {"rw": 2, "ww": 1, "rww": 2, "rwrw": 2, "wrw": 1, "rwr": 2, "wr": 1}
#: Functions in which an access of the guest's value or a full host reload may happen.
_CALLS = ("get", "set", "efer", "efer_work", "set_cr0", "accessor_read", "accessor_write")


@define
class Thread:
    """A thread that may run a vCPU: it collects its accesses and tells its Vcpu what they were for."""

    vcpu: Vcpu
    cpu: int
    #: Seen in KVM: only such threads are shown as vCPU threads.
    in_kvm: bool = False
    #: Accesses not yet explained.
    group: list[Event] = field(factory=list)
    #: The functions it is in: role, fields, call.
    calls: list[tuple[str, Fields, Event]] = field(factory=list)
    #: The enter or leave that it is in, a leave with whether it is a full host reload inside KVM's work.
    entering: Event | None = None
    leaving: tuple[Event, bool] | None = None
    #: The sched_switch that took it off its CPU, and a kvm_userspace_exit that no leave preceded.
    out: Event | None = None
    late: Event | None = None
    #: Of its last event.
    time: float = 0.0
    in_guest: bool = False
    ran_before: bool = False
    #: Something happened after the last VM exit.
    since_exit: bool = False
    vcpu_number: int = 0
    #: The line of the last VM entry.
    entered: int = 0
    #: The vmx_set_efer that found state loaded; the value that KVM is writing to the guest's register.
    efer_call: Event | None = None
    writing: int | None = None
    #: The register was accessed since the last VM exit.
    touched: bool = False
    #: The last VM exit was for a control register: no MSR access of the guest's is emulated.
    in_cr_exit: bool = False
    #: The guest moved to CR0 in it; before it, the guest may have changed its mode.
    cr0_moved: bool = False
    turned_before: bool = False

    def settle(self, event: Event) -> None:
        """Work out what the accesses before ``event`` were for."""
        group, self.group = self.group, []
        vcpu = self.vcpu
        if self.entering is not None:
            at, self.entering = self.entering, None
            if vcpu.loaded is not True:
                if vcpu.loaded is False or group:
                    vcpu.enter(group, at, certain=True, needs=self._enter_needs(at, event))
                vcpu.loaded = True
            elif group:
                self._strange(group)
        elif self.leaving is not None and not self._left_unseen(event):
            self._end_leaving(group, event)
        elif self.out is not None:
            self._trailing(group, event)
        elif self.late is not None:
            self._late(group, event)
        elif group and self.calls and not self._returned_unseen(event):
            self._inside(group)
        elif group:
            self._between(group, event)

    def _strange(self, group: list[Event]) -> None:
        self.vcpu.unknown(group)
        self.vcpu.anomaly(group[0].line)

    def _end_leaving(self, group: list[Event], event: Event) -> None:
        assert self.leaving is not None
        if not group and event.kind == "probe" and _around_leave(event):
            return
        (at, out_of_band), self.leaving = self.leaving, None
        if not group and event.kind == "switch":
            return  # preempted before put disabled preemption: the leave follows
        vcpu = self.vcpu
        switched: list[Event] = []
        if self.out is not None and (len(group) > 2 or (group and vcpu.loaded is False)):
            group, switched = group[:-1], group[-1:]
        elif self.out is not None and words(group) == "w" and group[0].data != vcpu.residence.host:
            if vcpu.residence.host is None:  # leave's, or the switch's own?
                vcpu.unknown(group)
                vcpu.loaded = False
                return
            group, switched = [], group
        if vcpu.loaded is True or (vcpu.loaded is None and group):
            returned = event.kind in ("return", "leaf") and _around_leave(event)
            vcpu.leave(group, at, out_of_band, PROBED if returned and "loaded" in at.data[1] else FOLLOWED)
        elif group:
            self._strange(group)
        vcpu.loaded = False
        if out_of_band:
            self._still_writes()
        self._switch_writes(switched)

    def _switch_writes(self, events: list[Event]) -> None:
        for event in events:
            self.vcpu.roles[event.line] = "switch"
            self.vcpu.evidence.switch_writes = True

    def _trailing(self, group: list[Event], event: Event) -> None:
        """After the sched_switch line that takes this thread off its CPU come its leave and, on a host
        without FSGSBASE, the switch's own write of the next task's user GS base."""
        assert self.out is not None
        if not group and event.kind in ("probe", "return") and _around_leave(event):
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
        elif event.kind != "probe" or not _around_leave(event):
            # the write may be arch_prctl()'s as well, in a kernel whose leave comes before kvm_userspace_exit
            vcpu.leave(group, at, needs=FOLLOWED | {"probe:put"} if group else FOLLOWED)
            vcpu.returns_to_user(at)

    def _inside(self, group: list[Event]) -> None:
        """In a function that a probe shows, other than enter, leave, and put."""
        role, fields, _ = self.calls[-1]
        vcpu = self.vcpu
        ops = words(group)
        ours = fields.get("index", KERNEL_GS_BASE) == KERNEL_GS_BASE
        returns = self._returns()
        if vcpu.loaded is False or ops not in ("r", "w", "rw"):
            self._strange(group)
        elif ops == "r":
            if vcpu.loaded is None:
                vcpu.unknown(group)
            else:
                vcpu.read(group[0], self._in_efer(), EXITS | returns)
        elif (
            ops == "w"
            and role in ("set", "accessor_write")
            and ours
            and self.writing in (None, group[0].data)
        ):
            vcpu.write(group[0], EXITS | returns)
            vcpu.loaded = True
        else:
            self._reload(group, FOLLOWED | returns)

    def _left_unseen(self, event: Event) -> bool:
        """Whether put or leave has returned unseen, so that an *enter* may have followed it."""
        assert self.leaving is not None
        role = self.leaving[0].data[0]
        entered = event.kind in ("entry", "exit") or (event.kind == "probe" and event.data[0] == "run")
        returns = self.vcpu.loaded is not False and self.vcpu.evidence.records(f"return:{role}")
        if not entered or returns:
            return False
        self.leaving = None
        if self.vcpu.loaded is True:
            self.vcpu.loaded = None
        return True

    def _returned_unseen(self, event: Event) -> bool:
        """Whether the function called last has returned, though no return of it is recorded."""
        if self.vcpu.evidence.records(f"return:{self.calls[-1][0]}"):
            return False
        return self.vcpu.loaded is False or event.kind in ("entry", "exit")

    def _returns(self) -> frozenset[str]:
        """What must be recorded for an access to be known to be inside the functions called."""
        return frozenset(f"return:{role}" for role, _, _ in self.calls)

    @staticmethod
    def _enter_needs(at: Event, event: Event) -> frozenset[str]:
        """What must be recorded for the accesses from *enter* (``at``) to ``event`` to be enter's."""
        runs = event.kind == "entry" or (event.kind == "probe" and event.data[0] == "run")
        ended = runs or event.kind == "leaf" or (event.kind == "return" and event.data[0] == "enter")
        return PROBED if ended and "loaded" in at.data[1] else FOLLOWED

    def _in_efer(self) -> bool:
        return any(role in ("efer", "efer_work", "set_cr0") for role, _, _ in self.calls)

    def _between(self, group: list[Event], event: Event) -> None:
        """Outside such functions: the next event decides."""
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
            elif event.kind == "userspace" and len(group) > 1:  # a KVM_RUN that ended before VM entry
                vcpu.unknown(group)
                vcpu.evidence.strange = vcpu.evidence.strange or group[0].line
            else:
                for access in group:
                    self._own(access)
        else:
            ops = words(group)
            loaded = event.data[1].get("loaded") if kind == "probe" else None
            known = vcpu.loaded is True
            ends = kind == "userspace" or loaded == 0 or group[0].data == vcpu.residence.host
            if loaded != 1 and (ops in ("rw", "wrw") or (known and ops == "w" and ends)):
                vcpu.leave(group, event, inside=vcpu.changing)
            elif known and ops == "r" and kind not in ("userspace", "switch"):
                vcpu.read(group[0], False)
            else:
                vcpu.unknown(group)
                vcpu.loaded = None

    def _before_entry(self, group: list[Event], event: Event) -> None:
        vcpu = self.vcpu
        ops = words(group)
        if vcpu.loaded is False:
            # the first write may be arch_prctl()'s, of the task's own base: only a probe tells them apart
            own = ops.startswith("w") and is_user(group[0].data)
            vcpu.enter(group, event, needs=FOLLOWED | {"probe:enter"} if own else FOLLOWED)
            vcpu.residence.guessed = own
        elif vcpu.loaded is None:
            vcpu.unknown(group)
        elif ops == "r":
            vcpu.read(group[0], self.in_cr_exit)
        elif ops == "w" and group[0].data == vcpu.true != vcpu.residence.host:
            vcpu.write(group[0])
        elif ops == "w" and group[0].data == vcpu.residence.host:
            self._leave_and_enter(group, 1, event)
        elif ops == "wrw":
            one = self._one_leave([access.data for access in group])
            if one is None:
                vcpu.unknown(group)
            else:
                self._leave_and_enter(group, 3 if one else 1, event)
        elif ops in _LEAVE_LENGTH:
            self._leave_and_enter(group, _LEAVE_LENGTH[ops], event)
        else:
            self._strange(group)

    def _one_leave(self, data: list[int]) -> bool | None:
        """Whether a write, a read and a write are load-gs-index leaving: it writes the host's value last,
        after thread.gs. Another design leaves with a write and enters with the others. None: not known."""
        thread_gs, read, last = data
        if thread_gs == last:
            return True if read != last else self.vcpu.long_mode
        host = self.vcpu.residence.host
        return None if host is None else last == host

    def _leave_and_enter(self, group: list[Event], length: int, event: Event) -> None:
        if self.out is None:
            self.vcpu.shown.reload(group[0].line, FOLLOWED)
        self.vcpu.leave(group[:length], group[0], inside=True)
        self.vcpu.enter(group[length:], event)
        self.vcpu.residence.guessed = True

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

    def _reload(self, group: list[Event], needs: frozenset[str] = FOLLOWED) -> None:
        """A full host reload in the middle of KVM's work."""
        self.vcpu.shown.reload(group[0].line, needs)
        self.vcpu.leave(group, group[0], inside=True, needs=needs)
        self._still_writes()

    def _still_writes(self) -> None:
        """A full host reload inside KVM's write of the guest's value saves the old one first."""
        if self.writing is not None:
            self.vcpu.set(self.writing)

    def _own(self, access: Event) -> None:
        """An access by the task's own system call."""
        self.vcpu.roles[access.line] = "host"
        self.vcpu.base = access.data

    def access(self, event: Event) -> None:
        """RDMSR or WRMSR of the register."""
        if event.cpu != self.cpu:
            self._moved(event)
        in_kvm = bool(self.calls) or (self.vcpu.loaded is True and self.late is None)
        if event.preemptible and not in_kvm:
            self._own(event)  # enter and leave run with preemption disabled
            return
        self.group.append(event)
        self.touched = self.since_exit = True

    def feed(self, event: Event) -> None:
        """Any other event of this thread (a sched_switch: away from it)."""
        kind = event.kind
        if kind == "marker" or (kind == "return" and self._only_return(event.data[0])):
            return
        if event.cpu != self.cpu:
            self._moved(event)
        self.settle(event)
        self.since_exit |= kind != "exit"
        if kind in ("probe", "return", "leaf"):
            role, fields = event.data
            if not self.in_kvm:
                self.in_kvm = not role.startswith("intercept")
            if fields and kind != "return":
                self._observe(fields, event)
            if kind != "return":
                self._call(role, fields, event)
            if kind == "leaf":
                self.settle(event)
            if kind != "probe":
                self._return(role, fields, event)
        elif kind == "entry":
            self._entry(event)
        elif kind == "exit":
            self._exit(event)
        elif kind == "userspace":
            self._userspace(event)
        elif kind == "msr":
            self._emulated(event)
        elif kind == "cr0":
            self._cr0(event)
        elif kind == "switch":
            self.out = event
            if self.in_guest:
                self.in_guest = False
                self.vcpu.anomaly(event.line)

    def _only_return(self, role: str) -> bool:
        """Whether the call that ends here was not recorded: then the accesses before may be of others too."""
        if role == "enter":
            return self.entering is None
        return role in ("leave", "put") and self.leaving is None

    def switched_in(self, event: Event) -> None:
        """A sched_switch to this thread. Whatever happened before, state is not loaded now: the sched_out
        notifier called *leave*, and that of sched_in does not call *enter*."""
        self.settle(event)
        self.out = None
        self.cpu = event.cpu
        if self.vcpu.loaded is True:
            self.vcpu.leave([], event)
        self.vcpu.loaded = False
        self.vcpu.switched_out()

    def lost(self) -> None:
        """Events were lost."""
        self.vcpu.unknown(self.group)
        self.group = []
        self.calls.clear()
        self.entering = self.leaving = self.out = self.late = self.efer_call = self.writing = None
        self.in_guest = self.ran_before = False
        self.vcpu.forget()

    def finish(self, last: Event) -> None:
        """The end of the trace. The last accesses have no next event to explain them and stay
        unexplained, except a read and a write while state is loaded: that is leave."""
        if self.group and self.out is not None and self.leaving is None:
            self._trailing(self.group, last)
        elif self.group and self.entering is None:
            if self.vcpu.loaded is True and words(self.group) == "rw":
                self.vcpu.leave(self.group, last)
            else:
                self.vcpu.unknown(self.group, at_end=True)
        self.group = []
        if self.late is not None and self.vcpu.loaded is True:
            self.vcpu.evidence.unrestored = self.vcpu.evidence.unrestored or self.late.line
        self.vcpu.close_residence()

    def _moved(self, event: Event) -> None:
        """The thread runs on another CPU than before."""
        self.cpu = event.cpu
        if self.vcpu.evidence.records("sched_switch") and (self.in_kvm or self.group):
            self.vcpu.anomaly(event.line)  # a switch is missing
        self.vcpu.loaded = None
        self.in_guest = self.ran_before = False

    def _observe(self, fields: Fields, event: Event) -> None:
        """What a probe shows of struct vcpu_vmx, before the function runs."""
        vcpu = self.vcpu
        loaded = fields.get("loaded")
        if loaded is not None:
            self._observe_loaded(bool(loaded), event)
        if "cefer" in fields:
            mode = bool(fields["cefer"] & EFER_LMA)
            lasts = vcpu.evidence.mode_probe or vcpu.loaded is True
            vcpu.long_mode = mode if lasts else None
            if vcpu.changing and event.data[0] in ("enter", "run", "put", "load"):
                vcpu.changing = False
        if "hgs" in fields:
            if vcpu.loaded is True and self.entering is None:
                vcpu.learn_host(fields["hgs"])
            vcpu.host_saved = fields["hgs"]
        if "ggs" in fields:
            saved = fields["ggs"]
            if vcpu.saved_next is not None and saved == vcpu.saved_next:
                vcpu.saved, vcpu.saved_next = saved, None
            elif vcpu.saved is not None and saved != vcpu.saved:
                if vcpu.evidence.set_probe:
                    vcpu.anomaly(event.line)  # stored by something not in the trace
                else:
                    vcpu.true = None  # by KVM_SET_MSRS
                vcpu.saved_next = None
            vcpu.saved = saved
            if vcpu.loaded is False and vcpu.true is None and vcpu.saved_next is None and saved != vcpu.taken:
                vcpu.true = saved

    def _observe_loaded(self, loaded: bool, event: Event) -> None:
        vcpu = self.vcpu
        if vcpu.loaded is None or loaded == vcpu.loaded:
            vcpu.loaded = loaded
        elif loaded and not vcpu.evidence.records("probe:enter") and vcpu.long_mode is not True:
            vcpu.enter([], event)  # one that made no access
        elif loaded:
            vcpu.anomaly(event.line)  # an enter is missing
            vcpu.loaded = True
        else:
            vcpu.leave([], event, inside=self.efer_call is not None)

    def _call(self, role: str, fields: Fields, event: Event) -> None:
        vcpu = self.vcpu
        if role == "enter":
            self.calls.clear()
            self.writing = None
            vcpu.settle_mode()
            if self.efer_call is not None and fields.get("loaded") == 1:
                needs = PROBED if self.efer_call.data[1].get("loaded") else FOLLOWED
                vcpu.shown.efer_without_reload(self.efer_call.line, needs)
            self.efer_call = None
            self.entering = event
        elif role == "leave":
            if self.leaving is None:
                out_of_band = bool(self.calls) and self.out is None
                if out_of_band:
                    vcpu.shown.reload(event.line, FOLLOWED | self._returns())
                self.leaving = (event, out_of_band)
            self.efer_call = None
        elif role == "put":
            self.efer_call = None
            if self.out is None:
                self.calls.clear()
                vcpu.settle_mode()
            if self.leaving is None:
                self.leaving = (event, False)
        elif role == "load":
            if self.out is None and event.name != "kvm_sched_in":
                vcpu.settle_mode()
            if event.name == "vcpu_load":
                vcpu.returns_to_user(event)  # it has been there since the last ioctl
        elif role.startswith("intercept"):
            if fields.get("msr") == KERNEL_GS_BASE:
                vcpu.intercepted = role == "intercept_on"
                if self._in_efer() and vcpu.loaded is True:
                    vcpu.evidence.intercepts |= vcpu.intercepted
                    vcpu.shown.intercepted(event.line)
        elif role in _CALLS:
            self._kvm_call(role, fields, event)

    def _kvm_call(self, role: str, fields: Fields, event: Event) -> None:
        vcpu = self.vcpu
        self.calls.append((role, fields, event))
        if role == "set" and fields.get("index") == KERNEL_GS_BASE and "data" in fields:
            self.writing = fields["data"]
            vcpu.set(fields["data"])
        elif role == "set" and "index" in fields:
            self._other_register()
        elif role == "accessor_write" and "data" in fields:
            self.writing = fields["data"]
        elif role in ("efer", "efer_work"):
            if vcpu.loaded is True and self.efer_call is None:
                self.efer_call = event
            vcpu.change_mode(bool(fields["efer"] & EFER_LMA) if "efer" in fields else None)
        elif role == "set_cr0" and "cr0" in fields and not fields["cr0"] & CR0_PG:
            vcpu.change_mode(False)

    def _return(self, role: str, fields: Fields, event: Event) -> None:
        vcpu = self.vcpu
        if role == "accessor_read" and "val" in fields:
            vcpu.given(event, fields["val"])
        if any(called == role for called, _, _ in self.calls):
            while (called := self.calls.pop())[0] != role:
                pass  # a function that returned unseen
            if role in ("get", "set") and called[1].get("index") == KERNEL_GS_BASE:
                self._accessed(called)
                if role == "set":
                    self._still_writes()
                self.writing = None
        if role in ("efer", "efer_work", "set_cr0") and not self._in_efer():
            vcpu.settle_mode()

    def _accessed(self, called: tuple[str, Fields, Event]) -> None:
        """KVM has read or written the guest's MSR: did it touch the register while state was loaded?"""
        role, fields, event = called
        vcpu = self.vcpu
        last_access = next(reversed(vcpu.roles), 0)
        if fields.get("loaded") != 1 or vcpu.loaded is not True or last_access > event.line:
            return
        if not vcpu.untouched(event, role == "set"):
            vcpu.anomaly(event.line)

    def _entry(self, event: Event) -> None:
        vcpu = self.vcpu
        self.in_kvm = True
        if self.ran_before and event.data != self.vcpu_number:
            self.lost()  # one thread runs several vCPUs: what was known was about another one
        self.vcpu_number = event.data
        vcpu.comm = event.comm  # a thread is named after it starts
        if self.in_guest:
            vcpu.anomaly(event.line)
        if vcpu.loaded is False and vcpu.unexplained <= self.entered:
            vcpu.enter([], event)  # an enter that made no access
        vcpu.loaded = True
        self.calls.clear()
        if self.in_cr_exit and not self.cr0_moved and vcpu.evidence.records("kvm_cr"):
            vcpu.changing, vcpu.turned = False, self.turned_before  # another control register
        self.in_cr_exit = False
        self.entered = event.line
        vcpu.run(event)
        if not vcpu.evidence.records("kvm_exit"):
            vcpu.ran()
        self.in_guest = self.ran_before = True

    def _exit(self, event: Event) -> None:
        vcpu = self.vcpu
        self.in_kvm = True
        # where nothing happened since the last exit, the fast path re-entered: no kvm_entry before 5.12
        if not self.in_guest and self.ran_before and self.since_exit:
            vcpu.anomaly(event.line)
        vcpu.loaded = True
        self.calls.clear()
        vcpu.ran()
        vcpu.exit_reason = event.data
        self.in_guest = False
        self.ran_before = True
        self.since_exit = False
        self.touched = False
        self.in_cr_exit = event.data == "CR_ACCESS"
        if self.in_cr_exit:
            self.cr0_moved, self.turned_before = False, vcpu.turned
            vcpu.was_long_mode |= vcpu.long_mode is not False
            vcpu.change_mode(None)
        elif event.data == "MSR_WRITE":
            vcpu.held, vcpu.true = vcpu.true, None  # until kvm_msr shows which register is written

    def _userspace(self, event: Event) -> None:
        vcpu = self.vcpu
        self.in_kvm = True
        self.calls.clear()
        if vcpu.loaded is True:
            self.late = event
        else:
            vcpu.returns_to_user(event)

    def _emulated(self, event: Event) -> None:
        vcpu = self.vcpu
        self.in_kvm = True
        is_write, number, value = event.data
        if number == EFER and is_write:
            vcpu.lme = bool(value & EFER_LME)
            if vcpu.loaded is True and not self.touched:
                vcpu.shown.efer_without_access(event.line)
        if number != KERNEL_GS_BASE:
            self._other_register()
            return
        if vcpu.loaded is True and not self.touched:
            vcpu.untouched(event, is_write)
        if is_write:
            vcpu.set(value)
        else:
            vcpu.given(event, value)

    def _other_register(self) -> None:
        """The guest's write that caused the exit was to another register."""
        if self.vcpu.held is not None:
            self.vcpu.true, self.vcpu.held = self.vcpu.held, None

    def _cr0(self, event: Event) -> None:
        self.cr0_moved = True
        self.vcpu.change_mode(self.vcpu.lme if event.data & CR0_PG else False)


def _around_leave(event: Event) -> bool:
    """Whether an event of a function is of *leave*, or of one that calls it."""
    return event.data[0] in ("put", "leave")
