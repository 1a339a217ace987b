"""The package where it can do little: no threads, no programs, no numpy, no Graphviz, no compiled package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: Makes this Python as poor as one in a browser, and says what an error says.
POOR = """
import builtins, json, subprocess, sys, threading, types

real = builtins.__import__
absent = {"numpy", "pygraphviz", "tree_sitter", "tree_sitter_c", "unidiff", "resvg_py", "jupyter_core"}

def poor(name, *args, **kwargs):
    if name.partition(".")[0] in absent:
        raise ModuleNotFoundError(f"No module named '{name}'")
    return real(name, *args, **kwargs)

def no_thread(self):
    raise RuntimeError("can't start new thread")

def no_program(*args, **kwargs):
    raise OSError(138, "emscripten does not support processes.")

import vmxsim.errors

builtins.__import__, threading.Thread.start, subprocess.Popen = poor, no_thread, no_program
sys.platform = "emscripten"
import vmxsim

def error(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except vmxsim.InputError as refused:
        return str(refused)
    return "no error"

def tell(**what):
    print(json.dumps(what))
"""


def told(code: str) -> dict[str, Any]:
    """What the code tells there."""
    done = subprocess.run(
        [sys.executable, "-c", POOR + code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_a_check_runs_at_once_and_shows_its_progress_and_nothing_to_stop_it():
    found = told("""
from vmxsim.widgets.check_form import CheckForm
form = CheckForm(lambda: ["dedicated-accessors"], None)
lines = []
form.line.observe(lambda change: lines.append(change["new"]), "value")
form.check.click()
form.space.draw.click()
tell(verdict=form.findings.result.verdict, lines=lines, disabled=form.check.disabled, bar=form.bar.value,
     running=form.background.running, stop=form.stop.layout.display, seconds=form.seconds,
     error=form.message.text, space=form.space.message.text)
""")
    assert found["verdict"] == "violated" and not found["error"] and not found["space"]
    assert found["lines"][0].startswith("<span>Checking") and "Done" in found["lines"][-1]
    assert not found["disabled"] and not found["bar"] and not found["running"]
    assert found["stop"] == "none" and 10 <= found["seconds"] <= 120, (
        "who cannot stop a search waits for its end"
    )


def test_what_is_missing_is_told_and_no_command_that_does_not_exist_there():
    found = told("""
from vmxsim.exports.export import png
from vmxsim.csource.clone import Clone
from vmxsim.csource.diff import read_diff
run = vmxsim.run(["run", "guest rdmsr"], "never-trap", long_mode=True)
tell(picture=vmxsim.picture(run)._repr_mimebundle_()["text/html"],
     c=error(vmxsim.from_source, "notebooks/vmx-in-our-words.c"), patch=error(read_diff, "--- a", "a"),
     png=error(png, "<svg/>"), clone=error(Clone(".").git, "log"),
     slides=error(vmxsim.slides, "99"))
""")
    for name, words in {
        "picture": "no Graphviz for the browser",
        "c": "reading C needs tree-sitter",
        "patch": "unidiff, which is not installed here; not to be had in a browser",
        "png": "not to be had in a browser",
        "clone": "does not support processes",
        "slides": "there is no notebook '99'",
    }.items():
        assert words in found[name], name
        assert found[name] != "no error"
        assert not any(lie in found[name] for lie in ("pip install", "apt-get", "--to", "Interrupt")), found[
            name
        ]


def test_the_lessons_on_c_say_in_each_cell_that_needs_c_that_there_is_none():
    found = told("""
import os
os.chdir("notebooks")
said = {}
for lesson in ("10-your-own-tree", "10b-four-more-changes"):
    names = {}
    said[lesson] = [
        error(exec, "".join(cell["source"]), names)  # a NameError is no InputError, and ends this
        for cell in json.load(open(f"{lesson}.ipynb"))["cells"] if cell["cell_type"] == "code"
    ]
tell(**said)
""")
    for lines in found.values():
        refused = [line for line in lines if line != "no error"]
        assert len(refused) >= 5
        assert all("is not installed here" in line or "are not installed here" in line for line in refused)
        assert not any("\n" in line for line in refused)


def test_the_site_s_graphviz_lays_pictures_out():
    found = told("""
asked = []
def json0(dot):
    asked.append(dot)
    raise ValueError("syntax error in line 1")
sys.modules["vmxsim_graphviz"] = types.SimpleNamespace(json0=json0)
run = vmxsim.run(["run", "guest rdmsr"], "never-trap", long_mode=True)
tell(error=error(lambda: vmxsim.picture(run).svg), asked=asked)
""")
    assert found["error"] == "Graphviz could not lay out the picture: syntax error in line 1"
    assert found["asked"][0].startswith("digraph vmxsim")


def test_the_explorer_the_questions_and_the_verdicts_are_the_same_as_anywhere():
    found = told("""
tell(explorer=vmxsim.explore("dedicated-accessors").controls.message.text,
     safe=vmxsim.check("never-trap").verdict, broken=vmxsim.check("load-gs-index").verdict,
     differ=repr(vmxsim.compare("host-always", "never-trap", operation="efer")))
""")
    assert found["safe"] == "safe" and found["broken"] == "violated"
    assert "beside" in found["differ"]
    assert "no Graphviz" in found["explorer"] or not found["explorer"]


def test_long_work_says_how_it_can_be_ended(monkeypatch):
    from vmxsim import progress

    lines: list[str] = []
    shown = type("Line", (), {"update": lambda self, data, raw: lines.append(data["text/plain"])})
    shell = type("Shell", (), {"kernel": object()})()
    monkeypatch.setitem(
        sys.modules, "IPython", type("Fake", (), {"get_ipython": staticmethod(lambda: shell)})
    )
    display = type("Fake", (), {"display": staticmethod(lambda *args, **how: shown())})
    monkeypatch.setattr(progress, "import_module", lambda name: display)
    for platform in ("linux", "emscripten"):
        monkeypatch.setattr(sys, "platform", platform)
        progress._in_notebook()("3 of 7")
    assert lines == ["3 of 7. Interrupt the kernel to end this.", "3 of 7. Restart the kernel to end this."]


def test_the_notebook_is_known_by_the_cells_that_ran(tmp_path, monkeypatch):
    from vmxsim.teaching.questions.store import UNKNOWN, notebook_of

    monkeypatch.chdir(tmp_path)
    both, one, other = "import vmxsim", "vmxsim.predict(a)", "vmxsim.predict(b)"
    for name, cells in {"1": [both, one], "2": [both, other]}.items():
        book = {"cells": [{"cell_type": "code", "source": [f"{text}\n"]} for text in cells]}
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(book))
    (tmp_path / "broken.ipynb").write_text("[")
    assert notebook_of(["", both, one]) == "1.ipynb"
    assert notebook_of([both, other, "1 + 1"]) == "2.ipynb"
    assert notebook_of([both]) == notebook_of(["1 + 1"]) == notebook_of([]) == UNKNOWN


def test_answers_are_kept_where_the_page_keeps_files(tmp_path, monkeypatch):
    from vmxsim.teaching.questions import store

    monkeypatch.delenv("VMXSIM_ANSWERS")
    monkeypatch.setattr(sys, "platform", "emscripten")
    monkeypatch.setattr(store, "_shell", lambda: object())
    monkeypatch.setattr(store, "DRIVE", tmp_path / "drive")
    assert store.answers_file() is None, "nothing outlives the kernel"
    (tmp_path / "drive").mkdir()
    assert store.answers_file() == tmp_path / "drive" / "vmxsim-answers.json"
