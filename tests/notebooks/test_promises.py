"""What the course promises of every notebook: its minutes, and an answer to compare with."""

import json
import re
from pathlib import Path

import pytest

from vmxsim.kernel.patch import changed_functions
from vmxsim.teaching.reviews import SEED

FOLDER = Path(__file__).parents[2] / "notebooks"
COURSE = sorted(FOLDER.glob("[01][0-9]-*.ipynb"))
#: Words of prose read in a minute.
WORDS = 180
INSTRUCTORS = (FOLDER / "for-instructors.ipynb").read_text("utf-8")


def cells(path, kind):
    book = json.loads(path.read_text("utf-8"))
    return ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == kind]


def asked(path):
    """How many questions a notebook's players ask, about: a list has one for each place."""
    code = "\n".join(cells(path, "code"))
    players = code.count("vmxsim.predict(") + code.count("vmxsim.quiz(")
    return players + len(re.findall(r"\}\), \(\"", code))


@pytest.mark.parametrize("path", COURSE, ids=lambda path: path.stem)
def test_it_says_how_long_it_takes_and_reading_and_questions_fit(path):
    prose = cells(path, "markdown")
    minutes = int(
        re.search(r"^(Fifteen|\d+)(?= minutes)", "\n".join(prose), re.M)[0].replace("Fifteen", "15")
    )
    row = re.search(rf"\({re.escape(path.name)}\) \| (\d+) \|", INSTRUCTORS)
    assert minutes == int(row[1]) <= 45, "for-instructors says the same"
    reading = sum(len(text.split()) for text in prose) / WORDS
    assert reading + asked(path) <= minutes, f"{reading:.0f} minutes of reading, {asked(path)} questions"


def test_02_opens_cold():
    """The whole diff and a verdict come first, and nothing before the game says where to look."""
    book = json.loads((FOLDER / "02-the-patch.ipynb").read_text("utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in book]
    game = next(n for n, text in enumerate(sources) if "be_the_scheduler" in text)
    shown, judged = sources.index("SEED"), next(n for n, text in enumerate(sources) if "judge(" in text)
    assert shown < judged < game
    changed = [line[3:-5] for line in SEED.diff.splitlines() if line.startswith("@@")]
    assert sorted(changed) == sorted(changed_functions(SEED.patch))
    tells = re.compile(r"wrong|broke|bug|stale|leak|enters long mode|0 → 1|SMI|Secure Boot|not loaded", re.I)
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
