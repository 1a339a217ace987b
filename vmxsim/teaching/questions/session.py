"""What was answered in this session of the kernel, so that a cell that runs again does not ask again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Protocol
from weakref import WeakSet

from attrs import define, field


@define
class Remembered:
    """A question that was asked: its data, the answer that stands, and whether the first try was right."""

    gate: Mapping[str, Any]
    answer: Mapping[str, Any] | None = None
    first: bool | None = None


class Listener(Protocol):
    """Who wants to know when a question was asked or answered."""

    def session_changed(self) -> None:
        """Something was asked or answered."""


@define
class Session:
    """Every question asked since the kernel started, by id, in the order of asking."""

    asked: dict[str, Remembered] = field(factory=dict)
    #: Called after every question and answer; who no longer lives is forgotten.
    listeners: WeakSet[Listener] = field(factory=WeakSet)

    def ask(self, gates: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Enter these questions; returns the answers that are known already, by id."""
        known = {}
        for gate in gates:
            entry = self.asked.setdefault(gate["id"], Remembered(gate))
            if entry.answer is not None:
                known[gate["id"]] = dict(entry.answer)
        self._tell()
        return known

    def answer(self, answers: Mapping[str, Any], of: Iterable[str]) -> None:
        """Take what the reader answered to the questions with the ids ``of``; one that is missing was
        asked to be asked again, and its first try stays."""
        for name in of:
            entry = self.asked.get(name)
            if entry is None:
                continue
            entry.answer = answers.get(name)
            if entry.answer is not None and entry.answer["choice"] >= 0 and entry.first is None:
                entry.first = bool(entry.answer["right"])
        self._tell()

    def _tell(self) -> None:
        for listener in list(self.listeners):
            listener.session_changed()


#: The one of this kernel.
SESSION = Session()


class Answers:
    """This session's questions and answers, as a table for a notebook or a terminal; with ``key``,
    every question that was asked with its right answer and the reason."""

    def __init__(self, session: Session = SESSION, key: bool = False) -> None:
        self.session, self.key = session, key

    def rows(self) -> list[tuple[str, str, str, str]]:
        """(question, right answer, the reader's, at first try) of each question that was answered."""
        found = []
        for entry in self.session.asked.values():
            if entry.answer is None:
                continue
            options = entry.gate["options"]
            choice = entry.answer["choice"]
            right = next(option["text"] for option in options if option["right"])
            mine = options[choice]["text"] if choice >= 0 else "the audience's votes"
            mine = entry.answer.get("words") or mine
            first = {True: "✔ right", False: "✖ not right", None: "–"}[entry.first]
            found.append((entry.gate["prompt"], right, mine, first))
        return found

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
        asked = self.session.asked.values()
        answered = sum(entry.answer is not None for entry in asked)
        right = sum(entry.first is True for entry in asked)
        return f"{answered} of {len(asked)} questions answered, {right} right on the first try."

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
        titles = (
            ("Question", "Right", "Why") if self.key else ("Question", "Right", "Your answer", "First try")
        )
        told: Iterable[tuple[str, ...]] = self.key_rows() if self.key else self.rows()
        rows = "".join(
            "<tr>" + "".join(f'<td style="text-align:left">{escape(text)}</td>' for text in row) + "</tr>"
            for row in told
        )
        head = "".join(f'<th scope="col" style="text-align:left">{title}</th>' for title in titles)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
        return table if self.key else f"<p>{escape(self.summary)}</p>{table}"
