"""A step in words, made from the model: who did what, what changed, what holds now, what would go wrong.

For a run and for a recording alike; a recording's function is its event's name, and has no line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vmxsim.errors import printable
from vmxsim.model.value import Value, owner_words
from vmxsim.trace import Box, Cell, Move, Scene, Step, Trace
from vmxsim.views.fields import field_words, shown, subject

_MODES = {"kernel": "in the kernel", "guest": "in the guest", "user": "in user space"}


def step_words(trace: Trace, index: int) -> str:
    """A sentence or two about step ``index`` (from 1; 0 is the start): who did what, every place that changed."""
    return _teller(trace, index).step_words(index)


def now_words(trace: Trace, index: int) -> str:
    """What is live where after step ``index``, what is stale or foreign, and what would go wrong now."""
    return _teller(trace, index).description(index, done=False)


def _teller(trace: Trace, index: int) -> Teller:
    first = max(0, index - 1)
    return Teller(trace, [trace.scene(number) for number in range(first, index + 1)], offset=first)


def value_words(value: Value | None) -> str:
    """``guest 0's value 0xa000``, ``plain task's user GS base 0x7f0000002000``."""
    if value is None:
        return "an unknown value"
    if value.owner == "unknown":
        return f"{value} (whose is not known)"
    if value.owner == "descriptor":
        return f"the descriptor's base {value}"
    task = value.owner == "plain" or value.owner.startswith("thread")
    return f"{owner_words(value.owner)}'s {'user GS base' if task else 'value'} {value}"


def thread_words(thread: str) -> str:
    """``vCPU thread 0``; a task that only a recording knows keeps its name."""
    words = owner_words(thread)
    return printable(thread) if words == "unknown owner" else words


class Teller:
    """Tells the steps of a trace. ``scenes`` are its scenes from number ``offset`` on."""

    def __init__(self, trace: Trace, scenes: Sequence[Scene], offset: int = 0) -> None:
        self.trace = trace
        self.scenes = scenes
        self.offset = offset

    def scene(self, index: int) -> Scene:
        """Scene ``index`` of the trace."""
        return self.scenes[index - self.offset]

    def step_words(self, index: int) -> str:
        """Who did what in step ``index``, then each change that the first sentence did not tell."""
        if index == 0:
            return f"The start: {self._start(self.scene(0))}"
        step = self.trace.steps[index - 1]
        before, after = self.scene(index - 1), self.scene(index)
        sentences = [_sentence(f"{self._who(step)}{self._what(step, before, after)}")]
        told = {place for move in step.moves for place in (move.source, move.target)}
        rest = [words for place, words in self._changed(step, before, after) if place not in told]
        if rest:
            sentences.append(_sentence("; ".join(rest)))
        return " ".join(sentences)

    def now(self, index: int) -> str:
        """Which places hold a live value after step ``index``, which are stale, which are foreign."""
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
        """The whole picture in words: the step (if ``done``), what holds now, what would go wrong."""
        parts = [self.step_words(index)] if done else []
        parts.append(self.now(index))
        parts += [words for _, words in self.scene(index).dangers]
        if index and done:
            parts += [
                f"Broken: {v.invariant}. {_sentence(v.words)}" for v in self.trace.steps[index - 1].violations
            ]
        return printable(" ".join(parts), 4000)

    def changes(self, index: int) -> list[list[str]]:
        """[what, before, after] of every change in step ``index``: cells first, then other fields."""
        step = self.trace.steps[index - 1]
        before, after = self.scene(index - 1).cells(), self.scene(index).cells()
        rows = [
            [place_words(box, cell), _held(before.get(cell.place)), _held(cell)]
            for box in self.scene(index).boxes
            for cell in box.cells
            if _held(before.get(cell.place)) != _held(cell)
        ]
        names = self._names(self.scene(index))
        rows += [
            [subject(c.place, names), shown(c.place, c.before), shown(c.place, c.after)]
            for c in step.changes
            if c.place not in after
        ]
        return [[printable(text, 200) for text in row] for row in rows]

    # -- the parts of a sentence

    def _start(self, scene: Scene) -> str:
        running = [
            f"{box.title} runs {value}" for box in scene.boxes for name, value in box.facts if name == "runs"
        ]
        return (", ".join(running) or f"{len(scene.boxes)} boxes, nothing has run") + "."

    def _who(self, step: Step) -> str:
        where = f"on CPU {step.cpu}"
        if step.mode == "guest" and step.thread.startswith("thread"):
            return f"Guest {step.thread[6:]}, {where}"
        mode = _MODES.get(step.mode)
        return f"{thread_words(step.thread)}, {f'{mode} {where}' if mode else where}"

    def _what(self, step: Step, before: Scene, after: Scene) -> str:
        moved = [self._moved(move, before, after) for move in step.moves]
        source = printable(step.source, 160)
        if moved and step.mode == "guest" and not step.line:
            return ": " + ", and ".join(moved)
        if step.mode in ("guest", "user") and not step.line:
            said = f": {source}" if source else f": {printable(step.function)}"
        elif step.line:
            said = f", runs line {step.line} of {printable(step.function)}"
            said += "" if moved else f": {source}"
        else:
            said = f", {printable(step.function)}" + (f": {source}" if source and not moved else "")
        return said + (
            ": " + ", and ".join(moved)
            if moved and step.line
            else "; " + ", and ".join(moved)
            if moved
            else ""
        )

    def _moved(self, move: Move, before: Scene, after: Scene) -> str:
        old, new = before.cells(), after.cells()
        source, target = (self._place(place, after) for place in (move.source, move.target))
        kept = new.get(move.target) or old.get(move.source)
        value = value_words(kept.value if kept else None)
        if move.target and move.target in old and not move.both:
            was = old[move.target].value
            same = (
                was is not None
                and kept is not None
                and kept.value is not None
                and was.number == kept.value.number
            )
            value += " (which it held already)" if same else ""
        if move.both:
            other = new.get(move.source)
            return (
                f"SWAPGS exchanges {source} and {target}: {source} now holds "
                f"{value_words(other.value if other else None)}, {target} holds {value}"
            )
        match move.kind:
            case "rdmsr":
                return f"RDMSR reads {value} from {source}" + (f" into {target}" if target else "")
            case "wrmsr":
                return f"WRMSR writes {value}" + (f" from {source}" if source else "") + f" into {target}"
            case "guest_rdmsr":
                return f"RDMSR in the guest reads {value} from {source}"
            case "guest_wrmsr":
                return f"WRMSR in the guest puts {value} into {target}"
            case "load_gs_index":
                return f"load_gs_index() leaves {value} in {target}"
            case "ctxsw":
                return f"the context switch puts {value} into {target}"
            case "store":
                return f"stores {value}" + (f" from {source}" if source else "") + f" in {target}"
        return f"{printable(move.kind)} moves {value}" + "".join(
            f" {word} {place}" for word, place in (("from", source), ("to", target)) if place
        )

    def _place(self, place: str, scene: Scene) -> str:
        for box in scene.boxes:
            for cell in box.cells:
                if cell.place == place:
                    return place_words(box, cell)
        return printable(place)

    def _changed(self, step: Step, before: Scene, after: Scene) -> Iterable[tuple[str, str]]:
        """(place, words) of everything that is another one now."""
        old = before.cells()
        for box in after.boxes:
            for cell in box.cells:
                was = old.get(cell.place)
                if was is not None and was.value != cell.value:
                    yield (
                        cell.place,
                        f"{place_words(box, cell)} now holds {value_words(cell.value)} (before: {_held(was)})",
                    )
                elif was is not None and was.status != cell.status and cell.status in ("stale", "foreign"):
                    yield (
                        cell.place + "!",
                        f"{place_words(box, cell)} ({value_words(cell.value)}) is now {cell.status}",
                    )
        cells, names = after.cells(), self._names(after)
        for change in step.changes:
            if change.place not in cells:
                words = field_words(change, names)
                if words:
                    yield change.place, words

    @staticmethod
    def _names(scene: Scene) -> dict[str, str]:
        return {box.id: _short(box) for box in scene.boxes}


def place_words(box: Box, cell: Cell) -> str:
    """``KERNEL_GS_BASE of CPU 0``."""
    return printable(f"{cell.label} of {_short(box)}", 120)


def _short(box: Box) -> str:
    """A box's name in a sentence: ``CPU 0``, ``vCPU 0``, ``vCPU thread 0``."""
    if box.kind == "vcpu":
        return f"vCPU {box.id.removeprefix('vcpu')}"
    words = owner_words(box.id)
    if box.kind == "task" and words != "unknown owner":
        return words
    return box.title


def _held(cell: Cell | None) -> str:
    if cell is None or cell.value is None:
        return "not known" if cell is not None and cell.status == "unknown" else "nothing"
    return f"{cell.value} ({owner_words(cell.value.owner)})"


def _sentence(text: str) -> str:
    """A clause as a sentence; identifiers and ``vCPU`` keep their first letter as it is."""
    word = text.split(" ", 1)[0]
    if word.isalpha() and word != "vCPU":
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
