"""Turns a recording's events into steps, and its state into scenes.

The state is a flat dictionary of the places that can hold the register's value and of what is known
around them; a step is the list of its changes, so that it can be undone. What is not known is None.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from vmxsim.errors import printable
from vmxsim.ftrace.events import EFER, FUNCTIONS, KERNEL_GS_BASE, Event
from vmxsim.ftrace.evidence import Evidence, Fits
from vmxsim.ftrace.vcpu import ROLES
from vmxsim.ftrace.vcpu_thread import Thread
from vmxsim.ftrace.verdict import Follower
from vmxsim.kernel.machine import MODE_WORDS, Value, owner_words
from vmxsim.simulation.trace import LAZY, Access, Box, Cell, Change, Frame, Move, Scene, Step

State = dict[str, Any]
#: The changes of a step: place, value before, value after.
Delta = list[tuple[str, Any, Any]]

_MODES: dict[str | None, str] = {None: "not known", "waits": "waits"}
_MODES.update(MODE_WORDS)
_ANSWERS = {None: "not known", True: "yes", False: "no"}
_PASSED = {None: "not known", True: "passed through", False: "intercepted"}


def scene(state: State, cpus: list[int], threads: list[tuple[int, str, int]]) -> Scene:
    """All boxes. ``threads``: index, name and pid of each vCPU thread."""
    boxes = [_cpu(state, cpu) for cpu in cpus]
    boxes += [_vcpu(state, index) for index, _, _ in threads]
    boxes += [_task(state, *thread) for thread in threads]
    dangers = tuple(danger for cpu in cpus for danger in _dangers(state, cpu))
    return Scene(tuple(boxes), dangers)


def _judge_register(state: State, cpu: int) -> str:
    """The status of a CPU's register: whose value should be in it now?"""
    value: Value | None = state.get(f"cpu{cpu}.kernel_gs_base")
    if value is None:
        return "unknown"
    index = state.get(f"cpu{cpu}.thread")
    if index is None:
        return "live"
    guest = f"vcpu{index}"
    if state.get(f"thread{index}.mode") == "guest" and state.get(f"{guest}.passed") is not False:
        return _judge(value, state.get(f"{guest}.true"), guest)
    if value.owner == guest:
        if not state.get(f"{guest}.loaded"):
            return "foreign"
        true = state.get(f"{guest}.true")
        return "live" if true is None or true == value.number else "stale"
    return "live" if value.owner == f"thread{index}" else "foreign"


def _judge(value: Value, true: int | None, owner: str) -> str:
    if true is not None and value.number == true:
        return "live"
    if value.owner != owner:
        return "foreign"
    return "live" if true is None else "stale"


def _cpu(state: State, cpu: int) -> Box:
    index = state.get(f"cpu{cpu}.thread")
    runs, task, mode = state.get(f"cpu{cpu}.runs") or "not known", "", ""
    if index is not None:
        task, mode = owner_words(f"thread{index}"), state.get(f"thread{index}.mode") or ""
        runs = f"{task}, {_MODES[mode or None]}"
    place = f"cpu{cpu}.kernel_gs_base"
    cell = Cell(place, "KERNEL_GS_BASE", state.get(place), _judge_register(state, cpu))
    return Box(f"cpu{cpu}", "cpu", f"CPU {cpu}", (("runs", runs),), (cell,), task, mode)


def _vcpu(state: State, index: int) -> Box:
    id_ = f"vcpu{index}"
    true = state.get(f"{id_}.true")
    loaded = state.get(f"{id_}.loaded")
    facts = (
        ("EFER.LMA", _ANSWERS[state.get(f"{id_}.long_mode")]),
        ("guest state loaded", _ANSWERS[loaded]),
        ("guest access", _PASSED[state.get(f"{id_}.passed")]),
        ("true value", "not known" if true is None else hex(true)),
    )
    g, h = state.get(f"{id_}.g"), state.get(f"{id_}.h")
    register = _register_of(state, index)
    if g is None or (loaded and register is None):
        g_status = "unknown"
    elif loaded and register is not None and register.owner == id_:
        g_status = "copy" if register.number == g.number else "live" if g.number == true else "stale"
    else:
        g_status = _judge(g, true, id_)
    if loaded is False:
        h_status = "unused"
    elif h is None or loaded is None:
        h_status = "unknown"
    else:
        h_status = "copy" if register is not None and register.owner == f"thread{index}" else "live"
    cells = (
        Cell(f"{id_}.g", "msr_guest_kernel_gs_base", g, g_status),
        Cell(f"{id_}.h", "msr_host_kernel_gs_base", h, h_status),
    )
    return Box(id_, "vcpu", f"struct vcpu_vmx, vCPU {index}", facts, cells)


def _register_of(state: State, index: int) -> Value | None:
    cpu = state.get(f"thread{index}.cpu")
    if cpu is None or state.get(f"cpu{cpu}.thread") != index:
        return None
    value: Value | None = state.get(f"cpu{cpu}.kernel_gs_base")
    return value


def _task(state: State, index: int, name: str, pid: int) -> Box:
    id_ = f"thread{index}"
    base = state.get(f"{id_}.gs_base")
    cpu = state.get(f"{id_}.cpu")
    facts = (
        ("mode", _MODES[state.get(f"{id_}.mode")]),
        ("CPU", "not known" if cpu is None else str(cpu)),
    )
    register = _register_of(state, index)
    status = "unknown" if base is None else ("copy" if register == base else "live")
    title = f"vCPU thread {index} ({name}-{pid})"
    return Box(id_, "task", title, facts, (Cell(f"{id_}.gs_base", "user GS base", base, status),))


def _dangers(state: State, cpu: int) -> list[tuple[str, str]]:
    index = state.get(f"cpu{cpu}.thread")
    value: Value | None = state.get(f"cpu{cpu}.kernel_gs_base")
    if index is None or value is None:
        return []
    guest = f"vcpu{index}"
    found = []
    true = state.get(f"{guest}.true")
    exposed = state.get(f"{guest}.loaded") and state.get(f"{guest}.passed")
    if exposed and value.owner != guest and value.number != true:
        right = "" if true is None else f", not {hex(true)}"
        who, whose = owner_words(guest), owner_words(value.owner)
        text = f"If {who} read its KERNEL_GS_BASE now, it would get {value} of {whose}{right}."
        found.append(("guest-value", text))
    if value.owner == guest:
        thread = owner_words(f"thread{index}")
        text = f"If user space of {thread} ran now, its GS base would be the guest's {value}."
        found.append(("host-value", text))
    return found


_OTHER = "a vCPU ioctl"


class Spans:
    """Groups a recording's events by ioctl, as a run's steps are grouped by action. A group belongs to one
    thread; when another thread continues, a new group starts."""

    def __init__(self) -> None:
        #: The parts of each group's label.
        self._groups: list[list[str]] = []
        self._owner: int | None = None
        self._fresh: set[int] = set()
        self._marks: dict[int, str] = {}
        self._ended: set[int] = set()

    @property
    def labels(self) -> list[str]:
        """What each group is: ``vCPU thread 0: KVM_RUN``."""
        return [": ".join(parts) for parts in self._groups]

    def mark(self, event: Event) -> None:
        """A trace marker: its text goes to the next group of that task."""
        self._marks[event.pid] = printable(event.data, 60)
        self._fresh.add(event.pid)

    def feed(self, event: Event) -> None:
        """An event of a vCPU thread: it may start a group, or show which ioctl the group is."""
        starts = event.kind in ("probe", "leaf") and event.name == "vcpu_load"
        if starts or event.pid in self._ended:
            self._fresh.add(event.pid)
            self._ended.discard(event.pid)
        if event.kind == "userspace":
            self._ended.add(event.pid)
        if self._owner == event.pid and event.pid not in self._fresh and self._groups:
            self._name(event)

    def _name(self, event: Event) -> None:
        role, fields = event.data if event.kind == "probe" else ("", {})
        what = ""
        if event.kind in ("entry", "exit") or role == "enter":
            what = "KVM_RUN"
        elif role in ("get", "set"):
            if fields.get("index") == KERNEL_GS_BASE and fields.get("host") == 1:
                what = f"KVM_{role.upper()}_MSRS"
        elif role in ("efer", "set_cr0"):
            what = "KVM_SET_SREGS"
        if what and self._groups[-1][1:2] == [_OTHER]:
            self._groups[-1][1] = what

    def action(self, event: Event, index: int | None) -> int:
        """The group of a step."""
        if index is None:
            if not self._groups:
                self._groups.append(["other tasks"])
            return len(self._groups) - 1
        if self._owner != event.pid or event.pid in self._fresh:
            self._owner = event.pid
            mark = self._marks.pop(event.pid, "")
            self._groups.append([f"vCPU thread {index}", _OTHER, *([mark] if mark else [])])
            self._fresh.discard(event.pid)
            self._name(event)
        return len(self._groups) - 1


#: Functions that become steps of their own; put, load and run only supply facts.
_SHOWN_CALLS = ("enter", "leave", "efer", "efer_work", "set_cr0", "accessor_read", "accessor_write")
#: Functions in which an access of the register may follow.
_ACCESSING = ("put", "enter", "leave", "get", "set", "accessor_read", "accessor_write")
_ARGUMENTS = ("efer", "cr0", "index", "data", "host", "msr", "type")
#: What is no longer known after events were lost.
_FORGOTTEN = (".kernel_gs_base", ".true", ".g", ".h", ".loaded", ".long_mode", ".passed")
#: The function that makes an access, by its role, where no probe shows it.
_WHERE = {"enter": "enter", "leave": "leave", "switch": "__switch_to", "host": "arch_prctl"}
#: The vCPU's field on the other end of an access, by its role.
_OTHER_END = {"enter-save": "h", "enter-load": "g", "leave-save": "g", "leave-restore": "h", "read": "g"}


class Playback:
    """Replays a recording's events: the state of all places, and the steps that change it.

    ``told`` is the follower of the first reading: it knows what each access was for.
    """

    def __init__(self, told: Follower) -> None:
        self.told = told
        self.follower = Follower(Evidence(Fits(set(told.evidence.fits.recorded))))
        self.index = {thread.vcpu.pid: number for number, thread in enumerate(told.vcpu_threads())}
        self.state: State = {}
        self.delta: Delta = []
        self.spans = Spans()
        self.switching: dict[int, tuple[int, int, str]] = {}
        self.functions: dict[int, str] = {}
        #: vCPUs whose guest ran with access passed through since the register was last seen.
        self.unseen: set[int] = set()
        self.proved = told.believed()
        #: The line in the file of each step made.
        self.lines: list[int] = []
        self.steps: deque[tuple[Step, Delta]] = deque()
        self.dropped = False

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
        index = self.index.get(event.pid)
        function = more.pop("function", event.name)
        changes = tuple(
            Change(place, before, after)
            for place, before, after in self.delta
            if not place.endswith((".thread", ".runs"))
        )
        step = Step(
            index=len(self.lines),
            action=self.spans.action(event, index),
            thread="plain" if index is None else f"thread{index}",
            cpu=event.cpu,
            mode=mode,
            function=function,
            line=0,
            source=f"{event.time:.6f} {printable(source, 160)}",
            stack=(Frame(function, 0),),
            changes=changes,
            kind=role if (role := FUNCTIONS.get(event.name, "")) in LAZY else "",
            **more,
        )
        self.lines.append(event.line)
        return step

    def _access(self, event: Event, index: int) -> Step:
        role = self.told.roles.get(event.line, "unknown")
        place = f"cpu{event.cpu}.kernel_gs_base"
        guest, thread = f"vcpu{index}", f"thread{index}"
        held: Value | None = self.state.get(place)
        same = held if held is not None and held.number == event.data else None
        saved: Value | None = self.state.get(f"{guest}.g")
        if role in ("enter-save", "leave-restore", "host"):
            value = Value(event.data, thread)
            self._set(f"{thread}.gs_base", value)
            if role != "host":
                self._set(f"{guest}.h", value)
        elif role in ("leave-save", "read"):
            value = same or Value(event.data, self._left_by(event, saved, index))
            self._set(f"{guest}.g", value)
        elif role == "enter-load":
            value = saved if saved is not None and saved.number == event.data else Value(event.data, guest)
        elif role == "write":
            value = Value(event.data, guest)
        elif role == "switch":
            value = Value(event.data, self._next_owner(event.cpu))
        else:
            value = same or Value(event.data, "unknown")
        self._set(place, value)
        self.unseen.discard(index)
        loads = self.told.threads[event.pid].vcpu.transitions.get(event.line)
        if loads is not None:
            self._set(f"{guest}.loaded", loads)
        function = self.functions.get(event.pid) or _WHERE.get(role.partition("-")[0], event.name)
        if role == "enter-load" and saved is not None and saved.number != event.data:
            return self._access_step(event, "", function)  # what it loads is not what g is known to hold
        other = f"{guest}.{_OTHER_END[role]}" if role in _OTHER_END else ""
        return self._access_step(event, role, function, other)

    def _access_step(self, event: Event, role: str, function: str, other: str = "") -> Step:
        """The step of an access: a move between the register and the place ``other``. ``role`` says what for,
        '' where that cannot be told."""
        place = f"cpu{event.cpu}.kernel_gs_base"
        reads = event.kind == "rdmsr"
        return self._step(
            event,
            "kernel",
            f"{'read_msr' if reads else 'write_msr'}: c0000102, value {event.data:x}",
            function=function,
            accesses=(Access(event.kind, event.cpu, event.data),),
            moves=(Move(event.kind, place, other) if reads else Move(event.kind, other, place),),
            notes=(ROLES[role][0].upper() + ROLES[role][1:] + ".",) if role else (),
        )

    def _left_by(self, event: Event, saved: Value | None, index: int) -> str:
        """Whose number is in the register after the guest ran: the guest's, unless it is proved to be the
        one that the host left there."""
        if saved is not None and saved.number == event.data:
            return saved.owner
        of_host = any(
            f.event.pid == event.pid and f.event.line <= event.line and f.value == event.data
            for f in self.proved
        )
        return f"{'thread' if of_host else 'vcpu'}{index}"

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
            notes = ("The guest may have changed the register unseen: the next read will show its value.",)
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
        notes: tuple[str, ...] = ()
        thread = self.follower.threads[event.pid]
        unseen = number == KERNEL_GS_BASE and is_write and not thread.touched and thread.vcpu.owner == "guest"
        if unseen and self.told.evidence.writes_unseen:
            self._set(f"cpu{event.cpu}.kernel_gs_base", None)
            notes = ("WRMSRNS leaves no event: the next read shows what the register holds now.",)
        text = f"kvm_msr: KVM {verb} {number:x} for the guest: {value:#x}"
        return self._step(event, "kernel", text, notes=notes)

    def _call(self, event: Event, index: int) -> Step | None:
        role, fields = event.data
        if event.kind == "return":
            self.functions.pop(event.pid, None)
            return None
        if role == "leave" and self.state.get(f"vcpu{index}.loaded") is False:
            return None  # it does nothing: only an accessor's full host reload is worth a step
        wanted = role in _SHOWN_CALLS or (role in ("get", "set") and fields.get("index") == KERNEL_GS_BASE)
        wanted = wanted or (role.startswith("intercept") and fields.get("msr") == KERNEL_GS_BASE)
        if role == "put" and "vmx" in event.name:
            wanted = self.state.get(f"vcpu{index}.loaded") is True
        if role in _ACCESSING and event.kind == "probe":
            self.functions[event.pid] = printable(event.name, 40)
        if not wanted:
            return None
        arguments = ", ".join(f"{key}={value:#x}" for key, value in fields.items() if key in _ARGUMENTS)
        return self._step(event, "kernel", f"{event.name}({arguments})", function=printable(event.name, 40))

    def _other(self, event: Event) -> Step | None:
        """A task that is not a vCPU thread: shown where it touches the register."""
        if event.kind == "lost":
            for place in list(self.state):
                if place.endswith(_FORGOTTEN):
                    self._set(place, None)
            return self._step(event, "kernel", "events were lost here: nothing is known anymore")
        if event.kind not in ("rdmsr", "wrmsr"):
            return None
        place = f"cpu{event.cpu}.kernel_gs_base"
        switches = event.kind == "wrmsr" and event.cpu in self.switching
        self._set(place, Value(event.data, self._next_owner(event.cpu) if switches else "plain"))
        return self._access_step(event, self.told.roles.get(event.line, "unknown"), event.name)

    def play(self, events: Iterable[Event], limit: int, around: int) -> State:
        """Make at most ``limit`` steps, with the event at line ``around`` among them (0: from the start).
        Returns the state before the first step that is kept."""
        start: State = {}
        for event in events:
            step = self._feed(event)
            if step is None:
                continue
            if len(self.steps) == limit // 2 and event.line <= around:
                _, old = self.steps.popleft()
                start.update((place, value) for place, _, value in old)
                self.dropped = True
            self.steps.append((step, self.delta))
            self.delta = []
            if len(self.steps) >= limit:
                break
        return start

    def _feed(self, event: Event) -> Step | None:
        if event.kind == "marker":
            self.spans.mark(event)
            return None
        self._finish_switch(event)
        self.follower.feed(event)
        index = self.index.get(event.pid)
        if event.kind == "switch":
            return self._switch(event)
        if index is None:
            return self._other(event)
        thread = self.follower.threads[event.pid]
        self._seen_on(event, index)
        if event.kind in ("rdmsr", "wrmsr"):
            return self._access(event, index)
        self._learn(thread, index)
        self.spans.feed(event)
        match event.kind:
            case "entry":
                return self._entry(event, index, thread)
            case "exit":
                return self._exit(event, index)
            case "userspace":
                self._set(f"thread{index}.mode", "user")
                return self._step(event, "user", "kvm_userspace_exit: KVM_RUN returns to user space")
            case "msr" | "cr0":
                return self._emulated(event, index)
            case "probe" | "leaf" | "return":
                return self._call(event, index)
        return None

    def _seen_on(self, event: Event, index: int) -> None:
        self._set(f"cpu{event.cpu}.thread", index)
        self._set(f"thread{index}.cpu", event.cpu)
        if self.state.get(f"thread{index}.mode") in (None, "waits"):
            self._set(f"thread{index}.mode", "kernel")

    def _learn(self, thread: Thread, index: int) -> None:
        """Take over what the follower now knows about the vCPU."""
        vcpu = thread.vcpu
        id_ = f"vcpu{index}"
        loaded = vcpu.loaded
        if loaded is False and self.state.get(f"{id_}.loaded"):
            self._set(f"{id_}.passed", None)
        self._set(f"{id_}.loaded", loaded)
        # CR0 is written before EFER: the mode changes when vmx_set_efer() stores it
        if not vcpu.changing:
            self._set(f"{id_}.long_mode", vcpu.long_mode)
        elif any(role in ("efer", "efer_work") for role, _, _ in thread.calls):
            self._set(f"{id_}.long_mode", vcpu.next_mode)
        self._set(f"{id_}.true", vcpu.true)
        if loaded:
            self._set(f"{id_}.passed", vcpu.passed_through)
        if vcpu.base is not None:
            self._set(f"thread{index}.gs_base", Value(vcpu.base, f"thread{index}"))
        self._number(f"{id_}.g", vcpu.saved_next if vcpu.saved_next is not None else vcpu.saved, id_)
        if loaded and vcpu.host_saved is not None:
            self._number(f"{id_}.h", vcpu.host_saved, f"thread{index}")
        if loaded and vcpu.owner == "host" and vcpu.residence.host is not None:
            place = f"cpu{thread.cpu}.kernel_gs_base"
            if self.state.get(place) is None and index not in self.unseen:
                self._set(place, Value(vcpu.residence.host, f"thread{index}"))

    def _switch(self, event: Event) -> Step | None:
        prev, prev_name, following, next_name = event.data
        self.switching[event.cpu] = (prev, following, next_name)
        if not any(pid in self.index and self.follower.threads[pid].in_kvm for pid in (prev, following)):
            self._set(f"cpu{event.cpu}.runs", printable(next_name, 16))
            return None
        text = f"sched_switch: {prev_name}-{prev} ==> {next_name}-{following}"
        notes = ("The old task's leave, if any, comes after this line.",)
        return self._step(event, "kernel", text, notes=notes)

    def _finish_switch(self, event: Event) -> None:
        """A switch is done at the CPU's first event that is not the old task's."""
        pending = self.switching.get(event.cpu)
        if pending is None or (event.pid == pending[0] and event.kind != "switch"):
            return
        prev, following, name = pending
        del self.switching[event.cpu]
        cpu = event.cpu
        old, new = self.index.get(prev), self.index.get(following)
        if old is not None and self.state.get(f"thread{old}.cpu") in (cpu, None):
            self._set(f"thread{old}.mode", "waits")
        self._set(f"cpu{cpu}.thread", new)
        self._set(f"cpu{cpu}.runs", printable(name, 16))
        base = None
        if new is not None:
            self._set(f"thread{new}.cpu", cpu)
            self._set(f"thread{new}.mode", "kernel")
            base = self.state.get(f"thread{new}.gs_base")
        if old is not None or new is not None or self.state.get(f"cpu{cpu}.kernel_gs_base") is not None:
            self._set(f"cpu{cpu}.kernel_gs_base", base)
