"""The list of MSRs that switched the register up to 2.6.32: of its entries only the register's is followed.

One idiom covers these versions: the first ``save_nmsrs`` entries of the list hold the register, as a truth
value.
"""

from __future__ import annotations

from typing import Any

from vmxsim.csource.interface import CONSTANTS, READ, READ_INTO, REGISTER, WRITE
from vmxsim.csource.parser import Unit
from vmxsim.csource.resolved import Const, Do, Op, Place, Prim, When
from vmxsim.csource.syntax import Assign, Call, CFunction, Declare, Expression, Index, Loop, Member, Name

_LOOKUPS = (Name("__find_msr_index"), Name("find_msr_entry"))


class MsrList:
    """What the files do with the list.

    ``used``: the register is on it at all. ``offsets``: fields that hold the register's place in it.
    """

    def __init__(self, unit: Unit) -> None:
        ours = [
            e for f in unit.functions.values() if REGISTER in f.words for _, e in f.expressions
            if isinstance(e, (Call, Assign))
        ]  # fmt: skip
        self.used = any(isinstance(e, Call) and e.function in _LOOKUPS and _names_register(e) for e in ours)
        self.offsets = {
            e.left.name
            for e in ours
            if isinstance(e, Assign) and isinstance(e.left, Member) and _names_register(e.right)
        }


def _names_register(e: Any) -> bool:
    return isinstance(e, Call) and bool(e.args) and e.args[-1] == Name(REGISTER)


def switches(f: CFunction) -> str:
    """``load`` or ``save`` for a function that does no more than to write or read a list of MSRs, else ''."""
    body = [s for s in f.body if not (isinstance(s, Declare) and s.init is None)]
    if len(f.params) != 2 or len(body) != 1 or not isinstance(body[0], Loop) or len(body[0].body) != 1:
        return ""
    match body[0].body[0]:
        case Expression(
            _, Call(Name(name), (Member(Index(Name(a), _), "index"), Member(Index(Name(b), _), "data")))
        ) if a == b == f.params[0][0]:
            return "load" if name in WRITE else "save" if name in READ_INTO | READ else ""
    return ""


def switched(line: int, kind: str, base: Any, count: Any, offsets: set[str]) -> list[Any] | None:
    """What load_msrs() or save_msrs() of so many entries from ``base`` on does with the register's; None if
    that is not understood. ``base`` may be one entry, at an offset."""
    offset = None
    if isinstance(base, Op) and base.op == "+":
        base, offset = base.args
    if not isinstance(base, Place) or (offset is None) == (count == Const(1)):
        return None
    register, entry = Const(CONSTANTS[REGISTER], REGISTER), Place((*base.path, "kernel_gs_base"))
    load, save = Do(line, None, Prim("wrmsr", (register, entry))), Do(line, entry, Prim("rdmsr", (register,)))
    move = save if kind == "save" else load
    if offset is None:
        return [When(line, count, [move], [])]
    return [move] if isinstance(offset, Place) and offset.path[-1] in offsets else []
