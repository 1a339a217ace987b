"""What a check found, for people and programs."""

from __future__ import annotations

import re
from functools import cached_property
from html import escape
from typing import Any

from attrs import field, frozen

from vmxsim.checker.assumptions import ASSUMPTIONS
from vmxsim.checker.counterexample import Explanation, explain
from vmxsim.errors import InputError
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.simulation.run import RunTrace, run
from vmxsim.simulation.scenario import Scenario, scenario_yaml

SAFE, VIOLATED, INCOMPLETE = "safe", "violated", "incomplete"
HOLDS, UNKNOWN = "holds", "unknown"


@frozen(slots=False)
class Counterexample:
    """The shortest schedule found that breaks ``invariant`` on ``design``.

    ``actions`` counts the actions of ``scenario``, ``steps`` the transitions of the model
    until the invariant breaks. ``failure`` is the message where the design did what the
    kernel must not (invariant ``contract``); '' elsewhere. ``past`` says that another
    invariant is broken on the way.
    """

    design: type[Kvm] = field(repr=False)
    invariant: str
    scenario: Scenario
    actions: int
    steps: int
    failure: str = ""
    past: bool = False

    @cached_property
    def trace(self) -> RunTrace:
        """The scenario, run. Raises SimulationError if the design fails on it."""
        return run(self.scenario, self.design)

    @cached_property
    def explanation(self) -> Explanation | None:
        """Why it is wrong; None if the design fails."""
        return None if self.failure else explain(self.trace, self.invariant)

    @property
    def mechanism(self) -> str:
        """A short name of what goes wrong."""
        return self.explanation.mechanism if self.explanation else "the design does what the kernel must not"

    @property
    def words(self) -> str:
        """What was expected and found, and which step lost it."""
        return self.explanation.words if self.explanation else self.failure

    def as_data(self) -> dict[str, Any]:
        """The scenario as plain data, in the fields of a scenario file."""
        s = self.scenario
        data: dict[str, Any] = {"title": s.title}
        if s.design:
            data["design"] = s.design
        data |= {"cpus": s.cpus, "vcpus": s.vcpus, "host": s.host, "long_mode": s.long_mode}
        if s.interception != Scenario().interception:
            data["interception"] = s.interception
        return data | {"steps": list(s.steps)}


@frozen(slots=False)
class HostResult:
    """The verdict for one width of the host's user space.

    ``invariants`` says of each ``holds``, ``violated`` or ``unknown``. ``states``,
    ``transitions`` and ``depth`` (transitions from the start to the farthest state) are
    those searched; ``seconds`` how long it took. ``cut`` says why the search is incomplete,
    '' if it is not; ``ended_early``: every invariant was broken, and nothing was left to find.
    """

    host: str
    invariants: dict[str, str]
    states: int
    transitions: int
    depth: int
    seconds: float
    sometimes: dict[str, bool]
    counterexamples: dict[str, Counterexample]
    cut: str = ""
    ended_early: bool = False

    @property
    def verdict(self) -> str:
        """``safe``, ``violated`` or ``incomplete``."""
        if self.counterexamples:
            return VIOLATED
        return INCOMPLETE if self.cut else SAFE

    @property
    def counterexample(self) -> Counterexample | None:
        """The shortest of all."""
        return min(self.counterexamples.values(), key=lambda c: (c.actions, c.steps), default=None)


@frozen(slots=False)
class CheckResult:
    """What ``vmxsim.check`` found of ``design``: ``hosts``, one result for each host width,
    under ``assumptions`` (their names). Printed, it is a table and the counterexample."""

    design: type[Kvm]
    hosts: tuple[HostResult, ...]
    cpus: int
    vcpus: int
    assumptions: tuple[str, ...]

    @property
    def name(self) -> str:
        """The design's id, or the class's name of a reader's own."""
        return name_of(self.design)

    @property
    def telling(self) -> HostResult:
        """The result that decides: the first violated one, else the first incomplete one."""
        for verdict in (VIOLATED, INCOMPLETE):
            for host in self.hosts:
                if host.verdict == verdict:
                    return host
        return self.hosts[0]

    @property
    def verdict(self) -> str:
        """``safe``, ``violated`` or ``incomplete``, over all host widths."""
        return self.telling.verdict

    @property
    def counterexample(self) -> Counterexample | None:
        """The shortest counterexample on the first host width that is violated."""
        return self.telling.counterexample

    @property
    def scenario(self) -> Scenario:
        """The counterexample's scenario. Raises InputError if there is none."""
        if self.counterexample is None:
            raise InputError(f"{self.name} has no counterexample: the verdict is '{self.verdict}'")
        return self.counterexample.scenario

    def __repr__(self) -> str:

        return as_text(self)

    def _repr_html_(self) -> str:

        return as_html(self)


# -- A check's result as text and as HTML


def headline(result: CheckResult) -> str:
    """The verdict in a sentence."""
    telling = result.telling
    widths = " and a ".join(host.host for host in result.hosts if host.verdict == result.verdict)
    bounds = f"{result.cpus} CPU{'s' * (result.cpus > 1)}, {result.vcpus} vCPU{'s' * (result.vcpus > 1)}"
    granted = f", assuming {', '.join(result.assumptions)}" if result.assumptions else ""
    if result.verdict == "violated":
        broken = [name for name, how in telling.invariants.items() if how == "violated"]
        return f"{result.name} is VIOLATED on a {widths} host ({', '.join(broken)}); {bounds}{granted}"
    if result.verdict == "incomplete":
        return (
            f"{result.name}: INCOMPLETE, no violation found, but the search ended early:"
            f" {telling.cut}; {bounds}{granted}"
        )
    return f"{result.name} is SAFE on a {widths} host: every schedule was explored; {bounds}{granted}"


def counterexample_line(example: Counterexample) -> str:
    """How long it is, and which mechanism it shows."""
    actions = f"{example.actions} action{'s' * (example.actions > 1)}"
    past = ", after another invariant was violated" if example.past else ""
    return (
        f"Shortest counterexample to {example.invariant}: {actions}, {example.steps} transitions{past}."
        f" Mechanism: {example.mechanism}."
    )


def not_reached(host: HostResult) -> list[str]:
    """*Sometimes* properties that the search never reached."""
    return [name for name, was in host.sometimes.items() if not was]


def sometimes_line(result: CheckResult) -> str:
    """Which *sometimes* properties were reached: a pass that reached few says little."""
    host = result.telling
    if not host.sometimes:
        return ""
    missing = not_reached(host)
    reached = len(host.sometimes) - len(missing)
    line = f"Reached at least once: {reached} of {len(host.sometimes)} situations that a pass should cover"
    if host.ended_early:
        line = f"The search ended when every invariant was broken. {line}"
    if not missing:
        return f"{line}."
    granted = " (assumptions may exclude them)" if result.assumptions else ""
    return f"{line}; not{granted}: {', '.join(missing)}."


def as_text(result: CheckResult) -> str:
    """The result as plain text, for a terminal or a notebook's repr."""
    lines = [headline(result)]
    for host in result.hosts:
        how = ", ".join(f"{name} {verdict}" for name, verdict in host.invariants.items())
        lines.append(
            f"  {host.host}: {how}; {host.states:,} states, {host.transitions:,} transitions,"
            f" depth {host.depth}, {host.seconds:.2f} s"
        )
    lines.append(f"  {sometimes_line(result)}")
    example = result.counterexample
    if example:
        lines += [counterexample_line(example), scenario_yaml(example.scenario), example.words]
    return "\n".join(line for line in lines if line.strip())


_COLOURS = {"safe": "#009E73", "violated": "#D55E00", "incomplete": "#CC79A7"}
_SIGNS = {"safe": "✔", "violated": "✖", "incomplete": "…"}


def as_html(result: CheckResult) -> str:
    """The result for a notebook: a table, the counterexample, the reason in words."""
    line = "var(--jp-border-color2,#bbb)"
    cell = f'style="padding:3px 12px 3px 0;text-align:left;border-bottom:1px solid {line}"'
    names = list(result.telling.invariants)
    head = "".join(
        f'<th scope="col" {cell}>{escape(text)}</th>'
        for text in ("host", *names, "states", "transitions", "depth", "seconds")
    )
    rows = ""
    for host in result.hosts:
        figures = (f"{host.states:,}", f"{host.transitions:,}", str(host.depth), f"{host.seconds:.2f}")
        cells = (*(_signed(host.invariants.get(name, "holds")) for name in names), *figures)
        rows += f'<tr><th scope="row" {cell}>{host.host}</th>'
        rows += "".join(f"<td {cell}>{escape(text)}</td>" for text in cells) + "</tr>"
    colour, sign = _COLOURS[result.verdict], _SIGNS[result.verdict]
    parts = [
        f'<p style="border-left:5px solid {colour};padding:4px 10px;margin:4px 0">'
        f"<strong>{sign} {escape(headline(result))}</strong></p>",
        f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>",
        f"<p>{escape(sometimes_line(result))}</p>",
    ]
    example = result.counterexample
    if example:
        parts += [
            f"<p><strong>{escape(counterexample_line(example))}</strong></p>",
            f'<pre style="margin:8px 0;padding:8px 10px;border:1px solid {line};border-radius:4px">'
            f"{escape(scenario_yaml(example.scenario))}</pre>",
            f"<p><strong>Why is this wrong?</strong> {escape(example.words)}</p>",
        ]
    return f'<div class="vmxsim-check">{"".join(parts)}</div>'


def _signed(how: str) -> str:
    """An invariant's verdict with its sign, so that it is not told by colour or word alone."""
    sign = {"holds": "✔", "violated": "✖"}.get(how, "?")
    return f"{sign} {how}"


def assumption_lines() -> list[tuple[str, str]]:
    """Every assumption's name and meaning."""
    return [(name, assumption.words) for name, assumption in ASSUMPTIONS.items()]


# -- what a check found, as HTML for the panel

#: Sign and word of a verdict on an invariant, or on all of them.
_HTML_SIGNS = {"holds": "✔", "safe": "✔", "violated": "✖", "unknown": "?", "incomplete": "?"}


def without_options(text: str) -> str:
    """Words of the command line taken out: the panel has no options."""
    return re.sub(r" \(--[\w-]+\)", "", text)


def verdict_html(result: CheckResult) -> str:
    """The verdict, invariants by host widths, how much was searched, what was not reached."""
    kind = result.verdict
    words = escape(without_options(headline(result)))
    head = f'<p class="verdict {kind}" role="status"><b>{_HTML_SIGNS[kind]}</b> {words}</p>'
    hint = ""
    if kind == "incomplete":
        hint = '<p class="dim">To get an answer, assume more, or check with one vCPU.</p>'
    return head + hint + _table(result) + _sometimes(result)


def _table(result: CheckResult) -> str:
    names = list(dict.fromkeys(name for host in result.hosts for name in host.invariants))
    heads = "".join(f'<th scope="col">{escape(host.host)} host</th>' for host in result.hosts)
    rows = [
        _row(
            f"<code>{escape(name)}</code>",
            [_verdict(h.invariants.get(name, "unknown")) for h in result.hosts],
        )
        for name in names
    ]
    figures = {
        "states": [f"{h.states:,}" for h in result.hosts],
        "transitions": [f"{h.transitions:,}" for h in result.hosts],
        "depth": [f"{h.depth:,}" for h in result.hosts],
        "seconds": [f"{h.seconds:.2f}" for h in result.hosts],
    }
    rows += [_row(name, cells, "figure") for name, cells in figures.items()]
    return (
        f'<table><caption class="hidden">Invariants by host width</caption>'
        f'<thead><tr><th scope="col">invariant</th>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )


def _row(head: str, cells: list[str], kind: str = "") -> str:
    return (
        f'<tr class="{kind}"><th scope="row">{head}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
    )


def _verdict(how: str) -> str:
    return f'<span class="how {escape(how)}"><b>{_HTML_SIGNS.get(how, "?")}</b> {escape(how)}</span>'


def _sometimes(result: CheckResult) -> str:
    """The situations that a pass should cover and that no schedule came to."""
    told: dict[str, list[str]] = {}
    for host in result.hosts:
        if host.sometimes:
            missing = not_reached(host)
            count = f"{len(host.sometimes) - len(missing)} of {len(host.sometimes)}"
            words = f"{count} situations that a pass should cover were reached"
            if missing:
                words += f"; not: {', '.join(missing)}"
            told.setdefault(f"{words}.", []).append(host.host)
    lines = [
        f"<p>{escape('' if len(hosts) == len(result.hosts) else f'{hosts[0]} host: ')}{escape(words)}</p>"
        for words, hosts in told.items()
    ]
    if lines and result.verdict == "violated":
        lines.append('<p class="dim">States past a broken invariant are not counted.</p>')
    return "".join(lines)


def counterexample_html(example: Counterexample) -> str:
    """The shortest schedule that breaks an invariant, and why that is wrong."""
    return (
        f"<p><strong>{escape(counterexample_line(example))}</strong></p>"
        f'<pre tabindex="0" aria-label="The counterexample as a scenario">'
        f"{escape(scenario_yaml(example.scenario))}</pre>"
        f"<h4>Why is this wrong?</h4><p>{escape(example.words)}</p>"
    )


def telling_steps(example: Counterexample) -> tuple[int, int]:
    """Steps of the run (from 1): the one that loses the value, the one that breaks the invariant.

    Where no step loses it, the first is the second. Raises SimulationError if the design fails.
    """
    breaks = next((v.step + 1 for v in example.trace.violations if v.invariant == example.invariant), 0)
    lost = example.explanation.step + 1 if example.explanation else 0
    return lost or breaks, breaks


def steps_words(example: Counterexample, lost: int, breaks: int) -> str:
    """What the stepper shows at these positions."""
    if lost == breaks:
        return f"step {breaks} breaks {example.invariant}"
    return f"step {lost} loses the value, step {breaks} breaks {example.invariant}"
