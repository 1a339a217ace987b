"""What KVM executes on each path, counted by running the designs: operations, not cycles.

VM entry and exit themselves and context switches are not counted. Counts start after one
warm-up ``run; exit`` on the same CPU. No published figure gives cycles for this patch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from html import escape
from typing import Any

from attrs import frozen

from vmxsim.designs import DESIGNS, find_design
from vmxsim.errors import InputError, printable, unknown
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.simulation.run import run

#: Each path: the actions that lead to it after the warm-up, and the action that is counted.
PATHS: dict[str, tuple[tuple[str, ...], str]] = {
    "run": ((), "run"),
    "exit": (("run",), "exit"),
    "get-msr": ((), "get-msr"),
    "set-msr": ((), "set-msr 0xA000"),
    "guest rdmsr": (("run",), "guest rdmsr"),
    "guest wrmsr": (("run",), "guest wrmsr 0xA000"),
    "emulate rdmsr": (("run",), "emulate rdmsr"),
    "emulate wrmsr": (("run",), "emulate wrmsr 0xA000"),
    "guest long-mode on": (("run",), "guest long-mode on"),
    "guest long-mode off": (("run",), "guest long-mode off"),
    "preempt": (("run",), "preempt cpu0"),
}
_ONLY_IN = {"guest long-mode on": False, "guest long-mode off": True}

#: Designs whose counts were recorded by running the real functions; the rest are derived.
RECORDED = (
    "array-passthrough",
    "lazy-long-mode",
    "load-gs-index",
    "host-always",
    "dedicated-accessors",
    "never-trap",
    "vcpu-vt",
)


@frozen
class CostRow:
    """Operations of one path. ``operations`` counts by name; ``full_host_reloads`` counts
    every *leave* that finds guest state loaded. ``derived``: no recording of the real
    functions stands behind this row."""

    design: str
    host: str
    long_mode: bool
    path: str
    operations: dict[str, int]
    full_host_reloads: int
    derived: bool

    @property
    def total(self) -> int:
        """All operations together."""
        return sum(self.operations.values())

    @property
    def words(self) -> str:
        """The operations, those on the register itself first."""
        names = sorted(self.operations, key=lambda name: ("kernel_gs_base" not in name, name))
        return ", ".join(f"{self.operations[name]} {name}" for name in names) or "nothing"

    def as_json(self) -> dict[str, Any]:
        """The row for ``vmxsim cost --json``; ``derived`` stands only where it is true."""
        row: dict[str, Any] = {
            "design": self.design,
            "host": self.host,
            "long_mode": self.long_mode,
            "path": self.path,
            "operations": self.operations,
            "full_host_reloads": self.full_host_reloads,
        }
        return row | ({"derived": True} if self.derived else {})


def count(
    design: str | type[Kvm],
    host: str,
    long_mode: bool,
    path: str,
    gs_base_from: str | None = None,
    fsgsbase: bool | None = None,
) -> CostRow:
    """Count one path of one design. Raises InputError for an unknown design or host."""
    chosen = find_design(design)
    before, counted = PATHS[path]
    actions = ["run", "exit", *before, counted]
    trace = run(actions, chosen, host=host, long_mode=long_mode, gs_base_from=gs_base_from, fsgsbase=fsgsbase)
    counted_now = [record for record in trace.simulator.records if record.action == len(actions) - 1]
    operations: Counter[str] = Counter()
    for record in counted_now:
        for name, times in record.operations:
            operations[name] += times
    reloads = operations.pop("full_host_reload", 0)
    if any(function.file for function in chosen.functions().values()):  # C counts them in a field of its own
        reloads = sum(
            (name, was, now) == ("loaded", True, False)
            for record in counted_now
            for _, name, was, now in record.changes
        )
    name = name_of(chosen)
    derived = chosen.id not in RECORDED or (host == "64-bit" and gs_base_from == "descriptor")
    return CostRow(name, host, long_mode, path, dict(operations), reloads, derived)


class CostTable(list[CostRow]):
    """Rows of :func:`cost`, shown by a notebook as a table."""

    def only(self, *paths: str, long_mode: bool | None = None) -> CostTable:
        """The rows of these paths (all, if none is named), in or out of long mode or both.

        Raises InputError for a path that does not exist.
        """
        for path in paths:
            if path not in PATHS:
                raise unknown("path", path, PATHS)
        return CostTable(
            row for row in self
            if (not paths or row.path in paths) and long_mode in (None, row.long_mode)
        )  # fmt: skip

    def _repr_html_(self) -> str:
        heads = ("design", "host", "long mode", "path", "operations", "full host reloads", "which")
        body = "".join(f"<tr>{_row(row)}</tr>" for row in self)
        head = "".join(f'<th scope="col" style="{_LEFT}">{name}</th>' for name in heads)
        caption = "<caption>Operations, not cycles</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


_LEFT = "text-align:left;vertical-align:top"


def _row(row: CostRow) -> str:
    name = f"{row.design} (derived)" if row.derived else row.design
    mode = "on" if row.long_mode else "off"
    narrow = (name, row.host, mode, row.path, str(row.total), str(row.full_host_reloads))
    cells = "".join(f'<td style="{_LEFT};white-space:nowrap">{escape(cell)}</td>' for cell in narrow)
    return f'{cells}<td style="{_LEFT}">{escape(row.words)}</td>'


def cost(
    designs: Iterable[str | type[Kvm]] | str | type[Kvm] = (),
    host: str = "64-bit",
    gs_base_from: str | None = None,
    fsgsbase: bool | None = None,
) -> CostTable:
    """Count every path of the designs (all, if none is named), out of long mode and in it.

    ``host`` is ``64-bit`` or ``32-bit``; ``gs_base_from`` and ``fsgsbase`` are those of ``run``. Raises
    InputError.
    """
    if isinstance(designs, (str, type)):
        designs = [designs]
    elif not isinstance(designs, Iterable):
        raise InputError(
            f"expected designs, by name or as classes, not {printable(repr(designs))}", "designs"
        )
    chosen = [find_design(d) for d in designs] or list(DESIGNS.values())
    return CostTable(
        count(design, host, long_mode, path, gs_base_from, fsgsbase)
        for path in PATHS
        for long_mode in (False, True)
        if _ONLY_IN.get(path, long_mode) == long_mode
        for design in chosen
    )
