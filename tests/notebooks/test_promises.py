"""What the course promises of every notebook: its minutes, and an answer to compare with."""

import json
import re
from pathlib import Path

import pytest

from vmxsim.kernel.patch import changed_functions
from vmxsim.teaching.reviews import SEED

FOLDER = Path(__file__).parents[2] / "notebooks"
COURSE = sorted(FOLDER.glob("[01][0-9]-*.ipynb"))
#: Words of prose read in a minute, our own answers included, and lines of cells.
WORDS, LINES = 180, 60
#: Minutes for what a learner does, by what asks for it. They are estimates: nobody was timed.
EXERCISES = {
    r"\*\*Predict": 1,
    r"\*\*Investigate": 3,
    r"\*\*Modify": 4,
    r"\*\*Make": 8,
}
CELLS = {
    r"vmxsim\.(predict|quiz)\(": 1,
    r"\}\), \(\"": 1,  # one more place in a list of them
    r"for place in questions": 1,
    r"vmxsim\.(explore|compare|replay|review)\(": 2,
    r"be_the_scheduler\(": 10,
    r"^SEED\.judge\(": 5,
    r"^inbox\[\d\]\.judge\(": 6,  # with attack, reply and repair
    r"\.guess\(": 2,
}
INSTRUCTORS = (FOLDER / "for-instructors.ipynb").read_text("utf-8")


def cells(path, kind):
    book = json.loads(path.read_text("utf-8"))
    return ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == kind]


def counted(path):
    """The text and the code of a notebook's sections, without those that are extra."""
    prose, code, extra = [], [], False
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            code += [] if extra else [source]
            continue
        for part in re.split(r"^(?=## )", source, flags=re.M):
            extra = part.split("\n")[0].endswith("(extra)") if part.startswith("## ") else extra
            prose += [] if extra else [part]
    return re.sub(r"\]\([^)]*\)", "]", "\n".join(prose)), "\n".join(code)


def estimated(path):
    """How long a notebook takes, in minutes, without what is extra."""
    prose, code = counted(path)
    doing = sum(minutes * len(re.findall(what, prose)) for what, minutes in EXERCISES.items())
    doing += sum(minutes * len(re.findall(what, code, re.M)) for what, minutes in CELLS.items())
    return len(prose.split()) / WORDS + len(code.splitlines()) / LINES + doing


@pytest.mark.parametrize("path", COURSE, ids=lambda path: path.stem)
def test_it_says_how_long_it_takes_with_every_exercise(path):
    prose = "\n".join(cells(path, "markdown"))
    says, least, _, most = re.search(r"^((\d+)( to (\d+))?) minutes.*$", prose, re.M).groups()
    row = re.search(rf"\({re.escape(path.name)}\) \| ([^|]+) \|", INSTRUCTORS)
    assert says == row[1], "for-instructors says the same"
    assert int(least) <= 45
    assert int(least) < int(most or 60) <= 60
    assert estimated(path) <= int(least), f"{estimated(path):.0f} minutes by the estimate"
    says = re.search(r"^\d+.* minutes.*$", prose, re.M)[0]
    assert ("extra" in says) == ("(extra)" in prose), "and what does not count"


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
