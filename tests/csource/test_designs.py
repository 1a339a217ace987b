"""Every design of the history, printed as C and read back, is the same design."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.csource.reading import carried, verdict, verdict_on_c
from vmxsim.designs import DESIGNS
from vmxsim.designs.host_from_thread import HostFromThread
from vmxsim.simulation.costs import PATHS, count
from vmxsim.simulation.run import run

SAMPLE = Path(__file__).parents[1] / "data" / "golden" / "sample.jsonl"
ON_THE_REGISTER = ("rdmsr_kernel_gs_base", "wrmsr_kernel_gs_base", "load_gs_index")


@pytest.mark.parametrize("name", DESIGNS)
def test_the_verdicts_and_the_shortest_counterexamples_are_the_same(name):
    assert verdict_on_c(name) == verdict(name)


@pytest.mark.parametrize("name", DESIGNS)
def test_interception_roles_and_the_canonical_check_are_found(name):
    design, found = DESIGNS[name], carried(name)
    assert found.design.interception == design.interception
    assert found.design.fsgsbase == design.fsgsbase
    assert bool(found.report.canonical_check) == issubclass(design, HostFromThread)
    for role, label in design.labels.items():
        field = label.removeprefix("vt.").replace("[KERNEL_GS_BASE]", ".kernel_gs_base")
        assert found.report.roles[role].field == field
    assert all(one.evidence for one in found.report.roles.values())


@pytest.mark.parametrize("name", DESIGNS)
def test_its_lines_stand_in_the_file(name):
    found = carried(name)
    files = {path.rpartition("/")[2]: text.split("\n") for path, text in found.tree.files.items()}
    functions = [f for f in found.design.functions().values() if f.file]
    assert {f.name for f in functions} > set(found.design.kvm_x86_ops.values()) - {"vmx_vcpu_load"}
    for f in functions:
        assert tuple(files[f.file][f.first - 1 : f.first - 1 + len(f.source)]) == f.source
        assert f"{f.name.rstrip(chr(39))}(" in f.source[0] or f.name == "set_efer"
        for i in f.instructions:
            line = f.source[i.line - 1]
            for word in ("preempt_disable", "preempt_enable", "load_gs_index"):
                if i.expr is not None and getattr(i.expr, "name", "") == word:
                    assert word in line
            if i.callee and i.callee.kind == "self":
                assert i.callee.name.rstrip("'") in line


@pytest.mark.parametrize("name", DESIGNS)
def test_every_line_is_kept_or_left_out_for_a_reason(name):
    functions = carried(name).design.functions()
    for told in carried(name).report.functions:
        f = functions[told.name]
        assert (told.file, told.first) == (f.file, f.first)
        assert not {f.first + line - 1 for line in f.dropped} & set(told.kept)
        assert all(f.dropped.values())


@pytest.mark.parametrize("host", ["64-bit", "32-bit"])
@pytest.mark.parametrize("name", DESIGNS)
def test_the_operations_on_the_register_cost_the_same(name, host):
    for path in PATHS:
        for long_mode in (False, True):
            if path in ("guest long-mode on", "guest long-mode off") and long_mode == path.endswith("on"):
                continue
            there, here = (count(d, host, long_mode, path) for d in (carried(name).design, DESIGNS[name]))
            for one in ON_THE_REGISTER:
                assert there.operations.get(one) == here.operations.get(one), (path, long_mode, one)


def test_every_field_of_every_recorded_run():
    recorded = [json.loads(line) for line in SAMPLE.read_text().splitlines()]
    for one in recorded:
        design = carried(one["design"]).design
        trace = run(one["steps"], design, host=one["host"], gs_base_from="msr", long_mode=one["long_mode"])
        assert list(trace.results) == one["results"], (one["design"], one["steps"])
    assert Counter(one["design"] for one in recorded).total() == 140
