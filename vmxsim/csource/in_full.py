"""All that a design made from C rests on, for the terminal and for a notebook: its report in sections, and
each function with what was left out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import evolve

from vmxsim.csource.grounds import Report
from vmxsim.csource.in_short import assumption_words
from vmxsim.errors import InputError, counted, printable, unknown
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.program import Function

Rows = list[tuple[str, ...]]


def sections(report: Report) -> Iterator[tuple[str, Rows]]:
    """The parts of a report as (title, rows), without those that say nothing."""
    yield (
        "Followed: the function, where it begins, how many lines of it are kept, its entry of kvm_x86_ops",
        [
            (f.name, f"{f.file}:{f.first}", f"{len(f.kept)} of {f.last - f.first + 1}", f.entry)
            for f in report.functions
        ],
    )
    for name, what in _ROLES.items():
        role = report.roles[name]
        yield f"{what} {role.field}", _column(role.evidence)
    yield f"The guest's access exits: {report.interception}", _column(report.interception_shown)
    if report.canonical_check:
        yield "Common code refuses a value that is not canonical", [(report.canonical_check,)]
    else:
        unread = "x86.c was not read" if report.canonical_check is None else "common code has none"
        yield f"No check for a value that is not canonical: {unread}", []
    told: dict[str, Rows] = {
        "The thread's bases are saved with FSGSBASE": _column(filter(None, [report.fsgsbase])),
        "Fields of its own": list(report.own_fields.items()),
        "Assumed ('vmxsim check --tree' says whether the verdict depends on it)": _column(
            map(assumption_words, report.assumptions)
        ),
        "Calls left out, and where the first of each is": list(report.calls_dropped.items()),
        "CONFIG names that decided a line of these functions": [
            (name, ", ".join(places)) for name, places in report.configuration.items()
        ],
        "Other entry points that lead to the register or to the saved values": _column(report.other_entries),
        "Stores and accesses in functions that are not followed": _column(report.elsewhere),
        "Not covered": _column(report.not_covered),
        "Files read": [(path, counted(lines, "line")) for path, lines in report.files.items()],
    }
    yield from ((title, rows) for title, rows in told.items() if rows)


_ROLES = {
    "g": "The guest's value is saved in",
    "h": "The host's value is saved in",
    "loaded": "Whether guest state is loaded is in",
}


def _column(cells: Iterable[str]) -> Rows:
    return [(cell,) for cell in cells]


# -- one function


def in_full(design: type[Kvm], name: str) -> Function:
    """The function of that name; a line is left out of it only if it is left out however it is called.

    Raises InputError for one that is not followed.
    """
    functions = {n: f for n, f in design.functions().items() if f.file}
    chosen = functions.get(name)
    if chosen is None:
        if name in design._carried.unit.functions:
            raise InputError(
                "is in these files, but is not followed; 'vmxsim show --tree' lists what is",
                printable(name),
            )
        raise unknown("function", name, functions, printable(design._carried.tree.name, 200))
    versions = [f for f in functions.values() if (f.file, f.first) == (chosen.file, chosen.first)]
    dropped = {
        line: why for line, why in versions[0].dropped.items() if all(line in f.dropped for f in versions)
    }
    return evolve(versions[0], dropped=dropped)
