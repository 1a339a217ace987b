"""How long grading a class takes: 200 students, eight labs, on all CPUs.

Students answer as students do: some leave the cell as it was, some copy, most write an answer of their own,
right or wrong, a few try to cheat. ``python benchmarks/grading_a_class.py [STUDENTS]``
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from vmxsim.teaching.classroom.feedback import write_feedback
from vmxsim.teaching.classroom.gradebooks import write_csv
from vmxsim.teaching.classroom.grading import grade
from vmxsim.teaching.classroom.handout import Lab, marks, read_labs, source_of, student_version
from vmxsim.teaching.classroom.submissions import find_submissions
from vmxsim.teaching.exercises.catalogue import find_exercise


def main() -> None:
    """Make a class, grade it, and print what it took."""
    students = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    chance = random.Random(14)
    labs = read_labs()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(students):
            place = Path(folder) / "in" / f"student {number:03}"
            place.mkdir(parents=True)
            for lab in labs:
                text = json.dumps(answered(lab, chance, number))
                (place / f"{lab.name}.ipynb").write_text(text, encoding="utf-8")
        names, submissions = find_submissions(Path(folder) / "in", labs)
        start = time.perf_counter()
        results = grade(submissions, names, labs)
        graded = time.perf_counter() - start
        write_csv(Path(folder) / "grades.csv", results)
        write_feedback(Path(folder) / "feedback", results, labs)
        written = time.perf_counter() - start - graded
    forkserver._forkserver._stop()  # type: ignore[attr-defined]  # so that its children's time is told
    used = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = sum(one.ru_utime + one.ru_stime for one in used)
    answers = len({(result.lab, result.answer) for result in results})
    points = Counter("all" if r.points == r.most else "some" if r.points else "none" for r in results)
    print(f"{students} students, {len(labs)} labs, {answers} different answers, {os.cpu_count()} CPUs")
    print(f"points: {dict(points)}, flagged: {sum(bool(result.flags) for result in results)}")
    print(f"graded in {graded:.0f} s, tables and feedback written in {written:.1f} s")
    print(f"processor time, all processes: {processor:.0f} s")


def answered(lab: Lab, chance: random.Random, number: int) -> Any:
    """A student's notebook of a lab."""
    book = json.loads(student_version(lab))
    solved = json.loads(lab.path.read_text("utf-8"))
    right = next(source_of(cell) for cell in solved["cells"] if marks(cell).get("solution"))
    own = f"# the answer of student {number}\n"
    text = chance.choices(
        [
            find_exercise(lab.id).source(),  # untouched
            right,  # as others have it
            own + right,
            own + wrong(right, chance),
            own + right + "\nimport os\nos._exit(0)\n",
        ],
        [5, 15, 40, 38, 2],
    )[0]
    for cell in book["cells"]:
        if marks(cell).get("solution"):
            cell["source"] = text
    return book


def wrong(right: str, chance: random.Random) -> str:
    """An answer that lacks a line, or has two the other way round."""
    lines = right.splitlines()
    at = chance.randrange(2, max(3, len(lines) - 1))
    if chance.random() < 0.5 and at + 1 < len(lines):
        lines[at - 1], lines[at] = lines[at], lines[at - 1]
    else:
        del lines[at - 1]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
