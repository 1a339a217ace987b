"""A mail that a list takes, and a reviewer reads."""

import re

import pytest

import vmxsim
from tests.exports.cases import VIOLATED, checked, named, names
from vmxsim.exports.plain import ascii_text, block, code, paragraph
from vmxsim.scenario import Scenario, make_scenario, read_scenarios


@pytest.mark.parametrize("name", names())
def test_every_line_is_ascii_and_has_at_most_75_columns(name):
    text = vmxsim.export(named(name), "mail")
    assert text.isascii()
    assert [line for line in text.splitlines() if len(line) > 75] == []
    assert text.startswith("Subject: ") and text.endswith("\n")
    assert not [c for c in text if not c.isprintable() and c != "\n"]


@pytest.mark.parametrize(("design", "host"), VIOLATED)
def test_it_says_the_claim_what_was_expected_and_found_and_how_to_see_it_again(design, host):
    result = checked(design, host)
    example = result.counterexample
    text = vmxsim.export(result, "mail")
    flowing = " ".join(text.split())
    assert example.mechanism in flowing
    assert f"breaks {example.invariant} has {example.actions} action" in flowing
    for part in ("Expected: ", "Found: ", "Lost at: ", "Why: ", "What happens", "To reproduce"):
        assert part in text
    assert f"vmxsim check {design} --host {host}" in text
    lost = example.trace.steps[example.explanation.step]
    assert f"{lost.function}:{lost.line}" in text
    assert re.search(rf"^\* +{lost.index + 1}  CPU {lost.cpu}", text, re.MULTILINE)
    assert re.search(rf"^! +{example.trace.violations[0].step + 1}  CPU", text, re.MULTILINE)
    assert f"BREAKS {example.invariant}" in text


@pytest.mark.parametrize("name", [f"{d} {h}" for d, h in VIOLATED] + ["preempted"])
def test_the_schedule_in_it_breaks_the_same_invariant(name):
    result = named(name)
    text = vmxsim.export(result, "mail")
    start = text.index("    title:")
    schedule = "".join(line[4:] + "\n" for line in text[start:].split("\n\n")[0].splitlines())
    (scenario,) = read_scenarios(schedule)
    design = None if scenario.design else result.design
    broken = {v.invariant for v in vmxsim.run(scenario, design).violations}
    assert result.counterexample.invariant in broken


def test_the_seed_s_mail_shows_the_return_that_leaves_the_register_alone():
    text = vmxsim.export(checked("dedicated-accessors", "64-bit"), "mail")
    assert "vmx_save_host_state:3: return" in text
    assert "not run: line 20: wrmsr(MSR_KERNEL_GS_BASE," in text
    assert "EFER.LMA: 0 -> 1" in text
    assert "commit 678e315e78a7" in " ".join(text.split())
    assert len(text.splitlines()) < 100


def test_a_run_in_which_nothing_breaks_is_told_as_such():
    text = vmxsim.export(vmxsim.run(["run", "exit"], "never-trap"), "mail")
    assert text.startswith("Subject: [vmxsim] never-trap: no invariant is broken\n")
    assert "Expected" not in text and "BREAKS" not in text
    assert "At the end, after step" in text


def test_a_recording_is_named_as_replay_knows_it_and_never_by_its_folder(tmp_path):
    text = vmxsim.export(named("s1.dedicated-accessors"), "mail")
    assert "vmxsim replay s1.dedicated-accessors\n" in text
    assert "BREAKS guest-value" in text
    from vmxsim.ftrace.recording import read

    own = tmp_path / "mine.trace"
    own.write_bytes(named("s1.dedicated-accessors").path.read_bytes())
    text = vmxsim.export(read(own), "mail")
    assert "vmxsim replay mine.trace\n" in text and str(tmp_path) not in text


def test_a_design_that_fails_is_told_without_steps():
    text = vmxsim.export(named("failing"), "mail")
    assert "preempt_enable" in text and "What happens" not in text
    assert "--design failing.py:EnablesTooOften" in " ".join(text.replace("\\\n", "").split())


def test_long_runs_keep_what_is_around_the_violation():
    actions = ["run", *(["exit", "run"] * 12), "guest long-mode on", "guest rdmsr", *(["exit", "run"] * 6)]
    text = vmxsim.export(vmxsim.run(actions, "dedicated-accessors"), "mail")
    assert "earlier ones of this kind are left out" in text and "later ones of this kind" in text
    assert "BREAKS guest-value" in text
    everything = vmxsim.export(vmxsim.run(actions, "dedicated-accessors"), "mail", steps="all")
    assert "left out" not in everything
    assert all(len(line) <= 75 for line in everything.splitlines())


# -- the parts


def test_letters_and_signs_become_ascii():
    assert ascii_text("Zoë → “naïve” … ★") == 'Zoe -> "naive" ... *'
    assert ascii_text("\u4e2d") == "\\u4e2d"


def test_words_are_wrapped_and_numbers_stay_with_their_names():
    lines = paragraph("the value that CPU 0 holds " * 9, "Found: ")
    assert all(len(line) <= 75 for line in lines) and not any(line.endswith("CPU") for line in lines)
    assert all(line.startswith("       ") for line in lines[1:])
    assert max(map(len, paragraph("x" * 300, "* "))) == 75


@pytest.mark.parametrize("width", [30, 40, 75])
def test_source_is_broken_where_it_may_be(width):
    source = "vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE, vmx.msr_host_kernel_gs_base) and x"
    lines = code(source, "    ", "        ", width)
    assert all(len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == source.replace(" ", "")


@pytest.mark.parametrize("width", [45, 60, 71])
@pytest.mark.parametrize(
    "title",
    [
        "short",
        "one that has so many words in it that no mail could hold it on a line " * 2,
        "x" * 200,
        "é: #",
    ],
)
def test_a_schedule_fits_and_means_the_same(width, title):
    point = {"before": "rdmsr", "in": "vmx_read_guest_kernel_gs_base", "cpu": 1, "nth": 2}
    steps = ["run", {"guest long-mode off": {"preempt": [point, point]}}, {"vcpu1": "run"}]
    scenario = make_scenario(steps, title=title, design="dedicated-accessors", vcpus=2)
    lines = block(scenario, width)
    assert all(len(line) <= width and line.isascii() for line in lines)
    (found,) = read_scenarios("\n".join(lines) + "\n")
    assert found.actions == scenario.actions
    assert (found.design, found.vcpus, found.host) == ("dedicated-accessors", 2, "64-bit")
    if "x" * 200 not in title:
        assert found.title == title.strip() or found.title == title


def test_a_scenario_without_a_title_has_none():
    assert not any(line.startswith("title") for line in block(make_scenario(["run"]), 60))
    assert Scenario().title == ""
