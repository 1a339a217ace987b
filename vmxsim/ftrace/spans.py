"""Groups a recording's events as a run's are grouped by actions: one group an ioctl."""

from __future__ import annotations

from vmxsim.errors import printable
from vmxsim.ftrace.events import KERNEL_GS_BASE, Event

_RUN, _OTHER = "KVM_RUN", "a vCPU ioctl"


class Spans:
    """The groups so far. A group belongs to one thread; when another thread goes on, a new one starts."""

    def __init__(self) -> None:
        self.labels: list[str] = []
        self._owner: int | None = None
        self._fresh: set[int] = set()
        self._marks: dict[int, str] = {}
        self._ended: set[int] = set()

    def mark(self, event: Event) -> None:
        """A trace marker: the text goes to the next group of that task."""
        self._marks[event.pid] = printable(event.data, 60)
        self._fresh.add(event.pid)

    def feed(self, event: Event, index: int) -> None:
        """An event of vCPU thread ``index``: does a group start, and what is it?"""
        starts = event.kind in ("probe", "leaf") and event.name == "vcpu_load"
        if starts or event.pid in self._ended:
            self._fresh.add(event.pid)
            self._ended.discard(event.pid)
        if event.kind == "userspace":
            self._ended.add(event.pid)
        if self._owner != event.pid or event.pid in self._fresh or not self.labels:
            return
        self._name(event, index)

    def _name(self, event: Event, index: int) -> None:
        what = ""
        if event.kind in ("entry", "exit") or (event.kind == "probe" and event.data[0] == "enter"):
            what = _RUN
        elif (
            event.kind == "probe"
            and event.data[0] in ("get", "set")
            and event.data[1].get("index") == KERNEL_GS_BASE
        ):
            if event.data[1].get("host") == 1:
                what = "KVM_GET_MSRS" if event.data[0] == "get" else "KVM_SET_MSRS"
        elif event.kind == "probe" and event.data[0] in ("efer", "set_cr0"):
            what = "KVM_SET_SREGS"
        if what and _OTHER in self.labels[-1]:
            self.labels[-1] = self.labels[-1].replace(_OTHER, what)

    def action(self, event: Event, index: int | None) -> int:
        """The group of a step."""
        if index is None:
            if not self.labels:
                self._start(None, "other tasks")
            return len(self.labels) - 1
        if self._owner != event.pid or event.pid in self._fresh:
            mark = self._marks.pop(event.pid, "")
            self._start(event.pid, f"vCPU thread {index}: {_OTHER}" + (f": {mark}" if mark else ""))
            self._fresh.discard(event.pid)
            self._name(event, index)
        return len(self.labels) - 1

    def _start(self, owner: int | None, label: str) -> None:
        self._owner = owner
        self.labels.append(label)
