"""A grade as HTML: signs, words and colours. All that a learner wrote is escaped."""

from __future__ import annotations

from html import escape

from vmxsim.exercises.goals.goal import Example, phrase, sentence
from vmxsim.exercises.grade import Grade, Outcome
from vmxsim.exercises.gradetext import example_name, schedule_text

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
    return f'{_STYLE}<div class="vmxsim-grade">{verdict_html(grade)}{outcomes_html(grade)}</div>'


def verdict_html(grade: Grade) -> str:
    """The verdict in a line, and what was judged."""
    sign, kind = ("✔", "passed") if grade.passed else ("✖", "failed")
    head = f'<p class="verdict {kind}">{sign} {escape(grade.headline)}</p>'
    problem = f"<p>{'<br>'.join(escape(line) for line in grade.problem.splitlines())}</p>"
    return head + (problem if grade.problem else "")


def outcomes_html(grade: Grade) -> str:
    """Each goal, why it is met or not, and the schedule that shows it."""
    items = "".join(f"<li>{_outcome(outcome)}</li>" for outcome in grade.outcomes)
    return f"<ol>{items}</ol>" if items else ""


def _outcome(outcome: Outcome) -> str:
    judgement = outcome.judgement
    sign, word = ("✔", "met") if outcome.met else ("✖", "not met")
    why, wanted = sentence(judgement.why), escape(phrase(outcome.words))
    wanted = f": {wanted}." if outcome.met else f" (wanted: {wanted})"
    head = f'<span class="sign">{sign}</span><strong>Goal {outcome.number} {word}</strong>{wanted}'
    told = f'<p class="why">{escape(why)}</p>' if why else ""
    shown = schedule_html(judgement.example) if judgement.example is not None and judgement.telling else ""
    return head + told + shown


def schedule_html(example: Example) -> str:
    """A schedule that can be copied; it takes the keyboard's focus where it must scroll."""
    name = escape(example_name(example), quote=True)
    return f'<pre tabindex="0" role="region" aria-label="{name}">{escape(schedule_text(example))}</pre>'
