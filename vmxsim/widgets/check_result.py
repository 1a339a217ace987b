"""What a check found, as HTML for the panel: signs, words and colours; all text is escaped."""

from __future__ import annotations

import re
from html import escape

from vmxsim.checker.report import counterexample_line, headline, not_reached
from vmxsim.checker.result import CheckResult, Counterexample
from vmxsim.scenariotext import scenario_yaml

#: Sign and word of a verdict on an invariant, or on all of them.
_SIGNS = {"holds": "✔", "safe": "✔", "violated": "✖", "unknown": "?", "incomplete": "?"}


def without_options(text: str) -> str:
    """Words of the command line taken out: the panel has no options."""
    return re.sub(r" \(--[\w-]+\)", "", text)


def verdict_html(result: CheckResult) -> str:
    """The verdict, invariants by host widths, how much was searched, what was not reached."""
    kind = result.verdict
    words = escape(without_options(headline(result)))
    head = f'<p class="verdict {kind}" role="status"><b>{_SIGNS[kind]}</b> {words}</p>'
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
    return f'<span class="how {escape(how)}"><b>{_SIGNS.get(how, "?")}</b> {escape(how)}</span>'


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
        lines.append('<p class="dim">States behind a broken invariant are not counted.</p>')
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

    Where no step loses it, the first is the second. Raises SimulationError where the design fails.
    """
    breaks = next((v.step + 1 for v in example.trace.violations if v.invariant == example.invariant), 0)
    lost = example.explanation.step + 1 if example.explanation else 0
    return lost or breaks, breaks


def steps_words(example: Counterexample, lost: int, breaks: int) -> str:
    """What the stepper shows at these positions."""
    if lost == breaks:
        return f"step {breaks} breaks {example.invariant}"
    return f"step {lost} loses the value, step {breaks} breaks {example.invariant}"
