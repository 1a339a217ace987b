"""Names in sentences: of values, tasks, boxes and places."""

from __future__ import annotations

from vmxsim.errors import printable
from vmxsim.model.value import Value, owner_words
from vmxsim.trace import Box, Cell, Scene


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


def held_words(cell: Cell | None) -> str:
    """What a cell holds, short: ``0xa000 (guest 0)``, ``nothing``, ``not known``."""
    if cell is None or cell.value is None:
        return "not known" if cell is not None and cell.status == "unknown" else "nothing"
    return f"{cell.value} ({owner_words(cell.value.owner)})"


def thread_words(thread: str) -> str:
    """``vCPU thread 0``; a task that only a recording knows keeps its name."""
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


def named_place(place: str, scene: Scene) -> str:
    """A place's name by its id; '' is no place."""
    for box in scene.boxes:
        for cell in box.cells:
            if cell.place == place:
                return place_words(box, cell)
    return printable(place)


def sentence(text: str) -> str:
    """A clause as a sentence; identifiers and ``vCPU`` keep their first letter as it is."""
    word = text.split(" ", 1)[0]
    if word.isalpha() and word != "vCPU":
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
