"""``vmxsim labs``: hand the exercises out to a class, and grade what comes back."""

from __future__ import annotations

import itertools
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from vmxsim.commands.common import FINE, FORCE_OPTION, INTERRUPTED, console, make_table, print_json, remark
from vmxsim.errors import counted, printable, unknown
from vmxsim.progress import telling
from vmxsim.teaching.classroom.feedback import points, why, write_csv, write_feedback
from vmxsim.teaching.classroom.handout import Lab, choose_labs, read_labs
from vmxsim.teaching.classroom.submissions import UNANSWERED, LabResult, Submission, find_submissions

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


@labs_command.command("hand-out")
@click.argument("folder", metavar="DIR", type=_PLACE)
@click.argument("names", metavar="[LAB]...", nargs=-1)
@FORCE_OPTION
def hand_out_command(folder: Path, names: tuple[str, ...], force: bool) -> int:
    """Write the students' notebooks of the labs (all, if none is named) into DIR, to be zipped and sent.

    Solutions are replaced by the text to start from, hidden tests are taken out. A LAB is a number, an
    id or a file's name. Students need vmxsim, not nbgrader.
    """
    from vmxsim.teaching.classroom.handout import hand_out

    labs = choose_labs(names, read_labs())
    for path in hand_out(folder, labs, _starts(labs), force):
        print(path)
    return FINE


@labs_command.command("grade")
@click.argument("folder", metavar="DIR", type=_PLACE)
@click.argument("names", metavar="[LAB]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--csv", "csv_file", type=_PLACE, metavar="FILE", help="Write a row for each student and lab.")
@click.option("--feedback", type=_PLACE, metavar="DIR", help="Write a page for each student and lab.")
@FORCE_OPTION
@click.option(
    "--timeout",
    type=click.IntRange(1, 3600),
    metavar="SECONDS",
    default=60,
    show_default=True,
    help="How long one cell may run.",
)
def grade_command(
    folder: Path,
    names: tuple[str, ...],
    as_json: bool,
    csv_file: Path | None,
    feedback: Path | None,
    force: bool,
    timeout: int,
) -> int:
    """Grade what is in DIR: a folder for each student with notebooks in it, or notebooks named by student.

    THE STUDENTS' CODE RUNS ON THIS MACHINE, with your rights: it can read and delete what you can. Grade as
    a user who owns nothing else, or in a container, unless you trust your students.

    Test cells that were changed or deleted are restored before grading. A notebook that cannot be graded
    gets a line that says why, and so does one that Ctrl-C left ungraded. Exit status 0 if grading was done,
    regardless of the grades; 2 for bad input; 130 after Ctrl-C.
    """
    from vmxsim.teaching.classroom.handout import require_file, require_folder, require_nbgrader

    all_labs = read_labs()
    labs = choose_labs(names, all_labs)
    students, submissions = find_submissions(folder, all_labs)
    require_nbgrader()
    if csv_file is not None:
        require_file(csv_file, force, [one.path for one in submissions])
    if feedback is not None:
        require_folder(feedback, force)
    if not names:  # of labs that nobody has handed in, nothing is said
        handed = [lab for lab in labs if any(one.lab == lab for one in submissions)]
        labs = handed or labs
    from vmxsim.teaching.classroom.grading import NOT_GRADED, grade

    total = sum(one.lab is None or one.lab in labs for one in submissions)
    numbers = itertools.count(1)

    def starting(one: Submission) -> None:
        lab = one.lab.name if one.lab else one.path.name
        tell(f"{next(numbers)} of {total}: {printable(one.student, 30)}, {printable(lab, 30)}")

    with telling(f"preparing to grade {counted(total, 'notebook')}") as tell:
        results = grade(submissions, students, labs, _starts(labs), seconds=timeout, starting=starting)
    if csv_file is not None:
        write_csv(csv_file, results)
    if feedback is not None:
        count = write_feedback(feedback, results, labs)
        remark(f"{counted(count, 'page')} and an index in {feedback}")
    if as_json:
        print_json(_as_object(results, students, labs))
    else:
        _show(results, students, labs, console())
    return INTERRUPTED if any(result.problem == NOT_GRADED for result in results) else FINE


def _starts(labs: list[Lab]) -> dict[str, str]:
    """The text that each lab's answer starts from."""
    from vmxsim.teaching.exercises.catalogue import find_exercise

    return {lab.id: find_exercise(lab.id).source() for lab in labs}


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
        lines = [*why(result), *(f"note: {text}" for text in result.remarks if text != UNANSWERED)]
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
