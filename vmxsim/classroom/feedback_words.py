"""What a test said, as HTML: paragraphs that wrap where the window ends, and schedules line by line."""

from __future__ import annotations

import re
from html import escape

from vmxsim.classroom.results import LabResult

#: How far the lines of a grade are indented (vmxsim.exercises.gradetext): what goes on, a schedule.
_GOES_ON, _SCHEDULE = 3, 9


def words_html(words: str, told: set[str]) -> str:
    """A grade printed for a terminal loses its line breaks; other words keep them.

    ``told`` has the paragraphs of a page so far: what failed twice is told once.
    """
    html, skipped = "", False
    for tag, lines in _parts(words):
        text = "\n".join(lines) if tag == "pre" else " ".join(lines)
        if tag == "pre" and skipped:
            continue
        skipped = tag == "p" and text in told
        if tag == "p":
            told.add(text)
        found = _UNMET.match(text) if skipped else None
        html += f"<{tag}>{escape(f'{found[0]}: as told above.' if found else text)}</{tag}>"
    return html


_UNMET = re.compile(r"✖ Goal \d+ not met")


def _parts(words: str) -> list[tuple[str, list[str]]]:
    """Paragraphs and schedules, with their lines."""
    parts: list[tuple[str, list[str]]] = []
    for line in words.splitlines():
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            continue
        if indent >= _SCHEDULE:
            if not parts or parts[-1][0] != "pre":
                parts.append(("pre", []))
            parts[-1][1].append(line[_SCHEDULE:])
        elif indent >= _GOES_ON and parts and parts[-1][0] == "p":
            parts[-1][1].append(line.strip())
        else:
            parts.append(("p", [line.strip()]))
    return parts


def play_html(result: LabResult) -> str:
    """How to see the run that shows what is wrong; '' where there is none."""
    if not any(test.points < test.most and "✖ Goal" in test.words for test in result.tests):
        return ""
    found = re.search(r"^class (\w+)", result.answer, re.MULTILINE)
    name = found[1] if found else "schedule"
    return (
        "<h2>See it happen</h2><p>In the lab's notebook run the first cell and your answer, then a cell with"
        f" this line, and press <em>Play it</em> below it:</p><pre>ex.submit({escape(name)})</pre>"
    )
