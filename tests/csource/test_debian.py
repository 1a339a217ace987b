"""A real tree: Debian's linux-source-6.1, which ``.ci/run`` fetches. VMXSIM_TEST_TREE says where it is."""

import os
import random
import re
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import MISSING_TREE
from tests.csource.reading import said, verdict, verdicts
from tests.csource.test_fuzz import garbled, read_or_refused
from vmxsim.checker.check import check
from vmxsim.csource.design import from_tree
from vmxsim.csource.tree import Tree, read_tree
from vmxsim.errors import InputError

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vmxsim-tests" / "linux-source-6.1"
PLACE = Path(os.environ.get("VMXSIM_TEST_TREE") or CACHE)
pytestmark = pytest.mark.skipif(not (PLACE / "arch/x86/kvm").is_dir(), reason=MISSING_TREE)

VMX = "arch/x86/kvm/vmx/vmx.c"


@cache
def tree():
    return read_tree(PLACE)


@cache
def read():
    return from_tree(tree())


def line_at(place):
    """The text at a place such as ``vmx.c:1290 vmx_set_msr()``."""
    file, number = re.search(r"([\w.]+):(\d+)", place).groups()
    (text,) = (text for path, text in tree().files.items() if path.endswith(f"/{file}"))
    return text.split("\n")[int(number) - 1]


def test_the_verdict_is_that_of_the_design_of_its_time():
    assert verdicts(said(check(read().design))) == verdicts(verdict("fsgsbase"))


def test_the_roles_and_what_shows_them_stand_in_the_file():
    fields = {role: one.field for role, one in read().report.roles.items()}
    assert fields == {
        "g": "msr_guest_kernel_gs_base",
        "h": "msr_host_kernel_gs_base",
        "loaded": "guest_state_loaded",
    }
    for one in read().report.roles.values():
        for place in one.evidence:
            assert "kernel_gs_base" in line_at(place).lower() or one.field in line_at(place), place


def test_interception_and_the_canonical_check_stand_in_the_file():
    report = read().report
    assert report.interception == "never"
    assert all("MSR_KERNEL_GS_BASE" in line_at(place) for place in report.interception_shown)
    assert "canonical" in line_at(report.canonical_check)
    assert "current_save_fsgs" in line_at(report.fsgsbase)


def test_its_functions_stand_in_the_file():
    lines = tree().files[VMX].split("\n")
    for f in read().design.functions().values():
        if f.file == "vmx.c":
            assert tuple(lines[f.first - 1 : f.first - 1 + len(f.source)]) == f.source


def test_an_assumption_stands_in_the_file_and_is_tried_the_other_way():
    report, result = read().report, check(read().design)
    assert report.assumptions and len(result.otherwise) >= len(report.assumptions)
    for one in report.assumptions:
        assert one.text.partition("(")[0] in line_at(one.site)
    assert all(place and line_at(place) for place in report.calls_dropped.values())


@pytest.mark.parametrize(
    ("shown", "invariant"),
    [
        ("stored on the way out", "guest-value"),
        ("written to the register on the way in", "guest-value"),
        ("written to the register on the way out", "host-value"),
    ],
)
def test_without_a_line_that_shows_a_role_it_breaks(shown, invariant):
    (place,) = (p for one in read().report.roles.values() for p in one.evidence if p.startswith(shown))
    lines = tree().files[VMX].split("\n")
    lines[int(re.search(r":(\d+)", place)[1]) - 1] = ""
    changed = Tree("changed", {**tree().files, VMX: "\n".join(lines)})
    found = said(check(from_tree(changed, hint=read().roles).design))
    assert invariant in found["64-bit"]


def test_garbled_lines_are_read_or_refused():
    """In the functions that are followed: elsewhere hardly any line matters."""
    chance = random.Random(6.1)
    text = tree().files[VMX].split("\n")
    functions = [f for f in read().report.functions if f.file == "vmx.c" and f.last - f.first < 100]
    for _ in range(12):
        f = chance.choice(functions)
        part = garbled(Tree("", {VMX: "\n".join(text[f.first - 1 : f.last])}), chance).files[VMX]
        whole = "\n".join([*text[: f.first - 1], part, *text[f.last :]])
        read_or_refused(Tree("garbled", {VMX: whole}))


def test_a_tree_without_kvm_is_refused():
    files = {path: text for path, text in tree().files.items() if "/vmx/" not in path}
    with pytest.raises(InputError):
        from_tree(Tree("no vmx", files))
