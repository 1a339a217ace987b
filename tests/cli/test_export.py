"""``vmxsim export``: one command from a design, a scenario or a recording to a mail, a page, pictures."""

import pytest

from tests.cli import running
from tests.cli.running import vmxsim
from tests.cli.test_check import MINE

SCENARIO = """\
title: Entering long mode while guest state is loaded
design: dedicated-accessors
steps:
  - run
  - guest long-mode on
  - guest rdmsr -> 0x0
"""


def fails(*arguments, words):
    """The command ends with 2 and one line that has all the words."""
    said = running.fails(*arguments)
    assert not [word for word in words if word not in said], said


@pytest.fixture
def scenario(tmp_path):
    file = tmp_path / "enter.yaml"
    file.write_text(SCENARIO)
    return str(file)


def test_a_counterexample_becomes_a_mail_in_one_command():
    done = vmxsim("export", "dedicated-accessors", "--to", "mail")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("Subject: ") and "BREAKS guest-value" in done.stdout
    assert all(len(line) <= 75 for line in done.stdout.splitlines())


@pytest.mark.parametrize("form", ["html", "markdown", "mail", "storyboard"])
@pytest.mark.parametrize("what", ["scenario", "s1.dedicated-accessors", "678e315"])
def test_texts_of_anything(form, what, scenario, tmp_path):
    out = tmp_path / "out"
    done = vmxsim("export", scenario if what == "scenario" else what, "--to", form, "-o", str(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and "written" in done.stderr
    assert "guest-value" in out.read_text()


def test_pictures_go_into_a_folder(tmp_path, scenario):
    done = vmxsim(
        "export", scenario, "--to", "svg", "-o", str(tmp_path / "s"), "--theme", "dark", "--steps", "telling"
    )
    assert done.returncode == 0 and "pictures in" in done.stderr
    found = sorted((tmp_path / "s").glob("step-*.svg"))
    assert 5 <= len(found) <= 12 and "var(" not in found[0].read_text()
    fails("export", scenario, "--to", "png", words=["--output", "name a folder"])


def test_a_scenario_runs_on_another_design_and_beside_one(scenario):
    done = vmxsim("export", scenario, "--design", "never-trap", "--to", "mail")
    assert done.returncode == 0 and "never-trap: no invariant is broken" in done.stdout
    assert "design: never-trap" in done.stdout and "--design never-trap" in done.stdout
    done = vmxsim("export", scenario, "--beside", "never-trap", "--to", "html")
    assert done.returncode == 0 and "dedicated-accessors beside never-trap" in done.stdout


def test_a_line_that_the_other_design_lacks_is_said_with_what_to_do(tmp_path):
    file = tmp_path / "line.yaml"
    point = "{preempt: {before: line 7, in: vmx_set_efer}}"
    file.write_text(SCENARIO.replace("guest long-mode on", f"guest long-mode on: {point}"))
    beside = vmxsim("export", file, "--beside", "never-trap", "--to", "html")
    assert beside.returncode == 0 and "dedicated-accessors beside never-trap" in beside.stdout
    words = ["line.yaml:5", "never-trap lacks", "made for dedicated-accessors", "before: rdmsr, wrmsr"]
    fails("export", str(file), "--to", "mail", "--design", "never-trap", words=words)


def test_assumptions_are_listed_as_check_lists_them():
    done = vmxsim("export", "--assume", "help")
    assert done.returncode == 0 and done.stdout == vmxsim("check", "--assume", "help").stdout


def test_of_several_scenarios_one_is_named(tmp_path):
    file = tmp_path / "two.yaml"
    file.write_text(SCENARIO + "---\n" + SCENARIO.replace("Entering", "Again"))
    fails("export", str(file), "--to", "mail", words=["holds 2 scenarios", "--number 1 to 2"])
    fails("export", str(file), "--to", "mail", "--number", "3", words=["--number", "holds 2"])
    done = vmxsim("export", str(file), "--to", "mail", "--number", "2")
    assert done.returncode == 0 and "title: Again" in done.stdout


def test_a_design_of_one_s_own(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    done = vmxsim("export", f"{file}:Mine", "--to", "mail", "--host", "64-bit")
    assert done.returncode == 0, done.stderr
    assert "--design mine.py:Mine" in done.stdout and "vmxsim check --file mine.py" in done.stdout
    assert str(tmp_path) not in done.stdout


def test_the_check_s_options_reach_it():
    done = vmxsim("export", "dedicated", "--to", "mail", "--assume", "guest-wrote-first", "--host", "32-bit")
    assert done.returncode == 0
    flowing = " ".join(done.stdout.replace("\\\n", " ").split())
    assert "assuming guest-wrote-first" in flowing
    assert "--host 32-bit --assume guest-wrote-first" in flowing


def test_a_safe_design_has_nothing_to_export():
    fails(
        "export", "never-trap", "--to", "mail", words=["nothing to export", "never-trap is safe", "--design"]
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dedicated", "--to", "pdf"], ["promela"]),
        (["dedicated"], ["--to"]),
        (["dedicated", "--to", "mial"], ["--to", "did you mean 'mail'?"]),
        (["tests", "--to", "mail"], ["tests: is a folder"]),
        (["tests", "--to", "promela"], ["tests: is a folder"]),
        (["smi.yaml", "--to", "promela"], ["promela takes a design, not a scenario"]),
        (["migrate", "--to", "promela"], ["promela takes a design, not a recording"]),
        (["dedicatd", "--to", "mail"], ["did you mean 'dedicated-accessors'? 'vmxsim designs'"]),
        (["dedicatd", "--to", "mail"], ["no design, recorded trace or scenario", "did you mean"]),
        (["s1.dedicated-accesors", "--to", "mail"], ["did you mean 's1.dedicated-accessors'"]),
        (["none.yaml", "--to", "mail"], ["none.yaml", "cannot be read"]),
        (["dedicated", "--to", "mail", "--scale", "2"], ["--scale", "for png"]),
        (["dedicated", "--to", "promela", "--theme", "dark"], ["--theme", "promela"]),
        (["dedicated", "--to", "promela", "--host", "both"], ["--host", "64-bit or 32-bit"]),
        (["dedicated", "--to", "html", "--steps", "all"], ["--steps"]),
        (["dedicated", "--to", "mail", "--design", "never"], ["--design", "scenario file"]),
        (["dedicated", "--to", "mail", "--number", "1"], ["--number", "scenario file"]),
        (["migrate", "--to", "mail", "--host", "64-bit"], ["--host", "a recording says itself"]),
        (["migrate", "--to", "html", "--beside", "never"], ["--beside", "no schedule"]),
        (["dedicated", "--to", "mail", "--assume", "nonsense"], ["nonsense"]),
        (["dedicated", "--to", "mail", "-o", "/no/such/folder/x"], ["cannot be written"]),
        (["README.md", "--to", "mail"], ["README.md"]),
    ],
)
def test_what_does_not_go_together_is_said(arguments, words):
    fails("export", *arguments, words=words)


def test_a_scenario_says_itself_what_it_runs_on(scenario):
    fails("export", scenario, "--to", "mail", "--cpus", "2", words=["--cpus", "a scenario says itself"])


def test_promela_is_as_it_was():
    done = vmxsim("export", "never", "--to", "promela", "--host", "32-bit")
    assert done.returncode == 0 and "32-bit host, GS base from descriptor, 2 CPU(s), 1 vCPU(s)" in done.stdout
