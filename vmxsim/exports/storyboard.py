"""A trace on paper: A4 sheets with a picture and a caption for each step, as one HTML page to print."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files

from vmxsim.errors import InputError, printable
from vmxsim.exports.mail import block
from vmxsim.exports.report import Report
from vmxsim.exports.template import filled
from vmxsim.progress import telling
from vmxsim.simulation.trace import Trace
from vmxsim.views.drawing import Drawing
from vmxsim.views.film import lay_out, look
from vmxsim.views.layout import GraphvizMissing
from vmxsim.views.standalone import flat
from vmxsim.views.style import THEMES
from vmxsim.views.table import html_table
from vmxsim.views.words import Teller, sentence

_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
#: How many pictures a sheet may have.
PER_PAGE = (2, 4)


def storyboard(told: Report, theme: str, per_page: int = 2) -> str:
    """The page. Its first sheet states the claim, the others show the report's rows.

    Raises InputError unless ``per_page`` is 2 or 4.
    """
    if per_page not in PER_PAGE:
        raise InputError(f"expected 2 or 4, not {printable(repr(per_page))}", "per_page")
    rows, scenario = told.rows.rows, told.about.scenario
    with telling("the storyboard") as tell:
        return filled(
            "storyboard.html",
            told=told,
            said={
                "Claim": f"{told.claim}.",
                "Expected": told.expected,
                "Found": told.found,
                "Why": told.why,
                told.blamed.label: told.lost,
                "Note": " ".join(told.remarks),
            },
            schedule=block(scenario, 66) if scenario else [],
            source=_source(told),
            groups=[rows[i : i + per_page] for i in range(0, len(rows), per_page)],
            per_page=per_page,
            lost_here=sentence(f"{told.blamed.done} here"),
            pictures=_Pictures(told.about.shown, theme, tell),
            style=_style(theme),
        )


def _style(theme: str) -> str:
    sheet = files("vmxsim.exports").joinpath("storyboard.css").read_text("utf-8")
    colors = next(one for one in THEMES if one.name == theme)
    return re.sub(
        r"\b(CANVAS|INK|MUTED|PANEL|DANGER)\b", lambda name: getattr(colors, name[1].lower()), sheet
    )


def _source(told: Report) -> list[tuple[int, str]]:
    """The numbered lines around the one that matters."""
    if told.code is None:
        return []
    begins = max(0, told.code.at.line - 13)
    return list(enumerate(told.code.lines, told.code.at.first))[begins : begins + 25]


class _Pictures:
    """Pictures that share one layout and one style sheet in one theme's colors."""

    def __init__(self, trace: Trace, theme: str, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self.told = Teller(trace)
        self.drawing: Drawing | None = None
        self.style = ""
        try:
            self.drawing = lay_out(self.told)
        except GraphvizMissing as error:
            self.missing = str(error)
        else:
            found = _STYLE.search(self._svg(self.drawing, 0))
            self.style = flat(found[1], theme) if found else ""

    def at(self, number: int) -> str:
        """The scene after step ``number`` without its style sheet; a table if Graphviz is missing."""
        self.tell(f"the picture of step {number} of {len(self.told.trace.steps)}")
        if self.drawing is None:
            return html_table(self.told.scene(number), f"s{number}", self.missing)
        upper = '<svg preserveAspectRatio="xMidYMin meet" '  # aligns the top edges
        return _STYLE.sub("", self._svg(self.drawing, number)).replace("<svg ", upper, 1)

    def _svg(self, drawing: Drawing, number: int) -> str:
        words = self.told.description(number)
        return drawing.svg(look(self.told, number), f"s{number}", self.told.trace.title, words)
