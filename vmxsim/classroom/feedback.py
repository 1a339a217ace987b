"""Feedback for students: a page for each lab, of text alone, which needs no network and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from vmxsim.classroom.labs import Lab
from vmxsim.classroom.results import LabResult, TestResult
from vmxsim.errors import InputError, printable

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52em; margin: 2em auto; padding: 0 1em; }
pre { font: 13px/1.45 ui-monospace, Menlo, Consolas, monospace; white-space: pre-wrap; padding: 8px 12px;
  border: 1px solid #888; border-radius: 4px; overflow-wrap: anywhere; }
.verdict { border-left: 5px solid #767676; padding-left: 10px; }
.met { border-color: #009e73; }
.unmet { border-color: #d55e00; }
"""


def points(number: float) -> str:
    """Points without a needless fraction."""
    return f"{number:g}"


def write_feedback(folder: Path, results: Iterable[LabResult], labs: Iterable[Lab]) -> int:
    """Write ``folder/STUDENT/LAB.html`` for all that was handed in; returns how many pages.

    Raises InputError where the folder cannot be written.
    """
    titles = {lab.name: lab.title for lab in labs}
    count = 0
    try:
        for result in results:
            if result.status == "missing":
                continue
            place = folder / result.student
            place.mkdir(parents=True, exist_ok=True)
            name = result.lab.removesuffix(".ipynb")
            (place / f"{name}.html").write_text(page(result, titles), encoding="utf-8")
            count += 1
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", printable(folder, 200)) from None
    return count


def page(result: LabResult, titles: Mapping[str, str]) -> str:
    """One student's page about one lab. All text is escaped."""
    title = f"{result.lab}: {titles.get(result.lab, 'not one of the labs')}"
    body = f"<h1>{escape(title)}</h1><p>{escape(result.student)}</p>"
    if result.problem:
        body += f'<p class="verdict unmet"><strong>Not graded:</strong> the file {escape(result.problem)}</p>'
    else:
        body += f"<p><strong>{points(result.points)} of {points(result.most)} points</strong></p>"
    body += "".join(_test(test) for test in result.tests)
    if result.remarks:
        body += f"<h2>Remarks</h2><ul>{''.join(f'<li>{escape(r)}</li>' for r in result.remarks)}</ul>"
    if result.answer:
        body += f"<h2>Your answer</h2><pre>{escape(result.answer)}</pre>"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>\n"
    )


def _test(test: TestResult) -> str:
    met = test.points >= test.most
    sign, kind = ("✔", "met") if met else ("✖", "unmet")
    head = f"{sign} {test.goal} {points(test.points)} of {points(test.most)} points"
    words = f"<pre>{escape(test.words)}</pre>" if test.words and not met else ""
    return f'<section><h2 class="verdict {kind}">{escape(head)}</h2>{words}</section>'
