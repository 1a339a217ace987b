"""Control tables, kept: the same design under the same assumptions is run once."""

from __future__ import annotations

from typing import Any

from vmxsim.checker.assumptions import Restriction
from vmxsim.checker.control import Control, Watch

_KEPT = 32
_tables: dict[Any, Control] = {}


def control_table(
    design: Any,
    bits: int,
    assumed: Restriction,
    interception: str = "rule",
    non_canonical: bool = False,
    watch: Watch | None = None,
) -> Control:
    """The transitions of one thread of ``design``, a class, under assumptions.

    Raises what ``watch`` raises, and CutShort for a design whose state grows without end.
    """
    key = (design, bits, assumed, interception, non_canonical)
    found = _tables.pop(key, None) or new_table(*key, watch=watch)
    _tables[key] = found  # now the one used last
    while len(_tables) > _KEPT:
        del _tables[next(iter(_tables))]
    return found


def new_table(
    design: Any,
    bits: int,
    assumed: Restriction,
    interception: str = "rule",
    non_canonical: bool = False,
    watch: Watch | None = None,
) -> Control:
    """The same, made anew and not kept."""
    return Control(
        design,
        bits,
        long_modes=assumed.long_modes,
        interception=interception,
        non_canonical=non_canonical,
        guest_wrote_first=assumed.guest_wrote_first,
        allows=assumed.filter() if assumed.names else None,
        watch=watch,
    )
