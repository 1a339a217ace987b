"""Patches as they arrive by mail, and what a reviewer makes of each: verdict, attack, reply, repair, score.

Nothing here tells whether a patch is right before there is a verdict: ask the inbox for a patch, read it,
and ``judge`` it first. What was said and tried is kept with the answers (``vmxsim.answers``), in this
kernel and on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from difflib import unified_diff
from html import escape
from textwrap import fill
from typing import Any

from attrs import define, field, frozen

from vmxsim.checker.check import check
from vmxsim.checker.result import SAFE, CheckResult
from vmxsim.designs import find_design
from vmxsim.designs.history import source_lines
from vmxsim.errors import InputError, printable, unknown
from vmxsim.kernel.actions import VERBS
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.kernel.patch import changed_functions
from vmxsim.simulation.run import RunTrace, run
from vmxsim.teaching.questions.session import SESSION

#: What a reviewer may answer.
APPROVE, REQUEST = "approve", "request changes"
#: The most points of a patch: for the verdict, for a schedule that breaks it, for a repair.
VERDICT, SCHEDULE, REPAIR = 10, 5, 5
_COLUMNS = 78
#: What the answers' file calls them.
_SECTION = "reviews"


class Told(str):
    """A text that a notebook shows without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def _told(*sentences: str) -> Told:
    return Told("\n".join(fill(sentence, 100) for sentence in sentences if sentence))


def design_diff(before: type[Kvm], after: type[Kvm]) -> str:
    """What a design changes in another one, function by function, as a patch: the whole of each function,
    and the rule of interception if it changes."""
    found = []
    if before.interception != after.interception:
        rules = [f'{sign}interception = "{d.interception}"' for sign, d in (("-", before), ("+", after))]
        found += ["@@ the MSR bitmap @@", *rules]
    old, new = before.functions(), after.functions()
    for name in changed_functions(after):
        was = source_lines(old[name]) if name in old else []
        now = source_lines(new[name])
        lines = list(unified_diff(was, now, n=max(len(was), len(now)), lineterm=""))[3:]
        if lines:
            found += [f"@@ {name}() @@", *(line.rstrip() for line in lines)]
    return "\n".join(found)


#: What is behind a line of a diff, in either theme.
_SHADES = {"+": "rgba(0,158,115,0.18)", "-": "rgba(213,94,0,0.18)", "@": "rgba(127,127,127,0.18)"}


def _diff_line(line: str) -> str:
    """A line of a diff as HTML: its sign stays, the shade is added."""
    shade = _SHADES.get(line[:1])
    style = f' style="background:{shade}"' if shade else ""
    return f"<span{style}>{escape(line)}</span>\n"


def _split(head: str) -> tuple[str, str]:
    name, _, text = head.partition(": ")
    return name, text


@frozen
class Verdict:
    """What a reviewer said first: the answer, how sure (50 to 100 percent), after how many minutes."""

    answer: str
    confidence: int
    minutes: float

    def points(self, right: bool) -> float:
        """0 to 10, to a tenth. Sure and right earns all, sure and wrong nothing; half sure 7.5 in both."""
        p = self.confidence / 100
        return round(VERDICT * (1 - ((1 - p) if right else p) ** 2), 1)


@frozen(repr=False)
class Attack:
    """A schedule that was tried on a patch: its run, and in words what came of it."""

    run: RunTrace

    @property
    def schedule(self) -> str:
        """Its actions in a line."""
        return "; ".join(self.run.actions)

    @property
    def broken(self) -> bool:
        """Whether an invariant breaks."""
        return bool(self.run.violations)

    @property
    def position(self) -> int:
        """Where to look: after the step at which an invariant first breaks, or at the end where none does."""
        return next((v.step + 1 for v in self.run.violations if v.step >= 0), len(self.run.steps))

    def __repr__(self) -> str:
        if not self.broken:
            return _told(f"{self.schedule}: nothing is wrong. That is one schedule.")
        why = (f"{v.invariant}: {v.words}" for v in self.run.violations[:2])
        return _told(f"{self.schedule}: broken.", *why)


@define(eq=False)
class Review:
    """A patch in the inbox and its review. A notebook shows it as the mail that it came in."""

    number: int
    subject: str
    message: tuple[str, ...]
    patch: type[Kvm]
    before: type[Kvm]
    #: None until there is one; only the first counts.
    verdict: Verdict | None = None
    #: The schedules that were tried on it before it was checked: (in words, whether it broke).
    attacks: list[tuple[str, bool]] = field(factory=list)
    #: The mail that the reviewer wrote.
    text: str = ""
    #: Whether a repair was safe.
    repaired: bool = False
    #: The checker's verdict, "" before it was asked.
    outcome: str = ""
    _found: CheckResult | None = None

    def load(self, kept: Mapping[str, Any]) -> None:
        """Take what an earlier kernel kept, as far as it makes sense."""
        said = kept.get("verdict")
        if self.verdict is not None or not isinstance(said, list) or len(said) != 3:
            return
        with suppress(InputError):
            self._judge(*said)
            self.outcome = str(kept.get("outcome") or "")
            self.repaired = kept.get("repaired") is True
            self.text = str(kept.get("text") or "")
            self.attacks += [("kept", True)] * (kept.get("broke") is True)

    def _keep(self) -> None:
        v = self.verdict
        assert v is not None
        broke = any(broke for _, broke in self.attacks)
        told = {"verdict": [v.answer, v.confidence, v.minutes], "outcome": self.outcome, "broke": broke}
        SESSION.store.keep(_SECTION, str(self.number), {**told, "repaired": self.repaired, "text": self.text})

    def forget(self) -> None:
        """Forget all that was said and tried, in this kernel and on disk."""
        self.verdict, self.text, self.repaired, self.outcome, self._found = None, "", False, "", None
        self.attacks.clear()
        SESSION.store.keep(_SECTION, str(self.number), None)

    @property
    def diff(self) -> str:
        """The change as a patch, computed from the two designs."""
        return design_diff(self.before, self.patch)

    @property
    def _heads(self) -> list[str]:
        return [f"Subject: [PATCH] {self.subject}", f"Applies to: {name_of(self.before)}"]

    def __str__(self) -> str:
        paragraphs = [fill(text, _COLUMNS) for text in self.message]
        return "\n\n".join(["\n".join(self._heads), *paragraphs, f"---\n{self.diff}"])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        heads = "<br>".join(f"<b>{name}:</b> {escape(text)}" for name, text in map(_split, self._heads))
        message = "".join(f"<p>{escape(text)}</p>" for text in self.message)
        lines = "".join(map(_diff_line, self.diff.splitlines()))
        return f'<p>{heads}</p>{message}<pre style="line-height:1.4">{lines}</pre>'

    def judge(self, answer: str, *, confidence: int = 50, minutes: float = 0) -> Told:
        """Keep the verdict ``approve`` or ``request changes``, how sure you are in percent (50: you would
        toss a coin; 100: certain), and how many minutes it took you. ``?`` is no verdict yet.

        The first verdict counts. Raises InputError for another answer or number.
        """
        if self.verdict is not None:
            return _told(f"Your first verdict counts: {self.said}.")
        if answer == "?":
            return _told(f"No verdict yet: write '{APPROVE}' or '{REQUEST}', and run the cell again.")
        self._judge(answer, confidence, minutes)
        self._keep()
        return _told(f"Kept: {self.said}.")

    def _judge(self, answer: str, confidence: int, minutes: float) -> None:
        if answer not in (APPROVE, REQUEST):
            raise unknown("verdict", answer, (APPROVE, REQUEST))
        if isinstance(confidence, bool) or not isinstance(confidence, int) or not 50 <= confidence <= 100:
            raise InputError(f"expected 50 to 100 percent, not {printable(repr(confidence))}", "confidence")
        if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not 0 <= minutes < 1000:
            raise InputError(f"expected a number of minutes, not {printable(repr(minutes))}", "minutes")
        self.verdict = Verdict(answer, confidence, minutes)

    @property
    def said(self) -> str:
        """The verdict in words."""
        v = self.verdict
        return "nothing yet" if v is None else f"{v.answer}, {v.confidence} % sure, {v.minutes:g} min"

    @property
    def _first(self) -> Told | None:
        return None if self.verdict else _told("Your verdict first: run the cell with judge().")

    def attack(self, schedule: Any, **how: Any) -> Any:
        """Run a schedule on the patch, as ``vmxsim.run`` takes it: an :class:`Attack`, which says whether it
        breaks."""
        return self._first or self._attacked(run(schedule, self.patch, **how))

    def _attacked(self, trace: RunTrace) -> Attack:
        tried = Attack(trace)
        if not self.outcome:  # with the counterexample at hand it is no attack
            self.attacks.append((tried.schedule, tried.broken))
            self._keep()
        return tried

    def check(self) -> CheckResult | Told:
        """Every schedule, on both host widths. Only after the verdict."""
        return self._first or self._checked()

    def _checked(self) -> CheckResult:
        if self._found is None:
            self._found = check(self.patch)
            self.outcome = self._found.verdict
            self._keep()
        return self._found

    def reply(self, text: str) -> Told:
        """Keep the mail that you would send, and say what a reader of it might miss."""
        if self._first:
            return self._first
        self.text = text.strip()
        if not self.text:
            return _told("Your mail is empty: write it, and run the cell again.")
        self._keep()
        wanted: dict[str, Iterable[str]] = {
            "a function": [name.removeprefix("vmx_") for name in self.patch.functions()]
        }
        if self.verdict and self.verdict.answer == REQUEST:
            wanted["an action of a schedule"] = VERBS
        missing = [what for what, words in wanted.items() if not any(word in self.text for word in words)]
        kept = f"Kept: {len(self.text.split())} words."
        return _told(kept, f"It does not name {' or '.join(missing)}." if missing else "")

    def repair(self, design: type[Kvm]) -> Told:
        """Check a repair: a subclass of the patch. Raises InputError for anything else."""
        if self._first:
            return self._first
        if not (isinstance(design, type) and issubclass(design, self.patch)):
            named = self.patch.__name__
            raise InputError(f"expected a subclass of the patch: 'class Mine({named}): ...'", "repair")
        found = check(find_design(design))
        if found.verdict != SAFE:
            example = found.counterexample
            return _told(f"{found.verdict}: {example.schedule}" if example else found.verdict)
        if not design_diff(self.patch, design) and self._checked().verdict == SAFE:
            return _told("Safe on every schedule, as the patch is: this changes nothing in it.")
        self.repaired = True
        self._keep()
        return _told("Safe on every schedule, on both host widths.")

    @property
    def right(self) -> bool | None:
        """Whether the verdict is the checker's; None before both are there."""
        if self.verdict is None or not self.outcome:
            return None
        return (self.verdict.answer == APPROVE) == (self.outcome == SAFE)

    @property
    def points(self) -> tuple[float, int]:
        """(what it earned, the most it could earn); nothing of either before it was judged and checked."""
        if self.right is None or self.verdict is None:
            return 0, 0
        earned, most = self.verdict.points(self.right), VERDICT
        if self.outcome != SAFE:
            earned += SCHEDULE * any(broke for _, broke in self.attacks) + REPAIR * self.repaired
            most += SCHEDULE + REPAIR
        return earned, most


@frozen
class Inbox:
    """All patches by number; shown, the score so far. 0 is the patch of notebook 02, without a score."""

    reviews: tuple[Review, ...]

    def remember(self) -> None:
        """Take what an earlier kernel kept."""
        kept = SESSION.store.section(_SECTION)
        for review in self.reviews:
            entry = kept.get(str(review.number))
            if isinstance(entry, dict):
                review.load(entry)

    def forget(self) -> None:
        """Start over: forget all verdicts, attacks, mails and repairs, in this kernel and on disk."""
        for review in self.reviews:
            review.forget()

    def __getitem__(self, number: int) -> Review:
        for review in self.reviews:
            if review.number == number:
                return review
        raise unknown("patch", str(number), [str(review.number) for review in self.reviews], "inbox")

    def __iter__(self) -> Iterator[Review]:
        return (review for review in self.reviews if review.number)

    def __repr__(self) -> str:
        return self._repr_markdown_()

    def _repr_markdown_(self) -> str:
        """A row for each patch that has a verdict; the checker's is told only of those that were checked."""
        rows = ["| patch | you said | the checker says | your schedule | repair | points |", "|---" * 6 + "|"]
        for one in self:
            if one.verdict is None:
                continue
            says = one.outcome or "not asked yet"
            broke = "breaks it" if any(broke for _, broke in one.attacks) else "-"
            earned, most = one.points
            rows.append(
                f"| {one.number}: {one.subject} | {one.said} | {says} | {broke}"
                f" | {'safe' if one.repaired else '-'} | {f'{earned:.1f} of {most}' if most else '-'} |"
            )
        if len(rows) == 2:
            return "No patch has a verdict yet."
        earned, most = (sum(column) for column in zip(*(one.points for one in self), strict=True))
        return "\n".join([*rows, f"| **together** | | | | | **{earned:.1f} of {most}** |"])
