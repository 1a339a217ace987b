"""What a design made from C rests on: said beside every verdict."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from attrs import asdict, frozen

from vmxsim.csource import interface as api
from vmxsim.csource.interception import canonical_check, interception_of
from vmxsim.csource.parser import Unit
from vmxsim.csource.resolve import COMMON
from vmxsim.csource.resolved import Spec, statements
from vmxsim.csource.slicing import Assumption, Slice
from vmxsim.csource.syntax import Assign, Call, Case, CFunction, Declare, Member, Name, show
from vmxsim.csource.tree import Tree

#: The files in which common code would check a value.
_CHECKING = {"x86.c", "msrs.c"}
#: What no verdict on C covers.
NOT_COVERED = (
    "nested virtualization",
    "TDX",
    "INIT and vCPU creation",
    "the MSR bitmap's history",
    "sleeping in atomic sections",
    "FRED",
)


@frozen
class Followed:
    """A function that is followed. ``entry`` is the entry of kvm_x86_ops that it is, '' if none; ``kept``
    are the lines of it that matter, by their numbers in the file."""

    name: str
    file: str
    first: int
    last: int
    entry: str
    kept: tuple[int, ...]


@frozen
class Role:
    """A field and the lines that show what it is for."""

    field: str
    evidence: tuple[str, ...]


@frozen
class Report:
    """What the design rests on.

    ``files`` are those read, with their numbers of lines. ``canonical_check`` is where common code checks the
    value; '' if it does not, None if it was not given. ``calls_dropped`` has the first place of each call
    that was left out, ``configuration`` the places at which a CONFIG name decided a followed line,
    ``elsewhere`` what stores to these fields or accesses the register in functions that are not followed,
    ``other_entries`` further entries of kvm_x86_ops that reach such a function.
    """

    tree: str
    files: dict[str, int]
    functions: tuple[Followed, ...]
    roles: dict[str, Role]
    own_fields: dict[str, str]
    interception: str
    interception_shown: tuple[str, ...]
    canonical_check: str | None
    fsgsbase: str
    assumptions: tuple[Assumption, ...]
    calls_dropped: dict[str, str]
    configuration: dict[str, tuple[str, ...]]
    other_entries: tuple[str, ...]
    elsewhere: tuple[str, ...]
    not_covered: tuple[str, ...] = NOT_COVERED

    def as_data(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        return asdict(self)


@frozen
class Facts:
    """What is told of the files as a whole: the fields of the same names in :class:`Report`."""

    interception: str
    interception_shown: tuple[str, ...]
    canonical_check: str | None
    fsgsbase: str


def facts_of(tree: Tree, unit: Unit, common: Unit) -> Facts:
    """Collect them. ``common`` is common code."""
    given = _CHECKING & {PurePosixPath(path).name for path in tree.files}
    return Facts(*interception_of(unit), canonical_check(common) if given else None, _fsgsbase(unit))


def make_report(
    tree: Tree,
    unit: Unit,
    facts: Facts,
    cut: Slice,
    roots: Mapping[str, Spec],
    names: Mapping[int, str],
    own_fields: dict[str, str],
    touching: set[str],
) -> Report:
    """Collect it. ``touching`` are the functions that could matter at all."""
    entries = {id(spec): api.ROOTS[role][0][0] for role, spec in roots.items()}
    functions = []
    for spec in cut.specs:
        kept = {s.line for s in statements(spec.body) if id(s) in cut.kept}
        if id(spec) in entries or id(spec) in cut.relevant:
            f = spec.function
            entry = entries.get(id(spec), "")
            functions.append(Followed(names[id(spec)], f.file, f.first, f.last, entry, tuple(sorted(kept))))
    followed = {spec.name: spec.function for spec in cut.specs}
    roles = {
        name: Role(str(getattr(cut.roles, name)), cut.roles.evidence[name]) for name in ("g", "h", "loaded")
    }
    return Report(
        tree.name,
        {path: text.count("\n") + 1 for path, text in tree.files.items()},
        tuple(functions),
        roles,
        own_fields,
        facts.interception,
        facts.interception_shown,
        facts.canonical_check,
        facts.fsgsbase,
        tuple(cut.taken.values()),
        _calls_dropped(cut),
        _configuration(unit, followed),
        _other_entries(unit, roots, cut, touching),
        _elsewhere(unit, cut, followed),
    )


def _fsgsbase(unit: Unit) -> str:
    """Where the C calls current_save_fsgs(), as since FSGSBASE; '' if nowhere."""
    for f in unit.functions.values():
        for line, e in f.expressions if "current_save_fsgs" in f.words else ():
            if isinstance(e, Call) and e.function == Name("current_save_fsgs"):
                return f"{f.file}:{line} {f.name}()"
    return ""


def _calls_dropped(cut: Slice) -> dict[str, str]:
    found: dict[str, str] = {}
    for spec in cut.specs:
        if id(spec) in cut.relevant:
            for name, line in spec.calls_dropped.items():
                found.setdefault(name, f"{spec.function.file}:{line} {spec.name}()")
    return found


def _configuration(unit: Unit, followed: Mapping[str, CFunction]) -> dict[str, tuple[str, ...]]:
    found = {}
    for name, places in unit.asked.items():
        inside = []
        for place in places:
            file, _, line = place.rpartition(":")
            if any(f.file == file and f.first <= int(line) <= f.last for f in followed.values()):
                inside.append(place)
        if inside:
            found[name] = tuple(dict.fromkeys(inside))
    return found


def _role_names(cut: Slice) -> set[str]:
    roles = (cut.roles.g, cut.roles.h, cut.roles.loaded)
    return {p.key[-1] for p in roles} - COMMON


def _other_entries(unit: Unit, roots: Mapping[str, Spec], cut: Slice, touching: set[str]) -> tuple[str, ...]:
    """Entries of kvm_x86_ops besides those followed from which something is called that names the register
    or the copies."""
    names = _role_names(cut) | api.REACHES
    reach = {name for name in touching if unit.functions[name].words & names}
    while more := {n for n in touching if n not in reach and unit.functions[n].words & reach}:
        reach |= more
    mine = {spec.name for spec in roots.values()}
    return tuple(f"{entry}: {function}()" for entry, function in unit.ops.items() if function in reach - mine)


def _elsewhere(unit: Unit, cut: Slice, followed: Mapping[str, CFunction]) -> tuple[str, ...]:
    names = _role_names(cut) | {key[-1] for key in cut.needed_places} - COMMON | api.EFER_FIELDS
    found = []
    for f in unit.functions.values():
        if f.name in followed or not f.words & (names | {api.REGISTER}):
            continue
        for line, e in f.expressions:
            where = f"{f.file}:{line} {f.name}()"
            match e:
                case Assign(_, Member(_, name) as left, _) if name in names:
                    found.append(f"{where} stores to {show(left)}")
                case Call(Name(name), (Name(api.REGISTER), *_)) if name in api.ACCESSORS:
                    found.append(f"{where} accesses the register")
                case Call(Name(name), args) if Name(api.REGISTER) in args and "intercept" not in name:
                    found.append(f"{where} hands the register to {name}()")
    return tuple(dict.fromkeys(found))


#: A line that belongs to the statements around it, and a line of a comment above a statement.
_AROUND = re.compile(r"[{};\s]*(?:else)?[{};\s]*|#\s*(?:if|else|elif|endif).*")
_COMMENT = re.compile(r"/\*.*\*/|//.*")


def dropped_lines(spec: Spec, cut: Slice) -> dict[int, str]:
    """The lines of a function, from 1 at its first, that were left out, and why.

    A line without a statement goes with the statement above it, a comment with the one below it, ``else`` and
    directives with both; what stands before the first statement, blank lines and lone braces stay.
    """
    f = spec.function
    kept = {s.line for s in statements(spec.body) if id(s) in cut.kept}
    reasons = dict.fromkeys(f.skipped, "not compiled with this configuration")
    for s in f.statements:
        if s.line in kept or (isinstance(s, Declare) and s.init is None):
            reasons.setdefault(s.line, "")
        elif not reasons.get(s.line):
            reasons[s.line] = _reason(s)
    for line in kept:
        reasons[line] = ""
    texts = dict(enumerate((text.strip() for text in f.source), f.first))
    comments = set(_comments(texts))
    above, below = "", dict.fromkeys([f.last + 1], "")
    for line in range(f.last, f.first - 1, -1):
        alone = line in comments or _AROUND.fullmatch(texts[line])
        below[line] = reasons.get(line, below[line + 1] if alone else "")
    out: dict[int, str] = {}
    for line, text in texts.items():
        if line in reasons:
            above = why = reasons[line]
        elif line in comments:
            why = below[line]
        elif _AROUND.fullmatch(text):
            why = above if below[line + 1] else ""
        else:
            why = above
        if why and text.strip("{}; "):
            out[line - f.first + 1] = why
    return out


def _comments(texts: Mapping[int, str]) -> Iterator[int]:
    """The lines that hold nothing but a comment."""
    inside = False
    for line, text in texts.items():
        begins = text.startswith("/*")
        inside |= begins
        if inside or _COMMENT.fullmatch(text):
            yield line
        if inside and "*/" in text:
            inside = False


def _reason(s: Any) -> str:
    match s:
        case Case():
            return "another case"
        case Declare():
            return "a variable that nothing that matters reads"
    e = getattr(s, "expr", None)
    match e:
        case Call(Name(name), _):
            return f"{name}() does nothing that matters here"
        case Assign(_, left, _):
            return f"nothing that matters reads {show(left)}"
    return "nothing that matters depends on it"
