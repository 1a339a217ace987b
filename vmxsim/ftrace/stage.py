"""Plays a recording: each event that tells something becomes a step, with what it changed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from vmxsim.errors import printable
from vmxsim.ftrace.events import Event
from vmxsim.ftrace.follower import Follower
from vmxsim.ftrace.places import State
from vmxsim.ftrace.steps import Delta, StepMaker
from vmxsim.ftrace.thread import Thread
from vmxsim.model.value import Value
from vmxsim.trace import Step


class Stage(StepMaker):
    """Replays the events with their roles known from the first reading (``told``)."""

    def __init__(self, told: Follower) -> None:
        super().__init__(told)
        self.steps: deque[tuple[Step, Delta]] = deque()
        self.dropped = False

    def play(self, events: Iterable[Event], limit: int, around: int) -> State:
        """Make steps, ``limit`` at most, so that the event at line ``around`` is among them (0: from the
        start). Returns the state before the first step that is kept."""
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

    # ------------------------------------------------------------------------------------- one event

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
        step: Step | None = None
        if event.kind in ("rdmsr", "wrmsr"):
            step = self._access(event, index)
        else:
            self._learn(thread, index)
            self.spans.feed(event, index)
            if event.kind == "entry":
                step = self._entry(event, index, thread)
            elif event.kind == "exit":
                step = self._exit(event, index)
            elif event.kind == "userspace":
                self._set(f"thread{index}.mode", "user")
                step = self._step(event, "user", "kvm_userspace_exit: KVM_RUN returns to user space")
            elif event.kind in ("msr", "cr0"):
                step = self._emulated(event, index)
            elif event.kind in ("probe", "leaf", "return"):
                step = self._call(event, index)
        return step

    def _seen_on(self, event: Event, index: int) -> None:
        self._set(f"cpu{event.cpu}.thread", index)
        self._set(f"thread{index}.cpu", event.cpu)
        if self.state.get(f"thread{index}.mode") in (None, "waits"):
            self._set(f"thread{index}.mode", "kernel")

    def _learn(self, thread: Thread, index: int) -> None:
        """What the follower knows now about the vCPU."""
        vcpu = thread.vcpu
        id_ = f"vcpu{index}"
        loaded = vcpu.loaded
        if loaded is False and self.state.get(f"{id_}.loaded"):
            self._set(f"{id_}.passed", None)
        self._set(f"{id_}.loaded", loaded)
        # CR0 is written before EFER: the mode is another one when vmx_set_efer() stores it
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
        if not any(pid in self.index and self.follower.threads[pid].in_kvm for pid in (prev, following)):
            self._set(f"cpu{event.cpu}.runs", printable(next_name, 16))
            self.switching[event.cpu] = (prev, following, next_name)
            return None
        self.switching[event.cpu] = (prev, following, next_name)
        text = f"sched_switch: {prev_name}-{prev} ==> {next_name}-{following}"
        return self._step(
            event, "kernel", text, notes=("The old task's leave, if any, comes after this line.",)
        )

    def _finish_switch(self, event: Event) -> None:
        """The switch is done when the CPU's next event is not the old task's any more."""
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
