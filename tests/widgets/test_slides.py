"""``vmxsim.slides``: a notebook's questions for an audience."""

from __future__ import annotations

import json

import pytest

import vmxsim
from tests.project.test_files import ROOT
from vmxsim.errors import InputError
from vmxsim.widgets.slides import questions_of_notebook

BOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def asked_in(path):
    """How many calls of predict the notebook's text has, at least: in loops there may be more."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return sum("".join(c["source"]).count("vmxsim.predict(") for c in cells if c["cell_type"] == "code")


@pytest.mark.parametrize(
    "path", [p for p in BOOKS if asked_in(p)], ids=lambda path: path.stem.partition("-")[0]
)
def test_every_run_that_a_notebook_asks_about_is_a_slide(path):
    found = list(questions_of_notebook(path))
    markable = sum(
        "lost" in text or "leak" in text for text in path.read_text("utf-8").split("vmxsim.predict(")[1:]
    )
    assert asked_in(path) - markable <= len(found) <= asked_in(path)
    assert all(slide.questions and not any(q.marks for q in slide.questions) for slide in found)


def test_from_slide_to_slide_with_votes_kept(tmp_path):
    stage = vmxsim.slides("02", votes=3, countdown=45)
    assert stage.presenting and stage.countdown == 45 and stage.films[0]["title"].startswith("1 of ")
    gate = stage.gates[0]
    assert gate["locked"] and gate["votes"] == 3
    stage.answers = {gate["id"]: {"choice": -1, "right": False, "votes": [1, 2, 0], "words": ""}}
    stage._on_slide(stage, {"kind": "slide", "by": 1}, [])
    assert stage.films[0]["title"].startswith("2 of ") and stage.gates[0]["id"] != gate["id"]
    assert stage.start == stage.gates[0]["before"], "the question is there at once"
    stage._on_slide(stage, {"kind": "slide", "by": -1}, [])
    assert stage.gates[0] == gate and stage.answers[gate["id"]]["votes"] == [1, 2, 0]
    stage.go(-5)
    assert stage.at == 0
    stage.go(500)
    assert stage.films[0]["title"].startswith(f"{stage.at + 1} of {stage.at + 1} ")


def test_a_number_names_its_notebook_and_not_the_one_that_goes_further(tmp_path, monkeypatch):
    run = (
        "import vmxsim\nrun = vmxsim.run(['set-msr 0xA000', 'run'], 'never-trap', long_mode=True, title={!r})"
    )
    for stem in ("99-first", "99b-further"):
        texts = (run.format(stem), "vmxsim.predict(run, 'live', action=1)")
        cells = [{"cell_type": "code", "source": text} for text in texts]
        (tmp_path / f"{stem}.ipynb").write_text(json.dumps({"cells": cells}))
    monkeypatch.chdir(tmp_path)
    for number, stem in (("99", "99-first"), ("99b", "99b-further"), ("99b-f", "99b-further")):
        assert stem in vmxsim.slides(number).films[0]["title"]


def test_what_cannot_be_shown_is_said(tmp_path):
    for name, says in (("99-nothing", "there is no notebook '99-nothing'"), ("0", r"begins \d\d notebooks")):
        with pytest.raises(InputError, match=says):
            vmxsim.slides(name)
    cells = [{"cell_type": "code", "source": text} for text in ("a = b", "vmxsim.predict(a)")]
    for text, says in (
        ("x", "it is no notebook"),
        (json.dumps({"cells": cells}), "code cell 1: cannot be executed"),
    ):
        (tmp_path / "mine.ipynb").write_text(text)
        with pytest.raises(InputError, match=says):
            vmxsim.slides(tmp_path / "mine.ipynb")
    (tmp_path / "mine.ipynb").write_text(json.dumps({"cells": cells[:1]}))
    with pytest.raises(InputError, match="asks no question"):
        vmxsim.slides(tmp_path / "mine.ipynb")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"countdown": 0}, "countdown"),
        ({"countdown": "1"}, "countdown"),
        ({"notes": "x"}, "notes"),
        ({"notes": [1]}, "notes"),
    ],
)
def test_a_countdown_and_notes_are_checked(options, says):
    with pytest.raises(InputError, match=says):
        vmxsim.present("never-trap", **options)
