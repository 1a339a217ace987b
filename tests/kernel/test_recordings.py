"""The simulator does what the real functions were recorded doing."""

import json
from pathlib import Path

import pytest

from vmxsim.simulation.costs import PATHS, cost
from vmxsim.simulation.run import run

GOLDEN = Path(__file__).parents[1] / "data" / "golden"


def lines(name):
    return [json.loads(line) for line in (GOLDEN / name).read_text().splitlines()]


@pytest.mark.parametrize("number", range(0, 140, 10))
def test_every_field_of_every_recorded_run(number):
    for recorded in lines("sample.jsonl")[number : number + 10]:
        trace = run(
            recorded["steps"],
            recorded["design"],
            host=recorded["host"],
            gs_base_from="msr",
            long_mode=recorded["long_mode"],
        )
        for step, found, expected in zip(recorded["steps"], trace.results, recorded["results"], strict=True):
            assert found == expected, (recorded["design"], recorded["steps"], step)


@pytest.mark.parametrize("host", ["64-bit", "32-bit"])
def test_every_recorded_cost(host):
    found = {(row.design, row.long_mode, row.path): row.as_json() for row in cost(host=host)}
    recorded = lines(f"cost-{host}-host.jsonl")
    assert recorded
    for row in recorded:
        assert found[row["design"], row["long_mode"], row["path"]] == row


def test_costs_without_a_recording_are_marked_derived():
    derived = {row.design for row in cost() if row.derived}
    assert derived == {
        "msr-array",
        "lma-fix",
        "host-from-thread",
        "guest-state-loaded",
        "fsgsbase",
        "shared-accessors",
    }
    assert all("derived" in row.as_json() for row in cost(["lma-fix"]))
    assert all(row.derived for row in cost(gs_base_from="descriptor"))


def test_a_read_by_kvm_costs_twenty_operations_before_the_seed_patch_and_one_after():
    """The headline of 678e315e78a7, guest in long mode."""
    rows = {
        r.design: r
        for r in cost(["host-always", "dedicated-accessors"])
        if r.path == "emulate rdmsr" and r.long_mode
    }
    assert rows["host-always"].total == 20
    assert rows["dedicated-accessors"].operations == {"rdmsr_kernel_gs_base": 1}


def test_get_and_set_msrs_touch_no_register_in_any_design():
    assert {"get-msr", "set-msr"} < set(PATHS)
    for row in cost():
        if row.path in ("get-msr", "set-msr"):
            assert row.operations == {}, row
