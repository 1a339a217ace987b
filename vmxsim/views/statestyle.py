"""How a state space looks, in the colours and marks of the other pictures."""

from __future__ import annotations

from collections.abc import Iterable

from vmxsim.views.style import MONO, SANS, owner_class, theme_css

_SCOPE = ".vmxsim-statespace"

_RULES = """
P{background:var(--vx-canvas);font-family:SANS}
P text{fill:var(--vx-ink);font-size:13px;font-family:SANS}
P .canvas{fill:var(--vx-canvas)}
P .frame{fill:var(--vx-panel);stroke:var(--vx-muted);stroke-width:1.5}
P .guest .frame{stroke:var(--vx-ink);stroke-width:2.5}
P .ring{fill:none;stroke:var(--vx-ink);stroke-width:1.5}
P .wrong .frame{stroke:var(--vx-danger);stroke-dasharray:9 5}
P .wrong .verdict{fill:var(--vx-danger);font-weight:700}
P .title,P .number{font-weight:700}
P .number{font-size:15px;fill:var(--vx-muted)}
P .place,P .stays{fill:var(--vx-muted)}
P .stays{font-size:12px;font-family:MONO}
P .value{font-family:MONO;font-size:12px;font-weight:700}
P .worth{text-anchor:end;font-size:12px}
P .owner{font-size:12px}
P .status-live .ground{stroke:var(--vx-ink);stroke-width:1.5}
P .status-stale .ground{stroke-dasharray:5 3;stroke-width:1.5}
P .status-foreign .ground{stroke:var(--vx-danger);stroke-width:2}
P .status-live .worth,P .status-foreign .worth{font-weight:700}
P .ground{fill:var(--vx-panel);stroke:var(--vx-muted);stroke-width:1}
P .status-none .ground{stroke:none}
P .bar{fill:var(--vx-muted)}
P .edge .line{fill:none;stroke:var(--vx-muted);stroke-width:1.75}
P .edge .head{fill:var(--vx-muted)}
P .edge .label{fill:var(--vx-canvas);stroke:none}
P .edge text{font-size:12px;text-anchor:middle;font-family:MONO}
P .breaks .line{stroke:var(--vx-danger);stroke-width:2.5;stroke-dasharray:8 4}
P .breaks .head{fill:var(--vx-danger)}
P .breaks text{fill:var(--vx-danger);font-weight:700}
P .sink .frame{stroke:var(--vx-danger);stroke-width:3;fill:var(--vx-canvas)}
P .sink .cross{fill:none;stroke:var(--vx-danger);stroke-width:6;stroke-linecap:round}
P .sink text{fill:var(--vx-danger);font-weight:700}
"""


def statespace_css(owners: Iterable[str]) -> str:
    """The rules of a state space's picture, for the owners whose values are in it."""
    owners = list(owners)
    rules = _RULES.replace("SANS", SANS).replace("MONO", MONO)
    rules = (
        rules.replace("\nP ", f"\n{_SCOPE} ").replace("\nP{", f"\n{_SCOPE}{{").replace(",P ", f",{_SCOPE} ")
    )
    for owner in owners:
        name = owner_class(owner)
        key = name.removeprefix("owner-")
        rules += f"{_SCOPE} .{name} .ground{{fill:var(--vx-{key}-tint)}}\n"
        rules += f"{_SCOPE} .{name} .bar{{fill:var(--vx-{key}-line)}}\n"
    return theme_css(_SCOPE, owners) + rules
