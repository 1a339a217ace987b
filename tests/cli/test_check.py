"""``vmxsim check``, ``why`` and ``compare`` without a file, as a user and a script see them."""

import json

import pytest

from tests.cli.running import fails, vmxsim
from vmxsim.checker.assumptions import ASSUMPTIONS
from vmxsim.designs import DESIGNS

MINE = """\
from vmxsim.designs.never_trap import NeverTrap
from vmxsim.kernel.language import *


class Mine(NeverTrap):
    def vmx_get_msr(self, vmx):
        return vmx.msr_guest_kernel_gs_base


class Same(NeverTrap):
    pass
"""


@pytest.fixture
def mine(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    return file


def test_beside_other_designs_a_schedule_says_where_ticks_and_signals_come():
    told = " ".join(vmxsim("check", "msr-array", "vcpu-vt", "--host", "64-bit").stdout.split())
    assert "guest long-mode off (then a signal); user gs-base" in told
    assert "tick" not in told.partition("Starting")[2].partition("Mechanism")[0]


def test_a_violated_design_is_shown_with_its_scenario_and_the_reason():
    done = vmxsim("check", "dedicated-accessors", "--host", "64-bit")
    assert done.returncode == 1
    for part in (
        "VIOLATED",
        "2 actions",
        "- run\n",
        "- guest long-mode on",
        "Why is this wrong?",
        "vmx_set_efer",
    ):
        assert part in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def test_a_safe_design_exits_with_zero_and_says_what_was_explored():
    done = vmxsim("check", "never-trap")
    assert done.returncode == 0
    assert "SAFE on a 64-bit and a 32-bit host: every schedule was explored" in done.stdout
    assert "19 of 19" in done.stdout
    told = done.stdout.partition("Not in the model: ")[2]
    assert all(name in told for name in ("NMI", "machine check", "nested VMX", "TDX", "INIT", "host-side"))


def test_json_has_the_documented_fields():
    done = vmxsim("check", "dedicated-accessors", "vcpu-vt", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    documented = {
        "verdict", "invariant", "host", "states", "transitions", "depth", "seconds", "sometimes", "scenario",
    }  # fmt: skip
    for name, verdict in (("dedicated-accessors", "violated"), ("vcpu-vt", "safe")):
        assert documented <= set(told[name]) and told[name]["verdict"] == verdict
        assert all(isinstance(was, bool) for was in told[name]["sometimes"].values())
        assert min(told[name][figure] for figure in ("states", "transitions", "depth")) > 0
        assert any("NMI" in one for one in told[name]["omitted"]) and len(told[name]["omitted"]) >= 5
    wrong, right = told["dedicated-accessors"], told["vcpu-vt"]
    assert (wrong["invariant"], right["invariant"], right["scenario"]) == ("guest-value", None, None)
    assert wrong["scenario"]["steps"] == ["run", "guest long-mode on"] and wrong["host"] == "64-bit"


def test_json_tells_the_first_host_width_that_is_violated():
    told = json.loads(vmxsim("check", "load-gs-index", "--json").stdout)["load-gs-index"]
    assert (told["verdict"], told["host"], told["scenario"]["host"]) == ("violated", "32-bit", "32-bit")


def test_all_checks_every_design():
    done = vmxsim("check", "--all", "--host", "64-bit", "--assume", "one-value,no-swapgs,no-smm", "--json")
    told = json.loads(done.stdout)
    assert list(told) == list(DESIGNS) and done.returncode == 1
    assert {name for name, one in told.items() if one["verdict"] != "safe"} == {
        "msr-array",
        "array-passthrough",
        "lazy-long-mode",
        "dedicated-accessors",
    }
    assert all(one["assumptions"] == ["no-smm", "no-swapgs", "one-value"] for one in told.values())


def test_a_saved_counterexample_breaks_the_invariant_again(tmp_path):
    file = tmp_path / "found.yaml"
    done = vmxsim("check", "load-gs-index", "dedicated-accessors", "--save", file)
    assert done.returncode == 1 and f"vmxsim run {file}" in done.stderr
    run = vmxsim("run", file, "--json")
    assert run.returncode == 1
    for line in run.stdout.splitlines():
        one = json.loads(line)
        assert {v["step"] for v in one["violations"]} == {len(one["steps"]) - 1}


def test_nothing_is_saved_where_nothing_is_wrong(tmp_path):
    done = vmxsim("check", "never-trap", "--host", "64-bit", "--save", tmp_path / "none.yaml")
    assert done.returncode == 0 and "no counterexample to save" in done.stderr
    assert not (tmp_path / "none.yaml").exists()


def test_what_was_found_is_shown_even_where_it_cannot_be_saved(tmp_path):
    done = vmxsim("check", "dedicated-accessors", "--host", "64-bit", "--save", tmp_path)
    assert done.returncode == 2 and "guest long-mode on" in done.stdout
    assert "cannot be written: Is a directory" in done.stderr and "Traceback" not in done.stderr


def test_the_assumptions_are_listed():
    done = vmxsim("check", "--assume", "help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ASSUMPTIONS)


@pytest.mark.parametrize("limit", [("--max-seconds", "0.000001"), ("--max-states", "1", "--json")])
def test_a_search_cut_short_exits_with_three(limit):
    done = vmxsim("check", "never-trap", *limit)
    assert done.returncode == 3 and "SAFE" not in done.stdout
    if "--json" in limit:
        told = json.loads(done.stdout)["never-trap"]
        assert told["verdict"] == "incomplete" and "--max-states" in told["cut"]


# -- designs of the reader's own


def test_a_file_of_designs_is_checked_and_its_counterexample_runs_on_it(mine, tmp_path):
    saved = tmp_path / "found.yaml"
    done = vmxsim("check", "--file", mine, "--save", saved, "--json", "--host", "64-bit")
    told = json.loads(done.stdout)
    assert {name: one["verdict"] for name, one in told.items()} == {"Mine": "violated", "Same": "safe"}
    assert vmxsim("run", saved, "--design", f"{mine}:Mine").returncode == 1
    assert vmxsim("run", saved, "--design", f"{mine}:Same").returncode == 0


@pytest.mark.parametrize("way", [["--file"], []])
def test_each_design_of_a_file_gets_a_report_of_its_own(mine, way):
    mine.write_text(MINE + MINE.partition("\n\n\n")[2].partition("class Same")[0].replace("Mine", "Third"))
    done = vmxsim("check", *way, mine, "--host", "64-bit")
    assert done.returncode == 1
    assert [done.stdout.count(part) for part in ("Why is this wrong?", "VIOLATED", "SAFE")] == [2, 2, 1]
    assert done.stdout.index("Mine is VIOLATED") < done.stdout.index("Same is SAFE")
    assert done.stdout.count("- run\n") == 2 and done.stdout.count("vmx_get_msr, line 2") == 2


@pytest.mark.parametrize("way", [("--file", "mine.py", "Mine"), ("mine.py:Mine",)])
def test_the_saved_file_says_how_to_run_it(mine, tmp_path, way):
    command = "vmxsim run found.yaml --design mine.py:Mine"
    done = vmxsim("check", *way, "--host", "64-bit", "--save", "found.yaml", cwd=tmp_path)
    assert command in done.stderr and command in (tmp_path / "found.yaml").read_text()
    assert vmxsim(*command.split()[1:], cwd=tmp_path).returncode == 1


def test_a_mistake_is_told_in_a_line_with_status_two(mine, tmp_path):
    mine.write_text(MINE.replace("return vmx.m", "return vmx m"))
    assert f"{mine}:7: not valid Python" in fails("check", mine)
    assert "did you mean 'never-trap'?" in fails("check", "never-tarp")
    assert "did you mean 'no-smm'?" in fails("check", "never-trap", "--assume", "no-smn")
    assert "already means every design" in fails("check", "--all", "never-trap")


# -- why, and compare without a file


def test_why_names_for_each_line_what_breaks_or_that_nothing_does():
    told = json.loads(vmxsim("why", "array-passthrough", "--json").stdout)
    assert told["design"] == "array-passthrough"
    assert [line["line"] for line in told["lines"]] == sorted(line["line"] for line in told["lines"])
    for line in told["lines"]:
        assert line["words"] and (line["breaks"] is None) == (line["scenario"] is None)
    assert {line["breaks"] for line in told["lines"]} == {"guest-value", None}
    shown = vmxsim("why", "array-passthrough", "--host", "64-bit")
    assert shown.returncode == 0
    assert (
        "guest-value on a 64-bit host" in shown.stdout
        and "explored: nothing breaks in this model" in shown.stdout
    )
    assert "not in the model: here the line only costs time" in " ".join(shown.stdout.split())


def test_compare_says_that_no_schedule_tells_two_safe_designs_apart():
    done = vmxsim("compare", "guest-state-loaded", "vcpu-vt", "--json")
    assert done.returncode == 0 and "no schedule shows a difference" in done.stderr
    told = json.loads(done.stdout)
    assert told["scenario"] is None and told["complete"]


def test_compare_shows_two_violated_designs_side_by_side():
    done = vmxsim("compare", "lazy-long-mode", "dedicated-accessors", "--json", "--host", "64-bit")
    told = json.loads(done.stdout)
    assert done.returncode == 0 and "both lazy-long-mode and dedicated-accessors are violated" in done.stderr
    a, b = ([one["registers"] for one in results] for results in told["results"])
    assert a != b


def test_ctrl_c_ends_them_all_and_says_which_were_not_checked(monkeypatch):
    def interrupted(limits, states, layer=0):
        if states > 10_000:
            raise KeyboardInterrupt

    monkeypatch.setattr("vmxsim.checker.check.Limits.watch", interrupted)
    done = vmxsim("check", "never-trap", "vcpu-vt", "fsgsbase")
    assert done.returncode == 3 and "never-trap: INCOMPLETE" in done.stdout
    assert done.stderr == "note: interrupted; not checked: vcpu-vt, fsgsbase\n"


def test_two_vcpus_are_explored_with_nothing_assumed():
    done = vmxsim("check", "never-trap", "--host", "64-bit", "--vcpus", "2", "--json")
    (found,) = json.loads(done.stdout).values()
    assert (done.returncode, found["verdict"], found["states"]) == (0, "safe", 13_266_395_888)
    assert found["sometimes"]["two guests ran at once"] and found["cut"] is None
