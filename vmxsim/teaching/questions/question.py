"""What a question is: asked at one scene of a trace, answered by a later one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2s
from typing import Any

from attrs import field, frozen

from vmxsim.errors import InputError, printable
from vmxsim.kernel.machine import MODE_WORDS
from vmxsim.simulation.trace import Box, Cell, Scene, Step, Trace
from vmxsim.teaching.questions.look import step_name
from vmxsim.views.words import sentence


@frozen
class Span:
    """The steps from scene ``before`` to scene ``after`` of ``trace``; ``whole``: they are an action."""

    trace: Trace
    before: int
    after: int
    whole: bool

    @property
    def steps(self) -> list[Step]:
        """The steps that the question hides."""
        return list(self.trace.steps[self.before : self.after])

    @property
    def last(self) -> Step:
        """The last of them."""
        return self.trace.steps[self.after - 1]

    @property
    def vcpu(self) -> str:
        """The vCPU whose thread acts here; the first one where it is another task."""
        named = next((s.thread for s in self.steps if s.thread.startswith("thread")), "thread0")
        return "vcpu" + named.removeprefix("thread")

    def scene(self) -> Scene:
        """How things stand afterward."""
        return self.trace.scene(self.after)

    @property
    def recorded(self) -> bool:
        """Whether this is a recording: a value may be unknown, and events show more than they do."""
        return not hasattr(self.trace, "results")

    @property
    def comes(self) -> str:
        """What comes now, as a sentence."""
        if self.whole:
            return (
                f"The action “{printable(self.trace.actions[self.last.action])}” comes next{self._ticks()}."
            )
        step, source = self.last, f"“{printable(self.last.source, 120)}”"
        if step.line:
            return sentence(f"{step.at.words} comes next: {source}")
        if self.recorded:
            return f"The event {source} comes next."
        return f"Next, {MODE_WORDS.get(step.mode, 'in the kernel')}: {source}."

    def _ticks(self) -> str:
        """Where a run's scenario lets a tick come in this action; '' if it does not."""
        scenario = getattr(self.trace, "scenario", None)
        if scenario is None:
            return ""
        points = scenario.actions[self.last.action].preempt
        told = [
            f"before {point.before}" + (f" in {point.function}" if point.function else "") for point in points
        ]
        return f", with a tick {' and one '.join(told)}" if told else ""

    @property
    def afterward(self) -> str:
        """``after this line``, or ``when it is done``."""
        return "when it is done" if self.whole else "after it"

    def cells(self) -> Iterator[tuple[Box, Cell]]:
        """The places that may hold a value of the register itself: of each CPU that has a part in the run,
        g and h of the vCPU."""
        for box, cell in self.all_cells():
            if box.kind == "cpu" or (box.id == self.vcpu and cell.place.endswith((".g", ".h"))):
                yield box, cell

    def all_cells(self) -> Iterator[tuple[Box, Cell]]:
        """Every cell afterward but those of CPUs that have no part in the run."""
        used = {f"cpu{cpu}" for s in self.trace.steps for cpu in (s.cpu, *(a.cpu for a in s.accesses))}
        for box in self.scene().boxes:
            if box.kind != "cpu" or box.id in used:
                for cell in box.cells:
                    yield box, cell

    @property
    def about(self) -> str:
        """The function that a reader should look at: of a step its own, of an action the first one that
        moves a value or changes the guest's mode; '' if there is none."""
        kernel = [step for step in self.steps if step.line]
        if not self.whole:
            return self.last.function if self.last.line else ""
        mode = f"{self.vcpu}.efer"
        telling = [s for s in kernel if s.moves or s.accesses or any(c.place == mode for c in s.changes)]
        return next((step.function for step in (*telling, *kernel[-1:])), "")

    def put_there(self, place: str) -> int:
        """The scene right after the last step that changed ``place``, moved a value into it or, for a
        register, saw it used; 0 if nothing did."""
        for step in reversed(self.trace.steps[: self.after]):
            moved = any(place in (m.target, m.source if m.both else "") for m in step.moves)
            if moved or any(c.place == place for c in step.changes):
                return step.index + 1
        return 0

    def holds(self, scene: int) -> bool:
        """Whether a scene up to the last one is among the steps that the question hides."""
        return self.before < scene

    def shown_at(self, scene: int) -> int:
        """Where an answer is best seen: at ``scene``, or at the end if that lies before the question."""
        return scene if self.holds(scene) else self.after

    def how(self, place: str) -> str:
        """Which step put there what stands in ``place``, or shows it, as a clause."""
        at = self.put_there(place)
        if not at:
            return "it has been there since the start"
        moved = any(place in (m.target, m.source if m.both else "") for m in self.trace.steps[at - 1].moves)
        return f"{step_name(self.trace, at)} {'put it there' if moved or not self.recorded else 'shows it'}"


def span(trace: Trace, step: int | None = None, action: int | None = None) -> Span:
    """The span of a step (from 1; negative: from the end) or of an action (from 0; negative: from the end);
    without either, of the last action.

    Raises InputError for one that the trace does not have.
    """
    total = len(trace.steps)
    if not total:
        raise InputError("nothing ran in this trace: there is nothing to ask about", "predict")
    if step is not None and action is not None:
        raise InputError("a step or an action, not both", "predict")
    if step is not None:
        index = step + total + 1 if step < 0 else step
        if not 1 <= index <= total:
            raise InputError(f"no step {step}: this run has steps 1 to {total}", "step")
        return Span(trace, index - 1, index, whole=False)
    count = len(trace.actions)
    wanted = -1 if action is None else action
    number = wanted + count if wanted < 0 else wanted
    steps = [s.index for s in trace.steps if s.action == number]
    if not steps:
        raise InputError(f"no action {wanted}: this run has actions 0 to {count - 1}", "action")
    return Span(trace, steps[0], steps[-1] + 1, whole=True)


@frozen
class Option:
    """A possible answer. ``reason`` says why it is right, or what is the case instead. If the answer is a
    step, ``steps`` are the first and the last scene that it stands for."""

    text: str
    right: bool
    reason: str
    steps: tuple[int, int] | None = None


@frozen
class Question:
    """A question asked at scene ``before``; scene ``after`` (as numbered by the trace) shows the answer.

    ``telling`` is the scene of the step that decides: what a reader is shown after the answer.
    ``changes``: something in between brings about what is asked for; otherwise it was so before.
    ``hides`` names what would give the answer away until it is given: facts (``vcpu0.guest access``),
    or ``next``, the mark at the line that runs next.

    ``typed`` is '' if the reader chooses an option, ``number`` or ``value`` (hexadecimal) if the reader types
    it: the last option is then any other answer. With ``marks`` the steps are open, and the reader marks
    the one that is asked for; what each place is worth is hidden until then.
    """

    kind: str
    before: int
    after: int
    prompt: str
    options: tuple[Option, ...]
    telling: int
    hides: frozenset[str] = frozenset()
    changes: bool = True
    typed: str = ""
    marks: bool = False
    #: What to tell ``ask`` to ask it again: a step or an action, by its number.
    where: Mapping[str, Any] = field(factory=dict)
    #: The function that a reader should look at, '' for the one that has just run.
    about: str = ""

    @property
    def right(self) -> int:
        """The index of the right option."""
        return next(i for i, option in enumerate(self.options) if option.right)

    def as_data(self, of: str = "") -> dict[str, Any]:
        """What a player needs, as JSON-able data; ``of`` names the run, for the question's id."""
        told = repr((of, self.kind, self.before, self.after, self.prompt, [o.text for o in self.options]))
        return {
            "id": blake2s(told.encode(), digest_size=8).hexdigest(),
            "kind": self.kind,
            "before": self.before,
            "after": self.after,
            "telling": self.telling,
            "changes": self.changes,
            "prompt": self.prompt,
            "options": [
                {"text": o.text, "right": o.right, "reason": o.reason}
                | ({"steps": list(o.steps)} if o.steps else {})
                for o in self.options
            ],
            "hides": sorted(self.hides),
            "typed": self.typed,
            "marks": self.marks,
            "about": self.about,
        }
