"""A trace as Markdown for a review: claim, schedule, verdict, important steps, source, commands."""

from __future__ import annotations

import re

from vmxsim.errors import printable
from vmxsim.exports.report import Report, Row
from vmxsim.exports.subject import FILE
from vmxsim.kernel.kvm import name_of
from vmxsim.simulation.scenario import scenario_yaml

_SPECIAL = re.compile(r"([\\`*_\[\]|<>~&])")
#: Markdown ignores an underscore inside a word.
_INNER = re.compile(r"(?<=[A-Za-z0-9])\\_(?=[A-Za-z0-9])")
#: Starts a heading, an item or a rule at the beginning of a paragraph.
_START = re.compile(r"^([-+#=]|\d+(?=[.)]))")


def escaped(text: object, limit: int = 800) -> str:
    """Escape everything in a text that Markdown or HTML could take for markup."""
    shown = _INNER.sub("_", _SPECIAL.sub(r"\\\1", printable(text, limit)))
    start = _START.match(shown)
    if start is None:
        return shown
    at = start.end() if start[0].isdecimal() else 0
    return f"{shown[:at]}\\{shown[at:]}"


def code(text: object, limit: int = 400) -> str:
    """A text as a code span, with a fence longer than any run of backticks in it."""
    shown = printable(text, limit)
    fence = "`" * (1 + _longest(shown))
    pad = " " if shown.startswith("`") or shown.endswith("`") or not shown else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def cell(text: str) -> str:
    """Markdown for a table's cell, in which a bar ends the cell even inside a code span."""
    return re.sub(r"(?<!\\)\|", r"\\|", text)


def block(lines: list[str], language: str = "") -> list[str]:
    """A fenced block, with a fence longer than any run of backticks in it."""
    fence = "`" * max(3, 1 + max((_longest(line) for line in lines), default=0))
    return [f"{fence}{language}", *lines, fence]


def _longest(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)


def markdown(told: Report) -> str:
    """The whole text, in CommonMark plus the tables of GitHub and GitLab."""
    parts = [
        [f"## {escaped(told.headline)}"],
        [escaped(told.about_code)] if told.about_code else [],
        [escaped(told.claim) + (":" if told.about.scenario else ".")],
        _schedule(told),
        _verdict(told),
        _steps(told),
        _state(told),
        _source(told),
        _change(told),
        _again(told),
        [f"*Note:* {escaped(remark)}" for remark in told.remarks],
        _rests_on(told),
        [f"*{escaped(told.footer)}*"],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _schedule(told: Report) -> list[str]:
    scenario = told.about.scenario
    return block(scenario_yaml(scenario).splitlines(), "yaml") if scenario else []


def _verdict(told: Report) -> list[str]:
    lines = []
    if told.about.invariant:
        mechanism = f": {escaped(told.mechanism)}" if told.mechanism else ""
        lines.append(f"**✖ {code(told.about.invariant)} is broken**{mechanism}.")
    else:
        lines.append("**✔ No invariant is broken.**")
    said = {"Expected": told.expected, "Found": told.found, told.blamed.label: told.lost, "Why": told.why}
    items = [f"- *{name}:* {escaped(text)}" for name, text in said.items() if text]
    return [*lines, *([""] if items else []), *items]


def _steps(told: Report) -> list[str]:
    rows, trace = told.rows, told.about.trace
    if trace is None or not rows.rows:
        return []
    lines = ["### What happens", "", f"The {len(rows.rows)} of {rows.steps} steps that matter.", ""]
    if rows.skipped:
        lines[2] += f" {rows.skipped} more of this kind are left out."
    lines += ["| step | CPU | where | what runs | what it does |", "|---:|---:|---|---|---|"]
    for number, action, group in rows.by_action(trace):
        lines.append(f"| | | **\\[{number + 1}\\]** {cell(code(action))} | | |")
        for row in group:
            lines += [f"| | | *{row.skipped} left out* | | |"] if row.skipped else []
            lines.append(_row(row, told.blamed.done))
    return lines


def _row(row: Row, blamed: str) -> str:
    number = f"**{row.number}**" if row.lost or row.broken else str(row.number)
    done = [escaped(effect) for effect in row.effects]
    if row.lost:
        done.append(f"**{blamed} here**")
    if row.broken:
        done.append(f"**✖ breaks {escaped(', '.join(row.broken))}**")
    where = code(row.where) if row.where else ""
    columns = (number, str(row.cpu), where, code(row.source), "<br>".join(done))
    return f"| {' | '.join(cell(column) for column in columns)} |"


def _state(told: Report) -> list[str]:
    if told.state is None:
        return []
    lines = [f"### {told.state.when}", "", "| place | value | whose | worth |", "|---|---|---|---|"]
    for place, value, whose, worth in told.state.places:
        columns = (code(place), code(value), escaped(whose), f"**{worth}**" if worth == "foreign" else worth)
        lines.append(f"| {' | '.join(cell(column) for column in columns)} |")
    return [*lines, "", "\n\n".join(f"{escaped(fact)}." for fact in told.state.facts)]


def _source(told: Report) -> list[str]:
    if told.code is None:
        return []
    at, lines = told.code.at, told.code.lines
    shown = [
        f"{'▶' if n == at.line else ' '}{at.first + n - 1:>3}  {lines[n - 1]}" if n else "      ⋯"
        for n in told.code.kept
    ]
    return [f"### {code(at.function)}, {at.name} {told.code_does}", "", *block(shown)]


def _change(told: Report) -> list[str]:
    if not told.change or told.about.design is None:
        return []
    name = code(name_of(told.about.design))
    return [f"### What {name} changes", "", *block([printable(one, 200) for one in told.change], "diff")]


def _rests_on(told: Report) -> list[str]:
    lines = [f"- {escaped(text)}" for text in told.rests_on]
    return ["### What this rests on", "", *lines] if lines else []


def _again(told: Report) -> list[str]:
    if not told.commands:
        return []
    saved = f"The schedule above, saved as {code(FILE)}:" if told.about.scenario else "The recording itself:"
    commands = [f"{command}  # {what}" for command, what in told.commands]
    return ["### To reproduce", "", saved, "", *block(commands, "sh")]
