"""A mail that a list takes, and a reviewer reads."""

import re

import pytest

import vmxsim
from tests.checker import failing
from tests.exports.cases import BLAMED, VIOLATED, checked, named, names
from vmxsim.exports.mail import ascii_text, block, code, paragraph
from vmxsim.exports.report import DEMANDS
from vmxsim.exports.subject import change
from vmxsim.simulation.scenario import Scenario, make_scenario, read_scenarios
from vmxsim.views.style import STATUS_MEANINGS


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
    for part in ("Found: ", "Why (", "The schedule", "What happens", "To reproduce"):
        assert part in text
    assert f"Subject: KVM: VMX: {example.explanation.effect}" in flowing and "is a model checker" in flowing
    assert f"{BLAMED[design, host].capitalize()} at step {example.explanation.step + 1}" in flowing
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
    assert "not run: line 22: wrmsr(MSR_KERNEL_GS_BASE," in text
    assert re.search(r"^ +> +3 +return$", text, re.MULTILINE), "the function that fails to load"
    assert re.search(r"^ +- +22 +wrmsr\(MSR_KERNEL_GS_BASE,$", text, re.MULTILINE)
    assert "EFER.LMA: 0 -> 1" in text
    assert "commit 678e315e78a7" in " ".join(text.split())
    assert len(text.splitlines()) < 70


def test_a_run_in_which_nothing_breaks_is_told_as_such():
    text = vmxsim.export(vmxsim.run(["run", "exit"], "never-trap"), "mail")
    assert text.startswith("Subject: KVM: VMX: never-trap: no invariant is broken\n")
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


def test_what_is_said_comes_in_the_order_of_a_list():
    text = vmxsim.export(checked("dedicated-accessors", "64-bit"), "mail")
    parts = [
        "Subject: KVM: VMX: guest sees the host's GS base after EFER.LMA 0->1 while\n state is loaded",
        'This is about commit 678e315e78a7, "KVM: vmx: add dedicated utility to',
        "vmxsim is a model checker.",
        "Found: ",
        "Why (nothing is loaded when LMA is set): ",
        "The schedule\n",
        "What happens (6 of 63 steps; * the right value is lost; ! it breaks)\n",
        "To reproduce, with the schedule saved as schedule.yaml\n",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_words_that_do_not_occur_are_not_explained():
    found = checked("dedicated-accessors", "64-bit")
    assert "The words" not in vmxsim.export(found, "mail")
    text = vmxsim.export(found, "mail", glossary=True)
    words = text.partition("The words\n")[2].partition("\n\n")[0]
    assert "  foreign " in words and "  vCPU thread N " in words and "  guest-value " in words
    assert "  stale " not in words and "  copy " not in words and "preempt" not in words


#: How each word of the glossary looks where it is used.
USED = {
    "guest N": r"\bguest \d",
    "vCPU thread N": r"\bvCPU thread \d",
    "plain task": r"\bplain task",
    "true value": r"\btrue value",
    "passed through": r"\bpassed through",
    "intercepted": r"\bintercepted",
    "KERNEL_GS_BASE": r"\bKERNEL_GS_BASE\b",
    "preempt": r"\bpreempt(?:ed)?\b",
    **{word: rf"(?:\d|task|nobody|'s\)):? {word}\b" for word in STATUS_MEANINGS},
    **{name: rf"(?<![\w-]){name}(?![\w-])" for name in DEMANDS},
}


def words_of(text):
    """The words that the text uses, and those that it explains."""
    body, _, rest = text.partition("The words\n")
    body = " ".join(body.partition("\nTo reproduce")[0].split())
    told = {line[2:].partition("  ")[0] for line in rest.partition("\n\n")[0].splitlines() if line[2] != " "}
    return {word for word, pattern in USED.items() if re.search(pattern, body)}, told


RUNS = {
    "an intercepted read": (["run", "guest rdmsr"], "dedicated-accessors"),
    "a switch": (["run", "preempt cpu1", "exit"], "never-trap"),
}


@pytest.mark.parametrize("name", [*names(), *RUNS])
def test_every_word_is_explained_that_the_text_uses(name):
    what = vmxsim.run(*RUNS[name]) if name in RUNS else named(name)
    used, told = words_of(vmxsim.export(what, "mail", glossary=True))
    assert used <= told
    if name.partition(" ")[0] in vmxsim.DESIGNS:
        assert told - used <= {"guest N"}


@pytest.mark.parametrize("form", ["mail", "markdown"])
def test_the_design_that_ran_is_named_whatever_the_scenario_said(form):
    scenario = make_scenario(["run", "guest long-mode on"], design="dedicated-accessors")
    text = vmxsim.export(vmxsim.run(scenario, vmxsim.find_design("never-trap")), form)
    assert "design: never-trap" in text and "--design never-trap" in text
    assert "dedicated-accessors" not in text


@pytest.mark.parametrize("form", ["mail", "markdown"])
def test_a_design_of_one_s_own_is_shown_as_a_diff(form):
    text = vmxsim.export(named("preempted"), form)
    assert "on top of never-trap" in " ".join(text.split())
    assert "--- never-trap: vmx_read_guest_kernel_gs_base" in text
    assert "-    preempt_disable()" in text
    assert text.count("+++ WithoutPreemptDisable: ") == 2


def test_its_subject_names_the_commit_it_stands_on():
    text = vmxsim.export(vmxsim.run(["run", "guest long-mode on"], failing.ReloadsOnEntry), "mail")
    assert text.startswith("Subject: KVM: VMX: ReloadsOnEntry on top of 678e315e78a7: no invariant")
    assert "+    self.__vmx_load_host_state(vmx)" in text


def test_a_changed_rule_of_interception_and_a_helper_are_part_of_the_change():
    class Always(failing.NeverTrap):
        interception = "always"

        @staticmethod
        def _in_register(vcpu):
            return vcpu.loaded and vcpu.long_mode

    found = "\n".join(change(Always))
    assert "-interception = 'never'\n+interception = 'always'" in found
    assert "+    return vcpu.loaded and vcpu.long_mode" in found
    assert change(failing.NeverTrap) == ()


@pytest.mark.parametrize(
    ("design", "line"),
    [
        ("EnablesTooOften", "*   2      preempt_enable()"),
        ("BreaksAContract", "*   2      self.vmx_prepare_switch_to_host(vmx)"),
        ("KeepsPreemptionDisabled", "*   7      self.vcpu_put(vcpu)"),
        ("LeavesWithPreemptionDisabled", "*   6      preempt_disable()"),
    ],
)
def test_the_line_that_breaks_the_contract_is_shown_and_nothing_is_said_to_hold(design, line):
    text = vmxsim.export(checked(getattr(failing, design), "64-bit"), "mail")
    assert line in text and "the line that breaks the contract" in " ".join(text.split())
    flowing = " ".join(text.split())
    assert "nothing can be concluded about guest-value, host-value and no-leak" in flowing
    assert not re.search(r"no-leak holds?\b", flowing)
    assert "No-leak" not in flowing


def test_a_design_that_fails_is_told_without_steps():
    text = vmxsim.export(named("failing"), "mail")
    assert "preempt_enable" in text and "What happens" not in text
    assert "--design failing.py:EnablesTooOften" in " ".join(text.replace("\\\n", "").split())


def test_long_runs_keep_what_is_around_the_violation():
    actions = ["run", *(["exit", "run"] * 12), "guest long-mode on", "guest rdmsr", *(["exit", "run"] * 6)]
    text = vmxsim.export(vmxsim.run(actions, "dedicated-accessors"), "mail")
    assert "more of this kind are left out" in text and text.count("left out here)") >= 2
    assert len(re.findall(r"^[ *!] +\d+  CPU \d", text, re.MULTILINE)) == 25
    assert re.search(r"^\* +\d+  CPU", text, re.MULTILINE)
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
