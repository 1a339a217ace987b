"""The legend: every sign of the picture, the timeline and the source, with its meaning."""

from __future__ import annotations

from vmxsim.views.style import STATUS_MARKS, STATUS_MEANINGS, status_words

#: A cell of a legend, in pixels.
_WIDTH, _HEIGHT = 34, 20

#: (sign, name, meaning) of the marks on the timeline, by their kind.
MARKS = {
    "preempt": ("▼", "switched out", "the scheduler takes the vCPU thread off this CPU"),
    "pending": ("◔", "tick pending", "TIF_NEED_RESCHED is set: the scheduler acts as soon as it may"),
    "migrate": ("⇄", "migrated", "the vCPU thread continues on this CPU"),
    "violation": ("✖", "broken", "an invariant is broken here"),
    "divergence": ("≠", "first difference", "from here on the two designs differ"),
}

#: (sample, name, meaning) of what a stretch of the timeline looks like, by its kind.
SPANS = {
    "mode-guest": ("guest", "double line", "a guest runs on this CPU"),
    "mode-user": ("task", "italics", "the CPU's task is in user space"),
    "veil": ("", "hatched", "covered until the question is answered"),
}

#: (sign, name, meaning) of the marks beside the source, by their kind.
SOURCE = {
    "ran": ("▶", "ran", "the line that this step ran"),
    "next": ("▷", "next", "the line that this thread runs next"),
}

#: (sign, meaning) of the four places that matter.
PLACES = (
    ("HW", "the CPU's register, KERNEL_GS_BASE"),
    ("g", "where KVM keeps the guest's value while the register holds another"),
    ("h", "where KVM keeps the host's value while the register holds the guest's"),
    ("L", "1 while guest state is loaded: then KVM looks for the guest's value in HW, else in g"),
)


def signs() -> list[dict[str, str]]:
    """The legend's rows in order: ``group`` (``place``, ``cell``, ``arrow``, ``timeline`` or ``source``),
    ``kind`` (a status, a mark's kind, ...), ``sign`` and ``name`` ('' if there is none), ``words`` and
    ``svg``, a small drawing of it or ''.

    The drawings have the classes of a picture, so they need the style sheet of one on the page.
    """
    rows = [_row("place", sign, sign, "", words) for sign, words in PLACES]
    rows += [
        _row("cell", status, mark, status, STATUS_MEANINGS[status], _cell(status))
        for status, mark in STATUS_MARKS.items()
    ]
    rows.append(_row("cell", "changed", "", "second frame", "this step changed it", _cell("copy", "changed")))
    rows.append(_row("arrow", "move", "→", "", "the value that this step moves, and how", _arrow()))
    rows.append(_row("arrow", "here", "", "bold frame", "the CPU and the thread of this step", _frame()))
    rows += [_row("timeline", kind, *mark) for kind, mark in MARKS.items()]
    rows += [_row("timeline", kind, *span) for kind, span in SPANS.items()]
    return rows + [_row("source", kind, *mark) for kind, mark in SOURCE.items()]


def _row(group: str, kind: str, sign: str, name: str, words: str, svg: str = "") -> dict[str, str]:
    return {"group": group, "kind": kind, "sign": sign, "name": name, "words": words, "svg": svg}


def _drawn(inside: str) -> str:
    width, height = _WIDTH + 8, _HEIGHT + 8
    size = f'width="{width}" height="{height}" viewBox="-4 -4 {width} {height}"'
    return f'<svg class="vmxsim-picture" {size} aria-hidden="true">{inside}</svg>'


def _cell(status: str, more: str = "") -> str:
    """A cell of this status, without an owner. The hatching is drawn as lines: a pattern would need an id."""
    frame = f'width="{_WIDTH}" height="{_HEIGHT}" rx="4"'
    hatch = "".join(f"M{x} {_HEIGHT}l{_HEIGHT} -{_HEIGHT}" for x in (0, 7, 14))
    return _drawn(
        f'<g class="cell status-{status} {more}">'
        f'<rect class="cell-ring" x="-3" y="-3" width="{_WIDTH + 6}" height="{_HEIGHT + 6}" rx="6"/>'
        f'<rect class="cell-ground" {frame}/><path class="cell-hatch hatch-line" d="{hatch}"/>'
        f'<rect class="cell-frame" {frame}/>'
        f'<text class="cell-owner" x="{_WIDTH / 2:g}" y="14" style="text-anchor:middle">'
        f"{status_words(status)[0]}</text></g>"
    )


def _arrow() -> str:
    middle = _HEIGHT / 2
    return _drawn(
        f'<g class="move on"><path class="move-line"/><path class="move-line" d="M0 {middle:g}H26"/>'
        f'<path class="move-head" d="M{_WIDTH} {middle:g}l-11 -6v12z"/></g>'
    )


def _frame() -> str:
    return _drawn(
        f'<g class="box here"><rect class="box-frame" width="{_WIDTH}" height="{_HEIGHT}" rx="5"/></g>'
    )
