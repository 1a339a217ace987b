"""``vmxsim.export``: what it takes, what it returns, and how it says no."""

import pytest

import vmxsim
from tests.exports.cases import checked, named
from tests.views.traces import seed
from vmxsim.errors import InputError
from vmxsim.exports.export import FORMATS

TEXTS = ("html", "markdown", "mail", "storyboard")


@pytest.mark.parametrize("to", TEXTS)
@pytest.mark.parametrize("what", ["run", "counterexample", "check", "recording"])
def test_anything_goes_into_any_text(to, what, tmp_path):
    result = checked("dedicated-accessors", "64-bit")
    made = {
        "run": seed(),
        "counterexample": result.counterexample,
        "check": result,
        "recording": named("s1.dedicated-accessors"),
    }[what]
    text = vmxsim.export(made, to)
    path = vmxsim.export(made, to, tmp_path / "out")
    assert isinstance(text, str) and "guest-value" in text
    assert path == tmp_path / "out" and len(path.read_text()) == len(text)


def test_html_is_the_default():
    assert vmxsim.export(seed()).startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"to": "pdf"}, "to: unknown format 'pdf'; expected html, markdown"),
        ({"to": "markdwon"}, "did you mean 'markdown'"),
        ({"theme": "drak"}, "theme: .*did you mean 'dark'"),
        ({"to": "mail", "steps": [999]}, "steps: expected a step from 0 .* to 64 .*, not 999"),
        ({"to": "mail", "steps": [True]}, "expected a step .* not True"),
        ({"to": "mail", "steps": []}, "expected at least one step"),
        ({"to": "mail", "steps": "some"}, "'telling', 'all' or a list"),
        ({"to": "mail", "steps": 3}, "'telling', 'all' or a list"),
        ({"to": "html", "steps": "all"}, "always has every step"),
        ({"to": "svg"}, "name a folder"),
        ({"to": "png", "path": "x", "scale": 0}, "scale: expected a number from"),
        ({"to": "png", "path": "x", "scale": "big"}, "scale"),
        ({"to": "mail", "gates": []}, "gates: known to html only"),
        ({"to": "mail", "path": "/no/such/folder/file"}, "cannot be written"),
        ({"to": "svg", "path": __file__}, "cannot be written"),
        ({"to": "mail", "path": "a\0b"}, "cannot be written"),
    ],
)
def test_what_cannot_be_is_said(arguments, message):
    with pytest.raises(InputError, match=message):
        vmxsim.export(seed(), **arguments)


@pytest.mark.parametrize(
    ("what", "to", "message"),
    [
        (7, "mail", "a Trace, a Counterexample or a CheckResult"),
        ("never-tarp", "mail", "did you mean 'never-trap'"),
        ("none.py:Mine", "mail", "none.py: cannot be read"),
        (None, "html", "not NoneType"),
        ([], "html", "a pair of traces"),
        ([1, 2], "mail", "html only"),
        ([1, 2], "html", "not int"),
    ],
)
def test_what_is_no_trace_is_said(what, to, message):
    with pytest.raises(InputError, match=message):
        vmxsim.export(what, to)


def test_a_safe_design_has_nothing_to_export_and_what_to_do_is_said():
    with pytest.raises(InputError, match=r"never-trap is safe.*no counterexample.*vmxsim\.run"):
        vmxsim.export(checked("never-trap", "64-bit"), "mail")


def test_a_design_is_checked():
    with pytest.raises(InputError, match="never-trap is safe"):
        vmxsim.export("never-trap", "mail")
    text = vmxsim.export("678e315", "markdown")
    assert "dedicated-accessors" in text and "The model checker of vmxsim explored" in text


def test_a_search_cut_short_has_nothing_to_export():
    result = vmxsim.check("never-trap", host="64-bit", max_states=100)
    with pytest.raises(InputError, match="cut short"):
        vmxsim.export(result, "mail")


@pytest.mark.parametrize("to", ["html", "storyboard", "svg", "png"])
def test_a_design_that_fails_has_no_steps_to_show(to, tmp_path):
    with pytest.raises(InputError, match="no steps to show"):
        vmxsim.export(named("failing"), to, tmp_path / "x")


def test_steps_can_be_chosen():
    text = vmxsim.export(seed(), "markdown", steps=[43, -1])
    assert "| **43** |" in text and "| **64** |" in text and "| 13 |" not in text


def test_every_format_is_said():
    assert list(FORMATS) == ["html", "markdown", "mail", "storyboard", "svg", "png"]
