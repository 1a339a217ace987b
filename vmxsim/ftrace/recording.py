"""A recorded trace as a Trace: the same views show it that show a run."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from attrs import evolve

from vmxsim.errors import InputError, nearest, printable
from vmxsim.ftrace.reader import Event, Reader
from vmxsim.ftrace.steps import Delta, Playback, State, scene
from vmxsim.ftrace.verdict import Follower, judge, notes
from vmxsim.simulation.trace import Scene, Step, Violation

# -- Recordings that come with the project: Linux 6.1 on an emulated Intel processor.
#
# Three have kvm_intel rebuilt so that only its handling of this register follows another design.


#: Name: what happens in it.
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


# -- how to record such a trace on one's own host


def how_to_record() -> str:
    """A shell script, commented, that records a trace this program can read. It takes the offsets of
    the fields from the kernel's own BTF."""
    return (files("vmxsim") / "data" / "traces" / "record.sh").read_text(encoding="utf-8")


#: At most so many events become steps; the verdict is over all of them.
MAX_STEPS = 4000


class Recording:
    """A trace file, read and followed. Steps and scenes are made when they are first asked for."""

    def __init__(self, reader: Reader, follower: Follower) -> None:
        self.reader = reader
        self.follower = follower
        self.path = reader.path
        self.title = printable(reader.path.name)
        self._playback: Playback | None = None
        self._steps: list[Step] = []
        self._deltas: list[Delta] = []
        self._state: State = {}
        self._at = 0
        self._cpus: list[int] = []
        self._threads: list[tuple[int, str, int]] = []

    @property
    def name(self) -> str:
        """What it is: a recording fits several designs."""
        return "recorded ftrace"

    @property
    def subtitle(self) -> str:
        """What the file is and what it fits."""
        fits = ", ".join(self.follower.evidence.fits.remaining) or "no design"
        return f"recorded ftrace ({self.reader.layout}), {self.reader.lines} lines; fits {fits}"

    @property
    def notes(self) -> Sequence[str]:
        """What to know about the trace and about what is shown of it."""
        said = notes(self.reader, self.follower)
        self._play()
        if len(self._steps) >= MAX_STEPS or (self._playback is not None and self._playback.dropped):
            said.append(f"{len(self._steps)} events are shown as steps; the verdict is over the whole trace")
        return said

    @property
    def actions(self) -> Sequence[str]:
        """The groups of events: KVM_RUN and other ioctls of each vCPU thread."""
        return self._played().spans.labels

    @property
    def steps(self) -> Sequence[Step]:
        """The events that tell something about the register, as steps."""
        self._play()
        return self._steps

    @property
    def violations(self) -> Sequence[Violation]:
        """What is proved to be broken, with the step at which it shows."""
        return tuple(violation for step in self.steps for violation in step.violations)

    def accesses(self) -> list[Event]:
        """The first accesses of the register (a very long trace has more)."""
        return self.follower.seen

    def scene(self, index: int) -> Scene:
        """The machine after ``index`` steps."""
        self._play()
        while self._at < index:
            self._state.update((place, after) for place, _, after in self._deltas[self._at])
            self._at += 1
        while self._at > index:
            self._at -= 1
            self._state.update((place, before) for place, before, _ in reversed(self._deltas[self._at]))
        return scene(self._state, self._cpus, self._threads)

    def listing(self, function: str) -> Sequence[str]:
        """Nothing: a recording has no source."""
        return ()

    # ----------------------------------------------------------------------------------------------

    def _played(self) -> Playback:
        self._play()
        assert self._playback is not None
        return self._playback

    def _play(self) -> None:
        if self._playback is not None:
            return
        broken = self.follower.believed()
        playback = self._playback = Playback(self.follower)
        again = Reader(self.path)
        self._state = playback.play(again.events(), MAX_STEPS, broken[0].event.line if broken else 0)
        found: dict[int, list[tuple[str, str]]] = {}
        for finding in broken:
            found.setdefault(finding.event.line, []).append((finding.invariant, finding.words()))
        lines = playback.lines
        for number, (step, delta) in enumerate(playback.steps):
            told = found.pop(lines[step.index], [])
            self._steps.append(_renumbered(step, number, told))
            self._deltas.append(delta)
        self._cpus = sorted({step.cpu for step in self._steps}) or [0]
        shown = {step.thread for step in self._steps}
        self._threads = [
            (index, printable(thread.vcpu.comm, 16), thread.vcpu.pid)
            for index, thread in enumerate(self.follower.vcpu_threads())
            if f"thread{index}" in shown
        ]


def _renumbered(step: Step, number: int, told: list[tuple[str, str]]) -> Step:
    violations = tuple(Violation(step.action, invariant, words, number) for invariant, words in told)
    return evolve(step, index=number, violations=violations)


def read(path: str | Path) -> Recording:
    """Read a trace file, or an example by its name (``vmxsim.ftrace.recording``), and follow it.

    Raises InputError for what is not ftrace text; everything else is read as far as it goes.
    """
    file = Path(path)
    if not file.exists() and file.parent == Path("."):
        file = example_path(str(path))
    reader = Reader(file)
    follower = Follower()
    follower.follow(reader.events())
    follower.evidence.complete = reader.complete
    return Recording(reader, follower)


def verdict(recording: Recording, design: object = None) -> dict[str, Any]:
    """What the recording proves: see :func:`vmxsim.ftrace.verdict.judge`."""
    return judge(recording.reader, recording.follower, design)
