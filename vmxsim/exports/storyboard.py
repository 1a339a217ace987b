"""A trace on paper: A4 sheets with a picture and a caption for each step, as one HTML page to print."""

from __future__ import annotations

import re
from importlib.resources import files

from vmxsim.errors import InputError, printable
from vmxsim.exports.mail import block
from vmxsim.exports.report import Report, Row
from vmxsim.simulation.trace import Trace
from vmxsim.views.drawing import Drawing, text
from vmxsim.views.film import lay_out, look
from vmxsim.views.layout import TALL, WIDE, GraphvizMissing
from vmxsim.views.standalone import flat
from vmxsim.views.style import THEMES
from vmxsim.views.table import html_table
from vmxsim.views.words import Teller, sentence

_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
#: Pictures on a sheet: two tall ones or four wide ones.
PER_PAGE = {2: TALL, 4: WIDE}


def storyboard(told: Report, theme: str, per_page: int = 2) -> str:
    """The page. Its first sheet states the claim, the others show the report's rows.

    Raises InputError unless ``per_page`` is 2 or 4.
    """
    if per_page not in PER_PAGE:
        raise InputError(f"expected 2 or 4, not {printable(repr(per_page))}", "per_page")
    rows = told.rows.rows
    pictures = _Pictures(told.about.shown, PER_PAGE[per_page], theme)
    groups = [rows[i : i + per_page] for i in range(0, len(rows), per_page)]
    total = len(groups) + 1
    sheets = [_sheet(told, _intro(told), 1, total, "h1")]
    for number, group in enumerate(groups, 2):
        panels = "".join(_panel(told, row, pictures) for row in group)
        sheets.append(_sheet(told, f'<div class="panels of-{per_page}">{panels}</div>', number, total, "h2"))
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f"<title>{text(told.headline)}</title>",
            f"<style>{_style(theme)}{pictures.style}</style></head><body>",
            *sheets,
            "</body></html>",
            "",
        ]
    )


def _style(theme: str) -> str:
    sheet = files("vmxsim.exports").joinpath("storyboard.css").read_text("utf-8")
    colors = next(one for one in THEMES if one.name == theme)
    return re.sub(
        r"\b(CANVAS|INK|MUTED|PANEL|DANGER)\b", lambda name: getattr(colors, name[1].lower()), sheet
    )


def _sheet(told: Report, body: str, number: int, total: int, heading: str) -> str:
    left = f"{told.about.title} · {told.about.shown.subtitle}"
    head = f"<{heading}>{text(told.headline)}</{heading}>"
    return (
        f'<section class="sheet" aria-label="Page {number} of {total}"><header>{head}</header>{body}'
        f"<footer><span>{text(left)}</span><span>{number} / {total}</span></footer></section>"
    )


def _intro(told: Report) -> str:
    """The claim and the findings, next to the schedule and the source."""
    said = {
        "Claim": f"{told.claim}.",
        "Expected": told.expected,
        "Found": told.found,
        "Why": told.why,
        told.blamed.label: told.lost,
        "Note": " ".join(told.remarks),
    }
    left = "".join(f"<h3>{name}</h3><p>{text(words)}</p>" for name, words in said.items() if words)
    right = ""
    if told.about.scenario:
        lines = block(told.about.scenario, 66)
        right += f"<h3>Schedule</h3><pre>{''.join(text(line) + chr(10) for line in lines)}</pre>"
    if told.code:
        function, listing, lost = told.code
        first = max(1, lost - 12)
        shown = [(n, line) for n, line in enumerate(listing, 1) if first <= n <= first + 24]
        source = "".join(
            f"{f'<b>{n:>3}  {text(line)}</b>' if n == lost else f'{n:>3}  {text(line)}'}\n"
            for n, line in shown
        )
        right += f"<h3>{text(function)}, line {lost} {told.code_does}</h3><pre>{source}</pre>"
    if told.commands:
        commands = "".join(f"{text(command)}\n" for command, _ in told.commands)
        right += f"<h3>To reproduce</h3><pre>{commands}</pre>"
    return f'<div class="intro"><div>{left}<p>{text(told.footer)}</p></div><div>{right}</div></div>'


def _panel(told: Report, row: Row, pictures: _Pictures) -> str:
    where = f"{row.where}: " if row.where else ""
    clauses = "; ".join(row.effects)
    trace = told.about.shown
    known = 0 <= row.action < len(trace.actions)
    action = text(trace.actions[row.action]) if known else ""
    broken = [f"✖ {v.invariant}: {v.words}" for v in trace.steps[row.number - 1].violations]
    lost = [f"★ {sentence(told.blamed.done + ' here')}"] if row.lost else []
    kind = "broken" if broken else "telling" if lost else "step"
    paragraphs = [
        f'<p class="where">Step {row.number}, CPU {row.cpu} ({action}): '
        f"<code>{text(where)}{text(row.source)}</code></p>",
        *([f"<p>{text(clauses)}</p>"] if clauses else []),
        *(f"<p><strong>{words}</strong></p>" for words in lost),
        *(f'<p class="broken">{text(words)}</p>' for words in broken),
    ]
    return (
        f'<figure><div class="picture">{pictures.at(row.number)}</div>'
        f'<figcaption class="{kind}">{"".join(paragraphs)}</figcaption></figure>'
    )


class _Pictures:
    """Pictures that share one layout and one style sheet in one theme's colors."""

    def __init__(self, trace: Trace, columns: tuple[tuple[str, ...], ...], theme: str) -> None:
        self.told = Teller(trace)
        self.drawing: Drawing | None = None
        self.style = ""
        try:
            self.drawing = lay_out(self.told, columns)
        except GraphvizMissing as error:
            self.missing = str(error)
        else:
            found = _STYLE.search(self._svg(self.drawing, 0))
            self.style = flat(found[1], theme) if found else ""

    def at(self, number: int) -> str:
        """The scene after step ``number`` without its style sheet; a table if Graphviz is missing."""
        if self.drawing is None:
            return html_table(self.told.scene(number), f"s{number}", self.missing)
        upper = '<svg preserveAspectRatio="xMidYMin meet" '  # aligns the top edges
        return _STYLE.sub("", self._svg(self.drawing, number)).replace("<svg ", upper, 1)

    def _svg(self, drawing: Drawing, number: int) -> str:
        words = self.told.description(number)
        return drawing.svg(look(self.told, number), f"s{number}", self.told.trace.title, words)
