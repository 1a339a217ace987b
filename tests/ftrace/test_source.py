"""What holds the lines: pipes, compressed and damaged files, and what is no text at all."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.ftrace.conftest import lines
from vmxsim.errors import InputError
from vmxsim.ftrace import source
from vmxsim.ftrace.recording import example_path, read, verdict

SEED = "s1.dedicated-accessors"


def replay(*arguments: str, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "vmxsim.cli", "replay", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_standard_input(packed: Callable[[bytes], bytes]) -> None:
    got = replay("-", "--json", stdin=packed(example_path(SEED).read_bytes()))
    assert got.returncode == 1, got.stderr
    assert json.loads(got.stdout) == verdict(read(SEED))


def test_a_pipe_is_read_more_than_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(example_path(SEED).read_bytes()))
    writer.start()
    recording = read(pipe)
    writer.join()
    assert verdict(recording) == verdict(read(SEED))
    assert [step.index for step in recording.steps] == [step.index for step in read(SEED).steps]


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
def test_a_damaged_compressed_file_is_read_up_to_the_damage(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    packed = pack(example_path(SEED).read_bytes())
    (tmp_path / "cut").write_bytes(packed[: len(packed) // 2])
    if pack is bz2.compress:  # not one block is whole
        with pytest.raises(InputError, match="damaged compressed file"):
            read(tmp_path / "cut")
    else:
        notes = verdict(read(tmp_path / "cut"))["notes"]
        assert any("cut off or damaged" in note for note in notes)
    (tmp_path / "head").write_bytes(packed[:12])
    with pytest.raises(InputError, match="damaged compressed file"):
        read(tmp_path / "head")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x17\x08\x44tracing\0\0", r"trace-cmd's binary file.* 'trace-cmd report -i FILE > TEXT'"),
        (b"PERFILE2\0\0", r"perf's binary file.* 'perf script -i FILE > TEXT'"),
        (gzip.compress(b"PERFILE2\0\0"), "perf's binary file"),
        (b"PK\x03\x04\0\0", "a zip archive"),
        (b"\x04\x22\x4d\x18\0", "lz4"),
        (gzip.compress(b"trace.txt".ljust(257, b"\0") + b"ustar" + b"\0" * 250), "a tar archive"),
        (b"\0" * 5000, "a binary file"),
    ],
    ids=["trace.dat", "perf.data", "perf.data.gz", "zip", "lz4", "tar.gz", "zeros"],
)
def test_what_is_no_text_is_named(content: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(InputError, match=expected):
        read(tmp_path / "b")


def test_nothing_crashes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Is a directory"):
        read(tmp_path)
    with pytest.raises(InputError, match="no file and no example"):
        read("no\0such")
    digits = "9" * 9000
    for number, content in enumerate(
        [
            b"\0\0".join(line.encode() for line in lines("long")),
            f"x-{digits} [000] 1.0: read_msr: c0000102, value 0\n".encode(),
            f"x-1 [{digits}] 1.0: read_msr: c0000102, value 0\n".encode(),
            f"x-1 [0] {digits}: read_msr: c0000102, value 0\n".encode(),
            f"x-1 [0] 1.0: kvm_entry: vcpu {digits}\n".encode(),
            f"x-1 [0] 1.0: read_msr: msr={digits} val=1\n".encode(),
            f"x-1 [0] 1.0: p: (vmx_vcpu_put+0x0/0x1) a={digits}\n".encode(),
            f" {digits})  1.0 us |  vmx_vcpu_put();\n".encode(),
            b"=3D=\n" * 40_000,
            b"=\n" * 40_000 + b"=3D",
            b"> " * 9000 + b"\n",
            b"x-1 [000] 1.0: write_msr: c0000102, value\n" + b"0\n" * 1000,
            b"\xff\xfe\x00",
        ]
    ):
        (tmp_path / str(number)).write_bytes(content)
        with suppress(InputError):
            verdict(read(tmp_path / str(number)))


def test_a_line_without_end_takes_no_memory_and_little_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "MAX_BYTES", 1 << 26)
    with (tmp_path / "long").open("wb") as file:
        file.truncate(1 << 30)  # a hole: no disk is used
        file.seek(0)
        file.write(b"x-1 [000] 1.0: read_msr: c0000102, value 0\n" + b"x" * (1 << 20))
    start = time.process_time()
    told = verdict(read(tmp_path / "long"))
    assert told["verdict"] == "inconclusive"
    assert any("only the first 64 MiB" in note for note in told["notes"])
    assert time.process_time() - start < 20
