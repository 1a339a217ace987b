"""The commands as a user and a script see them."""

import json
import os

import pytest

from tests.cli.running import process, vmxsim
from vmxsim.designs import DESIGNS

SEED = """\
title: Entering long mode while guest state is loaded
design: dedicated-accessors
steps:
  - run
  - guest long-mode on
  - guest rdmsr -> 0x0
"""


@pytest.fixture
def seed(tmp_path):
    file = tmp_path / "seed.yaml"
    file.write_text(SEED)
    return file


def test_run_shows_the_seed_bug_and_exits_with_one(seed):
    done = vmxsim("run", seed)
    assert done.returncode == 1
    assert "guest-value at action 2 (guest long-mode on)" in done.stdout
    assert "expectation at action 3 (guest rdmsr)" in done.stdout
    assert "foreign" in done.stdout


def test_design_option_overrides_the_file(seed):
    done = vmxsim("run", seed, "--design", "never-trap")
    assert done.returncode == 0 and "No invariant violated." in done.stdout


def test_json_is_one_object_a_document_with_the_documented_fields(tmp_path):
    file = tmp_path / "two.yaml"
    file.write_text(SEED + "---\ndesign: never-trap\nvcpus: 2\nsteps: [{vcpu1: run}]\n")
    done = vmxsim("run", file, "--json")
    first, second = map(json.loads, done.stdout.splitlines())
    assert set(first) == {"design", "host", "long_mode", "steps", "results", "violations"}
    assert first["steps"] == ["run", "guest long-mode on", "guest rdmsr -> 0x0"]
    assert {v["invariant"] for v in first["violations"]} == {"guest-value", "no-leak", "expectation"}
    assert second["steps"] == [{"vcpu1": "run"}]
    assert second["results"][0]["in_guest"] == [False, True]


def test_micro_tells_every_line_and_every_change(seed):
    done = vmxsim("run", seed, "--json", "--micro")
    steps = json.loads(done.stdout)["results"][1]["micro"]
    assert {"thread", "cpu", "function", "line", "source", "changes"} == set(steps[0])
    stored = [s for s in steps if any(c["place"] == "vcpu0.efer" for c in s["changes"])]
    assert [(s["function"], s["source"]) for s in stored] == [("vmx_set_efer", "vmx.efer = efer")]


def test_designs_are_listed_in_true_order_with_nothing_invented():
    listed = json.loads(vmxsim("designs", "--json").stdout)
    assert [d["id"] for d in listed] == list(DESIGNS)
    assert all(d["title"] and d["story"] for d in listed)
    assert listed[0]["commit"] is None and listed[7]["commit"] == "678e315e78a7"


def test_compare_names_the_first_difference(seed):
    done = vmxsim("compare", "host-from-thread", "678e315", seed, "--json")
    assert done.returncode == 0
    told = json.loads(done.stdout)["divergence"]
    assert told["step"] == 1 and told["differs"] == "vcpu0.loaded"
    assert "vmx_load_host_state" in told["words"]
    same = vmxsim("compare", "guest-state-loaded", "vcpu-vt", seed, "--json")
    assert json.loads(same.stdout)["divergence"] is None


def test_compare_without_a_file_finds_the_shortest_schedule():
    done = vmxsim("compare", "host-from-thread", "dedicated-accessors", "--json")
    assert json.loads(done.stdout)["scenario"]["steps"] == ["run", "guest long-mode on"]


#: Its own counterexample names a line that never-trap does not have.
OWN = """
from vmxsim.designs import NeverTrap
from vmxsim.kernel.language import *


class Mine(NeverTrap):
    def vmx_write_guest_kernel_gs_base(self, vmx, data):
        # a comment

        if vmx.loaded_cpu_state:

            wrmsr(MSR_KERNEL_GS_BASE, data)

        vmx.msr_guest_kernel_gs_base = data
"""


@pytest.mark.parametrize("order", [0, 1])
def test_a_schedule_that_names_a_line_of_one_design_runs_on_the_other_too(tmp_path, order):
    mine, saved = tmp_path / "mine.py", tmp_path / "saved.yaml"
    mine.write_text(OWN)
    vmxsim("check", mine, "--host", "64-bit", "--save", saved)
    assert "before: line 8, in: vmx_write_guest_kernel_gs_base" in saved.read_text()
    pair = [f"{mine}:Mine", "never-trap"]
    for file in ([], [saved]):
        done = vmxsim("compare", *(pair[::-1] if order else pair), *file, "--json", "--host", "64-bit")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert [bool(found) for found in told["violations"]] == ([False, True] if order else [True, False])
        assert "names points of Mine: on never-trap each tick comes at the step beside it" in done.stderr


def test_cost_prints_rows_and_a_table():
    rows = [
        json.loads(line) for line in vmxsim("cost", "never-trap", "lma-fix", "--json").stdout.splitlines()
    ]
    assert {row["host"] for row in rows} == {"64-bit", "32-bit"}
    assert all(("derived" in row) == (row["design"] == "lma-fix") for row in rows)
    assert "1 rdmsr_kernel_gs_base" in vmxsim("cost", "dedicated-accessors").stdout


def test_no_colour_where_there_is_no_terminal(seed):
    for env in ({}, {"NO_COLOR": "1"}):
        assert "\x1b" not in process("run", seed, env={**os.environ, **env}).stdout


def test_svg_writes_a_picture_of_every_step(seed, tmp_path):
    vmxsim("run", seed, "--svg", tmp_path / "out")
    pictures = sorted((tmp_path / "out").iterdir())
    steps = sum(
        len(r["micro"]) for r in json.loads(vmxsim("run", seed, "--json", "--micro").stdout)["results"]
    )
    assert len(pictures) == steps + 1
    assert 'role="img"' in pictures[0].read_text()


def test_words_tell_every_step(seed):
    told = vmxsim("run", seed, "--words").stdout
    assert "vmx_set_efer" in told and "guest 0" in told


def test_compare_searches_both_host_widths_and_concludes_for_one_where_it_is_asked():
    found = json.loads(vmxsim("compare", "load-gs-index", "host-always", "--json").stdout)
    assert found["scenario"]["host"] == "32-bit"
    done = vmxsim("compare", "load-gs-index", "host-always", "--host", "64-bit")
    assert done.returncode == 0
    assert "no schedule shows a difference on a 64-bit host" in done.stderr


def test_compare_passes_over_what_differs_from_the_start(seed):
    told = json.loads(vmxsim("compare", "dedicated-accessors", "never-trap", seed, "--json").stdout)[
        "divergence"
    ]
    assert (told["step"], told["differs"]) == (0, "cpu0.kernel_gs_base")


def test_a_host_task_that_has_loaded_a_selector_is_asked_for_by_options(tmp_path):
    """Without FSGSBASE, mainline loses such a task's base."""
    options = ("--gs-base-from", "descriptor", "--no-fsgsbase")
    file = tmp_path / "run.yaml"
    file.write_text("design: vcpu-vt\nsteps:\n  - run\n  - exit\n")
    assert vmxsim("run", file).returncode == 0
    assert vmxsim("run", file, *options[:2]).returncode == 0
    broken = vmxsim("run", file, *options, "--json")
    assert {v["invariant"] for v in json.loads(broken.stdout)["violations"]} == {"host-value"}
    told = json.loads(vmxsim("compare", "host-always", "vcpu-vt", file, *options, "--json").stdout)
    assert [{v["invariant"] for v in found} for found in told["violations"]] == [set(), {"host-value"}]
    done = vmxsim("compare", "host-always", "vcpu-vt", "--host", "64-bit", *options)
    assert "(GS base from a descriptor, no FSGSBASE)" in done.stderr
    rows = [json.loads(row) for row in vmxsim("cost", "vcpu-vt", *options, "--json").stdout.splitlines()]
    leaves = [row for row in rows if row["path"] == "exit" and row["host"] == "64-bit"]
    assert all(row["derived"] and row["operations"]["load_gs_index"] == 1 for row in leaves)
