"""What a verdict on C rests on, in a few sentences."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from vmxsim.errors import counted, printable
from vmxsim.kernel.kvm import Kvm

if TYPE_CHECKING:
    from vmxsim.csource.grounds import Report, Role
    from vmxsim.csource.slicing import Assumption

_INTERCEPTION = {
    "always": "always exits",
    "never": "never exits",
    "outside long mode": "exits outside long mode",
}


def rests_on(report: Report) -> tuple[str, ...]:
    """The short form of a report: what stands beside every verdict on the design."""
    files = ", ".join(dict.fromkeys(f.file for f in report.functions))
    lines = {(f.file, line) for f in report.functions for line in f.kept}
    g, h, loaded = (_role(report.roles[name]) for name in ("g", "h", "loaded"))
    shown = ", ".join(report.interception_shown)
    left_out = [
        f"{counted(len(found), thing)} {where}"
        for found, thing, where in (
            (report.calls_dropped, "call", "left out"),
            (report.other_entries, "other entry point", "to code that reaches the register"),
            (report.elsewhere, "place", "elsewhere with a store or an access"),
        )
        if found
    ]
    told = [
        f"It rests on the C of {report.tree}: {counted(len(lines), 'line')} of"
        f" {counted(len({(f.file, f.first) for f in report.functions}), 'function')} in {files}",
        f"By what the code does with them: the guest's value is saved in {g}, the host's in {h}, and {loaded}"
        " says whether guest state is loaded",
        f"The guest's access {_INTERCEPTION[report.interception]} ({shown})",
        *(f"Assumed: {assumption_words(one)}" for one in report.assumptions),
        f"Not followed: {', '.join(left_out) or 'nothing that it calls'} ('vmxsim show --tree' lists it all)."
        f" Not covered: {', '.join(report.not_covered)}",
    ]
    return tuple(f"{one}." for one in told)


def tree_of(design: type[Kvm]) -> str:
    """What the reader called the tree that a design was made from, without its private folder; '' if it was
    not made from C."""
    name = str(design._carried.tree.name) if design._carried else ""
    return printable(PurePath(name).name or name, 200)


def files_read(design: type[Kvm]) -> list[str]:
    """The files that a design was made from, as far as they are files of their own; empty if it was not made
    from C."""
    if not design._carried:
        return []
    name = Path(design._carried.tree.name)
    parts = [PurePath(path).parts for path in design._carried.tree.files]
    inside = (name.joinpath(*path[n:]) for path in parts for n in range(len(path)))
    return [str(place) for place in (name, *inside) if place.is_file()]


def assumption_words(one: Assumption) -> str:
    """What is taken for granted, where, and why if that is known."""
    return one.words + (f" ({one.absent} is not in the model)" if one.absent else "")


def _role(role: Role) -> str:
    more = len(role.evidence) - 1
    rest = f", and {more} more" if more > 0 else ""
    return f"{role.field} ({role.evidence[0]}{rest})" if role.evidence else role.field
