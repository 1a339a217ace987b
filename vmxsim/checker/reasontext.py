"""What breaks without each line, in words and as a table for notebooks."""

from __future__ import annotations

from html import escape
from typing import Any

from vmxsim.checker.reasons import Reason, Why


def reason_words(reason: Reason) -> str:
    """What breaks without a line, behind the invariant's name; or that nothing does, and why."""
    mutant, example = reason.mutant, reason.counterexample
    if example is None:
        if reason.incomplete:
            return reason.breaks
        if mutant.only_costs:
            return f"{reason.breaks}: it only costs time"
        never = f", but never again: {', '.join(reason.lost)}" if reason.lost else ""
        return f"{reason.breaks}{never}"
    granted = f", assuming {', '.join(reason.granted)}" if reason.granted else ""
    mode = "in" if example.scenario.long_mode else "outside"
    schedule = "; ".join(map(_step_words, example.scenario.steps))
    failure = f" ({example.failure})" if example.failure else ""
    return f"on a {reason.host} host{granted}, starting {mode} long mode: {schedule}{failure}"


def _step_words(step: Any) -> str:
    if isinstance(step, str):
        return step
    ((action, value),) = step.items()
    points = value["preempt"] if isinstance(value["preempt"], list) else [value["preempt"]]
    ticks = ", ".join(f"before {p['before']} in {p['in']}" for p in points)
    return f"{action} (tick {ticks})"


def granted_words(found: Why) -> list[str]:
    """What had to be granted for the design itself to be safe, a sentence for each host width."""
    told = []
    for host, names in found.granted.items():
        if names is None:
            told.append(f"On a {host} host the design is violated under every assumption that was tried.")
        elif names != found.assumed:
            told.append(
                f"On a {host} host the design itself is violated; its lines are judged under"
                f" {', '.join(names)} too."
            )
    return told


def as_html(found: Why) -> str:
    """A table, a row for each line."""
    cell = (
        'style="padding:3px 14px 3px 0;text-align:left;vertical-align:top;'
        'border-bottom:1px solid var(--jp-border-color2,#bbb)"'
    )
    rows, function = "", ""
    for reason in found.reasons:
        mutant = reason.mutant
        if mutant.function != function:
            function = mutant.function
            rows += f'<tr><th scope="rowgroup" colspan="3" {cell}><code>{escape(function)}()</code></th></tr>'
        edit = "" if mutant.edit == "removed" else f" <em>[{escape(mutant.edit)}]</em>"
        told = escape(reason_words(reason))
        if reason.counterexample:
            told = f"<strong>✖ {escape(reason.breaks)}</strong> {told}"
        rows += (
            f"<tr><td {cell}>{mutant.line}</td><td {cell}><code>{escape(mutant.source)}</code>{edit}</td>"
            f"<td {cell}>{told}</td></tr>"
        )
    notes = "".join(f"<p>{escape(words)}</p>" for words in granted_words(found))
    title = f"What breaks in {found.design._name()} without each line"
    head = "".join(f'<th scope="col" {cell}>{text}</th>' for text in ("line", "source", "without it"))
    return (
        f'<div class="vmxsim-why">{notes}<table style="border-collapse:collapse"><caption'
        f' style="text-align:left"><strong>{escape(title)}</strong></caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def as_text(found: Why) -> str:
    """The same as plain text."""
    lines = [f"What breaks in {found.design._name()} without each line", *granted_words(found)]
    for reason in found.reasons:
        mutant = reason.mutant
        broken = f"{reason.breaks} " if reason.counterexample else ""
        lines.append(
            f"{mutant.function}:{mutant.line} {mutant.source} [{mutant.edit}]: {broken}{reason_words(reason)}"
        )
    return "\n".join(lines)
