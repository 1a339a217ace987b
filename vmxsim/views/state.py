"""What a cell says: its value, owner and worth as text."""

from __future__ import annotations

from vmxsim.trace import Cell
from vmxsim.views.style import NOT_KNOWN, NOTHING_STORED


def cell_state(cell: Cell) -> tuple[str, str, str]:
    """(value, owner, status) of a cell as text; an unknown value's owner is unknown, nothing's is ''."""
    if cell.value is not None:
        return str(cell.value), cell.value.owner, cell.status
    if cell.status == "unknown":
        return NOT_KNOWN, "unknown", cell.status
    return NOTHING_STORED, "", cell.status
