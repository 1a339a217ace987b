"""``vmxsim replay`` as it is called."""

from __future__ import annotations

import ast
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from vmxsim.cli import main
from vmxsim.ftrace.recording import EXAMPLES, example_path, how_to_record

KEYS = ["verdict", "invariant", "event", "words", "fits", "ruled_out", "notes"]


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as status:
        main(["replay", *arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return int(status.value.code or 0), out, err


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, "s1.dedicated-accessors", "--json")
    told = json.loads(out)
    assert status == 1 and list(told) == KEYS
    assert told["event"] == {"line": 211, "time": 9.017182, "cpu": 0, "pid": 109, "name": "kvm_entry"}


def test_file_and_example_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    for name in EXAMPLES:
        assert call(capsys, name, "--json")[1] == call(capsys, str(example_path(name)), "--json")[1]


def test_statuses(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("")
    assert call(capsys, "migrate")[0] == 0
    assert call(capsys, "migrate", "--design", "never-trap")[0] == 0
    assert call(capsys, "migrate", "--design", "c8770e7ba63b")[0] == 1
    assert call(capsys, str(empty))[0] == 3
    assert call(capsys, str(tmp_path / "none"))[0] == 2
    assert call(capsys, "migrate", "--design", "never-tarp")[0] == 2
    assert call(capsys)[0] == 2


def test_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(capsys, "s1.dedicated-accessors")
    assert out.startswith("violated guest-value at line 211: 9.017182 s, CPU 0, pid 109, kvm_entry\n")
    assert "leave saves the guest's value" in out and "fits: dedicated-accessors" in out
    assert "\x1b" not in out


def test_how_to_record_is_a_shell_script(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, _ = call(capsys, "--how-to-record")
    assert status == 0 and out == how_to_record()
    script = tmp_path / "record.sh"
    script.write_text(out)
    subprocess.run(["bash", "-n", str(script)], check=True)
    for event in ("msr/read_msr", "msr/write_msr", "kvm/kvm_entry", "sched/sched_switch"):
        assert event in out


def embedded() -> str:
    """The program in the script that reads the offsets from BTF."""
    found = re.search(r"<<'PYTHON'.*?\n(.*?)\nPYTHON\n", how_to_record(), re.DOTALL)
    assert found
    return found[1]


class Btf:
    """Writes a BTF file: https://docs.kernel.org/bpf/btf.html."""

    def __init__(self) -> None:
        self.names = b"\0"
        self.types = b""
        self.count = 0

    def name(self, text: str) -> int:
        at = len(self.names)
        self.names += text.encode() + b"\0"
        return at

    def integer(self, name: str, size: int) -> int:
        self.types += struct.pack("<IIII", self.name(name), 1 << 24, size, size * 8)
        self.count += 1
        return self.count

    def struct(self, name: str, size: int, *members: tuple[str, int, int]) -> int:
        at = self.name(name) if name else 0
        self.types += struct.pack("<III", at, 4 << 24 | len(members), size)
        for member, type_, offset in members:
            self.types += struct.pack("<III", self.name(member) if member else 0, type_, offset * 8)
        self.count += 1
        return self.count

    def write(self, file: Path) -> None:
        head = struct.pack(
            "<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.names)
        )
        file.write_bytes(head + self.types + self.names)


@pytest.mark.parametrize("shared", [False, True])
def test_offsets_come_from_btf(shared: bool, tmp_path: Path) -> None:
    """Fields in struct vcpu_vmx itself (until 6.14), and in struct vcpu_vt inside it."""
    btf = Btf()
    u64, u32, u8 = btf.integer("u64", 8), btf.integer("u32", 4), btf.integer("bool", 1)
    arch = btf.struct("kvm_vcpu_arch", 64, ("cr0", u64, 0), ("efer", u64, 40))
    vcpu = btf.struct("kvm_vcpu", 128, ("mode", u32, 0), ("arch", arch, 32))
    if shared:
        vt = btf.struct("vcpu_vt", 32, ("guest_state_loaded", u8, 16), ("msr_host_kernel_gs_base", u64, 24))
        btf.struct(
            "vcpu_vmx", 256, ("vcpu", vcpu, 0), ("vt", vt, 128), ("msr_guest_kernel_gs_base", u64, 168)
        )
        expected = {"loaded": "144", "hgs": "152", "ggs": "168"}
    else:
        btf.struct(
            "vcpu_vmx",
            256,
            ("vcpu", vcpu, 0),
            ("guest_state_loaded", u8, 130),
            ("msr_host_kernel_gs_base", u64, 136),
            ("msr_guest_kernel_gs_base", u64, 144),
        )
        expected = {"loaded": "130", "hgs": "136", "ggs": "144"}
    btf.struct("msr_data", 24, ("host_initiated", u8, 0), ("index", u32, 4), ("data", u64, 8))
    btf.write(tmp_path / "vmlinux")
    source = embedded().replace("/sys/kernel/btf/", f"{tmp_path}{os.sep}")
    ast.parse(source)
    out = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True).stdout
    assert dict(line.split("=") for line in out.split()) == {
        **expected,
        "cefer": "72",
        "host": "0",
        "index": "4",
        "data": "8",
    }


@pytest.mark.parametrize(
    ("symbols", "probed"),
    [
        (
            ["vmx_vcpu_put"],
            ["p:vmxsim/vmx_vcpu_put vmx_vcpu_put a", "r:vmxsim/ret_vmx_vcpu_put vmx_vcpu_put"],
        ),
        (["vt_vcpu_put"], ["p:vmxsim/vt_vcpu_put vt_vcpu_put a", "r:vmxsim/ret_vt_vcpu_put vt_vcpu_put"]),
        (
            ["vt_vcpu_put", "vmx_vcpu_put", "vmx_vcpu_put_other"],
            ["p:vmxsim/vmx_vcpu_put vmx_vcpu_put a", "r:vmxsim/ret_vmx_vcpu_put vmx_vcpu_put"],
        ),
        (
            ["vmx_vcpu_put.part.0"],
            [
                "p:vmxsim/vmx_vcpu_put_part vmx_vcpu_put.part.0 a",
                "r:vmxsim/ret_vmx_vcpu_put_part vmx_vcpu_put.part.0",
            ],
        ),
        ([], []),
    ],
)
def test_a_probe_is_set_at_the_function_that_is_there(
    symbols: list[str], probed: list[str], tmp_path: Path
) -> None:
    """On kernels with TDX a function named vt_ only calls the one named vmx_: not both."""
    found = re.search(r"^probe\(\) \{.*?^\}$", how_to_record(), re.DOTALL | re.MULTILINE)
    assert found
    known = tmp_path / "kallsyms"
    known.write_text("".join(f"ffffffffc0401230 t {symbol}\t[kvm_intel]\n" for symbol in symbols))
    (tmp_path / "kprobe_events").touch()
    script = f"set -euo pipefail\ntracefs={tmp_path}\n{found[0]}\nprobe vmx_vcpu_put ' a'\necho done\n"
    script = script.replace("/proc/kallsyms", str(known))
    done = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "done\n" and not done.stderr
    assert (tmp_path / "kprobe_events").read_text().splitlines() == probed
