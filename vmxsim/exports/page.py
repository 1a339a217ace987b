"""A trace as one self-contained HTML page that needs no server, no Jupyter kernel and no network."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Any

from vmxsim.errors import InputError
from vmxsim.exports.template import filled
from vmxsim.simulation.compare import align, parting
from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.trace import Trace
from vmxsim.views.film import film
from vmxsim.views.style import theme_css
from vmxsim.web.assets import PLAYER, script, style

_HERE = files("vmxsim.exports")


def page(
    *traces: Trace,
    headline: str = "",
    said: Sequence[str] = (),
    broken: str = "",
    footer: str = "",
    rests_on: Sequence[str] = (),
    theme: str = "auto",
    **traits: Any,
) -> str:
    """The page of one trace, or of two side by side. It opens at the first violation, if any; with
    questions it opens at the start.

    ``headline`` (default: the title), the paragraphs ``said`` and ``broken`` (what is wrong) appear above
    the player, what it ``rests_on`` and the ``footer`` below it. ``theme`` is ``auto`` (the browser's
    preference), ``light`` or ``dark``; a button changes it.
    Any other keyword sets one of the player's traits: ``gates`` and ``answers`` (questions before steps),
    ``start`` (the position at which it opens), ``skip_quiet``.
    """
    if len(traces) not in (1, 2):
        raise InputError(f"expected one trace or two, not {len(traces)}", "trace")
    data = {**_traits(traces), **({"start": 0} if traits.get("gates") else {}), **traits}
    code = _script()
    return filled(
        "page.html",
        title=headline or traces[0].title,
        said=said,
        broken=broken,
        footer=footer,
        rests_on=rests_on,
        theme=theme,
        style=theme_css(".vx-page") + style() + _HERE.joinpath("page.css").read_text("utf-8"),
        films=data["films"],
        # JSON that cannot end the script element
        data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        code=code,
        digest=b64encode(sha256(code.encode()).digest()).decode(),
    )


def _traits(traces: Sequence[Trace]) -> dict[str, Any]:
    """The player's traits, as ``Player.show`` and ``Player.show_two`` set them."""
    pairs = align(traces[0], traces[1]) if len(traces) == 2 else []
    runs = [trace for trace in traces if isinstance(trace, RunTrace)]
    return {
        # fixed ids: the page of a run is the same each time
        "films": [film(trace, uid=f"vx{number}") for number, trace in enumerate(traces)],
        "pairs": [list(pair) for pair in pairs],
        # two recordings have no state to compare
        "divergence": parting(runs, pairs) if len(runs) == len(traces) else {},
        "start": _opening(traces, pairs),
        "run": 1,
        "shown": [0, 0],
        "skip_quiet": True,
        "gates": [],
        "answers": {},
        "can_preempt": False,
    }


def _opening(traces: Sequence[Trace], pairs: Sequence[tuple[int, int]]) -> int:
    """The position of the first violation in the first trace that has one, or the start."""
    for which, trace in enumerate(traces):
        broken = [v.step + 1 for v in trace.violations if v.step >= 0]
        if broken:
            return slot_of(pairs, which, min(broken))
    return 0


def slot_of(pairs: Sequence[tuple[int, int]], which: int, step: int) -> int:
    """The position at which one of two runs reaches its own ``step``; without pairs, the step itself."""
    return next((slot for slot, pair in enumerate(pairs) if pair[which] >= step), step)


def _script() -> str:
    parts = script((*PLAYER, "player"))
    code = f"{parts}\n{_HERE.joinpath('page.js').read_text('utf-8')}"
    assert "</script" not in code and "<!--" not in code, "this would end the script element"
    return code
