"""What a check found: as objects, as text, and as HTML for notebooks and the check panel."""

from __future__ import annotations

from functools import cached_property
from html import escape
from typing import Any

from attrs import field, frozen

from vmxsim.checker.assumptions import ASSUMPTIONS
from vmxsim.checker.counterexample import Explanation, explain
from vmxsim.checker.transition_table import Cut
from vmxsim.errors import InputError, counted
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.simulation.run import RunTrace, run
from vmxsim.simulation.scenario import Scenario, scenario_yaml

SAFE, VIOLATED, INCOMPLETE = "safe", "violated", "incomplete"
HOLDS, UNKNOWN = "holds", "unknown"


@frozen(slots=False)
class Counterexample:
    """The shortest schedule that breaks ``invariant`` on ``design``.

    ``actions`` counts the actions of ``scenario``, ``steps`` the checker's transitions up to
    the violation. ``failure`` is the message if the design did what the kernel must not
    (invariant ``contract``), else ''. ``past``: another invariant breaks before this one.
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
        """Why the invariant breaks; None if the design fails instead."""
        return None if self.failure else explain(self.trace, self.invariant)

    @property
    def mechanism(self) -> str:
        """A short name for what goes wrong."""
        return self.explanation.mechanism if self.explanation else "the design does what the kernel must not"

    @property
    def words(self) -> str:
        """What was expected and found, and the step that lost the value."""
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

    ``invariants`` maps each to ``holds``, ``violated`` or ``unknown``. ``states``,
    ``transitions`` and ``depth`` (transitions to the farthest state) measure the search;
    ``sometimes`` tells which situations it covered. ``cut_by`` says why it is incomplete, None
    if it is not; ``ended_early``: it stopped because every invariant was broken.
    """

    host: str
    invariants: dict[str, str]
    states: int
    transitions: int
    depth: int
    seconds: float
    sometimes: dict[str, bool]
    counterexamples: dict[str, Counterexample]
    cut_by: Cut | None = None
    ended_early: bool = False

    @property
    def cut(self) -> str:
        """Why the search is incomplete, with the option that sets the limit; '' if it is not."""
        return str(self.cut_by or "")

    @property
    def cut_without_option(self) -> str:
        """The same for a reader who has no command line."""
        return self.cut_by.without_option if self.cut_by else ""

    @property
    def verdict(self) -> str:
        """``safe``, ``violated`` or ``incomplete``."""
        if self.counterexamples:
            return VIOLATED
        return INCOMPLETE if self.cut_by else SAFE

    def status(self, invariant: str) -> str:
        """What is known about an invariant, also one that only the other host width's result lists
        (``contract``, where it is violated): it holds here only if every schedule was explored."""
        return self.invariants.get(invariant, HOLDS if self.verdict == SAFE else UNKNOWN)

    @property
    def counterexample(self) -> Counterexample | None:
        """The shortest of all."""
        return min(self.counterexamples.values(), key=lambda c: (c.actions, c.steps), default=None)


@frozen(slots=False)
class CheckResult:
    """What ``vmxsim.check`` found out about ``design`` under ``assumptions`` (their names).

    ``hosts`` has one result for each host width. It prints as a table and the counterexample.
    """

    design: type[Kvm]
    hosts: tuple[HostResult, ...]
    cpus: int
    vcpus: int
    assumptions: tuple[str, ...]

    @property
    def name(self) -> str:
        """The design's id, or the name of a reader's own class."""
        return name_of(self.design)

    @property
    def telling(self) -> HostResult:
        """The result that decides: the first violated one, else the first incomplete, else the first."""
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


def headline(result: CheckResult, options: bool = True) -> str:
    """The verdict in one sentence, naming the command-line option of a limit unless told not to."""
    telling = result.telling
    widths = " and a ".join(host.host for host in result.hosts if host.verdict == result.verdict)
    bounds = f"{counted(result.cpus, 'CPU')}, {counted(result.vcpus, 'vCPU')}"
    granted = f", assuming {', '.join(result.assumptions)}" if result.assumptions else ""
    if result.verdict == "violated":
        broken = [name for name, how in telling.invariants.items() if how == "violated"]
        return f"{result.name} is VIOLATED on a {widths} host ({', '.join(broken)}); {bounds}{granted}"
    if result.verdict == "incomplete":
        return (
            f"{result.name}: INCOMPLETE, no violation found, but the search ended early:"
            f" {telling.cut if options else telling.cut_without_option}; {bounds}{granted}"
        )
    return f"{result.name} is SAFE on a {widths} host: every schedule was explored; {bounds}{granted}"


def counterexample_line(example: Counterexample) -> str:
    """The length of a counterexample, and the mechanism that it shows."""
    actions = counted(example.actions, "action")
    past = ", after another invariant was violated" if example.past else ""
    return (
        f"Shortest counterexample to {example.invariant}: {actions}, {example.steps} transitions{past}."
        f" Mechanism: {example.mechanism}."
    )


def not_reached(host: HostResult) -> list[str]:
    """*Sometimes* properties that the search never reached."""
    return [name for name, was in host.sometimes.items() if not was]


def sometimes_line(result: CheckResult) -> str:
    """The situations that the search covered: a pass that covers few of them proves little."""
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
#: Signs of verdicts, so that neither colour nor word alone tells them apart.
_SIGNS = {"holds": "✔", "safe": "✔", "violated": "✖", "unknown": "?", "incomplete": "?"}


def _figures(host: HostResult) -> dict[str, str]:
    """How much was searched, by name."""
    return {
        "states": f"{host.states:,}",
        "transitions": f"{host.transitions:,}",
        "depth": f"{host.depth:,}",
        "seconds": f"{host.seconds:.2f}",
    }


def as_html(result: CheckResult) -> str:
    """The result for a notebook: a table, the counterexample and the reason."""
    line = "var(--jp-border-color2,#bbb)"
    cell = f'style="padding:3px 12px 3px 0;text-align:left;border-bottom:1px solid {line}"'
    names = list(result.telling.invariants)
    heads = ("host", *names, *_figures(result.telling))
    head = "".join(f'<th scope="col" {cell}>{escape(text)}</th>' for text in heads)
    rows = ""
    for host in result.hosts:
        verdicts = [host.status(name) for name in names]
        cells = (*(f"{_SIGNS[how]} {how}" for how in verdicts), *_figures(host).values())
        rows += f'<tr><th scope="row" {cell}>{host.host}</th>'
        rows += "".join(f"<td {cell}>{escape(text)}</td>" for text in cells) + "</tr>"
    parts = [
        f'<p style="border-left:5px solid {_COLOURS[result.verdict]};padding:4px 10px;margin:4px 0">'
        f"<strong>{_SIGNS[result.verdict]} {escape(headline(result))}</strong></p>",
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


def assumption_lines() -> list[tuple[str, str]]:
    """The name and meaning of every assumption."""
    return [(name, assumption.words) for name, assumption in ASSUMPTIONS.items()]


def verdict_html(result: CheckResult) -> str:
    """The result for the check panel, without the counterexample."""
    kind = result.verdict
    words = escape(headline(result, options=False))
    head = f'<p class="verdict {kind}" role="status"><b>{_SIGNS[kind]}</b> {words}</p>'
    hint = ""
    if kind == INCOMPLETE:
        hint = '<p class="dim">To get an answer, assume more, or check with one vCPU.</p>'
    return head + hint + _table(result) + _sometimes(result)


def _table(result: CheckResult) -> str:
    """Invariants and figures by host width."""
    heads = "".join(f'<th scope="col">{escape(host.host)} host</th>' for host in result.hosts)
    rows = ""
    for name in dict.fromkeys(name for host in result.hosts for name in host.invariants):
        verdicts = [host.status(name) for host in result.hosts]
        cells = "".join(
            f'<td><span class="how {how}"><b>{_SIGNS[how]}</b> {how}</span></td>' for how in verdicts
        )
        rows += f'<tr class=""><th scope="row"><code>{escape(name)}</code></th>{cells}</tr>'
    for name in _figures(result.telling):
        cells = "".join(f"<td>{_figures(host)[name]}</td>" for host in result.hosts)
        rows += f'<tr class="figure"><th scope="row">{name}</th>{cells}</tr>'
    return (
        f'<table><caption class="hidden">Invariants by host width</caption>'
        f'<thead><tr><th scope="col">invariant</th>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    )


def _sometimes(result: CheckResult) -> str:
    """The situations that a pass should cover, and those that no schedule reached."""
    told: dict[str, list[str]] = {}
    for host in result.hosts:
        if host.sometimes:
            missing = not_reached(host)
            count = f"{len(host.sometimes) - len(missing)} of {len(host.sometimes)}"
            words = f"{count} situations that a pass should cover were reached"
            if missing:
                words += f"; not reached: {', '.join(missing)}"
            told.setdefault(f"{words}.", []).append(host.host)
    lines = [
        f"<p>{escape('' if len(hosts) == len(result.hosts) else f'{hosts[0]} host: ')}{escape(words)}</p>"
        for words, hosts in told.items()
    ]
    if lines and result.verdict == VIOLATED:
        lines.append('<p class="dim">States past a broken invariant are not counted.</p>')
    return "".join(lines)


def counterexample_html(example: Counterexample) -> str:
    """A counterexample for the check panel: the schedule, and why it is wrong."""
    return (
        f"<p><strong>{escape(counterexample_line(example))}</strong></p>"
        f'<pre tabindex="0" aria-label="The counterexample as a scenario">'
        f"{escape(scenario_yaml(example.scenario))}</pre>"
        f"<h4>Why is this wrong?</h4><p>{escape(example.words)}</p>"
    )


def telling_steps(example: Counterexample) -> tuple[int, int]:
    """Two steps of the run, from 1: the one that loses the value (if there is none, the
    second again), and the one that breaks the invariant.

    Raises SimulationError if the design fails.
    """
    breaks = next((v.step + 1 for v in example.trace.violations if v.invariant == example.invariant), 0)
    lost = example.explanation.step + 1 if example.explanation else 0
    return lost or breaks, breaks


def steps_words(example: Counterexample, lost: int, breaks: int) -> str:
    """A label for the stepper at these two steps."""
    if lost == breaks:
        return f"step {breaks} breaks {example.invariant}"
    return f"step {lost} loses the value, step {breaks} breaks {example.invariant}"
