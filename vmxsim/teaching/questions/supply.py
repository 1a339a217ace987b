"""An endless supply of questions: a design, a schedule and a kind at random, those worth asking only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from random import Random
from typing import Any

from attrs import frozen

from vmxsim.designs import DESIGNS
from vmxsim.errors import InputError, one_of
from vmxsim.simulation.run import RunTrace, run
from vmxsim.simulation.trace import Scene, Step
from vmxsim.teaching.questions.ask import ask
from vmxsim.teaching.questions.control import RIGHT_AWAY
from vmxsim.teaching.questions.places import LOST
from vmxsim.teaching.questions.question import Question
from vmxsim.teaching.questions.typed import OPERATIONS
from vmxsim.views.words import WRONG


@frozen
class Topic:
    """What a quiz is about: the kinds of its questions, the actions that its schedules are made of (while
    the guest runs), and what one of them must have."""

    words: str
    kinds: tuple[str, ...]
    actions: tuple[str, ...]
    host: str = ""
    long_mode: bool | None = None
    #: A text that stands in one of the schedule's actions.
    must: str = ""
    #: A tick comes inside an action.
    ticks: bool = False
    #: Only designs with a known defect.
    defective: bool = False


_ACCESSES = ("guest rdmsr", "guest wrmsr", "emulate rdmsr", "emulate wrmsr")
_MOVES = ("preempt cpu1", "preempt cpu0")
_MODES = ("guest long-mode",)

TOPICS: dict[str, Topic] = {
    "places": Topic("where the guest's value is", ("live", "stale", "owner"), (*_ACCESSES, *_MOVES)),
    "preemption": Topic(
        "what a tick does, and when",
        ("preempt", "live", "owner", "value"),
        (*_ACCESSES, *_MOVES),
        must="preempt",
        ticks=True,
    ),
    "migration": Topic(
        "a thread that moves", ("live", "owner", "stale", "value"), (*_MOVES, "guest wrmsr"), must="cpu1"
    ),
    "interception": Topic("which accesses exit", ("intercepted", "value"), (*_ACCESSES[:2], *_MODES)),
    "long-mode": Topic(
        "a guest that changes its mode",
        ("owner", "live", "value", "line"),
        (*_MODES, *_ACCESSES),
        must="long-mode",
    ),
    "accessors": Topic(
        "KVM reads and writes the value", ("value", "reads", "live", "line"), _ACCESSES[2:], long_mode=True
    ),
    "32-bit-host": Topic("32-bit user space", ("owner", "value", "live"), (*_ACCESSES, *_MODES), "32-bit"),
    "code": Topic("which line runs next", ("line",), (*_ACCESSES, *_MOVES, *_MODES)),
    "cost": Topic("how many operations it takes", ("count",), (*_ACCESSES, *_MOVES, *_MODES)),
    "bugs": Topic(
        "the step that loses or leaks a value",
        ("lost", "leak"),
        (*_MODES, *_MODES, *_ACCESSES, *_MOVES),
        defective=True,
    ),
}
#: Primitives before which a tick comes.
_POINTS = ("rdmsr", "wrmsr", "preempt_disable", "preempt_enable", "local_irq_enable")
_VALUES = (0xA000, 0xB000, 0xC000, 0xD000)
#: Designs and schedules that are tried for one question.
_TRIES = 400
#: So many questions lie between two that are alike.
_APART = 4
#: Places of a run that are tried with one kind of question.
_PLACES = 10


def check_topic(topic: str | None) -> None:
    """Raises InputError for a topic that there is none of."""
    if topic is not None:
        one_of("topic", topic, TOPICS, "quiz")


def supply(seed: int, topic: str | None = None) -> Iterator[tuple[RunTrace, Question]]:
    """Runs with a question each, without end and always the same for a seed; of all topics if None."""
    check_topic(topic)
    asked: list[Asked] = []
    for number in count():
        chance = Random(f"{seed}, {topic}, {number}")
        name = topic or chance.choice(list(TOPICS))
        found = _draw(chance, TOPICS[name], asked)
        if found is not None:
            yield found


@frozen
class Asked:
    """A question that was asked: by itself, and what it is like (its kind, and what happens)."""

    id: str
    like: tuple[str, str]


def _draw(chance: Random, topic: Topic, asked: list[Asked]) -> tuple[RunTrace, Question] | None:
    """A question that was not asked yet, and that is not like one of the last few, unless the topic has
    nothing else."""
    known = {one.id for one in asked}
    recent = {one.like for one in asked[-_APART:]}
    for tried in range(_TRIES):
        trace = _run(chance, topic)
        question = _question(chance, topic, trace) if trace else None
        if trace is None or question is None:
            continue
        step = trace.steps[question.after - 1]
        happens = step.function if question.kind in ("preempt", "line") else trace.actions[step.action]
        one = Asked(
            question.as_data(f"{trace.title}; {trace.subtitle}")["id"],
            (question.kind, happens.partition(" 0x")[0]),
        )
        if one.id not in known and (one.like not in recent or tried > _TRIES // 2):
            asked.append(one)
            return trace, question
    return None


def _run(chance: Random, topic: Topic) -> RunTrace | None:
    """A short schedule of the topic on some design; None if it is not possible."""
    long_mode = topic.long_mode if topic.long_mode is not None else chance.random() < 0.6
    values = iter(chance.sample(_VALUES, len(_VALUES)))
    steps: list[Any] = [f"set-msr {next(values):#x}"] if chance.random() < 0.7 else []
    steps.append("run")
    now = long_mode
    for _ in range(chance.randint(1, 3)):
        action = chance.choice(topic.actions)
        if action in _MODES:
            now = not now
            action = f"{action} {'on' if now else 'off'}"
        if action.endswith("wrmsr"):
            value = next(values, None)
            action = f"{action} {value:#x}" if value is not None else action.replace("wrmsr", "rdmsr")
        steps.append(action)
    steps += chance.choice(([], ["exit"], ["exit", "get-msr"], ["exit", "run"]))
    if topic.ticks:
        at = chance.randrange(1, len(steps))
        if not str(steps[at]).startswith(("preempt", "get-msr")):
            point = {"before": chance.choice(_POINTS), "cpu": chance.choice((0, 1))}
            steps[at] = {steps[at]: {"preempt": point}}
    if not any(topic.must in str(step) for step in steps):
        return None
    host = topic.host or chance.choice(("64-bit", "64-bit", "64-bit", "32-bit"))
    designs = [name for name, design in DESIGNS.items() if design.defect or not topic.defective]
    with suppress(InputError):  # a design without such a line, an action that is not possible
        return run(steps, chance.choice(designs), host=host, long_mode=long_mode)
    return None


def _question(chance: Random, topic: Topic, trace: RunTrace) -> Question | None:
    """A question about the run that is worth asking."""
    actions: list[dict[str, Any]] = [{"action": n} for n in range(len(trace.actions))]
    steps: list[dict[str, Any]] = [{"step": s.index + 1} for s in trace.steps if _telling(trace.steps, s)]
    places: dict[str, list[dict[str, Any]]] = {"preempt": steps, "line": steps, "lost": [{}], "leak": [{}]}
    for kind in chance.sample(topic.kinds, len(topic.kinds)):
        where = places.get(kind, actions)
        for at in chance.sample(where, min(len(where), _PLACES)):
            of = {"of": chance.choice(list(OPERATIONS))} if kind == "count" else {}
            with suppress(InputError):  # it cannot be asked there
                question = ask(trace, kind, **at, **of)
                if interesting(trace, question):
                    return question
    return None


def _telling(steps: Sequence[Step], step: Step) -> bool:
    """Whether a line is worth a question about control: it follows a test, or preemption changes there."""
    before = steps[step.index - 1] if step.index else step
    if step.mode != "kernel" or not step.line or "vmx" not in before.function:
        return False  # what is not the design's own
    if any(frame.function == "preempt_schedule_irq" for frame in step.stack):
        return False  # the scheduler is acting already
    return before.kind == "branch" or bool(step.moves) or step.preemptible != before.preemptible


def interesting(trace: RunTrace, question: Question) -> bool:
    """Whether a question is worth asking: its answer is not simply what the picture shows when it is asked,
    or a wrong answer is tempting."""
    before, after = trace.scene(question.before), trace.scene(question.after)
    right = question.options[question.right].text
    cpu = f"cpu{trace.steps[question.after - 1].cpu}.kernel_gs_base"
    was, now = (scene.cells()[cpu] for scene in (before, after))
    at = trace.steps[question.after - 1].action
    if question.kind in ("live", "owner") and trace.actions[at].startswith(("run", "set-msr")):
        return any(violation.action == at for violation in trace.violations)  # it does what it always does
    match question.kind:
        case "live":  # ★ moves or is lost, or an old value of the guest is about
            return right == LOST or _stars(before) != _stars(after) or _wrong(after) != set()
        case "stale":
            return _wrong(before) != _wrong(after)
        case "owner":
            owners = [cell.value.owner if cell.value else "" for cell in (was, now)]
            return owners[0] != owners[1] or now.status in WRONG
        case "value" | "reads":  # the register and the saved value differ: which one is it?
            saved = {c.value.number for p, c in before.cells().items() if p.endswith(".g") and c.value}
            return was.value is not None and saved != {was.value.number}
        case "preempt":
            step = trace.steps[question.after - 1]
            return not right.startswith(RIGHT_AWAY) or bool(step.moves) or step.kind == "branch"
        case "line":
            return trace.steps[question.before - 1].kind == "branch"
        case "count":
            return right != "0"
        case "intercepted":
            return "EFER.LMA is 1" not in right
    return True


def _stars(scene: Scene) -> set[str]:
    """The places of the guests' true values."""
    cells = scene.cells().items()
    return {
        place for place, c in cells if c.status == "live" and c.value and c.value.owner.startswith("vcpu")
    }


def _wrong(scene: Scene) -> set[str]:
    return {place for place, cell in scene.cells().items() if cell.status in WRONG}
