"""A review as a reply to the patch: the quoted hunk, and the comment under the line that matters.

Quoted lines stay as they are, with their tabs; all else is ASCII of at most 75 columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

import vmxsim
from vmxsim.checker.explanation import Explanation
from vmxsim.checker.result import otherwise_line
from vmxsim.csource.findings import Encounter, Findings
from vmxsim.csource.patches import Patch
from vmxsim.errors import counted
from vmxsim.exports.mail import ascii_text, code, paragraph
from vmxsim.exports.report import Row
from vmxsim.exports.review_words import (
    Marked,
    broken_words,
    interception_words,
    marked_hunks,
    needed,
    side_words,
    split_words,
    told_rows,
)
from vmxsim.exports.subject import lines_words
from vmxsim.views.words import sentence

#: The most lines, those of the header included.
MOST = 60
#: The most lines quoted, the most steps told, and whether details are: the first with which the mail fits.
_SIZES = ((16, 12, True), (10, 9, True), (10, 9, False), (6, 6, False), (3, 3, False))
_TAG = re.compile(r"^\[[^\]]*PATCH[^\]]*\]", re.I)


def review_mail(findings: Findings) -> str:
    """The whole mail, starting with its headers. What is long is told shorter until it fits."""
    for quoted, steps, more in _SIZES:
        parts = filter(None, _parts(findings, quoted, steps, more))
        lines = "\n\n".join("\n".join(part) for part in parts).split("\n")
        if len(lines) <= MOST:
            break
    else:
        end = lines.index("-- ")
        lines = [*lines[: MOST - (len(lines) - end) - 2], "[...]", "", *lines[end:]]
    return "\n".join(lines) + "\n"


def _parts(findings: Findings, quoted: int, steps: int, more: bool) -> Iterator[list[str]]:
    """Its paragraphs: at most so many lines quoted and so many steps; ``more``: also the details."""
    met = findings.encounter
    patch = findings.patches[met.which if met else 0]
    yield _headers(patch)
    marked = next((one for one in marked_hunks(findings) if one.key >= 0), None)
    written = f"On {patch.date}, {patch.author} wrote:" if marked and patch.date and patch.author else ""
    yield [*paragraph(written), *_quote(marked, quoted)]
    if met is None:
        yield from _verdicts(findings)
    else:
        yield from _comment(findings, met)
        yield _schedule(met, steps)
        yield paragraph(split_words(met)) if more or not met.split else []
    words = interception_words(findings)
    yield paragraph(f"{words}.") if more and "without the patch it" in words else []
    yield _rests(findings, more)
    yield _signature(findings)


def _headers(patch: Patch) -> list[str]:
    plain = " ".join(patch.subject.split()) or PurePath(patch.name).name
    while plain.lower().startswith("re:"):
        plain = plain[3:].strip()
    tagged = plain if _TAG.match(plain) else f"[PATCH] {plain}"
    headers = paragraph(tagged, "Subject: Re: ", " ")
    if patch.message_id:
        headers += [f"In-Reply-To: {patch.message_id}"]
    return headers


def _quote(marked: Marked | None, most: int) -> list[str]:
    """The hunk up to the line that matters most, at most so many lines of it."""
    if marked is None:
        return []
    first = max(0, marked.key + 1 - most)
    lines = [f"> {marked.hunk.header}".rstrip()]
    lines += ["> [...]"] if first else []
    for line in marked.hunk.lines[first : marked.key + 1]:
        text = "".join(c if c == "\t" or c.isprintable() else "?" for c in line.text)
        lines.append(f"> {line.kind}{text}".rstrip())
    return lines


def _verdicts(findings: Findings) -> Iterator[list[str]]:
    if not findings.sides:
        yield paragraph(f"{needed()}.")
        return
    for side in findings.sides:
        yield paragraph(f"{side_words(side)}.")


def _comment(findings: Findings, met: Encounter) -> Iterator[list[str]]:
    """What goes wrong, said about the line above."""
    example, old, new = met.example, findings.sides[met.which], findings.sides[met.which + 1]
    why = example.explanation
    whose = "With" if met.broken else "Without"
    verdict = broken_words(old, new) or f"{whose} this patch {example.invariant} is broken"
    effect = f": {'' if met.broken else 'without it, '}{_effect(why)}" if why and why.symptom else ""
    yield paragraph(f"{verdict}{effect}.")
    yield paragraph(sentence(why.why if why and why.why else example.words))
    yield from (paragraph(f"{side_words(side)}.") for side in (old, new) if side.refusal)


def _effect(why: Explanation) -> str:
    """What goes wrong, as part of a sentence: ``the guest sees the host's GS base after ...``."""
    article = "the " if why.effect.startswith(("guest ", "host ")) else ""
    return f"{article}{why.effect}"


def _schedule(met: Encounter, most: int) -> list[str]:
    example, trace = met.example, met.violated
    mode = "in" if example.scenario.long_mode else "outside"
    whose = "" if met.broken else " without the patch"
    start = f"The shortest schedule{whose}, on a {example.scenario.host} host, starting {mode} long mode"
    if trace is None:
        return [*paragraph(f"{start}:"), *paragraph(example.schedule, "    ")]
    lines = paragraph(f"{start} (* loses the value, ! breaks):")
    rows = _chosen(told_rows(trace), most)
    for number, action in enumerate(trace.actions):
        lines += paragraph(str(action), f"  [{number + 1}] ")
        for row in rows:
            if row.action == number:
                mark = "!" if row.broken else "*" if row.lost else " "
                where = ascii_text(f"{row.where}: " if row.where else "")
                lines += code(row.source, f"    {mark} {where}", " " * 10)
    return lines


def _chosen(rows: list[Row], most: int) -> list[Row]:
    """The rows to tell: those that lose or break, then those of C, then the rest, the last ones first."""
    ranked = sorted(rows, key=lambda row: (not (row.lost or row.broken), ".c:" not in row.where, -row.number))
    kept = {row.number for row in ranked[:most]}
    return [row for row in rows if row.number in kept]


def _rests(findings: Findings, more: bool) -> list[str]:
    last = findings.sides[-1] if findings.sides else None
    if last is None or last.carried is None or last.result is None:
        return []
    report = last.carried.report
    taken = [one.words for one in report.assumptions]
    granted = f"Assumed: {'; '.join(taken)}." if taken else ""
    if taken and not more:
        granted = f"Assumed: {counted(len(taken), 'condition')} in the code."
    files = ", ".join(dict.fromkeys(f.file for f in report.functions))
    bounds = f"{counted(last.result.cpus, 'CPU')}, {counted(last.result.vcpus, 'vCPU')}"
    told = (
        f"A model checker followed the C of {files} through every schedule of {bounds}, as far as it matters"
        " to MSR_KERNEL_GS_BASE.",
        granted,
        otherwise_line(last.result),
        f"Not covered: {', '.join(report.not_covered)}.",
    )
    return paragraph(" ".join(filter(None, told)))


def _signature(findings: Findings) -> list[str]:
    last = findings.sides[-1] if findings.sides else None
    of = f" {lines_words(last.carried.design)}" if last and last.carried else ""
    return ["-- ", *paragraph(f"vmxsim {vmxsim.__version__}.{of}")]
