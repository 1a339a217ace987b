"""What the course promises of every notebook: its minutes, and an answer to compare with."""

import json
import re
from pathlib import Path

import pytest

from vmxsim.kernel.patch import changed_functions
from vmxsim.teaching.course import lessons
from vmxsim.teaching.reviews import SEED

FOLDER = Path(__file__).parents[2] / "notebooks"
COURSE = lessons(FOLDER)
#: Words of prose read in a minute, our own answers included, and lines of cells. These rates, and the
#: minutes below, are chosen so that 03, 04, 05 and 07, as they were in November 2026, come out at 53 to 63
#: minutes: one reader who went through them cold put each at about 60. Nobody was timed.
WORDS, LINES = 150, 30
#: Minutes for what a learner does, by what asks for it.
EXERCISES = {
    r"\*\*Predict": 1.5,
    r"\*\*(Guess|Before you|Decide)": 1,
    r"\*\*Investigate": 4,
    r"\*\*Modify": 5,
    r"\*\*Make": 10,
}
CELLS = {
    r"vmxsim\.(predict|quiz)\(": 1.5,
    r"\}\), \(\"": 1.5,  # one more place in a list of them
    r"for place in questions": 1.5,
    r"vmxsim\.(explore|compare|replay|review|state_space|who_holds)\(": 2,
    r"vmxsim\.(check|why|run)\(": 0.5,
    r"be_the_scheduler\(": 10,
    r"^SEED\.judge\(": 6,
    r"^inbox\[\d\]\.judge\(": 10,  # with attack, reply and repair
    r"\.guess\(": 2,
}
INSTRUCTORS = (FOLDER / "for-instructors.ipynb").read_text("utf-8")


def cells(path, kind):
    book = json.loads(path.read_text("utf-8"))
    return ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == kind]


def estimated(path):
    """How long a notebook takes, in minutes, with every exercise."""
    prose = re.sub(r"\]\([^)]*\)", "]", "\n".join(cells(path, "markdown")))
    code = "\n".join(cells(path, "code"))
    doing = sum(minutes * len(re.findall(what, prose)) for what, minutes in EXERCISES.items())
    doing += sum(minutes * len(re.findall(what, code, re.M)) for what, minutes in CELLS.items())
    return len(prose.split()) / WORDS + len(code.splitlines()) / LINES + doing


@pytest.mark.parametrize("path", COURSE, ids=lambda path: path.stem)
def test_it_takes_45_minutes_at_most_with_every_exercise(path):
    prose = "\n".join(cells(path, "markdown"))
    says = int(re.search(r"^(\d+) minutes with every exercise\.", prose, re.M)[1])
    assert "(extra)" not in prose
    assert estimated(path) <= says <= 45, f"{estimated(path):.0f} minutes by the estimate"
    assert says % 5 == 0, "it is an estimate"
    row = re.search(rf"\({re.escape(path.name)}\) \| ([^|]+) \|", INSTRUCTORS)
    assert row[1] == str(says), "for-instructors says the same"


@pytest.mark.parametrize("path", COURSE[1:], ids=lambda path: path.stem)
def test_what_goes_further_needs_its_lesson_and_no_lesson_needs_it(path):
    needs = re.search(r"You need (.+)", "\n".join(cells(path, "markdown")))[1]
    assert not re.search(r"\b\d\d[a-z]\b", needs)
    number = path.stem.partition("-")[0]
    if not number.isdigit():
        assert f"[{number[:2]}-" in needs or f" {number[:2]}" in needs


def test_02_opens_cold():
    """The whole diff and a verdict come first, and nothing before the game says where to look."""
    book = json.loads((FOLDER / "02-the-patch.ipynb").read_text("utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in book]
    game = next(n for n, text in enumerate(sources) if "be_the_scheduler" in text)
    shown, judged = sources.index("SEED"), next(n for n, text in enumerate(sources) if "judge(" in text)
    assert shown < judged < game
    changed = [line[3:-5] for line in SEED.diff.splitlines() if line.startswith("@@")]
    assert sorted(changed) == sorted(changed_functions(SEED.patch))
    tells = re.compile(
        r"wrong|broke|bug|stale|leak|enters long mode|0 → 1|SMI|Secure Boot|not loaded|nobody has", re.I
    )
    prose = [
        text for cell, text in zip(book[:game], sources, strict=False) if cell["cell_type"] == "markdown"
    ]
    assert not tells.search("\n".join([*prose, *SEED.message]))


@pytest.mark.parametrize("path", COURSE, ids=lambda path: path.stem)
def test_what_is_to_be_investigated_has_an_answer_to_compare_with(path):
    told = "\n".join(cells(path, "markdown"))
    for found in re.finditer(r"\*\*Investigate[.:]?\*\*", told):
        after = told[found.end() :]
        folded = after.find("<details><summary>Our answer")
        section = after.find("\n## ")
        assert folded >= 0 and (section < 0 or folded < section), told[found.start() :][:90]
    assert told.count("<details>") == told.count("</details>")
