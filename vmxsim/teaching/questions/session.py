"""What was answered in this notebook, so that a cell that runs again does not ask again: in this kernel, and
on disk for the next one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakSet

from attrs import define, field

from vmxsim.errors import counted
from vmxsim.teaching.course import lessons
from vmxsim.teaching.questions.store import Store, answers_file, notebook_name

#: How to ask a question again: a scenario, a design and what to ask. None if that cannot be told.
Recipe = Mapping[str, Any]


@define
class Remembered:
    """A question that was asked: its data, the answer that stands, whether the first try was right, and how
    to ask it again."""

    gate: Mapping[str, Any]
    answer: Mapping[str, Any] | None = None
    first: bool | None = None
    recipe: Recipe | None = None

    @property
    def right(self) -> str:
        """The right answer."""
        return str(next(option["text"] for option in self.gate["options"] if option["right"]))

    @property
    def mine(self) -> str:
        """The answer that stands, in words."""
        assert self.answer is not None
        if self.answer["choice"] < 0:
            return "the audience's votes"
        return str(self.answer.get("words") or self.gate["options"][self.answer["choice"]]["text"])

    def load(self, kept: Mapping[str, Any]) -> None:
        """Take what an earlier kernel kept, as far as it makes sense."""
        if isinstance(kept.get("first"), bool):
            self.first = kept["first"]
        answer, options = kept.get("answer"), self.gate["options"]
        if isinstance(answer, Mapping) and answer.get("choice") in range(len(options)):
            right = bool(options[answer["choice"]]["right"])
            words = str(answer.get("words") or "")
            self.answer = {"choice": answer["choice"], "right": right, "votes": [], "words": words}

    def as_kept(self) -> dict[str, Any]:
        """What is kept on disk."""
        return {
            "kind": self.gate["kind"],
            "prompt": self.gate["prompt"],
            "right": self.right,
            "mine": self.mine if self.answer else "",
            "answer": dict(self.answer) if self.answer else None,
            "first": self.first,
            "when": datetime.now().astimezone().isoformat(timespec="minutes"),
            "recipe": dict(self.recipe) if self.recipe else None,
        }


class Listener(Protocol):
    """Who wants to know when a question was asked or answered."""

    def session_changed(self) -> None:
        """Something was asked or answered."""


@define(slots=False)
class Session:
    """Every question asked since the kernel started, by id, in the order of asking."""

    asked: dict[str, Remembered] = field(factory=dict)
    #: Called after every question and answer; who no longer lives is forgotten.
    listeners: WeakSet[Listener] = field(factory=WeakSet)

    @cached_property
    def store(self) -> Store:
        """The file that the answers are kept in."""
        return Store(answers_file())

    @property
    def notebook(self) -> str:
        """The notebook that this kernel runs."""
        return notebook_name()

    @property
    def kept(self) -> dict[str, dict[str, Any]]:
        """What is on disk for this notebook, by question's id."""
        return self.store.read().get(self.notebook, {})

    def ask(
        self, gates: Iterable[Mapping[str, Any]], recipes: Iterable[Recipe | None] = ()
    ) -> dict[str, Any]:
        """Enter these questions; returns the answers that are known already, by id."""
        known, kept, ways = {}, self.kept, iter(recipes)
        for gate in gates:
            way = next(ways, None)
            if gate["id"] not in self.asked:
                entry = self.asked[gate["id"]] = Remembered(gate, recipe=way)
                if not gate.get("locked"):
                    entry.load(kept.get(gate["id"], {}))
            entry = self.asked[gate["id"]]
            if entry.answer is not None:
                known[gate["id"]] = dict(entry.answer)
        self._tell()
        return known

    def answer(self, answers: Mapping[str, Any], of: Iterable[str]) -> None:
        """Take what the reader answered to the questions with the ids ``of``; one that is missing was
        asked to be asked again, and its first try stays."""
        changed = {}
        for name in of:
            entry = self.asked.get(name)
            if entry is None or entry.answer == answers.get(name):
                continue
            entry.answer = answers.get(name)
            if entry.answer is not None and entry.answer["choice"] >= 0 and entry.first is None:
                entry.first = bool(entry.answer["right"])
            if entry.first is not None:  # an audience's answers are not kept
                changed[name] = entry.as_kept()
        if changed:
            self.store.put(self.notebook, changed)
        self._tell()

    def reset(self) -> int:
        """Forget this notebook's answers, in this kernel and on disk; returns how many there were."""
        answered = {name for name, entry in self.asked.items() if entry.answer is not None}
        kept = self.kept
        self.asked.clear()
        if kept:
            self.store.put(self.notebook, dict.fromkeys(kept))
        self._tell()
        return len(answered | kept.keys())

    def due(self) -> list[tuple[str, str, Recipe]]:
        """(notebook, id, recipe) of the questions that went wrong in another notebook, the oldest first."""
        here, found = self.notebook, []
        kept = self.store.read()
        known = kept.get(here, {}).keys() | {name for name, e in self.asked.items() if e.answer is not None}
        for notebook, entries in kept.items():
            for name, entry in entries.items():
                went_wrong = entry.get("first") is False and isinstance(entry.get("recipe"), Mapping)
                if went_wrong and notebook != here and name not in known and not entry.get("again"):
                    found.append((str(entry.get("when", "")), notebook, name, entry["recipe"]))
        return [one[1:] for one in sorted(found, key=lambda one: one[:3])]

    def came_back(self, notebook: str, name: str) -> None:
        """A question of another notebook was answered in this one: if it went wrong again, it is due in the
        next notebook as this one's."""
        entry = self.store.read().get(notebook, {}).get(name)
        if entry is not None:
            self.store.put(notebook, {name: {**entry, "again": self.notebook}})

    def _tell(self) -> None:
        for listener in list(self.listeners):
            listener.session_changed()


#: The one of this kernel.
SESSION = Session()

_TRIES = {True: "✔ right", False: "✖ not right", None: "–"}


class Answers:
    """This notebook's questions and answers, as a table for a notebook or a terminal; with ``key``,
    every question that was asked with its right answer and the reason."""

    def __init__(self, session: Session = SESSION, key: bool = False) -> None:
        self.session, self.key = session, key

    def rows(self) -> list[tuple[str, str, str, str]]:
        """(question, right answer, the reader's, at first try) of each question that was answered."""
        entries = [e for e in self.session.asked.values() if e.answer is not None]
        found = [(str(e.gate["prompt"]), e.right, e.mine, _TRIES[e.first]) for e in entries]
        for kept in self._earlier():
            told = [str(kept.get(name, "")) for name in ("prompt", "right", "mine")]
            found.append((told[0], told[1], told[2], _TRIES.get(kept.get("first"), "–")))
        return found

    def _earlier(self) -> list[dict[str, Any]]:
        """What an earlier kernel kept of questions that this one has not asked yet."""
        kept = self.session.kept.items()
        return [entry for name, entry in kept if name not in self.session.asked and entry.get("answer")]

    def key_rows(self) -> list[tuple[str, str, str]]:
        """(question, right answer, reason) of each question that was asked."""
        found = []
        for entry in self.session.asked.values():
            right = next(option for option in entry.gate["options"] if option["right"])
            found.append((entry.gate["prompt"], right["text"], right["reason"]))
        return found

    @property
    def summary(self) -> str:
        """``3 of 5 questions answered, 2 right on the first try.``"""
        asked, earlier = self.session.asked.values(), self._earlier()
        answered = sum(entry.answer is not None for entry in asked) + len(earlier)
        right = sum(entry.first is True for entry in asked) + sum(e.get("first") is True for e in earlier)
        return (
            f"{answered} of {len(asked) + len(earlier)} questions answered, {right} right on the first try."
        )

    def __repr__(self) -> str:
        if self.key:
            return "\n\n".join(f"{ask}\n    {right}\n    {why}" for ask, right, why in self.key_rows())
        lines = [self.summary]
        for prompt, right, mine, first in self.rows():
            lines += [
                "",
                prompt,
                f"    {first}: {mine}" + ("" if right == mine else f"; the right answer is: {right}"),
            ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        if self.key:
            return _table(("Question", "Right", "Why"), self.key_rows())
        told = _table(("Question", "Right", "Your answer", "First try"), self.rows())
        return f"<p>{escape(self.summary)}</p>{told}"


def _table(titles: Sequence[str], told: Iterable[Sequence[str]]) -> str:
    """An HTML table; '' without rows."""
    rows = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{escape(text)}</td>' for text in row) + "</tr>"
        for row in told
    )
    head = "".join(f'<th scope="col" style="text-align:left">{title}</th>' for title in titles)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""


class Progress:
    """A row of ticks for each notebook: what was answered in it, and how the first try came out."""

    def __init__(self, session: Session = SESSION, folder: Path | None = None) -> None:
        self.session, self.folder = session, folder or Path()

    def rows(self) -> list[tuple[str, str, str]]:
        """(notebook, ticks, in words) of the notebooks beside this one, and of all with answers."""
        kept = self.session.store.read()
        names = [path.name for path in lessons(self.folder)] + sorted(kept)
        if self.session.asked:
            names.append(self.session.notebook)
        found = []
        for notebook in dict.fromkeys(names):
            first = {name: entry.get("first") for name, entry in kept.get(notebook, {}).items()}
            if notebook == self.session.notebook:
                first.update({name: entry.first for name, entry in self.session.asked.items()})
            tries = list(first.values())
            ticks = "".join("✔" if tried is True else "✖" if tried is False else "·" for tried in tries)
            done = [tried for tried in tries if isinstance(tried, bool)]
            told = f"{counted(len(done), 'question')} answered, {sum(done)} right on the first try"
            found.append((notebook.removesuffix(".ipynb"), ticks, told if done else "not started"))
        return found

    def __repr__(self) -> str:
        rows = self.rows()
        wide = max((len(name) for name, _, _ in rows), default=0)
        lines = [f"{name:{wide}}  {ticks + '  ' if ticks else ''}{told}" for name, ticks, told in rows]
        return "\n".join(lines) or "No notebooks here, and no answers yet."

    def _repr_html_(self) -> str:
        rows = self.rows()
        return _table(("Notebook", "First tries", "In words"), rows) or f"<p>{escape(repr(self))}</p>"
