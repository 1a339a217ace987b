"""``vmxsim.slides``: the questions of a notebook, one run after the other, for an audience."""

from __future__ import annotations

import ast
import json
import linecache
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

from attrs import frozen

from vmxsim.errors import InputError, checked, file_name, is_there, nearest, printable
from vmxsim.simulation.trace import Trace
from vmxsim.teaching.course import find_course
from vmxsim.teaching.questions.question import Question
from vmxsim.views.film import film
from vmxsim.views.telling import telling_steps
from vmxsim.widgets.predict import PredictGate, enter_questions, questions_asked
from vmxsim.widgets.present import face_of, seconds


@frozen
class Slide:
    """A run and the questions that a notebook asks about it."""

    trace: Trace
    questions: tuple[Question, ...]

    @property
    def asked(self) -> list[tuple[int, Question]]:
        """The questions as pairs with their film, which is the only one."""
        return [(0, question) for question in self.questions]


@checked
def slides(
    notebook: str | Path, *, votes: int | None = None, countdown: int | None = None, words: bool = True
) -> Slides:
    """The questions of a notebook on the stage: a slide for each run that it asks about.

    ``notebook`` is a file, or the beginning of a name in the course (``"02"``, ``"02b"``). Its cells that ask
    ``vmxsim.predict``, and those on which they depend, are executed. The keys are those of
    ``vmxsim.present``; ``]`` and ``[`` go to the next slide and back. ``votes`` and ``countdown`` are as
    there.

    Raises InputError for a notebook that is not there, asks nothing or cannot be executed.
    """
    return Slides(list(questions_of_notebook(_find(notebook))), votes, countdown, words)


class Slides(PredictGate):
    """The stage with several runs."""

    def __init__(self, found: Sequence[Slide], votes: int | None, countdown: int | None, words: bool) -> None:
        self._slides, self._votes, self.at = found, votes, 0
        slide = found[0]
        super().__init__(
            [slide.trace],
            [self._film()],
            slide.asked,
            locked=True,
            votes=votes,
            presenting=True,
            countdown=seconds(countdown),
            words=words,
            stops=[telling_steps(slide.trace)],
        )
        self.on_msg(self._on_slide)

    def _film(self) -> dict[str, Any]:
        """The film of the slide on display, with its number in the title."""
        trace = self._slides[self.at].trace
        made = dict(film(trace, face_of(trace)))
        made["title"] = f"{self.at + 1} of {len(self._slides)} · {made['title']}"
        return made

    def go(self, to: int) -> None:
        """Show slide ``to`` (from 0), or the first or last one beyond either end."""
        to = max(0, min(to, len(self._slides) - 1))
        if to == self.at:
            return
        self.at = to
        slide = self._slides[to]
        gates, known = enter_questions([slide.trace], slide.asked, True, self._votes)
        closed = next((gate for gate in gates if gate["id"] not in known), gates[0])
        with self.hold_sync():
            self.answers = {**self.answers, **known}
            self.stops = [telling_steps(slide.trace)]
            self.show(self._film(), closed["before"], gates)

    def _on_slide(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if isinstance(content, Mapping) and content.get("kind") == "slide":
            self.go(self.at + (1 if content.get("by") == 1 else -1))


def _find(notebook: str | Path) -> Path:
    """The notebook's file: as named, or the one in the current folder or the course that begins so."""
    path = Path(file_name(notebook, "notebook", "a notebook's file, or the beginning of its name"))
    if is_there(path) and path.is_file():
        return path
    name = path.name.removesuffix(".ipynb")
    known: dict[str, Path] = {}
    folders = [Path.cwd()]
    with suppress(InputError):  # in a browser, the course is the current folder
        folders.append(find_course()[0])
    for folder in folders:
        for one in sorted(folder.glob("*.ipynb")):
            known.setdefault(one.stem, one)
    found = [one for stem, one in known.items() if stem.startswith(name)] if name else []
    if len(found) > 1:  # "02" is 02-the-patch, "02b" its second half
        found = [one for one in found if one.stem.startswith(f"{name}-")] or found
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"'{printable(name)}' begins {len(found)} notebooks' names; name one", "notebook")
    raise InputError(
        f"there is no notebook '{printable(str(notebook), 200)}'{nearest(name, known)}", "notebook"
    )


def questions_of_notebook(path: Path) -> Iterator[Slide]:
    """The runs that a notebook asks about, in its order, with their questions: those that an audience can
    vote on, so none whose answer is a step.

    Raises InputError if it cannot be read or executed, or asks nothing.
    """
    cells = _cells(path)
    names: dict[str, Any] = {"__name__": "__main__"}
    needed = _needed([cell for _, cell in cells])
    asked = 0
    for number, (text, cell) in enumerate(cells):
        if number not in needed:
            continue
        file = f"{path.name} code cell {number + 1}"
        # functions of a design are read from their source
        linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
        calls = [s for s in cell.body if _asks(s)]
        rest = [s for s in cell.body if not isinstance(s, ast.Expr)]
        found = []
        try:
            with chdir(path.absolute().parent), redirect_stdout(StringIO()):
                exec(compile(ast.Module(rest, []), file, "exec"), names)
                for call in calls:
                    args, options = _arguments(call, file, names)
                    votable = tuple(q for q in questions_asked(*args, **options) if not q.marks)
                    found += [Slide(args[0], votable)] * bool(votable)
        except Exception as error:
            told = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            raise InputError(f"cannot be executed: {printable(told, 300)}", file) from None
        asked += len(found)
        yield from found
    if not asked:
        raise InputError("it asks no question with vmxsim.predict", path.name)


def _cells(path: Path) -> list[tuple[str, ast.Module]]:
    """The code cells, as text and parsed; one that is not plain Python is empty."""
    try:
        book = json.loads(path.read_text("utf-8"))
        texts = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", str(path)) from None
    except (ValueError, KeyError, TypeError):
        raise InputError("it is no notebook", str(path)) from None
    return [(text, _parsed(text)) for text in texts]


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.Module([], [])


def _asks(statement: ast.stmt) -> bool:
    """Whether a statement is a call of vmxsim.predict."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and ast.unparse(call.func) in ("vmxsim.predict", "predict")


def _arguments(
    statement: ast.stmt, file: str, names: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The values with which a call of vmxsim.predict is made."""
    assert isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    call = statement.value
    take = ast.Call(ast.Name("__take", ast.Load()), call.args, call.keywords)
    code = compile(ast.fix_missing_locations(ast.Expression(take)), file, "eval")
    taker = {"__take": lambda *args, **options: (args, options)}
    args, options = eval(code, names | taker)
    return args, {name: value for name, value in options.items() if name not in ("locked", "votes")}


def _needed(cells: Sequence[ast.Module]) -> set[int]:
    """The cells that ask, and those that they depend on: what defines a name that they use."""
    defined = [_names(cell, ast.Store) for cell in cells]
    needed = {number for number, cell in enumerate(cells) if any(map(_asks, cell.body))}
    left = list(needed)
    while left:
        number = left.pop()
        for name in _names(cells[number], ast.Load):
            before = (n for n in range(number - 1, -1, -1) if name in defined[n] or "*" in defined[n])
            for found in before:
                if found not in needed:
                    needed.add(found)
                    left.append(found)
                if name in defined[found]:
                    break
    return needed


def _names(cell: ast.Module, how: type[ast.expr_context]) -> set[str]:
    """The names that a cell uses (``ast.Load``) or defines (``ast.Store``); ``*`` for an import of all."""
    found = {node.id for node in ast.walk(cell) if isinstance(node, ast.Name) and isinstance(node.ctx, how)}
    if how is ast.Store:
        for node in ast.walk(cell):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.add(node.name)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return found
