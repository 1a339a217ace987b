"""Feedback for students: a page for each lab, of text alone, which needs no network and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from urllib.parse import quote

from vmxsim.classroom.feedback_words import play_html, words_html
from vmxsim.classroom.labs import Lab
from vmxsim.classroom.results import LabResult, TestResult
from vmxsim.errors import InputError, printable

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

    Raises InputError where the folder cannot be written.
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
        raise InputError(f"cannot be written: {error.strerror or error}", printable(folder, 200)) from None
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
    words = words_html(test.words, told) if test.words and not met else ""
    return f'<section><h2 class="verdict {kind}">{escape(head)}</h2>{words}</section>'
