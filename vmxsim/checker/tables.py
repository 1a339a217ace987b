"""Control tables, kept: the same design under the same assumptions is run once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from vmxsim.checker.assumptions import Restriction
from vmxsim.checker.control import Control


@lru_cache(maxsize=64)
def control_table(
    design: Any,  # a design's class; mypy takes no class of classes for hashable
    bits: int,
    assumed: Restriction,
    interception: str = "rule",
    non_canonical: bool = False,
) -> Control:
    """The transitions of one thread of ``design`` under assumptions."""
    return Control(
        design,
        bits,
        long_modes=assumed.long_modes,
        interception=interception,
        non_canonical=non_canonical,
        guest_wrote_first=assumed.guest_wrote_first,
        allows=assumed.filter() if assumed.names else None,
    )
