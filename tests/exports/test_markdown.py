"""Markdown for a review: it holds what is needed, it runs again, and nothing from outside is markup."""

import re

import pytest

import vmxsim
from tests.exports.cases import BLAMED, VIOLATED, checked, named, names
from vmxsim.exports.markdown import block, cell, code, escaped
from vmxsim.simulation.scenario import read_scenarios


def schedule_of(text):
    (found,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return found


@pytest.mark.parametrize("name", [f"{d} {h}" for d, h in VIOLATED] + ["preempted"])
def test_the_schedule_read_again_and_run_breaks_the_same_invariant(name):
    result = named(name)
    (scenario,) = read_scenarios(schedule_of(vmxsim.export(result, "markdown")))
    trace = vmxsim.run(scenario, None if scenario.design else result.design)
    assert result.counterexample.invariant in {v.invariant for v in trace.violations}


@pytest.mark.parametrize(("design", "host"), VIOLATED)
def test_losing_and_breaking_steps_are_marked_and_the_source_is_quoted(design, host):
    result = checked(design, host)
    example = result.counterexample
    text = vmxsim.export(result, "markdown")
    does = "loses the value" if "lost" in BLAMED[design, host] else "makes a restore wrong"
    lost, blamed = example.trace.steps[example.explanation.step], BLAMED[design, host]
    assert re.search(rf"^\| \*\*{lost.index + 1}\*\* .*\*\*{blamed} here\*\*", text, re.MULTILINE)
    assert re.search(rf"^\| \*\*{example.trace.violations[0].step + 1}\*\* .*✖ breaks", text, re.MULTILINE)
    assert re.search(rf"^▶ +{lost.line}  .*{re.escape(lost.source)}$", text, re.MULTILINE)
    assert f"### `{lost.function}`, line {lost.line} {does}" in text
    assert example.mechanism in text


@pytest.mark.parametrize("name", names())
def test_tables_are_whole(name):
    lines = vmxsim.export(named(name), "markdown").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    for line in rows:
        assert line.endswith("|")
        assert len(re.findall(r"(?<!\\)\|", line)) in (5, 6)


def test_hostile_text_is_text():
    text = vmxsim.export(named("hostile"), "markdown")
    outside_code = re.sub(r"(`+).*?\1", "", text)
    assert not re.search(r"(?<!\\)<(?!br>)", outside_code)
    assert "\x1b" not in text and "\x07" not in text


def test_special_characters_are_escaped_and_ordinary_text_is_left_alone():
    assert escaped("a plain sentence (with brackets), EFER.LMA - 0x0.") == (
        "a plain sentence (with brackets), EFER.LMA - 0x0."
    )
    assert escaped("msr_host_kernel_gs_base") == "msr_host_kernel_gs_base"
    assert escaped("*bold* _x_ [a](b) <i> `c` ~d~ &amp;") == (
        r"\*bold\* \_x\_ \[a\](b) \<i\> \`c\` \~d\~ \&amp;"
    )
    assert escaped("# title") == r"\# title" and escaped("- item") == r"\- item"
    assert escaped("1. item") == r"1\. item" and escaped("line\nbreak") == r"line\\nbreak"


def test_backticks_and_bars_do_not_end_what_they_are_in():
    assert code("a `b` c") == "``a `b` c``" and code("`") == "`` ` ``"
    assert cell(code("a | b")) == r"`a \| b`"
    assert block(["```", "x"])[0] == "````"
