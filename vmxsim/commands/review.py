"""``vmxsim review``: a patch of the kernel's own C, before and after."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from vmxsim.checker.result import INCOMPLETE, SAFE, VIOLATED
from vmxsim.commands.check import as_object
from vmxsim.commands.common import (
    FINE,
    FORCE_OPTION,
    INCONCLUSIVE,
    TREE_OPTION,
    console,
    input_files,
    print_json,
    remark,
)
from vmxsim.commands.common import VIOLATED as STATUS_VIOLATED
from vmxsim.csource.findings import Findings, Side
from vmxsim.errors import InputError, refuse_overwriting
from vmxsim.exports.review import FORMS, Review, review

_STYLES = {
    SAFE: "bold green", VIOLATED: "bold red", INCOMPLETE: "bold yellow", "not understood": "bold yellow",
    "heading": "bold", "text": "",
}  # fmt: skip


@click.command("review")
@click.argument("patch")
@TREE_OPTION
@click.option(
    "--git",
    metavar="REPO",
    help="A git clone of the kernel; PATCH may be one of its commits, or a range A..B.",
)
@click.option(
    "--to", "form", type=click.Choice([*FORMS]), default="text", show_default=True, help="What to make of it."
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The file to write.")
@FORCE_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def review_command(
    patch: str,
    tree: str | None,
    git: str | None,
    form: str,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> int:
    """Review a patch of KVM's VMX code: the verdict on the kernel's own C before and after it.

    PATCH is a diff, a mail of git format-patch, a mailbox with a series (each patch on top of the last), '-'
    for standard input, or, with --git, a commit or a range of commits, A..B.

    The exit status is 0 if the code after the patch is safe, 1 if it is violated, 2 if the patch does not
    apply, 3 if the C is not understood or there is no tree.
    """
    if as_json and (output or form != "text"):
        raise InputError("prints the review itself: leave out --to and --output", "--json")
    if output:
        refuse_overwriting(output, force, input_files(patch, tree))
    data = sys.stdin.buffer.read() if patch == "-" else None
    found = review("standard input" if patch == "-" else patch, tree, git, data=data)
    if as_json:
        print_json(as_data(found))
    elif output:
        found.to(form, output, overwrite=force)
        remark(f"written: {output}")
    elif form == "text":
        for kind, line in found.lines:
            console().print(Text(line, style=_STYLES[kind]))
    else:
        click.echo(found.to(form), nl=False)
    if output or (form != "text" and not as_json):
        remark(f"the code after the patch: {found.verdict}")
    return {SAFE: FINE, VIOLATED: STATUS_VIOLATED}.get(found.verdict, INCONCLUSIVE)


def as_data(found: Review) -> dict[str, Any]:
    """The review as JSON can hold it."""
    findings = found.findings
    return {
        "verdict": found.verdict,
        "patches": [
            {"subject": p.subject, "number": p.number, "total": p.total, "name": p.name}
            for p in findings.patches
        ],
        "files": [
            {
                "path": change.path,
                "old_path": change.old_path,
                "offsets": [hunk.offset for hunk in change.hunks],
                "exact_before": change.exact_before,
                "exact_after": change.exact_after,
            }
            for applied in findings.applied
            for change in applied.changes
        ],
        "notes": [*filter(None, [found.note]), *(note for one in findings.applied for note in one.notes)],
        "sides": [_side(side) for side in findings.sides],
        "changed": [
            {
                "function": c.name,
                "before": [list(at) for at in c.before],
                "after": [list(at) for at in c.after],
            }
            for c in findings.changed
        ],
        "functions": [{"name": piece.name, "path": piece.path} for piece in findings.pieces],
        "schedule": _schedule(findings),
    }


def _side(side: Side) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": side.name,
        "verdict": side.verdict,
        "reason": str(side.refusal or "") or None,
    }
    if side.result and side.carried:
        told |= {"check": as_object(side.result), "interception": side.carried.report.interception}
        told |= {"hosts": {host.host: host.verdict for host in side.result.hosts}}
        told |= {"source": side.carried.report.as_data()}
    return told


def _schedule(findings: Findings) -> dict[str, Any] | None:
    met = findings.encounter
    if met is None:
        return None
    change_of = [(c, hunk) for c in findings.applied[met.which].changes for hunk in c.hunks]
    return {
        "side": findings.sides[met.which + met.broken].name,
        "invariant": met.example.invariant,
        "scenario": met.example.as_data(),
        "words": met.example.words,
        "divergence": met.split
        and {"step": met.split.action, "differs": met.split.what, "words": met.split.words},
        "lines": [
            {"path": c.path or c.old_path, "kind": line.kind, "before": line.before or None,
             "after": line.after or None, "mark": mark, "text": line.text}
            for c, hunk in change_of
            for line in hunk.lines
            if (mark := met.mark(c.old_path or c.path, c.path or c.old_path, line))
        ],
    }  # fmt: skip
