"""``vmxsim show`` and ``vmxsim new``: what a design consists of, and a design to start from."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import vmxsim
from vmxsim.cli import main
from vmxsim.designs import DESIGNS
from vmxsim.designs.own import design_in
from vmxsim.kernel.patch import own_functions

SCHEDULE = [
    "run",
    "guest long-mode on",
    "guest wrmsr 0xA000",
    "preempt cpu1",
    "emulate rdmsr",
    "exit",
    "get-msr",
]


def call(capsys, *args):
    """(exit status, standard output, standard error) of a command."""
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    out, err = capsys.readouterr()
    return ended.value.code, out, err


def test_own_functions_are_those_of_the_seed_s_diff(capsys):
    """The diff adds the two accessors and changes get, set and EFER."""
    status, out, _ = call(capsys, "show", "dedicated-accessors", "--json")
    assert status == 0
    functions = {row["name"]: row for row in json.loads(out)["functions"]}
    assert {name for name, row in functions.items() if row["own"]} == {
        "vmx_read_guest_kernel_gs_base",
        "vmx_write_guest_kernel_gs_base",
        "vmx_get_msr",
        "vmx_set_msr",
        "vmx_set_efer",
    }
    assert functions["vmx_set_efer"]["changed_last"]["commit"] == "678e315e78a7"
    assert functions["vcpu_load"]["changed_last"]["design"] is None
    assert "rdmsr" in functions["vmx_read_guest_kernel_gs_base"]["primitives"]
    assert "vmx_load_host_state" not in functions, "the diff removes it: nothing calls it anymore"


def test_fields_are_called_what_the_design_calls_them(capsys):
    names = {
        design: json.loads(call(capsys, "show", design, "--json")[1])["fields"]["loaded"]
        for design in DESIGNS
    }
    assert names["host-always"] == ["host_state.loaded"]
    assert (
        names["host-from-thread"]
        == names["dedicated-accessors"]
        == names["never-trap"]
        == ["loaded_cpu_state"]
    )
    assert names["guest-state-loaded"] == ["guest_state_loaded"]
    assert "vt.guest_state_loaded" in names["vcpu-vt"]


def test_it_is_readable(capsys):
    status, out, _ = call(capsys, "show", "never-trap")
    assert status == 0
    assert "* vmx_prepare_switch_to_guest" in out and "678e315e78a7" in out and "loaded_cpu_state" in out
    status, out, _ = call(capsys, "show", "never-trap", "vmx_get_msr")
    assert status == 0 and "def vmx_get_msr(self, vmx):" in out and "dedicated-accessors" in out
    status, out, _ = call(capsys, "show", "dedicated-accessors", "vmx_load_host_state")
    assert "nothing in this design calls it anymore" in out


@pytest.mark.parametrize("name", ["vmx_save_host_state", "vmx_prepare_switch_to_guest"])
def test_history_follows_a_renamed_function(capsys, name):
    status, out, _ = call(capsys, "show", "--history", name, "--json")
    versions = json.loads(out)
    assert status == 0
    assert [version["design"] for version in versions] == [
        "msr-array", "lazy-long-mode", "host-always", "host-from-thread",
        "never-trap", "guest-state-loaded", "fsgsbase", "vcpu-vt",
    ]  # fmt: skip
    assert {version["name"] for version in versions[:4]} == {"vmx_save_host_state"}
    assert {version["name"] for version in versions[4:]} == {"vmx_prepare_switch_to_guest"}


def test_history_has_every_change_of_every_function(capsys):
    names = {name for design in DESIGNS.values() for name in own_functions(design)}
    for name in names:
        versions = json.loads(call(capsys, "show", "--history", name, "--json")[1])
        told = {version["design"] for version in versions}
        assert {design.id for design in DESIGNS.values() if name in own_functions(design)} <= told, name


def test_history_reads_as_successive_diffs(capsys):
    _, out, _ = call(capsys, "show", "--history", "vmx_set_efer")
    seed = out[out.index("dedicated-accessors (678e315e78a7") :]
    assert "-    self.vmx_load_host_state(vmx)" in seed
    assert "+        self.vmx_read_guest_kernel_gs_base(vmx)" in seed


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["show"], "name a design"),
        (["show", "nevertrap"], "did you mean 'never-trap'?"),
        (["show", "never-trap", "vmx_getmsr"], "did you mean 'vmx_get_msr'?"),
        (["show", "--history", "vmx_seteffer"], "did you mean 'vmx_set_efer'?"),
        (["show", "never-trap", "--history", "vmx_set_efer"], "takes a function and no design"),
        (["new", "mine.txt", "--from", "never-trap"], "expected the name of a Python file"),
        (["new", "missing/mine.py", "--from", "never-trap"], "cannot be written"),
        (["new", "mine.py", "--from", "nevertrap"], "did you mean 'never-trap'?"),
    ],
)
def test_bad_input_is_answered_in_a_line(capsys, tmp_path, monkeypatch, args, said):
    monkeypatch.chdir(tmp_path)
    status, out, err = call(capsys, *args)
    assert (status, out) == (2, "")
    assert said in err and err.count("\n") == 1


@pytest.mark.parametrize("name", list(DESIGNS))
def test_a_skeleton_behaves_like_the_design_it_starts_from(capsys, tmp_path, name):
    file = tmp_path / "mine.py"
    assert call(capsys, "new", str(file), "--from", name)[0] == 0
    mine = design_in(file, "Mine")
    assert issubclass(mine, DESIGNS[name]) and own_functions(mine)
    for host in ("64-bit", "32-bit"):
        here, there = (vmxsim.run(SCHEDULE, design, host=host) for design in (mine, name))
        assert here.results == there.results
        assert [v.words for v in here.violations] == [v.words for v in there.violations]


def test_a_skeleton_gets_its_parent_s_verdict_and_is_never_overwritten(capsys, tmp_path):
    file = tmp_path / "mine.py"
    call(capsys, "new", str(file), "--from", "dedicated-accessors")
    status, out, _ = call(capsys, "check", "--file", f"{file}:Mine", "--json")
    assert status == 1
    assert json.loads(out)["Mine"]["states"] == vmxsim.check("dedicated-accessors").telling.states
    before = file.read_text()
    status, _, err = call(capsys, "new", str(file), "--from", "never-trap")
    assert status == 2 and "already exists" in err
    assert file.read_text() == before


def run(*args, **environment):
    """A command in a Python of its own, as a terminal with this environment would run it."""
    return subprocess.run(
        [sys.executable, "-m", "vmxsim.cli", *args],
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", **environment},
        timeout=60,
    )


def test_a_terminal_without_unicode_gets_plain_characters(tmp_path):
    file = tmp_path / "away.yaml"
    file.write_text("design: never-trap\nlong_mode: true\nsteps: [run, preempt cpu1, exit]\n")
    plain = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert not run("run", str(file), "--words", PYTHONUTF8="1").stdout.isascii(), (
        "or there is nothing to replace"
    )
    done = run("run", str(file), "--words", **plain)
    assert done.returncode == 0 and done.stdout.isascii()
    assert b"\\u" not in done.stdout and b"\\x" not in done.stdout


def test_no_width_hides_or_cuts_words():
    """Zero columns are as good as none said."""
    for columns in ("0", "80", "40"):
        done = run("check", "load-gs-index", "--host", "64-bit", "--cpus", "1", COLUMNS=columns)
        assert b"SAFE" in done.stdout and b"guest-value" in done.stdout.replace(b"\n", b"")
        assert "…".encode() not in done.stdout
    done = run("check", "load-gs-index", "lma-fix", "--host", "64-bit", "--cpus", "1", COLUMNS="45")
    assert "…".encode() not in done.stdout and b"load-gs-index" in done.stdout and b"lma-fix" in done.stdout


def test_actions_are_counted_from_one_and_named():
    run = vmxsim.run(["run", "guest long-mode on", "guest rdmsr"], "dedicated-accessors")
    assert "guest-value at action 3 (guest rdmsr)" in repr(run)


OWN = """\
from vmxsim.designs import NeverTrap
from vmxsim.kernel.language import *


def helper(vmx):
    return vmx.dirty


class Mixin:
    def vmx_get_msr(self, vmx):
        helper(vmx)
        return super().vmx_get_msr(vmx)


class Mine(Mixin, NeverTrap):
    fields = {"dirty": False}
    cpu_fields = {"owner": u64}

    def exit_to_user_mode(self, vcpu):
        this_cpu_write("owner", rdmsr(MSR_KERNEL_GS_BASE))

    def idle(self, vmx):
        sldt()
"""


def test_what_a_design_of_ones_own_declares_mixes_in_and_never_calls(capsys, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    status, out, err = call(capsys, "show", str(file))
    assert status == 0
    assert "vmx.dirty: False" in out and 'this_cpu_read("owner"), on each CPU: u64' in out
    assert "prepare_task_switch, finish_task_switch" in out, "hooks that it could override"
    for name in ("vmx_get_msr", "exit_to_user_mode", "helper"):
        assert f"* {name}" in out
    assert "your idle() is never called" in err
    shown = json.loads(call(capsys, "show", str(file), "--json")[1])
    assert shown["declared"] == {"fields": {"dirty": "False"}, "cpu_fields": {"owner": "u64"}}
    status, out, _ = call(capsys, "check", "--file", str(file), "--host", "64-bit", "--json")
    assert status == 0, "nothing reads the field of the CPU"
    (warning,) = json.loads(out)["Mine"]["never_called"]
    assert warning.startswith("your idle() is never called")


def test_the_kernels_own_function_is_named_with_its_file_and_release(capsys):
    where = vmxsim.where_in_the_kernel
    _, out, _ = call(capsys, "show", "never-trap", "vmx_set_efer")
    assert "# in the kernel: arch/x86/kvm/vmx/vmx.c or arch/x86/kvm/vmx.c" in out
    entered = list(where("vmx_save_host_state"))
    assert [place.function for place in entered][3:5] == [
        "vmx_save_host_state",
        "vmx_prepare_switch_to_guest",
    ]
    assert entered[1].as_json() == {
        "python": "vmx_save_host_state",
        "function": "vmx_save_host_state",
        "files": ["arch/x86/kvm/vmx/vmx.c", "arch/x86/kvm/vmx.c"],
        "design": "lazy-long-mode",
        "release": "2.6.33",
        "commit": "44ea2b1758d8",
    }
    (efer,) = where("vmx_set_efer()", "678e315e78a7")
    assert (efer.release, efer.commit) == ("4.19-rc1", "678e315e78a7")
    newest = {place.python: place for place in where()}
    assert newest["kvm_sched_out"].files == ("virt/kvm/kvm_main.c",)
    assert newest["kvm_vcpu_ioctl_get_msrs"].files is None, "the facts do not give it"
    assert "vmx_save_host_state" not in newest
    assert "| `em_rsm()` | `em_rsm()` |" in repr(where(design="never-trap"))


@pytest.mark.parametrize("asked", [("vmx_set_eefr",), ("vmx_set_eefr", "never-trap")])
def test_an_unknown_function_is_told_with_the_nearest(asked):
    with pytest.raises(vmxsim.InputError, match="did you mean 'vmx_set_efer'"):
        vmxsim.where_in_the_kernel(*asked)
    with pytest.raises(vmxsim.InputError, match="not 3"):
        vmxsim.where_in_the_kernel(3)
