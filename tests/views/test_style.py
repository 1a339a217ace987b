"""The visual language: readable by the numbers, never by colour alone."""

import re
from importlib.resources import files
from xml.etree import ElementTree

import pytest

from vmxsim.simulation.trace import STATUSES
from vmxsim.views import style
from vmxsim.views.signs import MARKS, signs
from vmxsim.views.style import HUES, STATUS_MARKS, STATUS_MEANINGS, THEMES, contrast, line, tint

OKABE_ITO = {"#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#000000"}


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_hues_are_okabe_and_ito_s():
    assert {hue for owner, hue in HUES.items() if owner != "unknown"} <= OKABE_ITO


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_text_stands_out(theme):
    grounds = [theme.canvas, theme.panel, *(tint(owner, theme) for owner in HUES)]
    for ground in grounds:
        assert contrast(theme.ink, ground) >= 4.5
        assert contrast(theme.muted, ground) >= 4.5
    for ground in (theme.canvas, theme.panel):
        assert contrast(theme.danger, ground) >= 4.5
    assert contrast(theme.canvas, theme.move) >= 4.5, "the label on an arrow"


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
@pytest.mark.parametrize("owner", HUES)
def test_what_is_drawn_stands_out(theme, owner):
    for ground in (theme.canvas, theme.panel, tint(owner, theme)):
        assert contrast(line(owner, theme), ground) >= 3
    assert contrast(theme.muted, theme.panel) >= 3, "the hatching and a box's frame"
    assert contrast(theme.move, theme.canvas) >= 3


def test_each_status_has_a_mark_a_word_and_a_line_of_its_own():
    assert set(STATUS_MARKS) == set(STATUSES) == set(STATUS_MEANINGS)
    assert len(set(STATUS_MARKS.values())) == len(STATUSES)
    rules = [line for line in style.css().splitlines() if ".cell-frame{" in line and ".status-" in line]
    told = {rule.split("{", 1)[1] for rule in rules}
    assert len(rules) == len(told) == len(STATUSES)


def test_the_legend_has_every_sign_once_with_its_meaning():
    rows = signs()
    assert [row["name"] for row in rows if row["group"] == "cell"][: len(STATUSES)] == list(STATUS_MARKS)
    assert all(row["name"] or row["sign"] for row in rows)
    script = files("vmxsim.web").joinpath("timeline.js").read_text("utf-8")
    marks = dict(re.findall(r'(\w+): "(.)"', script[script.index("MARKS = ") : script.index("};")]))
    assert {kind: mark for kind, (mark, _, _) in MARKS.items()} == marks
    names = [(row["group"], row["kind"]) for row in rows]
    assert len(names) == len(set(names)) and all(row["words"] for row in rows)
    for row in rows:
        assert not row["svg"] or ElementTree.fromstring(row["svg"]).get("class") == "vmxsim-picture"


def test_each_owner_has_words_and_a_class():
    for owner in (*HUES, "vcpu7", "thread12"):
        assert style.holder_words(owner)
        assert style.hue(owner) in HUES.values()
    assert style.hue("vcpu2") == style.hue("vcpu0") != style.hue("vcpu3")
    assert style.owner_class("a b<c") == "owner-a-b-c"


def test_both_themes_follow_jupyterlab_a_page_and_the_browser():
    css = style.css()
    for selector in ('[data-jp-theme-light="false"]', '[data-theme="dark"]', "prefers-color-scheme:dark"):
        assert selector in css
    assert "P " not in css.replace("DejaVu Sans", ""), "every rule is scoped"
