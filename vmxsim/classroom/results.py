"""What grading found: points of each test, and why a test failed."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

#: A remark.
UNANSWERED = "not answered: the answer's cell is as it was given"


@frozen
class TestResult:
    """A test cell: what it asks for, its points, and where it failed, why."""

    __test__ = False  # pytest: this is no test

    name: str
    goal: str
    points: float
    most: float
    words: str = ""


@frozen
class LabResult:
    """A student's lab. ``status`` is ``graded``, ``problem`` (``problem`` says which) or
    ``missing``. ``answer`` is what the student wrote."""

    student: str
    lab: str
    status: str
    points: float
    most: float
    tests: tuple[TestResult, ...] = field(default=())
    problem: str = ""
    remarks: tuple[str, ...] = field(default=())
    answer: str = ""
    file: str = ""

    def as_data(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "student": self.student,
            "lab": self.lab,
            "status": self.status,
            "points": self.points,
            "most": self.most,
            "problem": self.problem,
            "remarks": list(self.remarks),
            "tests": [
                {"name": t.name, "goal": t.goal, "points": t.points, "most": t.most, "words": t.words}
                for t in self.tests
            ],
            "file": self.file,
        }
