"""``vmxsim labs``: hand the exercises out to a class, and grade what comes back."""

from __future__ import annotations

import itertools
from importlib.util import find_spec
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from vmxsim.commands.common import FINE, FORCE_OPTION, INTERRUPTED, console, make_table, print_json, remark
from vmxsim.errors import InputError, counted, printable, unknown
from vmxsim.progress import telling
from vmxsim.teaching.classroom.feedback import points, write_feedback
from vmxsim.teaching.classroom.gradebooks import (
    by_roster,
    noted,
    read_roster,
    why,
    write_canvas,
    write_csv,
    write_moodle,
)
from vmxsim.teaching.classroom.grading import NOT_GRADED, LabResult, grade
from vmxsim.teaching.classroom.handout import (
    Lab,
    choose_labs,
    hand_out,
    read_labs,
    require_file,
    require_folder,
)
from vmxsim.teaching.classroom.judging import SECONDS
from vmxsim.teaching.classroom.kept import Kept, place_for
from vmxsim.teaching.classroom.submissions import Submission, find_submissions
from vmxsim.teaching.exercises.variants import code_of

_PLACE = click.Path(path_type=Path)


class _Group(click.Group):
    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.commands:
            raise unknown("command", f"labs {name}", [f"labs {known}" for known in self.commands])
        return super().get_command(ctx, name)


@click.group("labs", cls=_Group, invoke_without_command=True)
@click.pass_context
def labs_command(ctx: click.Context) -> None:
    """Graded exercises for a class: list them, hand them out, grade what comes back."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@labs_command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per lab.")
def list_command(as_json: bool) -> int:
    """The labs, easiest first."""
    from vmxsim.teaching.exercises.catalogue import find_exercise

    out = console()
    table = make_table("lab", "title", "minutes", "difficulty", "points")
    for lab in read_labs():
        exercise = find_exercise(lab.id)
        if as_json:
            facts = {"minutes": exercise.minutes, "difficulty": exercise.difficulty, "points": lab.points}
            goals = [goal.words for goal in exercise.goals]
            print_json({"lab": lab.name, "id": lab.id, "title": exercise.title, **facts, "goals": goals})
            continue
        cells = (str(exercise.minutes), str(exercise.difficulty), points(lab.points))
        table.add_row(lab.name, exercise.title, *cells)
    if not as_json:
        out.print(table)
    return FINE


_ROSTER_OPTION = click.option(
    "--roster",
    type=_PLACE,
    metavar="FILE",
    help="A CSV file of the class: columns student, and id, email, login if you have them.",
)
_SEED_OPTION = click.option(
    "--seed", metavar="WORD", default="", help="Versions of their own for all students, made from this word."
)


@labs_command.command("hand-out")
@click.argument("folder", metavar="DIR", type=_PLACE)
@click.argument("names", metavar="[LAB]...", nargs=-1)
@_ROSTER_OPTION
@_SEED_OPTION
@FORCE_OPTION
def hand_out_command(
    folder: Path, names: tuple[str, ...], roster: Path | None, seed: str, force: bool
) -> int:
    """Write the students' notebooks of the labs (all, if none is named) into DIR, to be zipped and sent.

    Solutions are replaced by the text to start from. A LAB is a number, an id or a file's name. With
    --roster and --seed every student gets a folder, with other values and another tick or tag than anybody
    else, so that a copied answer does not fit: grade with the same two.
    """
    if bool(seed) != bool(roster):
        raise InputError("versions for each student need both --roster and --seed", "labs hand-out")
    variants = {p.student: code_of(seed, p.student) for p in read_roster(roster)} if roster else None
    for path in hand_out(folder, choose_labs(names, read_labs()), variants, force):
        print(path)
    return FINE


@labs_command.command("nbgrader")
@click.argument("folder", metavar="DIR", type=_PLACE)
@click.argument("names", metavar="[LAB]...", nargs=-1)
def nbgrader_command(folder: Path, names: tuple[str, ...]) -> int:
    """Make an nbgrader course in DIR: the labs' sources, and the settings with which students get each lab's
    own start and 'nbgrader autograde' executes no notebook."""
    if find_spec("nbgrader") is None:
        raise InputError("nbgrader is not installed: python -m pip install 'vmxsim[classroom]'")
    from vmxsim.teaching.classroom.exchange import make_course

    for path in make_course(folder, choose_labs(names, read_labs())):
        print(path)
    return FINE


@labs_command.command("grade")
@click.argument("folder", metavar="DIR", type=_PLACE)
@click.argument("names", metavar="[LAB]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--csv", "csv_file", type=_PLACE, metavar="FILE", help="Write a row for each student and lab.")
@click.option("--moodle", type=_PLACE, metavar="FILE", help="Write a grading worksheet for Moodle.")
@click.option("--canvas", type=_PLACE, metavar="FILE", help="Write a gradebook for Canvas.")
@click.option("--feedback", type=_PLACE, metavar="DIR", help="Write a page for each student, and an index.")
@_ROSTER_OPTION
@_SEED_OPTION
@click.option("--resume", is_flag=True, help="Do not judge again what was judged the last time.")
@click.option(
    "--jobs", type=click.IntRange(1, 64), metavar="N", help="Answers judged at a time. [default: one a CPU]"
)
@FORCE_OPTION
@click.option(
    "--timeout",
    type=click.IntRange(1, 3600),
    metavar="SECONDS",
    default=SECONDS,
    show_default=True,
    help="How long judging one answer may take.",
)
def grade_command(
    folder: Path,
    names: tuple[str, ...],
    as_json: bool,
    csv_file: Path | None,
    moodle: Path | None,
    canvas: Path | None,
    feedback: Path | None,
    roster: Path | None,
    seed: str,
    resume: bool,
    jobs: int | None,
    force: bool,
    timeout: int,
) -> int:
    """Grade what is in DIR: a folder for each student with notebooks in it, or notebooks named by student.

    NO STUDENT'S CODE RUNS. The answer is read from its cell as text, has to be what an answer is (a list of
    actions, a class of kernel functions), and is judged in a process of its own. What else is in the
    notebook, changed tests and outputs included, counts for nothing.

    A notebook that cannot be graded gets a line that says why, and so does one that Ctrl-C left ungraded.
    What was judged is kept among your Jupyter data: --resume goes on from there. Exit status 0 if grading was
    done, regardless of the grades; 2 for bad input; 130 after Ctrl-C.
    """
    all_labs = read_labs()
    labs = choose_labs(names, all_labs)
    students, submissions = find_submissions(folder, all_labs)
    people = read_roster(roster) if roster else []
    if people:
        students, submissions = by_roster(people, students, submissions)
    inputs = [*(one.path for one in submissions if one.path.is_file()), *([roster] if roster else [])]
    for file in filter(None, (csv_file, moodle, canvas)):
        require_file(file, force, inputs)
    if feedback is not None:
        require_folder(feedback, force)
    if not names:  # of labs that nobody has handed in, nothing is said
        handed = [lab for lab in labs if any(one.lab == lab for one in submissions)]
        labs = handed or labs
    total = sum(one.lab is None or one.lab in labs for one in submissions)
    numbers = itertools.count(1)

    def done(one: Submission) -> None:
        lab = one.lab.name if one.lab else one.path.name
        tell(f"{next(numbers)} of {total}: {printable(one.student, 30)}, {printable(lab, 30)}")

    kept = _kept(folder, resume)
    with telling(f"preparing to grade {counted(total, 'notebook')}") as tell:
        results = grade(
            submissions, students, labs, seconds=timeout, jobs=jobs or 0, seed=seed, kept=kept, done=done
        )
    kept.close()
    if as_json:
        print_json(_as_object(results, students, labs))
    else:
        _show(results, students, labs, console())
    by_name = {person.student: person for person in people}
    if csv_file is not None:
        write_csv(csv_file, results)
    if moodle is not None:
        write_moodle(moodle, results, by_name, labs)
    if canvas is not None:
        write_canvas(canvas, results, by_name, labs)
    if feedback is not None:
        count = write_feedback(feedback, results, labs)
        remark(f"{counted(count, 'page')} and an index in {feedback}")
    return INTERRUPTED if any(result.problem == NOT_GRADED for result in results) else FINE


def _kept(folder: Path, resume: bool) -> Kept:
    """Where judgements are kept; in memory alone, which is said, where nothing can be written."""
    place = place_for(folder)
    try:
        return Kept(place, resume)
    except InputError as error:
        remark(f"what is judged is not kept for --resume: {error}")
        return Kept()


def _as_object(results: list[LabResult], students: list[str], labs: list[Lab]) -> dict[str, object]:
    return {
        "labs": [{"lab": lab.name, "title": lab.title, "points": lab.points} for lab in labs],
        "students": [
            {
                "student": student,
                "points": sum(r.points for r in results if r.student == student),
                "most": sum(lab.points for lab in labs),
                "labs": [r.as_data() for r in results if r.student == student],
            }
            for student in students
        ],
    }


def _show(results: list[LabResult], students: list[str], labs: list[Lab], out: Console) -> None:
    by_key = {(r.student, r.lab): r for r in results}
    table = make_table("student", figures=(*(f"lab {lab.number}" for lab in labs), "all"))
    most = sum(lab.points for lab in labs)
    for student in students:
        own = [by_key[student, lab.name] for lab in labs]
        total = f"{points(sum(r.points for r in own))} of {points(most)}"
        table.add_row(printable(student), *(_cell(r) for r in own), total)
    out.print(table)
    for result in results:
        lines = [*why(result), *(f"note: {text}" for text in noted(result))]
        if not lines:
            continue
        out.print(Text(f"\n{printable(result.student)}, {printable(result.lab)}", style="bold"))
        for line in lines:
            out.print(Text(f"  {printable(line, 3000)}"))


def _cell(result: LabResult) -> Text:
    if result.status == "missing":
        return Text("–", style="dim")
    if result.status == "problem":
        return Text("✖", style="bold red")
    return Text(f"{points(result.points)}/{points(result.most)}")
