"""Describes steps in sentences: who did what, what changed, what holds now, what would go wrong.

Runs and recordings use the same words. In a recording, the function is the name of the event, without a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vmxsim.errors import printable
from vmxsim.kernel.machine import MODE_WORDS, Value, owner_words
from vmxsim.simulation.trace import Box, Cell, Change, Move, Scene, Step, Trace

#: Names for fields whose own name would not explain them. ``{}`` is the box.
_NAMES = {
    "current": "the task that {} runs",
    "cpu": "the CPU of {}",
    "loaded": "guest state loaded, {}",
    "need_resched": "TIF_NEED_RESCHED on {}",
    "irqs_disabled": "interrupts off on {}",
    "preempt_notifier": "preempt notifier of {}",
    "mode": "where {} is",
    "efer": "EFER of {}",
    "cr0": "CR0 of {}",
    "cr4": "CR4 of {}",
    "returned": "what the access returns, {}",
    "exit_reason": "exit reason of {}",
    "true_guest_value": "true value of the guest of {}",
    "true_gs_base": "true GS base of the guest of {}",
    "smm": "SMM of {}",
    "long_mode": "EFER.LMA of {}",
    "true": "true value of the guest of {}",
    "passed": "guest access passed through, {}",
}
_MODES = {**MODE_WORDS, "waits": "waiting"}
_HEXADECIMAL = ("efer", "cr0", "cr3", "cr4", "true")
#: Fields that a recording may not contain: None means "not known" there, not "nothing".
_MAY_BE_UNKNOWN = ("true", "passed", "long_mode", "loaded")


def shown(place: str, value: Any) -> str:
    """A field's value as text: control registers in hexadecimal, flags as 0 and 1."""
    name = place.rpartition(".")[2]
    if value is None or value == "":
        return "not known" if name in _MAY_BE_UNKNOWN else "nothing"
    if isinstance(value, Value):
        return f"{value} ({owner_words(value.owner)})"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int) and name in _HEXADECIMAL:
        return hex(value)
    if name == "mode":
        return _MODES.get(str(value), printable(value))
    if name == "current":
        return owner_words(str(value))
    return printable(value)


def subject(place: str, boxes: Mapping[str, str]) -> str:
    """What a place is called: ``TIF_NEED_RESCHED on CPU 0``; ``boxes`` names the boxes by id."""
    box, _, name = place.rpartition(".")
    return _NAMES.get(name, name + " of {}").format(boxes.get(box, box))


def field_words(change: Change, boxes: Mapping[str, str]) -> str:
    """A change of a field as a clause; '' if the step's own sentence already says it."""
    box_id, _, name = change.place.rpartition(".")
    box, after = boxes.get(box_id, box_id), change.after
    match name:
        case "current":
            return f"{box} now runs {owner_words(str(after))}"
        case "cpu":
            return f"{box} is now on CPU {after}"
        case "loaded":
            return f"guest state of {box} is now {'loaded' if after else 'not loaded'}"
        case "need_resched":
            return f"TIF_NEED_RESCHED is {'set' if after else 'cleared'} on {box}"
        case "irqs_disabled":
            return f"interrupts are {'off' if after else 'on'} on {box}"
        case "preempt_notifier":
            return f"the preempt notifier of {box} is {'registered' if after else 'unregistered'}"
        case "mode":
            return f"{box} is now {shown(change.place, after)}"
        case "msr_data":
            return ""
        case "returned" | "exit_reason" if not after:
            return ""
        case "true_guest_value" | "true_gs_base" if isinstance(after, Value):
            what = "value" if name == "true_guest_value" else "GS base"
            return f"the true {what} of guest {box_id.removeprefix('vcpu')} is now {after}"
        case "true_user_gs_base" if isinstance(after, Value):
            return f"the true user GS base of {box} is now {after}"
        case "gs_base" if not box_id.startswith("vcpu") and isinstance(after, Value):
            return f"thread.gsbase of {box} is now {after}"
        case "runs":
            return f"{box} now runs {printable(after)}"
        case "thread":
            runs = f"vCPU thread {after}" if after is not None else "no vCPU thread"
            return f"{box} now runs {runs}"
        case "true":
            known = (
                f"is now {after:#x}" if isinstance(after, int) else "is no longer known: no exit on writes"
            )
            return f"the true value of guest {box_id.removeprefix('vcpu')} {known}"
        case "passed" if after is not None:
            return f"the guest's accesses are now {'passed through' if after else 'intercepted'}"
        case "exit_reason":
            return f"the exit reason is {printable(after)}"
        case "returned":
            return f"the access returns {shown(change.place, after)}"
    told = f"{subject(change.place, boxes)} is now {shown(change.place, after)}"
    return told if change.before in (None, "") else f"{told} (before: {shown(change.place, change.before)})"


def value_words(value: Value | None) -> str:
    """``guest 0's value 0xa000``, ``plain task's user GS base 0x7f0000002000``."""
    if value is None:
        return "an unknown value"
    if value.owner == "unknown":
        return f"{value} (owner unknown)"
    if value.owner == "descriptor":
        return f"nobody's base {value}"
    task = value.owner == "plain" or value.owner.startswith("thread")
    return f"{owner_words(value.owner)}'s {'user GS base' if task else 'value'} {value}"


def held_words(cell: Cell | None) -> str:
    """What a cell holds, in short: ``0xa000 (guest 0)``, ``nothing``, ``not known``."""
    if cell is None or cell.value is None:
        return "not known" if cell is not None and cell.status == "unknown" else "nothing"
    return f"{cell.value} ({owner_words(cell.value.owner)})"


def thread_words(thread: str) -> str:
    """``vCPU thread 0``; other tasks of a recording keep their own names."""
    words = owner_words(thread)
    return printable(thread) if words == "unknown owner" else words


def box_words(box: Box) -> str:
    """A box's name in a sentence: ``CPU 0``, ``vCPU 0``, ``vCPU thread 0``."""
    if box.kind == "vcpu":
        return f"vCPU {box.id.removeprefix('vcpu')}"
    words = owner_words(box.id)
    if box.kind == "task" and words != "unknown owner":
        return words
    return printable(box.title)


def place_words(box: Box, cell: Cell) -> str:
    """``KERNEL_GS_BASE of CPU 0``."""
    return printable(f"{cell.label} of {box_words(box)}", 120)


def named_place(place: str, scene: Scene, brief: bool = False) -> str:
    """The name of the place with this id. If ``brief``, the vCPU is named only if there are several."""
    one_vcpu = brief and sum(box.kind == "vcpu" for box in scene.boxes) == 1
    for box in scene.boxes:
        for cell in box.cells:
            if cell.place == place:
                return cell.label if one_vcpu and box.kind == "vcpu" else place_words(box, cell)
    return printable(place)


def several(names: Iterable[object]) -> str:
    """``a, b and c``."""
    *first, last = map(str, names)
    return f"{', '.join(first)} and {last}" if first else last


def sentence(text: str, capital: bool = True) -> str:
    """A clause as a sentence. Identifiers and ``vCPU`` are not capitalized, and with ``capital``
    False nothing is."""
    text = text.strip()
    word = text.split(" ", 1)[0].rstrip(":,").removesuffix("'s")
    if capital and word.isalpha() and word.islower():
        text = text[0].upper() + text[1:]
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


#: A move as a clause, by its kind.
_MOVES = {
    "rdmsr": "RDMSR reads {value}{origin}{into}",
    "wrmsr": "WRMSR writes {value}{origin} into {target}",
    "guest_rdmsr": "RDMSR in the guest reads {value}{origin}",
    "guest_wrmsr": "WRMSR in the guest puts {value} into {target}",
    "user": "user space changes its GS base, and the kernel finds {value} in {target}",
    "save": "saving the bases reads {value}{origin}{into}",
    "load_gs_index": "load_gs_index() leaves {value} in {target}",
    "ctxsw": "the context switch puts {value} into {target}",
    "store": "stores {value}{origin} in {target}",
}


def moved_words(move: Move, before: Scene, after: Scene) -> str:
    """``RDMSR reads guest 0's value 0xa000 from KERNEL_GS_BASE of CPU 0 into ...``, as a clause."""
    old, new = before.cells(), after.cells()
    source, target = named_place(move.source, after), named_place(move.target, after)
    if move.both:
        return (
            f"SWAPGS exchanges {source} and {target}: {source} now holds "
            f"{_value(new.get(move.source))}, {target} holds {_value(new.get(move.target))}"
        )
    cell = new.get(move.target) or old.get(move.source)
    value = _value(cell)
    was, now = (cells[move.target].value if move.target in cells else None for cells in (old, new))
    if was and now and was.number == now.number:
        value += " (as before)"
    clause = _MOVES.get(move.kind, "{kind} moves {value}{origin}{into}").format(
        kind=printable(move.kind),
        value=value,
        origin=f" from {source}" if source else "",
        into=f" into {target}" if target else "",
        target=target,
    )
    return f"{clause}, where it is foreign" if cell and cell.status == "foreign" else clause


def _value(cell: Cell | None) -> str:
    return value_words(cell.value if cell else None)


#: The statuses of a cell that holds another value than it should.
WRONG = ("stale", "foreign")


def kept_cells(before: Scene, after: Scene) -> Iterator[tuple[Box, Cell, Cell]]:
    """(box, cell, the same cell before) of every cell that both scenes have."""
    old = before.cells()
    for box in after.boxes:
        for cell in box.cells:
            if cell.place in old:
                yield box, cell, old[cell.place]


def cells_in_use(scene: Scene) -> Iterator[tuple[Box, Cell]]:
    """Every register and every saved value that is in use, with its box."""
    for box in scene.boxes:
        for cell in box.cells:
            if box.kind != "task" and cell.status != "unused" and not cell.place.endswith(".gs_base"):
                yield box, cell


def step_words(trace: Trace, index: int) -> str:
    """Step ``index`` (from 1; 0 is the start) in a sentence or two: who did what, and what changed."""
    return Teller(trace).step_words(index)


def now_words(trace: Trace, index: int) -> str:
    """What is live, stale or foreign after step ``index``, and what would go wrong now."""
    return Teller(trace).description(index, done=False)


class Teller:
    """Describes the steps of a trace, and keeps the scenes that it has seen."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._scenes: dict[int, Scene] = {}

    def scene(self, index: int) -> Scene:
        """Scene ``index`` of the trace."""
        if index not in self._scenes:
            self._scenes[index] = self.trace.scene(index)
        return self._scenes[index]

    @property
    def scenes(self) -> list[Scene]:
        """Every scene, from the start to the end."""
        return [self.scene(index) for index in range(len(self.trace.steps) + 1)]

    def step(self, index: int) -> Step | None:
        """The step that leads to scene ``index``; None at the start."""
        return self.trace.steps[index - 1] if index else None

    def step_words(self, index: int) -> str:
        """Who did what in step ``index``, then the changes that the first sentence does not mention."""
        step = self.step(index)
        if step is None:
            return f"The start: {self._start(self.scene(0))}"
        before, after = self.scene(index - 1), self.scene(index)
        sentences = [sentence(f"{self._who(step)}{self._what(step, before, after)}")]
        rest = "; ".join(self._changed(step, before, after))
        if rest:
            sentences.append(sentence(rest))
        return " ".join(sentences)

    def now(self, index: int) -> str:
        """Which places hold a live, a stale or a foreign value after step ``index``."""
        groups: dict[str, list[str]] = {"live": [], "stale": [], "foreign": [], "unknown": []}
        for box in self.scene(index).boxes:
            for cell in box.cells:
                if cell.status in groups and (box.kind != "task" or cell.status != "unknown"):
                    held = f" ({value_words(cell.value)})" if cell.value is not None else ""
                    groups[cell.status].append(f"{place_words(box, cell)}{held}")
        sentences = [f"Live: {'; '.join(groups['live'])}." if groups["live"] else "No live value is known."]
        for status, words in (("stale", "Stale"), ("foreign", "Foreign"), ("unknown", "Not known")):
            if groups[status]:
                sentences.append(f"{words}: {'; '.join(groups[status])}.")
        return " ".join(sentences)

    def description(self, index: int, done: bool = True) -> str:
        """The whole picture in words: the step (if ``done``), what holds now, and what would go wrong."""
        parts = [self.step_words(index)] if done else []
        parts.append(self.now(index))
        parts += [words for _, words in self.scene(index).dangers]
        step = self.step(index)
        if step and done:
            parts += [f"Broken: {v.invariant}. {sentence(v.words)}" for v in step.violations]
        return printable(" ".join(parts), 4000)

    def changes(self, index: int) -> list[list[str]]:
        """[what, before, after] of every change in step ``index``: cells first, then other fields."""
        step = self.trace.steps[index - 1]
        before, after = self.scene(index - 1).cells(), self.scene(index).cells()
        rows = [
            [place_words(box, cell), held_words(before.get(cell.place)), held_words(cell)]
            for box in self.scene(index).boxes
            for cell in box.cells
            if held_words(before.get(cell.place)) != held_words(cell)
        ]
        names = self._names(self.scene(index))
        rows += [
            [subject(c.place, names), shown(c.place, c.before), shown(c.place, c.after)]
            for c in step.changes
            if c.place not in after
        ]
        return [[printable(text, 200) for text in row] for row in rows]

    def _start(self, scene: Scene) -> str:
        running = [(box.title, value) for box in scene.boxes for name, value in box.facts if name == "runs"]
        known = [f"{cpu} runs {value}" for cpu, value in running if value != "not known"]
        return ("; ".join(known) or ("what runs is not known" if running else "nothing has run")) + "."

    def _who(self, step: Step) -> str:
        where = f"on CPU {step.cpu}"
        if step.mode == "guest" and step.thread.startswith("thread"):
            return f"Guest {step.thread[6:]}, {where}"
        mode = MODE_WORDS.get(step.mode)
        return f"{thread_words(step.thread)}, {f'{mode} {where}' if mode else where}"

    def _what(self, step: Step, before: Scene, after: Scene) -> str:
        """What ran, and the moves it made."""
        moved = ", and ".join(moved_words(move, before, after) for move in step.moves)
        source, function = printable(step.source, 160), printable(step.function)
        if step.line:
            return f", runs {printable(step.at.words)}: {moved or f'“{source}”'}"
        if step.mode == "guest":
            return f": {moved or source or function}"
        if step.mode == "user":
            return f": {source or function}" + (f"; {moved}" if moved else "")
        if not moved and function in source:  # the text of a recorded event includes its name
            return f": {source}"
        return f", {function}: {moved or source}"

    def _changed(self, step: Step, before: Scene, after: Scene) -> Iterable[str]:
        """Every change that the moves do not account for."""
        told = {place for move in step.moves for place in (move.source, move.target)}
        for box, cell, was in kept_cells(before, after):
            name, value = place_words(box, cell), value_words(cell.value)
            if was.value != cell.value and cell.place not in told:
                yield f"{name} now holds {value} (before: {held_words(was)})"
            elif was.value == cell.value and was.status != cell.status and cell.status in WRONG:
                yield f"{name} ({value}) is now {cell.status}"
        cells, names = after.cells(), self._names(after)
        for change in step.changes:
            words = "" if change.place in cells else field_words(change, names)
            if words:
                yield words

    @staticmethod
    def _names(scene: Scene) -> dict[str, str]:
        return {box.id: box_words(box) for box in scene.boxes}
