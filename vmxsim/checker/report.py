"""A check's result as text and as HTML."""

from __future__ import annotations

from html import escape

from vmxsim.checker.assumptions import ASSUMPTIONS
from vmxsim.checker.result import CheckResult, Counterexample, HostResult
from vmxsim.scenariotext import scenario_yaml


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
    past = ", another invariant being broken on the way" if example.past else ""
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
