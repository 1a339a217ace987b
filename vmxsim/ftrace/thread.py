"""One thread of a trace: its events in, what they mean for its vCPU out."""

from __future__ import annotations

from attrs import define

from vmxsim.ftrace.accesses import Accesses
from vmxsim.ftrace.events import CR0_PG, EFER, EFER_LMA, EFER_LME, KERNEL_GS_BASE, Event, Fields
from vmxsim.ftrace.residence import words

#: Functions in which an access of the guest's value or a full host reload may happen.
_CALLS = ("get", "set", "efer", "efer_work", "set_cr0", "accessor_read", "accessor_write")


@define
class Thread(Accesses):
    """Feeds the events of one thread to its Vcpu."""

    def access(self, event: Event) -> None:
        """RDMSR or WRMSR of the register."""
        self._moved(event)
        in_kvm = bool(self.calls) or (self.vcpu.loaded is True and self.late is None)
        if event.preemptible and not in_kvm:
            # enter and leave run with preemption disabled: this is the task's own system call
            self.vcpu.roles[event.line] = "host"
            self.vcpu.base = event.data
            return
        self.group.append(event)
        self.touched = True

    def feed(self, event: Event) -> None:
        """Any other event of this thread (a sched_switch: as the previous task)."""
        kind = event.kind
        if kind == "marker":
            return
        self._moved(event)
        self.settle(event)
        if kind in ("probe", "return", "leaf"):
            role, fields = event.data
            self.in_kvm = self.in_kvm or not role.startswith("intercept")
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

    def switched_in(self, event: Event) -> None:
        """A sched_switch to this thread. Whatever it was before, its state is not loaded now: the
        preempt notifier of sched_out did *leave*, that of sched_in does not *enter*."""
        self.settle(event)
        self.out = None
        self.cpu = event.cpu
        if self.vcpu.loaded is True:
            self.vcpu.leave([], event)
        self.vcpu.loaded = False
        self.vcpu.left_behind = None  # what the switch saved and loads now depends on the host

    def lost(self) -> None:
        """Events were lost."""
        self.vcpu.unknown(self.group)
        self.group = []
        self.calls.clear()
        self.entering = self.leaving = self.out = self.late = self.efer_call = self.writing = None
        self.in_guest = self.ran_before = False
        self.vcpu.forget()

    def finish(self, last: Event) -> None:
        """The end of the trace. Accesses without a next event to explain them stay unexplained,
        but for a read and a write while state is loaded: that is leave."""
        if self.group and self.out is not None and self.leaving is None:
            self._trailing(self.group, last)
        elif self.group and self.entering is None:
            if self.vcpu.loaded is True and words(self.group) == "rw":
                self.vcpu.leave(self.group, last)
            else:
                self.vcpu.unknown(self.group)
        self.group = []
        self.vcpu.close_residence()

    def _moved(self, event: Event) -> None:
        if event.cpu != self.cpu:
            self.cpu = event.cpu
            if self.vcpu.evidence.switches and (self.in_kvm or self.group):
                self.vcpu.anomaly(event.line)  # a switch is missing
            self.vcpu.loaded = None
            self.in_guest = self.ran_before = False

    # ------------------------------------------------------------------------------- other events

    def _observe(self, fields: Fields, event: Event) -> None:
        """What a probe shows of struct vcpu_vmx, before the function runs."""
        vcpu = self.vcpu
        loaded = fields.get("loaded")
        if loaded is not None:
            self._observe_loaded(bool(loaded), event)
        if "cefer" in fields:
            mode = bool(fields["cefer"] & EFER_LMA)
            vcpu.long_mode = mode
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
                vcpu.anomaly(event.line)  # stored by something that is not in the trace
                vcpu.saved_next = None
            vcpu.saved = saved
            if vcpu.loaded is False and vcpu.true is None and vcpu.saved_next is None:
                vcpu.true = saved

    def _observe_loaded(self, loaded: bool, event: Event) -> None:
        vcpu = self.vcpu
        if vcpu.loaded is None or loaded == vcpu.loaded:
            vcpu.loaded = loaded
        elif loaded and not vcpu.evidence.enter_probe and vcpu.long_mode is not True:
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
                vcpu.evidence.fits.efer_without_reload(self.efer_call.line)
            self.efer_call = None
            self.entering = event
        elif role == "leave":
            if self.leaving is None:
                out_of_band = bool(self.calls) and self.out is None
                if out_of_band:
                    vcpu.evidence.fits.reload(event.line)
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
                vcpu.returns_to_user(event)  # it was there since the last ioctl
        elif role.startswith("intercept"):
            if fields.get("msr") == KERNEL_GS_BASE:
                vcpu.intercepted = role == "intercept_on"
                if vcpu.intercepted and self._in_efer():
                    vcpu.evidence.intercepts = True
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
        for position in range(len(self.calls) - 1, -1, -1):
            if self.calls[position][0] == role:
                called = self.calls[position]
                del self.calls[position:]
                if role in ("get", "set") and called[1].get("index") == KERNEL_GS_BASE:
                    self._accessed(called)
                    self.writing = None
                break
        if role in ("efer", "efer_work", "set_cr0") and not self._in_efer():
            vcpu.settle_mode()

    def _accessed(self, called: tuple[str, Fields, Event]) -> None:
        """KVM has read or written the guest's MSR: did it touch the register while state is loaded?"""
        _, fields, event = called
        vcpu = self.vcpu
        if fields.get("loaded") != 1 or vcpu.loaded is not True:
            return
        if any(line > event.line for line in self._recent):
            return
        vcpu.evidence.fits.no_access(vcpu.long_mode, event.line)
        if vcpu.long_mode is True:
            vcpu.anomaly(event.line)

    @property
    def _recent(self) -> tuple[int, ...]:
        roles = self.vcpu.roles
        return (next(reversed(roles)),) if roles else ()

    def _entry(self, event: Event) -> None:
        vcpu = self.vcpu
        self.in_kvm = True
        if self.ran_before and event.data != self.vcpu_number:
            self.lost()  # one thread runs several vCPUs: what was known is about another one
        self.vcpu_number = event.data
        vcpu.comm = event.comm  # a thread gets its name after it starts
        if self.in_guest:
            vcpu.anomaly(event.line)
        if vcpu.loaded is False:
            vcpu.enter([], event)  # an enter that made no access
        vcpu.loaded = True
        self.calls.clear()
        vcpu.run(event)
        self.in_guest = self.ran_before = True

    def _exit(self, event: Event) -> None:
        vcpu = self.vcpu
        self.in_kvm = True
        if not self.in_guest and self.ran_before:
            vcpu.anomaly(event.line)
        vcpu.loaded = True
        self.calls.clear()
        vcpu.ran()
        self.in_guest = False
        self.ran_before = True
        self.touched = False
        self.in_cr_exit = event.data == "CR_ACCESS"
        if self.in_cr_exit:
            vcpu.was_long_mode |= vcpu.long_mode is not False
            vcpu.change_mode(None)
        elif event.data == "MSR_WRITE":
            vcpu.held, vcpu.true = vcpu.true, None  # until it is seen which register is written

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
                vcpu.evidence.fits.efer_without_access(event.line)
        if number != KERNEL_GS_BASE:
            self._other_register()
            return
        if vcpu.loaded is True and not self.touched:
            vcpu.evidence.fits.no_access(vcpu.long_mode, event.line)
        if is_write:
            vcpu.set(value)
        else:
            vcpu.given(event, value)

    def _other_register(self) -> None:
        """The write that made the guest exit was not to this register."""
        if self.vcpu.held is not None:
            self.vcpu.true, self.vcpu.held = self.vcpu.held, None

    def _cr0(self, event: Event) -> None:
        paging = bool(event.data & CR0_PG)
        self.vcpu.change_mode(self.vcpu.lme if paging else False)
