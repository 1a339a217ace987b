"""The words under a still: the run, the line that ran, what holds now, what would go wrong."""

from __future__ import annotations

import re
from textwrap import wrap

from vmxsim.trace import Trace
from vmxsim.views.plan import text_width
from vmxsim.views.svg import text
from vmxsim.views.words import Teller

#: What belongs on one line with its number.
_NUMBERED = re.compile(r"\b(CPU|vCPU|guest|thread|line|step) (?=\d)")

_TIE = "\N{NO-BREAK SPACE}"

_SIZE, _LEADING = 16, 25


def caption(trace: Trace, told: Teller, index: int, width: float, top: float) -> tuple[str, float]:
    """SVG text lines for scene ``index`` below ``top``, and how many pixels they take."""
    step = trace.steps[index - 1] if index else None
    paragraphs = [("caption-title", f"{trace.title} ({trace.subtitle}), step {index} of {len(trace.steps)}")]
    paragraphs.append(("caption-words", told.step_words(index)))
    if step is not None:
        paragraphs += [("caption-danger", f"✖ {v.invariant}: {v.words}") for v in step.violations]
    shown = {v.invariant for v in step.violations} if step else set()
    paragraphs += [("caption-if", words) for name, words in told.scene(index).dangers if name not in shown]
    columns = max(30, int((width - 40) / text_width("m", _SIZE)))
    lines = []
    for name, words in paragraphs:
        tied = wrap(_NUMBERED.sub(rf"\1{_TIE}", words), columns)
        lines += [(name, line.replace(_TIE, " ")) for line in tied]
    drawn = "".join(
        f'<text class="{name}" x="20" y="{top + _LEADING * (number + 1) - 4:g}">{text(line)}</text>'
        for number, (name, line) in enumerate(lines)
    )
    return drawn, _LEADING * len(lines) + 14
