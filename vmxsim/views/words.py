"""A step in words, made from the model: who did what, what changed, what holds now, what would go wrong.

For a run and for a recording alike; a recording's function is its event's name, and has no line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vmxsim.errors import printable
from vmxsim.model.machine import MODE_WORDS
from vmxsim.trace import Scene, Step, Trace
from vmxsim.views.fields import field_words, shown, subject
from vmxsim.views.moved import moved_words
from vmxsim.views.naming import box_words, held_words, place_words, sentence, thread_words, value_words

_WRONG = ("stale", "foreign")


def step_words(trace: Trace, index: int) -> str:
    """Step ``index`` (from 1; 0 is the start) in a sentence or two: who did what, all that changed."""
    return _teller(trace, index).step_words(index)


def now_words(trace: Trace, index: int) -> str:
    """What is live where after step ``index``, what is stale or foreign, and what would go wrong now."""
    return _teller(trace, index).description(index, done=False)


def _teller(trace: Trace, index: int) -> Teller:
    first = max(0, index - 1)
    return Teller(trace, [trace.scene(number) for number in range(first, index + 1)], offset=first)


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
        sentences = [sentence(f"{self._who(step)}{self._what(step, before, after)}")]
        rest = "; ".join(self._changed(step, before, after))
        if rest:
            sentences.append(sentence(rest))
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
                f"Broken: {v.invariant}. {sentence(v.words)}" for v in self.trace.steps[index - 1].violations
            ]
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
        mode = MODE_WORDS.get(step.mode)
        return f"{thread_words(step.thread)}, {f'{mode} {where}' if mode else where}"

    def _what(self, step: Step, before: Scene, after: Scene) -> str:
        """What ran, and the moves it made."""
        moved = ", and ".join(moved_words(move, before, after) for move in step.moves)
        source, function = printable(step.source, 160), printable(step.function)
        if step.line:
            return f", runs line {step.line} of {function}: {moved or f'“{source}”'}"
        if step.mode == "guest":
            return f": {moved or source or function}"
        if step.mode == "user":
            return f": {source or function}" + (f"; {moved}" if moved else "")
        if not moved and function in source:  # an event of a recording names itself
            return f": {source}"
        return f", {function}: {moved or source}"

    def _changed(self, step: Step, before: Scene, after: Scene) -> Iterable[str]:
        """Everything that is another one now and that the moves have not told."""
        old = before.cells()
        told = {place for move in step.moves for place in (move.source, move.target)}
        for box in after.boxes:
            for cell in box.cells:
                was = old.get(cell.place)
                if was is None:
                    continue
                if was.value != cell.value and cell.place not in told:
                    now = f"now holds {value_words(cell.value)} (before: {held_words(was)})"
                    yield f"{place_words(box, cell)} {now}"
                elif was.value == cell.value and was.status != cell.status and cell.status in _WRONG:
                    yield f"{place_words(box, cell)} ({value_words(cell.value)}) is now {cell.status}"
        cells, names = after.cells(), self._names(after)
        for change in step.changes:
            words = "" if change.place in cells else field_words(change, names)
            if words:
                yield words

    @staticmethod
    def _names(scene: Scene) -> dict[str, str]:
        return {box.id: box_words(box) for box in scene.boxes}
