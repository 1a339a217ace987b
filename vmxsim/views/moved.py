"""A move in words: which instruction took whose value from where to where."""

from __future__ import annotations

from vmxsim.errors import printable
from vmxsim.trace import Cell, Move, Scene
from vmxsim.views.naming import named_place, value_words


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
    if _held_already(old.get(move.target), new.get(move.target)):
        value += " (which it held already)"
    return _clause(move.kind, value, source, target) + _worth(cell)


def _clause(kind: str, value: str, source: str, target: str) -> str:
    origin = f" from {source}" if source else ""
    match kind:
        case "rdmsr":
            return f"RDMSR reads {value}{origin}" + (f" into {target}" if target else "")
        case "wrmsr":
            return f"WRMSR writes {value}{origin} into {target}"
        case "guest_rdmsr":
            return f"RDMSR in the guest reads {value}{origin}"
        case "guest_wrmsr":
            return f"WRMSR in the guest puts {value} into {target}"
        case "load_gs_index":
            return f"load_gs_index() leaves {value} in {target}"
        case "ctxsw":
            return f"the context switch puts {value} into {target}"
        case "store":
            return f"stores {value}{origin} in {target}"
    return f"{printable(kind)} moves {value}{origin}" + (f" to {target}" if target else "")


def _value(cell: Cell | None) -> str:
    return value_words(cell.value if cell else None)


def _held_already(old: Cell | None, new: Cell | None) -> bool:
    return bool(old and new and old.value and new.value and old.value.number == new.value.number)


def _worth(cell: Cell | None) -> str:
    """Another owner's value has arrived, or is read: say so where it happens."""
    return ", where it is foreign" if cell is not None and cell.status == "foreign" else ""
