"""Feedback: a page for each student and an index for the teacher, of text alone, which needs no network and
runs nothing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from urllib.parse import quote

from vmxsim.errors import counted, writing
from vmxsim.teaching.classroom.grading import LabResult, TestResult
from vmxsim.teaching.classroom.handout import Lab

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
    """Write ``folder/STUDENT.html`` for everybody who handed something in, and ``folder/index.html`` for the
    teacher; returns how many pages, without the index.

    Raises InputError if the folder cannot be written.
    """
    titles = {lab.name: lab.title for lab in labs}
    students: dict[str, list[LabResult]] = {}
    for result in results:
        if result.status != "missing":
            students.setdefault(result.student, []).append(result)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for student, found in students.items():
            _write(folder / _file(student), page(student, found, titles))
        _write(folder / "index.html", index_page(students))
    return len(students)


def _write(path: Path, text: str) -> None:
    """Whatever text students hand in: half a character is no reason to stop."""
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def _file(student: str) -> str:
    """The name of a student's page: no path, not too long, and not the index's."""
    name = re.sub(r"[/\\\x00-\x1f]", "_", student).lstrip(".") or "_"
    if len(name.encode(errors="replace")) > 200:
        name = f"{name[:40]}-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:16]}"
    return f"{name}_.html" if name.casefold() == "index" else f"{name}.html"


def index_page(students: Mapping[str, list[LabResult]]) -> str:
    """The teacher's page: students, their points, and what to look at."""
    rows = ""
    for student, found in students.items():
        labs = "".join(
            f"<li>{escape(result.lab)}: {_points(result)}{_flags(result)}</li>" for result in found
        )
        link = f'<a href="{quote(_file(student), errors="replace")}">{escape(student)}</a>'
        rows += f"<section><h2>{link}</h2><ul>{labs}</ul></section>"
    flagged = sum(any(result.flags for result in found) for found in students.values())
    note = f"<p>⚑ Have a look at {counted(flagged, 'student')}.</p>" if flagged else ""
    return _document("Feedback", f"<h1>Feedback</h1>{note}{rows or '<p>Nothing was handed in.</p>'}")


def _flags(result: LabResult) -> str:
    return f" <strong>⚑ {escape('; '.join(result.flags))}</strong>" if result.flags else ""


def _points(result: LabResult) -> str:
    if result.problem:
        return "not graded"
    return f"{points(result.points)} of {points(result.most)} points"


def page(student: str, results: Iterable[LabResult], titles: Mapping[str, str]) -> str:
    """What a student is told about all that they handed in. All text is escaped."""
    results = list(results)
    total, most = sum(r.points for r in results), sum(r.most for r in results)
    body = f"<h1>{escape(student)}</h1><p><strong>{points(total)} of {points(most)} points</strong></p>"
    body += "".join(map(_lab_html, results, (titles.get(r.lab, "not one of the labs") for r in results)))
    return _document(f"Feedback for {student}", body)


def _lab_html(result: LabResult, title: str) -> str:
    body = f"<h2>{escape(f'{result.lab}: {title}')}</h2><p>{_points(result)}</p>"
    if result.problem:
        body += f'<p class="verdict unmet"><strong>Not graded:</strong> the file {escape(result.problem)}</p>'
    if result.refused:
        body += f'<p class="verdict unmet"><strong>Not accepted:</strong> {escape(result.refused)}</p>'
    told: set[str] = set()
    body += "".join(_test(test, told, bool(result.refused)) for test in result.tests)
    body += _play_html(result)
    if result.remarks:
        body += f"<h3>Remarks</h3><ul>{''.join(f'<li>{escape(r)}</li>' for r in result.remarks)}</ul>"
    if result.answer:
        body += f"<h3>Your answer</h3><pre>{escape(result.answer)}</pre>"
    return f"<article>{body}</article>"


def _test(test: TestResult, told: set[str], refused: bool) -> str:
    """A test, and why it failed; ``told`` has what was told about this lab so far."""
    met = test.points >= test.most
    sign, kind = ("✔", "met") if met else ("✖", "unmet")
    head = f"{sign} {test.goal} {points(test.points)} of {points(test.most)} points"
    words = "" if met or refused else _words_html(test, told)
    return f'<section><h3 class="verdict {kind}">{escape(head)}</h3>{words}</section>'


def _words_html(test: TestResult, told: set[str]) -> str:
    """What a failed test said. What failed twice is told once."""
    if not test.goals:
        return "".join(f"<p>{escape(line)}</p>" for line in test.words.splitlines())
    html = ""
    for goal in test.goals:
        if goal["line"] in told:
            html += f"<p>✖ {escape(goal['name'])}: as told above.</p>" if not goal["met"] else ""
            continue
        told.add(goal["line"])
        html += f"<p>{escape(goal['line'])}</p>"
        html += f"<pre>{escape(goal['schedule'])}</pre>" if goal["schedule"] else ""
    return html


def _play_html(result: LabResult) -> str:
    """How to see the run that shows what is wrong; '' if there is none."""
    if not any(test.points < test.most and test.goals for test in result.tests):
        return ""
    found = re.search(r"^class (\w+)", result.answer, re.MULTILINE)
    name = found[1] if found else "schedule"
    return (
        "<h3>See it happen</h3><p>In the lab's notebook run the first cell and your answer, then a cell with"
        f" this line, and press <em>Play it</em> below it:</p><pre>ex.submit({escape(name)})</pre>"
    )


def _document(title: str, body: str) -> str:
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>\n"
    )
