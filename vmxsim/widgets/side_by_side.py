"""``vmxsim.compare``: two designs on one schedule, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vmxsim.kernel.kvm import Kvm
from vmxsim.scenario import Scenario
from vmxsim.widgets.controls import SHORTEST
from vmxsim.widgets.explorer import Explorer


def compare(
    a: str | type[Kvm],
    b: str | type[Kvm],
    scenario: Scenario | str | Path | Sequence[Any] | None = None,
    *,
    operation: str = SHORTEST,
    long_mode: bool = True,
    loaded: bool = True,
    host: str = "64-bit",
) -> Explorer:
    """Two designs side by side on one schedule, the first divergence marked.

    Without ``scenario`` and ``operation`` the schedule is the shortest on which what guest,
    user space or a host task can read differs; where there is none on either host width, the widget says
    so and shows another operation. The arguments are those of ``explore``. Raises InputError for bad ones.
    """
    return Explorer((a, b), operation, scenario, long_mode=long_mode, loaded=loaded, host=host)
