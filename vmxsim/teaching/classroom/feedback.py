"""Feedback for students: a page for each lab, of text alone, which needs no network and runs nothing."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from urllib.parse import quote

from vmxsim.errors import cannot_write
from vmxsim.teaching.classroom.handout import Lab
from vmxsim.teaching.classroom.submissions import UNANSWERED, LabResult, TestResult


def words_html(test: TestResult, told: set[str]) -> str:
    """What a failed test said. ``told`` has the goals of a page so far: what failed twice is told once."""
    if test.grade is None or not test.grade["goals"]:
        return "".join(f"<p>{escape(line)}</p>" for line in test.words.splitlines())
    html = ""
    for goal in test.grade["goals"]:
        if goal["line"] in told:
            html += f"<p>✖ {escape(goal['name'])}: as told above.</p>"
            continue
        told.add(goal["line"])
        html += f"<p>{escape(goal['line'])}</p>"
        html += f"<pre>{escape(goal['schedule'])}</pre>" if goal["schedule"] else ""
    return html


def play_html(result: LabResult) -> str:
    """How to see the run that shows what is wrong; '' if there is none."""
    if not any(test.points < test.most and test.grade and test.grade["goals"] for test in result.tests):
        return ""
    found = re.search(r"^class (\w+)", result.answer, re.MULTILINE)
    name = found[1] if found else "schedule"
    return (
        "<h2>See it happen</h2><p>In the lab's notebook run the first cell and your answer, then a cell with"
        f" this line, and press <em>Play it</em> below it:</p><pre>ex.submit({escape(name)})</pre>"
    )


_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52em; margin: 2em auto; padding: 0 1em; }
p, li { overflow-wrap: anywhere; }
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
    """Write ``folder/STUDENT/LAB.html`` for all that was handed in, and ``folder/index.html`` with a link
    to each; returns how many pages, without the index.

    Raises InputError if the folder cannot be written.
    """
    titles = {lab.name: lab.title for lab in labs}
    pages: dict[str, list[tuple[str, LabResult]]] = {}
    try:
        for result in results:
            if result.status == "missing":
                continue
            place = folder / result.student
            place.mkdir(parents=True, exist_ok=True)
            name = result.lab.removesuffix(".ipynb")
            (place / f"{name}.html").write_text(page(result, titles), encoding="utf-8")
            pages.setdefault(result.student, []).append((f"{result.student}/{name}.html", result))
        (folder / "index.html").write_text(index_page(pages), encoding="utf-8")
    except OSError as error:
        raise cannot_write(folder, error) from None
    return sum(map(len, pages.values()))


def index_page(pages: Mapping[str, Iterable[tuple[str, LabResult]]]) -> str:
    """The teacher's page: students, and a link to each lab of theirs."""
    rows = ""
    for student, found in pages.items():
        links = "".join(
            f'<li><a href="{quote(place)}">{escape(result.lab)}</a>: {_points(result)}</li>'
            for place, result in found
        )
        rows += f"<section><h2>{escape(student)}</h2><ul>{links}</ul></section>"
    return _document("Feedback", f"<h1>Feedback</h1>{rows or '<p>Nothing was handed in.</p>'}")


def _points(result: LabResult) -> str:
    if result.problem:
        return "not graded"
    return f"{points(result.points)} of {points(result.most)} points"


def page(result: LabResult, titles: Mapping[str, str]) -> str:
    """One student's page about one lab. All text is escaped."""
    title = f"{result.lab}: {titles.get(result.lab, 'not one of the labs')}"
    body = f"<h1>{escape(title)}</h1><p>{escape(result.student)}</p>"
    if result.problem:
        body += f'<p class="verdict unmet"><strong>Not graded:</strong> the file {escape(result.problem)}</p>'
    else:
        body += f"<p><strong>{_points(result)}</strong></p>"
    told: set[str] = set()
    body += "".join(_test(test, told) for test in result.tests)
    body += play_html(result)
    if result.remarks:
        body += f"<h2>Remarks</h2><ul>{''.join(f'<li>{escape(r)}</li>' for r in result.remarks)}</ul>"
    if result.answer:
        body += f"<h2>Your answer</h2><pre>{escape(result.answer)}</pre>"
    return _document(title, body)


def _document(title: str, body: str) -> str:
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>\n"
    )


def _test(test: TestResult, told: set[str]) -> str:
    """A test, and why it failed; ``told`` has what the page told so far."""
    met = test.points >= test.most
    sign, kind = ("✔", "met") if met else ("✖", "unmet")
    head = f"{sign} {test.goal} {points(test.points)} of {points(test.most)} points"
    words = "" if met else words_html(test, told)
    return f'<section><h2 class="verdict {kind}">{escape(head)}</h2>{words}</section>'


HEAD = ("student", "lab", "points", "most", "status", "why", "remarks", "student_total", "student_most")


def why(result: LabResult) -> list[str]:
    """What cost points, a line each: the first goal that each test found not met, and nothing twice."""
    return [line for line, _ in _reasons(result)]


def _reasons(result: LabResult) -> list[tuple[str, str]]:
    """The lines of :func:`why`, each with a short form."""
    if result.problem:
        return [(result.problem, result.problem)]
    if UNANSWERED in result.remarks:
        return [(UNANSWERED, UNANSWERED)]
    asked: dict[tuple[str, str], list[str]] = {}
    for test in result.tests:
        if test.points < test.most:
            asked.setdefault(_reason(test), []).append(test.goal)
    return [
        (line, short) if short else (f"{goals[0]} {line}".strip() if len(goals) == 1 else line,) * 2
        for (line, short), goals in asked.items()
    ]


def _reason(test: TestResult) -> tuple[str, str]:
    """Why a test failed, and in short; no short form for what is not a goal's."""
    unmet = [goal for goal in test.grade["goals"] if not goal["met"]] if test.grade else []
    if unmet:
        return unmet[0]["line"], f"{unmet[0]['name']}: {unmet[0]['why']}"
    return test.grade["problem"] if test.grade else " ".join(test.words.split()), ""


def write_csv(path: Path, results: Iterable[LabResult]) -> None:
    """A row for each student and lab, with the student's total in each.

    Raises InputError if the file cannot be written.
    """
    results = list(results)
    totals: dict[str, list[float]] = {}
    for r in results:
        total = totals.setdefault(r.student, [0.0, 0.0])
        total[0] += r.points
        total[1] += r.most
    try:
        with path.open("w", newline="", encoding="utf-8") as out:
            rows = csv.writer(out)
            rows.writerow(HEAD)
            for r in results:
                told = " | ".join(short for _, short in _reasons(r))
                remarks = " | ".join(text for text in r.remarks if text != UNANSWERED)
                cells = (r.student, r.lab, points(r.points), points(r.most), r.status, told, remarks)
                rows.writerow([_harmless(cell) for cell in (*cells, *map(points, totals[r.student]))])
    except OSError as error:
        raise cannot_write(path, error) from None


def _harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
