"""Makes steps of events: what each did to the places that can hold the register's value."""

from __future__ import annotations

from typing import Any

from vmxsim.errors import printable
from vmxsim.ftrace.events import EFER, KERNEL_GS_BASE, Event
from vmxsim.ftrace.follower import Follower
from vmxsim.ftrace.places import State
from vmxsim.ftrace.residence import ROLES
from vmxsim.ftrace.spans import Spans
from vmxsim.ftrace.thread import Thread
from vmxsim.model.value import Value
from vmxsim.trace import Access, Change, Frame, Move, Step

#: Functions that become steps of their own; put, load and run only bring facts.
_SHOWN_CALLS = ("enter", "leave", "efer", "efer_work", "set_cr0", "accessor_read", "accessor_write")
_ARGUMENTS = ("efer", "cr0", "index", "data", "host", "msr", "type")
#: The function in which an access stands, by its role, where no probe shows it.
_WHERE = {"enter": "enter", "leave": "leave", "switch": "__switch_to", "host": "arch_prctl"}
_MOVES = {
    "enter-save": ("rdmsr", "register", "h"),
    "enter-load": ("wrmsr", "g", "register"),
    "leave-save": ("rdmsr", "register", "g"),
    "leave-restore": ("wrmsr", "h", "register"),
    "read": ("rdmsr", "register", "g"),
    "write": ("wrmsr", "", "register"),
    "host": ("rdmsr", "register", ""),
    "unknown": ("rdmsr", "register", ""),
}

Delta = list[tuple[str, Any, Any]]


class StepMaker:
    """The state of all places while the events are played, and the steps that change it.

    ``told`` is the first reading: it knows what each access was for.
    """

    def __init__(self, told: Follower) -> None:
        self.told = told
        self.follower = Follower()
        self.index = {thread.vcpu.pid: number for number, thread in enumerate(told.vcpu_threads())}
        self.state: State = {}
        self.delta: Delta = []
        self.spans = Spans()
        self.switching: dict[int, tuple[int, int, str]] = {}
        self.functions: dict[int, str] = {}
        #: vCPUs whose guest ran with access passed through since the register was last seen.
        self.unseen: set[int] = set()
        self.proved = told.believed()
        self.count = 0
        #: Line in the file of each step that was made.
        self.lines: list[int] = []

    def _set(self, place: str, value: Any) -> None:
        before = self.state.get(place)
        if before != value:
            self.state[place] = value
            self.delta.append((place, before, value))

    def _number(self, place: str, number: int | None, owner: str) -> None:
        """A number seen in a place: its owner stays if the number does."""
        held = self.state.get(place)
        if number is not None and (held is None or held.number != number):
            self._set(place, Value(number, owner))

    def _step(self, event: Event, mode: str, source: str, **more: Any) -> Step:
        action = self.spans.action(event, self.index.get(event.pid))
        function = more.pop("function", event.name)
        changes = tuple(
            Change(place, before, after)
            for place, before, after in self.delta
            if not place.endswith((".thread", ".runs"))
        )
        index = self.index.get(event.pid)
        step = Step(
            index=self.count,
            action=action,
            thread="plain" if index is None else f"thread{index}",
            cpu=event.cpu,
            mode=mode,
            function=function,
            line=0,
            source=f"{event.time:.6f} {printable(source, 160)}",
            stack=(Frame(function, 0),),
            changes=changes,
            **more,
        )
        self.count += 1
        self.lines.append(event.line)
        return step

    def _access(self, event: Event, index: int) -> Step:
        role = self.told.roles.get(event.line, "unknown")
        place = f"cpu{event.cpu}.kernel_gs_base"
        guest, thread = f"vcpu{index}", f"thread{index}"
        held: Value | None = self.state.get(place)
        same = held is not None and held.number == event.data
        saved: Value | None = self.state.get(f"{guest}.g")
        if role in ("enter-save", "leave-restore", "host"):
            value = Value(event.data, thread)
            self._set(f"{thread}.gs_base", value)
            if role != "host":
                self._set(f"{guest}.h", value)
        elif role in ("leave-save", "read"):
            value = (
                held if same and held is not None else Value(event.data, self._left_by(event, saved, index))
            )
            self._set(f"{guest}.g", value)
        elif role == "enter-load":
            value = saved if saved is not None and saved.number == event.data else Value(event.data, guest)
        elif role == "write":
            value = Value(event.data, guest)
        elif role == "switch":
            value = Value(event.data, self._next_owner(event.cpu))
        else:
            value = held if same and held is not None else Value(event.data, "unknown")
        self._set(place, value)
        self.unseen.discard(index)
        loads = self.told.threads[event.pid].vcpu.transitions.get(event.line)
        if loads is not None:
            self._set(f"{guest}.loaded", loads)
        kind, source, target = _MOVES.get(role, ("wrmsr", "", "register"))
        if kind != event.kind:
            kind, source, target = event.kind, target, source
        names = {"register": place, "g": f"{guest}.g", "h": f"{guest}.h", "": ""}
        text = f"{'read_msr' if event.kind == 'rdmsr' else 'write_msr'}: c0000102, value {event.data:x}"
        return self._step(
            event,
            "kernel",
            text,
            function=self.functions.get(event.pid) or _WHERE.get(role.partition("-")[0], event.name),
            accesses=(Access(event.kind, event.cpu, event.data),),
            moves=(Move(kind, names[source], names[target]),),
            notes=(ROLES[role][0].upper() + ROLES[role][1:] + ".",),
        )

    def _left_by(self, event: Event, saved: Value | None, index: int) -> str:
        """Whose a number is that stands in the register after the guest ran: the guest's, unless it is
        proved that it was the host's before the guest ran, and it still is."""
        if saved is not None and saved.number == event.data:
            return saved.owner
        for finding in self.proved:
            if (
                finding.event.pid == event.pid
                and finding.event.line <= event.line
                and finding.value == event.data
            ):
                return f"thread{index}"
        return f"vcpu{index}"

    def _next_owner(self, cpu: int) -> str:
        if cpu not in self.switching:
            return "unknown"
        following = self.index.get(self.switching[cpu][1])
        return "plain" if following is None else f"thread{following}"

    def _entry(self, event: Event, index: int, thread: Thread) -> Step:
        self._set(f"thread{index}.mode", "guest")
        self._set(f"vcpu{index}.passed", thread.vcpu.passed_through)
        before = thread.vcpu.residence.before
        if thread.vcpu.true is None and before is not None and thread.vcpu.owner == "host":
            self._set(f"vcpu{index}.true", before)
        return self._step(event, "guest", "kvm_entry: the guest runs")

    def _exit(self, event: Event, index: int) -> Step:
        was = self.state.get(f"thread{index}.mode") == "guest"
        self._set(f"thread{index}.mode", "kernel")
        notes: tuple[str, ...] = ()
        if was and self.state.get(f"vcpu{index}.passed") is not False:
            self._set(f"cpu{event.cpu}.kernel_gs_base", None)
            self.unseen.add(index)
            notes = (
                "The guest may have changed the register unseen: its value is known again when it is read.",
            )
        return self._step(event, "guest", f"kvm_exit: {event.data}", notes=notes)

    def _emulated(self, event: Event, index: int) -> Step | None:
        if event.kind == "cr0":
            return self._step(event, "kernel", f"kvm_cr: the guest writes CR0 = {event.data:#x}")
        is_write, number, value = event.data
        if number not in (KERNEL_GS_BASE, EFER):
            return None
        if number == KERNEL_GS_BASE:
            self._number(f"vcpu{index}.g", value, f"vcpu{index}")
        verb = "writes" if is_write else "reads"
        return self._step(event, "kernel", f"kvm_msr: KVM {verb} {number:x} for the guest: {value:#x}")

    def _call(self, event: Event, index: int) -> Step | None:
        role, fields = event.data
        if event.kind == "return":
            self.functions.pop(event.pid, None)
            return None
        if role == "leave" and self.state.get(f"vcpu{index}.loaded") is False:
            return None  # nothing to do: only the full host reload of an accessor is worth a step
        wanted = role in _SHOWN_CALLS or (role in ("get", "set") and fields.get("index") == KERNEL_GS_BASE)
        wanted = wanted or (role.startswith("intercept") and fields.get("msr") == KERNEL_GS_BASE)
        if role == "put" and "vmx" in event.name:
            wanted = self.state.get(f"vcpu{index}.loaded") is True
        if (
            role in ("put", "enter", "leave", "get", "set", "accessor_read", "accessor_write")
            and event.kind == "probe"
        ):
            self.functions[event.pid] = printable(event.name, 40)
        if not wanted:
            return None
        arguments = ", ".join(f"{key}={value:#x}" for key, value in fields.items() if key in _ARGUMENTS)
        return self._step(event, "kernel", f"{event.name}({arguments})", function=printable(event.name, 40))

    def _other(self, event: Event) -> Step | None:
        """A task that is no vCPU thread: shown where it touches the register."""
        if event.kind == "lost":
            for place in list(self.state):
                if place.endswith(
                    (".kernel_gs_base", ".true", ".g", ".h", ".loaded", ".long_mode", ".passed")
                ):
                    self._set(place, None)
            return self._step(event, "kernel", "events were lost here: nothing is known any more")
        if event.kind not in ("rdmsr", "wrmsr"):
            return None
        place = f"cpu{event.cpu}.kernel_gs_base"
        owner = (
            self._next_owner(event.cpu) if event.kind == "wrmsr" and event.cpu in self.switching else "plain"
        )
        self._set(place, Value(event.data, owner))
        role = self.told.roles.get(event.line, "unknown")
        ends = (place, "") if event.kind == "rdmsr" else ("", place)
        return self._step(
            event,
            "kernel",
            f"{event.name}: c0000102, value {event.data:x}",
            accesses=(Access(event.kind, event.cpu, event.data),),
            moves=(Move(event.kind, *ends),),
            notes=(ROLES[role],),
        )
