"""A recorded trace as a Trace: the same views show it that show a run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from attrs import evolve

from vmxsim.errors import InputError, is_there, nearest, printable
from vmxsim.ftrace.events import Event
from vmxsim.ftrace.evidence import Evidence, Finding, Fits
from vmxsim.ftrace.reader import Reader
from vmxsim.ftrace.steps import Playback, State, scene
from vmxsim.ftrace.verdict import Follower, judge, notes
from vmxsim.progress import telling
from vmxsim.simulation.trace import Scene, Step, Violation

#: The recordings that come with vmxsim, and what happens in each: Linux 6.1 on an emulated Intel processor.
#: For two of them kvm_intel was rebuilt so that its handling of this register follows another design.
EXAMPLES = {
    "s1.dedicated-accessors": (
        "The seed patch: a 32-bit guest enters long mode while its state is loaded "
        "and reads the host thread's user GS base."
    ),
    "s1.host-from-thread": (
        "The same guest on the patch's parent: a full host reload on every change of EFER; "
        "the guest reads 0, right."
    ),
    "s1.guest-state-loaded": (
        "The same guest on unchanged Linux 6.1: the register is always switched; the guest reads 0, right."
    ),
    "migrate": "Linux 6.1, two CPUs: the vCPU thread is moved between them during KVM_RUN.",
}


def example_path(name: str) -> Path:
    """The file of an example. Raises InputError, with the nearest name, if there is none."""
    if name not in EXAMPLES:
        raise InputError(
            f"no file and no example '{printable(name)}'{nearest(name, EXAMPLES)}; "
            f"the examples are {', '.join(EXAMPLES)}"
        )
    return Path(str(files("vmxsim") / "data" / "traces" / f"{name}.trace"))


def how_to_record() -> str:
    """A commented shell script that records such a trace. It takes field offsets from the kernel's BTF."""
    return (files("vmxsim") / "data" / "traces" / "record.sh").read_text(encoding="utf-8")


#: At most this many events become steps; the verdict covers them all.
MAX_STEPS = 4000


class Recording:
    """A trace file, read and followed. Steps and scenes are made when first needed."""

    def __init__(self, reader: Reader, follower: Follower) -> None:
        self.reader = reader
        self.follower = follower
        self.path = reader.path
        self.title = "standard input" if str(reader.path) == "-" else printable(reader.path.name)
        self._state: State = {}
        self._at = 0

    @property
    def name(self) -> str:
        """What it is: a recording fits several designs."""
        return "recorded ftrace"

    @property
    def subtitle(self) -> str:
        """What the file is and what it fits."""
        about = f"recorded ftrace ({self.reader.layout}), {self.reader.lines} lines"
        if not self.follower.shows_accesses:
            return f"{about}; no access to the register"
        return f"{about}; fits {', '.join(self.follower.fits) or 'no design'}"

    @property
    def notes(self) -> Sequence[str]:
        """What to know about the trace and about what is shown of it."""
        found = notes(self.reader, self.follower)
        shown = len(self.steps)
        if shown >= MAX_STEPS or self._playback.dropped:
            found.append(f"{shown} events are shown as steps; the verdict covers the whole trace")
        return found

    @cached_property
    def actions(self) -> Sequence[str]:
        """The groups of events: KVM_RUN and other ioctls of each vCPU thread."""
        return self._playback.spans.labels

    @cached_property
    def steps(self) -> Sequence[Step]:
        """The events that matter to the register, as steps."""
        found: dict[int, list[Finding]] = {}
        for finding in self.follower.believed():
            found.setdefault(finding.event.line, []).append(finding)
        steps = []
        for number, (step, _) in enumerate(self._playback.steps):
            broken = found.pop(self._playback.lines[step.index], [])
            violations = tuple(Violation(step.action, f.invariant, f.words(), number) for f in broken)
            steps.append(evolve(step, index=number, violations=violations))
        return steps

    @property
    def violations(self) -> Sequence[Violation]:
        """The proved violations, each with the step that shows it."""
        return tuple(violation for step in self.steps for violation in step.violations)

    def accesses(self) -> list[Event]:
        """The accesses of the register (of a very long trace, the first ones)."""
        return self.follower.seen

    def scene(self, index: int) -> Scene:
        """The machine after ``index`` steps."""
        played = self._playback.steps
        while self._at < index:
            self._state.update((place, after) for place, _, after in played[self._at][1])
            self._at += 1
        while self._at > index:
            self._at -= 1
            self._state.update((place, before) for place, before, _ in reversed(played[self._at][1]))
        return scene(self._state, *self._shown)

    def listing(self, function: str) -> Sequence[str]:
        """Nothing: a recording has no source."""
        return ()

    @cached_property
    def _playback(self) -> Playback:
        playback = Playback(self.follower)
        first = next(iter(playback.proved), None)
        events = self.reader.again().events()
        self._state = playback.play(events, MAX_STEPS, first.event.line if first else 0)
        return playback

    @cached_property
    def _shown(self) -> tuple[list[int], list[tuple[int, str, int]]]:
        """The CPUs, and index, name and pid of each vCPU thread, of the steps."""
        shown = {step.thread for step in self.steps}
        threads = [
            (index, printable(thread.vcpu.comm, 16), thread.vcpu.pid)
            for index, thread in enumerate(self.follower.vcpu_threads())
            if f"thread{index}" in shown
        ]
        return sorted({step.cpu for step in self.steps}) or [0], threads


def read(path: str | Path) -> Recording:
    """Read a trace file, or an example by its name (``vmxsim.ftrace.recording``), and follow it. ``-`` is
    standard input.

    Raises InputError for what is not ftrace text; everything else is read as far as it goes.
    """
    file = Path(path)
    if str(path) != "-" and not is_there(file) and file.parent == Path("."):
        file = example_path(str(path))
    reader = Reader(file)
    follower = Follower(Evidence(Fits(reader.recorded)))
    with telling() as tell:
        follower.follow(reader.events(), tell)
    follower.evidence.fits.complete = reader.complete
    follower.evidence.fits.unread = reader.unread_register > 0
    return Recording(reader, follower)


def verdict(recording: Recording, design: object = None) -> dict[str, Any]:
    """What the recording proves: see :func:`vmxsim.ftrace.verdict.judge`."""
    return judge(recording.reader, recording.follower, design)
