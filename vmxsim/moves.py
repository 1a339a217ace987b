"""Which way a value went in a step, read off the instruction that ran."""

from __future__ import annotations

from typing import Any

from vmxsim.kernel.recorder import Record
from vmxsim.program.ir import Current, Expr, Field, Primitive
from vmxsim.trace import Move

#: Fields that hold a value of the register, by their place's last part.
_CELLS = ("g", "h", "gs_base")


def moves_of(record: Record) -> tuple[Move, ...]:
    """The arrows of one step."""
    register = f"cpu{record.cpu}.kernel_gs_base"
    moves = []
    i = record.instruction
    for kind, cpu, _ in record.accesses:
        here = f"cpu{cpu}.kernel_gs_base"
        if kind == "ctxsw":
            moves.append(Move(kind, f"{_placed(record, cpu)}.gs_base", here))
        elif kind == "guest_rdmsr":
            moves.append(Move(kind, here, ""))
        elif kind == "guest_swapgs":
            moves.append(Move(kind, here, f"vcpu{record.thread[6:]}.gs_base", both=True))
        elif kind in ("guest_wrmsr", "load_gs_index"):
            moves.append(Move(kind, "", here))
        elif kind == "rdmsr":
            moves.append(Move(kind, here, _place(record, i.target) if i else ""))
        elif kind == "wrmsr":
            moves.append(Move(kind, _written(record, i.expr if i else None), register))
    if i is not None and i.kind == "do" and not record.accesses:
        target = _place(record, i.target)
        if target:
            moves.append(Move("store", _place(record, i.expr), target))
    return tuple(moves)


def _placed(record: Record, cpu: int) -> str:
    """The task that a context switch put on the CPU: ``current`` as it is now."""
    for obj, name, _, now in record.changes:
        if obj == f"cpu{cpu}" and name == "current":
            return str(now)
    return "plain"


def _place(record: Record, e: Any) -> str:
    """The place of a cell that an expression names, '' if it names none."""
    if not isinstance(e, Field) or e.name not in _CELLS:
        return ""
    if isinstance(e.base, Current):
        return f"{record.thread}.{e.name}"
    return f"vcpu{record.stack[2][e.base.index]}.{e.name}"


def _written(record: Record, e: Expr | None) -> str:
    return _place(record, e.args[1]) if isinstance(e, Primitive) and len(e.args) > 1 else ""
