"""Tables of grades, for a spreadsheet, for Moodle and for Canvas; and the roster of a class."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from attrs import evolve, frozen

from vmxsim.errors import InputError, nearest, printable, writing
from vmxsim.teaching.classroom.feedback import points
from vmxsim.teaching.classroom.grading import EMPTY, UNANSWERED, LabResult, TestResult
from vmxsim.teaching.classroom.handout import Lab
from vmxsim.teaching.classroom.submissions import Submission

# -- the roster

#: The columns of a roster, and what Moodle and Canvas call them in their own lists.
_COLUMNS = {
    "student": ("student", "name", "full name"),
    "id": ("id", "identifier", "user id"),
    "email": ("email", "email address"),
    "login": ("login", "sis login id", "username"),
    "sis": ("sis user id", "id number"),
    "section": ("section", "group"),
}


@frozen
class Person:
    """A row of a roster. ``student`` is what the student is called in file names; ``id`` the learning
    platform's number."""

    student: str
    id: str = ""
    email: str = ""
    login: str = ""
    sis: str = ""
    section: str = ""


def read_roster(path: Path) -> list[Person]:
    """The students of a CSV file with a column ``student`` (or ``name``); ``id``, ``email``, ``login``,
    ``sis`` and ``section`` if there are any. Moodle's grading worksheet and Canvas's gradebook are rosters.

    Raises InputError.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}", path) from None
    heads = {str(head).strip().casefold(): head for head in rows[0]} if rows else {}
    known = {
        name: heads[alias]
        for name, aliases in _COLUMNS.items()
        for alias in reversed(aliases)
        if alias in heads
    }
    if "student" not in known:
        raise InputError(f"has no column 'student'{nearest('student', heads)}, or no row below it", path)
    people = []
    for number, row in enumerate(rows, 2):
        values = {name: (row[head] or "").strip() for name, head in known.items()}
        student = values["student"]
        if not student or student.casefold() in ("points possible", "student, test"):
            continue  # a row of Canvas's own
        if student.startswith(".") or not student.isprintable() or set(student) & set('/\\:*?"<>|'):
            raise InputError(f"'{printable(student)}' can be no file's name", f"{path}:{number}")
        if values.get("id"):
            values["id"] = values["id"].removeprefix("Participant ")
        people.append(Person(**values))
    names = [" ".join(person.student.casefold().split()) for person in people]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"names '{printable(name)}' twice: tell them apart", path)
    return people


def by_roster(
    people: Sequence[Person], students: Iterable[str], submissions: Iterable[Submission]
) -> tuple[list[str], list[Submission]]:
    """Everybody in the roster and who else handed something in, and the submissions under these names."""
    names: dict[tuple[str, str], str] = {}
    found = []
    for one in submissions:
        key = (one.student, one.number)
        if key not in names:
            person = next((person for person in people if _recognized(person, *key)), None)
            names[key] = person.student if person else one.student
        known = any(person.student == names[key] for person in people)
        remarks = one.remarks if known else (*one.remarks, "is not in the roster")
        found.append(evolve(one, student=names[key], remarks=remarks))
    silent = [name for name in students if name not in {name for name, _ in names}]
    others = [name for name in silent if not any(_recognized(person, name, "") for person in people)]
    everybody = dict.fromkeys([*(person.student for person in people), *names.values(), *others])
    return list(everybody), found


def _recognized(person: Person, student: str, number: str) -> bool:
    """Whether this is who handed in: by the number that the platform gives, or by name."""
    if number and person.id:
        return number == person.id
    names = [person.student, person.login, person.email, *_turned(person.student)]
    return _letters(student) in {_letters(name) for name in names if name}


def _letters(name: str) -> str:
    return "".join(name.casefold().split()).replace(",", "")


def _turned(name: str) -> Sequence[str]:
    """Last name first, as in the names of Canvas's files, and the other way round."""
    last, comma, first = name.partition(",")
    if comma:
        return (f"{first} {last}",)
    *first_names, last = name.split() or [""]
    return (" ".join((last, *first_names)),)


# -- why points are missing, in a line


def why(result: LabResult) -> list[str]:
    """What cost points, a line each: the first goal that each test found not met, and nothing twice."""
    return [line for line, _ in _reasons(result)]


def _reasons(result: LabResult) -> list[tuple[str, str]]:
    """The lines of :func:`why`, each with a short form."""
    for text in (result.problem, *(r for r in result.remarks if r in (UNANSWERED, EMPTY)), result.refused):
        if text:
            return [(text, text)]
    asked: dict[tuple[str, str], list[str]] = {}
    for test in result.tests:
        if test.points < test.most:
            asked.setdefault(_reason(test), []).append(test.goal)
    return list(asked)


def _reason(test: TestResult) -> tuple[str, str]:
    """Why a test failed, and in short."""
    unmet = next(goal for goal in test.goals if not goal["met"])
    return unmet["line"], f"{unmet['name']}: {unmet['why']}"


def noted(result: LabResult) -> list[str]:
    """What else there is to say: flags first."""
    remarks = [text for text in result.remarks if text not in (UNANSWERED, EMPTY)]
    return [*(f"have a look: {flag}" for flag in result.flags), *remarks]


# -- tables

HEAD = (
    "student",
    "lab",
    "points",
    "most",
    "status",
    "why",
    "flags",
    "remarks",
    "student_total",
    "student_most",
)


def write_csv(path: Path, results: Iterable[LabResult]) -> None:
    """A row for each student and lab, with the student's total in each.

    Raises InputError if the file cannot be written.
    """
    results = list(results)
    rows: list[Sequence[str]] = [HEAD]
    for r in results:
        own = [one for one in results if one.student == r.student]
        told = " | ".join(short for _, short in _reasons(r))
        remarks = " | ".join(text for text in r.remarks if text not in (UNANSWERED, EMPTY))
        sums = (points(sum(one.points for one in own)), points(sum(one.most for one in own)))
        cells = (points(r.points), points(r.most), r.status, told, " | ".join(r.flags), remarks, *sums)
        rows.append((r.student, r.lab, *cells))
    _write(path, rows)


def write_moodle(
    path: Path, results: Iterable[LabResult], people: Mapping[str, Person], labs: Sequence[Lab]
) -> None:
    """Moodle's grading worksheet: a row for each student, the points of all labs and why some are missing;
    and a column for each lab, for the import of a whole gradebook.

    Raises InputError if the file cannot be written.
    """
    head = ("Identifier", "Full name", "Email address", "Grade", "Maximum Grade")
    rows: list[Sequence[str]] = [(*head, *(lab.name for lab in labs), "Feedback comments")]
    for person, own in _by_student(results, people):
        told = " | ".join(f"{r.lab}: {short}" for r in own.values() for _, short in _reasons(r))
        total, most = sum(r.points for r in own.values()), sum(lab.points for lab in labs)
        number = f"Participant {person.id}" if person.id else ""
        grades = [points(own[lab.name].points) if lab.name in own else "" for lab in labs]
        cells = (person.student, person.email, points(total), points(most), *grades, told)
        rows.append((number, *cells))
    _write(path, rows)


def write_canvas(
    path: Path, results: Iterable[LabResult], people: Mapping[str, Person], labs: Sequence[Lab]
) -> None:
    """Canvas's gradebook: a row for each student, a column for each lab, and the points possible.

    Raises InputError if the file cannot be written.
    """
    head = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
    rows: list[Sequence[str]] = [(*head, *(lab.name for lab in labs))]
    rows.append(("    Points Possible", "", "", "", "", *(points(lab.points) for lab in labs)))
    for person, own in _by_student(results, people):
        grades = [points(own[lab.name].points) if lab.name in own else "" for lab in labs]
        rows.append((person.student, person.id, person.sis, person.login, person.section, *grades))
    _write(path, rows)


def _by_student(
    results: Iterable[LabResult], people: Mapping[str, Person]
) -> list[tuple[Person, dict[str, LabResult]]]:
    """Each student with the labs that were handed in."""
    found: dict[str, dict[str, LabResult]] = {}
    for result in results:
        own = found.setdefault(result.student, {})
        if result.status != "missing":
            own[result.lab] = result
    return [(people.get(student, Person(student)), own) for student, own in found.items()]


def _write(path: Path, rows: Iterable[Sequence[str]]) -> None:
    with writing(path), path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as out:
        csv.writer(out).writerows([_harmless(cell) for cell in row] for row in rows)


def _harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
