"""What a review says, in the sentences that its text, mail and page share."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import PurePath

from attrs import evolve, frozen

from vmxsim.checker.result import (
    SAFE,
    HostResult,
    counterexample_line,
    cut_line,
    explored_line,
    headline,
    otherwise_line,
)
from vmxsim.csource.diff import FileChange, Hunk, Line
from vmxsim.csource.findings import RAN, RUNS, SAME, Changed, Encounter, Findings, Side
from vmxsim.csource.in_full import sections
from vmxsim.errors import counted, printable
from vmxsim.exports.report import Row, rows_of
from vmxsim.exports.subject import missed, subject
from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.scenario import HOSTS
from vmxsim.simulation.trace import Step
from vmxsim.views.words import sentence, several

#: What a mark beside a line of a hunk means.
MARKS = {RUNS: "runs on this schedule", RAN: "no longer runs", SAME: "runs as before"}


def title(findings: Findings) -> str:
    """The subject of the first patch, or of the whole series."""
    first = findings.patches[0]
    named = printable(first.subject or PurePath(first.name).name, 200)
    more = len(findings.patches) - 1
    return f"{named} (and {more} more)" if more else named


def file_words(change: FileChange) -> str:
    """A file that was patched, and whether it is the very file of the author."""
    name = change.path or f"{change.old_path} (deleted)"
    if change.old_path and change.path and change.old_path != change.path:
        name = f"{change.old_path}, now {change.path}"
    moved = [hunk.offset for hunk in change.hunks if hunk.offset]
    told = [counted(len(change.hunks), "hunk")]
    if moved:
        by = ", ".join(f"{offset:+d}" for offset in moved)
        told.append(f"{counted(len(moved), 'hunk')} moved by {by} lines to fit")
    told.append(_EXACT[change.exact_before, change.exact_after])
    return f"{printable(name, 200)}: {'; '.join(told)}"


_EXACT = {
    (True, True): "by its hashes exactly the author's file, before and after",
    (True, False): "exactly the file that the author changed, but the result is not the author's",
    (True, None): "exactly the file that the author changed",
    (False, True): "not the file that the author changed, yet the result is exactly the author's",
    (False, False): "not the very file that the author changed: its hash differs",
    (False, None): "not the very file that the author changed: its hash differs",
    (None, True): "the result is exactly the author's file",
    (None, False): "the result is not the author's very file",
    (None, None): "the patch does not say which version of the file it is for",
}


def side_words(side: Side) -> str:
    """The verdict on a side, in a sentence without its full stop."""
    if side.result:
        return headline(side.result)
    return f"{side.name}: NOT UNDERSTOOD: {side.refusal}"


def widths(side: Side) -> Iterator[tuple[HostResult, str]]:
    """For each width of the host the verdict, and what holds and what does not."""
    for host in side.result.hosts if side.result else ():
        how = ", ".join(f"{name} {verdict}" for name, verdict in host.invariants.items())
        yield host, f"{host.host} host: {host.verdict} ({how}; {counted(host.states, 'state')})"


def changed_words(changed: Changed) -> str:
    """In a few words what changed: ``vmx_set_efer(): 3 lines matter instead of 2``."""
    before, after = len(changed.before), len(changed.after)
    if not before:
        return f"{changed.name}(): new here, {_matter(after)}"
    if not after:
        return f"{changed.name}(): nothing of it matters any more ({counted(before, 'line')} did)"
    instead = "but not the same" if before == after else f"instead of {before}"
    return f"{changed.name}(): {_matter(after)}, {instead}"


def _matter(lines: int) -> str:
    return f"{counted(lines, 'line')} {'matters' if lines == 1 else 'matter'}"


def changed_lines(changed: Changed) -> Iterator[tuple[str, str, str]]:
    """The lines that matter on one side only: ``+`` or ``-``, where, and the text."""
    old, new = ([text for _, _, text in lines] for lines in (changed.before, changed.after))
    for kind, i, i_end, j, j_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            for sign, lines in (("-", changed.before[i:i_end]), ("+", changed.after[j:j_end])):
                yield from ((sign, f"{file}:{number}", printable(text, 200)) for file, number, text in lines)


def interception_words(findings: Findings) -> str:
    """When the guest's access exits, before and after; '' unless both sides are understood."""
    reports = [s.carried.report for s in (findings.before, findings.after) if s and s.carried]
    if len(reports) != 2:
        return ""
    (old, shown_before), (new, shown) = ((r.interception, "; ".join(r.interception_shown)) for r in reports)
    now = f"The guest's access of the register {_EXITS[new]}"
    if old == new:
        return f"{now}, with the patch as without it ({shown})"
    return f"{now} ({shown}); without the patch it {_EXITS[old]} ({shown_before})"


_EXITS = {"always": "always exits", "never": "never exits", "outside long mode": "exits outside long mode"}


def broken_words(old: Side, new: Side) -> str:
    """What a patch breaks or mends, in a sentence without its full stop; '' if nothing, or if nothing is
    known."""
    if not (old.result and new.result):
        return ""
    told = []
    if more := new.broken - old.broken:
        told.append(f"breaks {_listed(more)}" + (", which held before" if old.verdict == SAFE else ""))
    if less := old.broken - new.broken:
        told.append(f"repairs {_listed(less)}")
    if both := old.broken & new.broken:
        told.append(f"leaves {_listed(both)} broken as before")
    return f"This patch {' and '.join(told)}" if told else ""


def _listed(broken: set[tuple[str, str]]) -> str:
    """``guest-value and no-leak on a 64-bit and a 32-bit host``."""
    by_invariant: dict[str, list[str]] = {}
    for host, name in sorted(broken, key=lambda one: (one[1], HOSTS.index(one[0]))):
        by_invariant.setdefault(name, []).append(f"a {host}")
    by_hosts: dict[str, list[str]] = {}
    for name, hosts in by_invariant.items():
        by_hosts.setdefault(" and ".join(hosts), []).append(name)
    return ", and ".join(f"{several(names)} on {hosts} host" for hosts, names in by_hosts.items())


def rests_on(side: Side) -> list[str]:
    """What the verdict on a side rests on, in sentences."""
    if not side.carried or not side.result:
        return []
    told = (*side.carried.design._rests_on, otherwise_line(side.result), explored_line(side.result))
    return [line for line in (cut_line(side.result), *told) if line]


def rests_on_in_full(side: Side) -> list[tuple[str, list[str]]]:
    """All of what it rests on, as titles with what stands below them."""
    if not side.carried or not side.result:
        return []
    return [
        (title, [" ".join(filter(None, row)) for row in rows])
        for title, rows in sections(side.carried.report)
    ]


def example_words(encounter: Encounter) -> list[str]:
    """The schedule that shows it, and why it is wrong."""
    example = encounter.example
    whose = "with the patch" if encounter.broken else "without the patch"
    mode = "in" if example.scenario.long_mode else "outside"
    width = f"{example.scenario.host} host, starting {mode} long mode"
    return [
        f"{counterexample_line(example).removesuffix('.')} ({whose}; {width}).",
        f"Schedule: {example.schedule}.",
        sentence(example.words),
    ]


def split_words(encounter: Encounter) -> str:
    """Where the two runs of that schedule part; '' if the design fails on it, so that there is no run."""
    if not encounter.traces:
        return ""
    if encounter.split:
        return f"First difference between the two runs: {encounter.split.words}"
    if encounter.note:
        return f"No comparison: {encounter.note}."
    return "The two runs of this schedule do not differ."


def told_rows(trace: RunTrace) -> list[Row]:
    """The telling steps of a run, up to the one that breaks an invariant."""
    about = subject(trace)
    rows = rows_of(about, turns=False).rows
    return [row for row in rows if not about.broken or row.number <= about.broken]


@frozen
class Marked:
    """A hunk with a mark (or '') for each of its lines. ``key`` is the index of the line that matters most in
    it, -1 if it has none."""

    path: str
    hunk: Hunk
    marks: tuple[str, ...]
    key: int = -1

    @property
    def telling(self) -> list[tuple[str, Line]]:
        """The lines that the patch changes and that run, or ran, on the schedule."""
        return [
            (mark, line)
            for mark, line in zip(self.marks, self.hunk.lines, strict=True)
            if mark in (RUNS, RAN)
        ]


def marked_hunks(findings: Findings) -> list[Marked]:
    """The hunks of the patch that breaks or mends the code, or of the last one, each line with its mark."""
    if not findings.applied:
        return []
    met = findings.encounter
    applied = findings.applied[met.which if met else -1]
    found = [
        Marked(change.path or change.old_path, hunk, tuple(_mark(met, change, line) for line in hunk.lines))
        for change in applied.changes
        for hunk in change.hunks
    ]
    return _with_key(found, met) if met else found


def _mark(met: Encounter | None, change: FileChange, line: Line) -> str:
    return met.mark(change.old_path or change.path, change.path or change.old_path, line) if met else ""


def _with_key(hunks: list[Marked], met: Encounter) -> list[Marked]:
    """The hunks with the one line that matters most: the one that loses the value or that skips its being
    loaded; or else the changed line that ran last before that, or only ran on the other side."""
    trace = met.violated
    if trace is None:
        return hunks
    about = subject(met.example)
    skips = missed(about)
    blamed = [_place(trace.steps[n - 1]) for n in (about.lost, skips.number if skips else 0) if n]
    ran = {_place(step): step.index for step in trace.steps[: about.lost or about.broken or None]}

    def rank(marked: Marked, at: int) -> tuple[int, int, bool, bool]:
        line = marked.hunk.lines[at]
        place = (marked.path.rpartition("/")[2], line.after if met.broken else line.before)
        first = len(blamed) - blamed.index(place) if place in blamed else 0
        changed = line.kind != " "
        return first, ran.get(place, -1) if changed else -1, changed and bool(marked.marks[at]), changed

    places = [(n, at) for n, marked in enumerate(hunks) for at in range(len(marked.hunk.lines))]
    if places:
        n, at = max(places, key=lambda place: rank(hunks[place[0]], place[1]))
        hunks[n] = evolve(hunks[n], key=at)
    return hunks


def _place(step: Step) -> tuple[str, int]:
    return (step.at.file, step.at.number)


def needed() -> str:
    """What a review without a tree would need for a verdict."""
    return (
        "No verdict: it takes the whole code around the patch. Name the kernel tree that it applies to with"
        " --tree (a kernel tree, a vmx.c, or linux-source-*.tar.xz), or a git clone that has it with --git"
    )


def conclusion(findings: Findings) -> str:
    """What came of it, in a few words."""
    before, after = findings.before, findings.after
    if before is None or after is None:
        return "no verdict without a kernel tree"
    if before.verdict == after.verdict:
        return f"{after.verdict} before and after"
    return f"{before.verdict} before, {after.verdict} after"
