"""A course for nbgrader, which then hands the labs out, collects them and keeps the grades.

Two of its steps are ours: students get the lab's own start, and nothing of theirs is executed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nbformat.notebooknode import NotebookNode
from nbgrader.converters import Autograde, GenerateAssignment  # type: ignore[import-untyped]
from nbgrader.preprocessors import (  # type: ignore[import-untyped]
    ClearSolutions,
    Execute,
    NbGraderPreprocessor,
)

from vmxsim.errors import InputError, writing
from vmxsim.teaching.classroom.grading import result_of
from vmxsim.teaching.classroom.handout import Lab, marks, read_labs
from vmxsim.teaching.classroom.judging import Task, judge_apart, processes, without_current_directory
from vmxsim.teaching.classroom.submissions import read_answer_of
from vmxsim.teaching.exercises.catalogue import find_exercise

_CONFIG = """\
# nbgrader's settings for the labs of vmxsim: students get each lab's own start, and no notebook is executed.
from vmxsim.teaching.classroom.exchange import configure

c = get_config()
c.CourseDirectory.course_id = "{course}"
configure(c)
"""


def make_course(folder: Path, labs: Iterable[Lab]) -> list[Path]:
    """Make an nbgrader course in ``folder``: the labs' sources and the settings; returns the files. Raises
    InputError if there is a course already."""
    labs = list(labs)
    files = {folder / "source" / lab.name / lab.path.name: lab.path for lab in labs}
    settings = folder / "nbgrader_config.py"
    for path in (settings, *files):
        if path.exists():
            raise InputError("is there already: choose an empty folder", path)
    with writing(folder):
        for path, source in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, path)
        settings.write_text(_CONFIG.format(course="vmxsim"), encoding="utf-8")
    return [settings, *files]


def configure(c: Any) -> None:
    """Put our two steps into nbgrader's configuration."""
    make, grade = (
        GenerateAssignment.preprocessors.default_args[0],
        Autograde.autograde_preprocessors.default_args[0],
    )
    c.GenerateAssignment.preprocessors = [OwnStart if step is ClearSolutions else step for step in make]
    c.Autograde.autograde_preprocessors = [JudgedAsText if step is Execute else step for step in grade]
    c.OverwriteCells.add_missing_cells = True


class OwnStart(NbGraderPreprocessor):
    """In the solution's place stands what the lab starts from."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Replace the solution."""
        for cell in nb.cells:
            if marks(cell).get("solution"):
                cell.source = find_exercise(nb.metadata.vmxsim.lab).source().rstrip()
        return nb, resources


class JudgedAsText(NbGraderPreprocessor):
    """Instead of running a notebook, judges its answer as :mod:`~vmxsim.teaching.classroom.grading` does, and
    writes into the tests' outputs what failed."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Judge, and fill in the outputs."""
        name = resources["nbgrader"]["notebook"]
        lab = next((lab for lab in read_labs() if lab.name == name), None)
        if lab is None:
            raise InputError(f"'{name}' is not one of the labs: {', '.join(lab.name for lab in read_labs())}")
        failed = _failed(nb.cells, lab)
        for cell in nb.cells:
            if cell.cell_type == "code":
                words = failed.get(marks(cell).get("grade_id", ""))
                cell.outputs = [_error(words)] if words else []
        return nb, resources


def _failed(cells: list[Any], lab: Lab) -> dict[str, str]:
    """Why tests failed, by their names."""
    try:
        handed = read_answer_of(cells, lab)
    except InputError as error:
        return {test.name: str(error) for test in lab.tests}
    with without_current_directory():
        judged = judge_apart(processes(), Task(lab.id, handed.answer, handed.cells))
    results = [result_of(test, judged) for test in lab.tests]
    return {
        result.name: result.words
        or "\n\n".join(f"{goal['line']}\n{goal['schedule']}" for goal in result.goals)
        for result in results
        if result.points < result.most
    }


def _error(words: str) -> Any:
    node: Any = NotebookNode
    return node(output_type="error", ename="NotPassed", evalue=words, traceback=words.splitlines())
