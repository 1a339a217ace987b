"""A trace as one self-contained HTML page that needs no server, no Jupyter kernel and no network."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Any

from vmxsim.errors import InputError
from vmxsim.simulation.compare import align, parting
from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.trace import Trace
from vmxsim.views.drawing import long_text, text
from vmxsim.views.film import film
from vmxsim.views.style import STATUS_MEANINGS, theme_css
from vmxsim.web.assets import PLAYER, script, style

_HERE = files("vmxsim.exports")

_KEYS = (
    "<kbd>←</kbd> <kbd>→</kbd> step, <kbd>Home</kbd> <kbd>End</kbd> jump, <kbd>Page Up</kbd>"
    " <kbd>Page Down</kbd> go from action to action, the space bar plays."
)


def page(
    *traces: Trace,
    headline: str = "",
    said: Sequence[str] = (),
    broken: str = "",
    footer: str = "",
    theme: str = "auto",
    **traits: Any,
) -> str:
    """The page of one trace, or of two side by side. It opens at the first violation, if any; with
    questions it opens at the start.

    ``headline`` (default: the title), the paragraphs ``said`` and ``broken`` (what is wrong) appear above
    the player. ``theme`` is ``auto`` (the browser's preference), ``light`` or ``dark``; a button changes it.
    Any other keyword sets one of the player's traits: ``gates`` and ``answers`` (questions before steps),
    ``start`` (the position at which it opens), ``skip_quiet``.
    """
    if len(traces) not in (1, 2):
        raise InputError(f"expected one trace or two, not {len(traces)}", "trace")
    data = {**_traits(traces), **({"start": 0} if traits.get("gates") else {}), **traits}
    films = data["films"]
    code = _script()
    digest = b64encode(sha256(code.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; base-uri 'none';"
        " form-action 'none'"
    )
    title = headline or traces[0].title
    paragraphs = [f"<p>{long_text(paragraph)}</p>" for paragraph in said if paragraph]
    if broken:
        paragraphs.append(f'<p class="vx-broken">{long_text(broken)}</p>')
    chosen = f' data-theme="{theme}"' if theme != "auto" else ""
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="en"{chosen}>',
            '<head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{text(title)}</title>",
            f"<style>{_style()}</style></head>",
            '<body class="vx-page"><main>',
            f"<header><div><h1>{text(title)}</h1>{''.join(paragraphs)}</div>"
            '<button type="button" id="vx-theme" hidden>Colours</button></header>',
            '<h2 class="vx-hidden">Step by step</h2>',
            '<div id="vx-player"></div>',
            f"<noscript>{''.join(_without_script(one) for one in films)}</noscript>",
            f"<footer><p>{_KEYS}</p><p>{long_text(footer)}</p></footer>",
            "</main>",
            f'<script type="application/json" id="vx-data">{_data(data)}</script>',
            f'<script type="module">{code}</script>',
            "</body></html>",
            "",
        ]
    )


def _traits(traces: Sequence[Trace]) -> dict[str, Any]:
    """The player's traits, as ``Player.show`` and ``Player.show_two`` set them."""
    pairs = align(traces[0], traces[1]) if len(traces) == 2 else []
    runs = [trace for trace in traces if isinstance(trace, RunTrace)]
    return {
        "films": [film(trace) for trace in traces],
        "pairs": [list(pair) for pair in pairs],
        # two recordings have no state to compare
        "divergence": parting(runs, pairs) if len(runs) == len(traces) else {},
        "start": _opening(traces, pairs),
        "run": 1,
        "shown": [0, 0],
        "skip_quiet": False,
        "meanings": dict(STATUS_MEANINGS),
        "gates": [],
        "answers": {},
        "can_preempt": False,
    }


def _opening(traces: Sequence[Trace], pairs: Sequence[tuple[int, int]]) -> int:
    """The position of the first violation in the first trace that has one, or the start."""
    for which, trace in enumerate(traces):
        broken = [v.step + 1 for v in trace.violations if v.step >= 0]
        if broken:
            at = min(broken)
            return next((slot for slot, pair in enumerate(pairs) if pair[which] >= at), at)
    return 0


def _script() -> str:
    parts = script((*PLAYER, "player"))
    code = f"{parts}\n{_HERE.joinpath('page.js').read_text('utf-8')}"
    assert "</script" not in code and "<!--" not in code, "this would end the script element"
    return code


def _style() -> str:
    return theme_css(".vx-page") + style() + _HERE.joinpath("page.css").read_text("utf-8")


def _data(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _without_script(one: Mapping[str, Any]) -> str:
    """The first picture and every step in words."""
    rows = []
    for number, frame in enumerate(one["frames"]):
        broken = "".join(
            f" <strong>✖ {text(name)}: {long_text(words)}</strong>" for name, words in frame["violations"]
        )
        known = number and frame["action"] < len(one["actions"])
        action = text(one["actions"][frame["action"]]) if known else ""
        rows.append(
            f'<tr><th scope="row">{number}</th><td>{action}</td><td>{long_text(frame["words"])}{broken}</td></tr>'
        )
    return (
        f"<h3>{text(one['title'])}: {text(one['subtitle'])}</h3>"
        "<p>With scripts enabled, this page steps through the run. Here are its start and all steps.</p>"
        f'{one["svg"]}<table class="vx-plain"><thead><tr><th scope="col">Step</th><th scope="col">Action</th>'
        f'<th scope="col">What happens</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )
