"""The timeline drawn: as an SVG for pages and paper, as characters for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from secrets import token_hex
from typing import Any

from vmxsim.errors import printable
from vmxsim.simulation.trace import Trace
from vmxsim.views.drawing import text
from vmxsim.views.film import timeline
from vmxsim.views.style import MONO, SANS, holder_words, owner_class, theme_css

#: One sign a kind of mark, in pictures and in the terminal.
MARKS = {"preempt": "▼", "pending": "◔", "migrate": "⇄", "violation": "✖"}
_WIDTH, _LEFT, _LANE, _TOP = 1100, 76, 34, 30
_TEXT_LETTERS = {"": ".", "plain": "p", "descriptor": "d", "unknown": "?"}

_CSS = f"""
S text{{font:13px {SANS};fill:var(--vx-ink)}}
S .canvas{{fill:var(--vx-canvas)}}
S .action{{fill:var(--vx-panel);stroke:var(--vx-muted)}}
S .action-text{{font-family:{MONO};font-size:12px}}
S .span{{stroke-width:1.5}}
S .mode-guest{{stroke-width:3.5}}
S .mode-user{{stroke-dasharray:5 3}}
S .mark{{font-weight:700;text-anchor:middle;paint-order:stroke;stroke:var(--vx-canvas);stroke-width:4}}
S .mark-violation{{fill:var(--vx-danger)}}
"""


def timeline_svg(trace: Trace, index: int | None = None) -> str:
    """The timeline as an SVG of its own; ``index`` marks a step.

    A bold frame: the guest runs; a dashed one: the task is in user space.
    """
    scenes = [trace.scene(number) for number in range(len(trace.steps) + 1)]
    data = timeline(trace, scenes)
    last = max(1, len(scenes))
    owners = dict.fromkeys(span["owner"] or "unknown" for lane in data["cpus"] for span in lane["spans"])
    uid = f"vt{token_hex(4)}"
    height = _TOP + _LANE * (len(data["cpus"]) + 1) + 12

    def at(frame: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - 12) * frame / last

    parts = [_lane("Action", data["actions"], 0, at)]
    parts += [_lane(f"CPU {lane['cpu']}", lane["spans"], row, at) for row, lane in enumerate(data["cpus"], 1)]
    rows = {lane["cpu"]: row for row, lane in enumerate(data["cpus"], 1)}
    parts += [
        f'<text class="mark mark-{mark["kind"]}" x="{at(mark["frame"] + 0.5):.1f}" '
        f'y="{_TOP + _LANE * rows.get(mark["cpu"], 0) + 4}">{MARKS[mark["kind"]]}'
        f"<title>{text(mark['label'])}</title></text>"
        for mark in data["marks"]
    ]
    if index is not None:
        x = at(index + 0.5)
        parts.append(f'<path d="M{x:.1f} {_TOP - 8}V{height - 6}" stroke="var(--vx-ink)" stroke-width="2"/>')
    rules = "".join(
        f"S .{owner_class(o)}{{fill:var(--vx-{_key(o)}-tint);stroke:var(--vx-{_key(o)}-line)}}\n"
        for o in owners
    )
    style = theme_css(".vmxsim-timeline", owners) + (_CSS + rules).replace("\nS ", "\n.vmxsim-timeline ")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="vmxsim-timeline" role="img" id="{uid}" '
        f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'style="max-width:100%;height:auto" '
        f'aria-labelledby="{uid}-title {uid}-desc">'
        f'<title id="{uid}-title">Timeline: {text(trace.title)}</title>'
        f'<desc id="{uid}-desc">{escape(timeline_words(data))}</desc><style>{style}</style>'
        f'<rect class="canvas" width="{_WIDTH}" height="{height}"/>{"".join(parts)}</svg>'
    )


def _key(owner: str) -> str:
    return owner_class(owner).removeprefix("owner-")


def _lane(name: str, spans: Sequence[dict[str, Any]], row: int, at: Callable[[float], float]) -> str:
    y = _TOP + _LANE * row
    parts = [f'<text x="8" y="{y + 17}">{text(name)}</text>']
    for span in spans:
        x, width = at(span["from"]), max(2.0, at(span["to"] + 1) - at(span["from"]) - 2)
        of_action = "action" in span
        kind = (
            "action" if of_action else f"span {owner_class(span['owner'] or 'unknown')} mode-{span['mode']}"
        )
        parts.append(f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="24" rx="4"/>')
        label = _fitting(span["label"], int((width - 8) / 7.8))
        if label:
            name_class = ' class="action-text"' if of_action else ""
            parts.append(f'<text{name_class} x="{x + 6:.1f}" y="{y + 17}">{text(label)}</text>')
    return "".join(parts)


def _fitting(label: str, characters: int) -> str:
    """As much of a label as has room; nothing where even its start would not be readable."""
    if len(label) <= characters:
        return label
    return label[: characters - 1] + "…" if characters >= 3 else ""


def timeline_words(data: dict[str, Any]) -> str:
    """The timeline in words: who held each CPU's register when, and what happened."""
    sentences = []
    for lane in data["cpus"]:
        held: list[str] = []
        for span in lane["spans"]:
            if not held or not held[-1].startswith(span["label"]):
                held.append(f"{span['label']} from step {span['from']}")
        sentences.append(f"CPU {lane['cpu']} holds the value of: {', then '.join(held)}.")
    sentences += [f"Step {mark['frame']}, CPU {mark['cpu']}: {mark['label']}." for mark in data["marks"]]
    return printable(" ".join(sentences), 4000)


def timeline_text(trace: Trace, width: int = 100) -> str:
    """The timeline for a terminal: a character a step (or several steps), capital where the guest runs."""
    scenes = [trace.scene(number) for number in range(len(trace.steps) + 1)]
    data = timeline(trace, scenes)
    count = len(scenes)
    columns = min(width - 8, count)
    letters = dict.fromkeys(span["owner"] for lane in data["cpus"] for span in lane["spans"])
    lines = []
    for lane in data["cpus"]:
        frames = [span for span in lane["spans"] for _ in range(span["from"], span["to"] + 1)]
        picked = [frames[column * count // columns] for column in range(columns)]
        row = "".join(_letter(span) for span in picked)
        signs = [" "] * columns
        for mark in data["marks"]:
            if mark["cpu"] == lane["cpu"]:
                signs[mark["frame"] * columns // count] = MARKS[mark["kind"]]
        lines += [f"        {''.join(signs)}".rstrip(), f"CPU {lane['cpu']:<4}{row}"]
    told = ", ".join(f"{_letter({'owner': o, 'mode': ''})} {holder_words(o)}" for o in letters)
    signs_told = ", ".join(f"{sign} {kind}" for kind, sign in MARKS.items())
    return "\n".join([*lines, f"{told}; capital: the guest runs; {signs_told}"])


def _letter(span: dict[str, Any]) -> str:
    """``g`` and ``h`` for guests 0 and 1, ``t`` and ``u`` for their threads."""
    owner = span["owner"]
    for family, first in (("vcpu", "g"), ("thread", "t")):
        number = owner.removeprefix(family)
        if number != owner and number.isdecimal():
            letter = chr(ord(first) + int(number) % 6)
            break
    else:
        letter = _TEXT_LETTERS.get(owner, "?")
    return letter.upper() if span["mode"] == "guest" else letter
