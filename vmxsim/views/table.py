"""A scene as an HTML table, for when no picture can be drawn."""

from __future__ import annotations

from vmxsim.simulation.trace import Box, Cell, Scene
from vmxsim.views.drawing import text
from vmxsim.views.layout import plate_words
from vmxsim.views.shown import TRUE_VALUE
from vmxsim.views.style import cell_state, css, holder_words, owner_class, status_words


def html_table(scene: Scene, uid: str, message: str = "") -> str:
    """The scene as an HTML table with the marks of a picture (``data-place``, ``data-fact``), so a
    player can show any frame in it. ``message`` says why this is not a picture."""
    rows = "".join(_rows(box) for box in scene.boxes)
    owners = dict.fromkeys(cell_state(cell)[1] or "unknown" for cell in scene.cells().values())
    said = f'<p role="note">{text(message)}</p>' if message else ""
    style = (
        f"{css(owners=owners)}"
        ".vmxsim-table td,.vmxsim-table th{padding:3px 10px;text-align:left;color:var(--vx-ink)}"
        ".vmxsim-table .cell-value{font:700 15px monospace}"
        ".vmxsim-table .changed{outline:2px solid var(--vx-ink)}"
    )
    return (
        f'<div class="vmxsim-picture vmxsim-table" id="{text(uid)}"><style>{style}</style>{said}<table>'
        "<thead><tr><th>Where</th><th>Place</th><th>Value</th><th>Whose</th><th>Worth</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _rows(box: Box) -> str:
    facts = [_fact(box, name, value) for name, value in box.facts if name != TRUE_VALUE]
    head = f'<tr data-box="{text(box.id)}"><th scope="row" colspan="5">{text(box.title)}</th></tr>'
    above = [_fact(box, name, value) for name, value in box.facts if name == TRUE_VALUE]  # no field of it
    return "".join([*above, head, *facts, *(_row(cell) for cell in box.cells)])


def _fact(box: Box, name: str, value: str) -> str:
    words = plate_words(box.id, several=True) if name == TRUE_VALUE else name
    return (
        f"<tr><td></td><td>{text(words)}</td>"
        f'<td colspan="3" data-fact="{text(f"{box.id}.{name}")}">{text(value)}</td></tr>'
    )


def _row(cell: Cell) -> str:
    value, owner, status = cell_state(cell)
    columns = (
        ("label", cell.label),
        ("value", value),
        ("owner", holder_words(owner)),
        ("status", status_words(status)),
    )
    inside = "".join(f'<td class="cell-{name}">{text(words)}</td>' for name, words in columns)
    kind = f"cell {owner_class(owner)} status-{text(status)}"
    return f'<tr class="{kind}" data-place="{text(cell.place)}"><td></td>{inside}</tr>'
