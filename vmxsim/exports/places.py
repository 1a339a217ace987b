"""A scene in a few rows: the places that hold a value of the register, and the vCPU's facts."""

from __future__ import annotations

from vmxsim.errors import printable
from vmxsim.trace import Box, Scene
from vmxsim.views.naming import place_words
from vmxsim.views.state import cell_state
from vmxsim.views.style import holder_words


def places(scene: Scene) -> list[tuple[str, str, str, str]]:
    """(place, value, whose, worth) of every register and of what each vCPU has saved, in use."""
    several = sum(box.kind == "vcpu" for box in scene.boxes) > 1
    rows = []
    for box in scene.boxes:
        for cell in box.cells:
            if box.kind == "task" or cell.status == "unused" or cell.place.endswith(".gs_base"):
                continue
            value, owner, status = cell_state(cell)
            short = box.kind == "vcpu" and not several
            name = printable(cell.label) if short else place_words(box, cell)
            rows.append((name, value, holder_words(owner), status))
    return rows


def fact_line(box: Box) -> str:
    """A box's facts on a line: ``EFER.LMA 1, host_state.loaded 1, guest access passed through``."""
    facts = ", ".join(f"{name} {value}" for name, value in box.facts)
    return printable(f"vCPU {box.id.removeprefix('vcpu')}: {facts}", 400)
