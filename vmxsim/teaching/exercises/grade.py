"""What became of an answer: each goal met or not, why, and what shows it."""

from __future__ import annotations

from html import escape
from textwrap import TextWrapper, indent
from typing import Any

from attrs import evolve, frozen

from vmxsim.checker.result import Counterexample
from vmxsim.errors import InputError
from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.scenario import scenario_yaml
from vmxsim.teaching.exercises.goals import Example, Judgement, phrase
from vmxsim.views.words import sentence


@frozen
class Outcome:
    """Goal ``number`` (from 1) of an exercise, in ``words``, and how it was judged."""

    number: int
    words: str
    judgement: Judgement

    @property
    def met(self) -> bool:
        """Whether the answer does it."""
        return self.judgement.met

    @property
    def line(self) -> str:
        """``✖ Goal 1 not met (wanted: ...): why.``"""
        if self.met:
            return f"✔ Goal {self.number} met: {phrase(self.words)}. {self.judgement.in_full()}"
        why = self.judgement.in_full(capital=False)
        return f"✖ Goal {self.number} not met (wanted: {phrase(self.words)}): {why}"

    @property
    def schedule(self) -> str:
        """The schedule that shows it, if it is worth reading; else ''."""
        judgement = self.judgement
        return schedule_text(judgement.example) if judgement.telling and judgement.example else ""


@frozen(slots=False, repr=False)
class Grade:
    """An answer's grade. ``answer`` says what was judged, ``problem`` why nothing could be
    (then there are no outcomes). Printed, it tells all; a notebook shows it as HTML."""

    title: str
    answer: str
    outcomes: tuple[Outcome, ...]
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether every goal that was judged is met."""
        return not self.problem and all(outcome.met for outcome in self.outcomes)

    @property
    def failed(self) -> Outcome | None:
        """The first goal that is not met."""
        return next((outcome for outcome in self.outcomes if not outcome.met), None)

    @property
    def example(self) -> Example | None:
        """What shows the first goal that is not met; of an answer that passed, what shows that."""
        shown = [o for o in self.outcomes if o.met == self.passed and o.judgement.example]
        return shown[0].judgement.example if shown else None

    @property
    def trace(self) -> RunTrace | None:
        """The run to play; None if there is none."""
        return trace_of(self.example)

    @property
    def headline(self) -> str:
        """The verdict in a sentence."""
        if self.problem:
            return f"{self.title}: not passed"
        met, total = sum(o.met for o in self.outcomes), len(self.outcomes)
        if total == 1:
            what = f"goal {self.outcomes[0].number} is {'met' if met else 'not met'}"
        else:
            what = f"{met} of {total} goals met"
        return f"{self.title}: {'passed' if self.passed else 'not passed'}, {what}"

    def as_data(self) -> dict[str, Any]:
        """For a report in another process: JSON-able, and every text complete."""
        goals = [
            {
                "met": o.met,
                "name": f"Goal {o.number} not met",
                "why": sentence(o.judgement.why, capital=False),
                "line": o.line,
                "schedule": o.schedule,
            }
            for o in self.outcomes
        ]
        return {"problem": self.problem, "goals": goals}

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def trace_of(example: Example | None) -> RunTrace | None:
    """The run that an example is; None if the design fails before there is one."""
    if not isinstance(example, Counterexample):
        return example
    if example.failure:
        return None
    try:
        return example.trace
    except InputError:
        return None


class NotPassed(AssertionError):
    """An answer did not pass. ``str()`` is the grade as text; a notebook shows nothing else."""

    def __init__(self, grade: Grade) -> None:
        self.grade = grade
        super().__init__(str(grade))

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


_WIDTH = 100


def as_text(grade: Grade) -> str:
    """The verdict, then each goal with its sign, why, and the schedule that shows it."""
    lines = [f"{grade.headline}."]
    if grade.answer:
        lines.append(f"  Judged: {grade.answer}")
    if grade.problem:
        lines.append(_wrapped(grade.problem, "  ", "       "))
    for outcome in grade.outcomes:
        lines.append(_wrapped(outcome.line, "  ", "       "))
        if outcome.schedule:
            lines.append(indent(outcome.schedule.rstrip(), "         "))
    return "\n".join(lines)


def schedule_text(example: Example) -> str:
    """The schedule of a counterexample or a run, as a scenario file has it, without title and design."""
    return scenario_yaml(evolve(example.scenario, title="", design=None))


def _wrapped(text: str, first: str, rest: str) -> str:
    """Text filled to a readable width, line by line."""
    filler = TextWrapper(
        _WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(map(filler.fill, text.splitlines()))


_STYLE = """<style>
.vmxsim-grade{line-height:1.45;color:var(--jp-ui-font-color1,inherit)}
.vmxsim-grade p{margin:0 0 6px;overflow-wrap:anywhere}
.vmxsim-grade .verdict{padding:6px 10px;border-left:5px solid #767676;font-weight:600;
 background:var(--jp-layout-color2,rgba(128,128,128,.12))}
.vmxsim-grade .verdict.passed{border-color:#009e73}
.vmxsim-grade .verdict.failed{border-color:#d55e00}
.vmxsim-grade ol{list-style:none;margin:0 0 8px;padding:0}
.vmxsim-grade li{margin:0 0 6px;padding-left:1.7em;text-indent:-1.7em}
.vmxsim-grade li>*{text-indent:0}
.vmxsim-grade .sign{display:inline-block;width:1.7em;text-align:left;font-weight:700}
.vmxsim-grade .why{margin:2px 0 0}
.vmxsim-grade pre{margin:4px 0;white-space:pre;padding:6px 10px;overflow:auto;max-height:20em;
 font-size:13px;line-height:1.4;
 border:1px solid var(--jp-border-color2,#bbb);border-radius:4px}
</style>"""


def as_html(grade: Grade) -> str:
    """The verdict, the goals, and for each that is not met why and by which schedule."""
    items = "".join(f"<li>{_outcome_html(outcome)}</li>" for outcome in grade.outcomes)
    goals = f"<ol>{items}</ol>" if items else ""
    return f'{_STYLE}<div class="vmxsim-grade">{verdict_html(grade)}{goals}</div>'


def verdict_html(grade: Grade) -> str:
    """The verdict in a line, and what kept an answer from being judged."""
    sign, kind = ("✔", "passed") if grade.passed else ("✖", "failed")
    head = f'<p class="verdict {kind}">{sign} {escape(grade.headline)}</p>'
    problem = f"<p>{'<br>'.join(escape(line) for line in grade.problem.splitlines())}</p>"
    return head + (problem if grade.problem else "")


def _outcome_html(outcome: Outcome) -> str:
    judgement = outcome.judgement
    sign, word = ("✔", "met") if outcome.met else ("✖", "not met")
    why, wanted = judgement.in_full(), escape(phrase(outcome.words))
    wanted = f": {wanted}." if outcome.met else f" (wanted: {wanted})"
    head = f'<span class="sign">{sign}</span><strong>Goal {outcome.number} {word}</strong>{wanted}'
    told = f'<p class="why">{escape(why)}</p>' if why else ""
    shown = schedule_html(judgement.example) if judgement.example and judgement.telling else ""
    return head + told + shown


def schedule_html(example: Example) -> str:
    """A schedule that can be copied; it takes the keyboard's focus where it must scroll."""
    if isinstance(example, Counterexample):
        name = f"The shortest schedule that breaks {example.invariant}"
    else:
        name = example.title
    return (
        f'<pre tabindex="0" role="region" aria-label="{escape(name)}">{escape(schedule_text(example))}</pre>'
    )
