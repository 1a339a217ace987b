"""Layouts, damage, and what is not a trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ftrace.conftest import lines
from vmxsim.errors import InputError
from vmxsim.ftrace.reader import Reader
from vmxsim.ftrace.recording import Recording, read, verdict

Reads = Callable[[list[str]], Recording]


def events(tmp_path: Path, *text: str) -> list[tuple[object, ...]]:
    file = tmp_path / "t"
    file.write_text("\n".join(text) + "\n", encoding="utf-8")
    return [(e.cpu, e.pid, e.comm, e.time, e.kind, e.data) for e in Reader(file).events()]


WRITE = "8.804538: write_msr: c0000102, value 7000aaaa0000"
GRAPH = "/* write_msr: c0000102, value 7000aaaa0000 */"


@pytest.mark.parametrize(
    "line",
    [
        f"            a-b c-12      [003] d..2.     {WRITE}",
        f"            a-b c-12      [003] d..2     {WRITE}",
        f"            a-b c-12      [003] dN.2..     {WRITE}",
        f"            a-b c-12      [003]     {WRITE}",
        f"            a-b c-12      (    12) [003] d..2.     {WRITE}",
        f"            a-b c-12      (-------) [003] d..2.     {WRITE}",
        "         a-b c-12   [003]     8.804538: write_msr:            c0000102, value 7000aaaa0000",
        "         a-b c-12   [003] d..2     8.804538: msr:write_msr:   c0000102, value 7000aaaa0000",
        f"    8.804538 |   3)    a-b c-12    |               |        {GRAPH}",
        f"    8.804538 |   3)    a-b c-12    |  d..2. |               |  {GRAPH}",
    ],
)
def test_layouts(tmp_path: Path, line: str) -> None:
    assert events(tmp_path, line) == [(3, 12, "a-b c", 8.804538, "wrmsr", 0x7000AAAA0000)]


def test_function_graph_without_the_task_column(tmp_path: Path) -> None:
    found = events(
        tmp_path,
        " 0)    init-1     =>  kvmtest-149  ",
        " 0)               |  vmx_prepare_switch_to_guest [kvm_intel]() {",
        " 0)               |    /* write_msr: c0000102, value 0 */",
        " 0)   8.224 us    |  } /* vmx_prepare_switch_to_guest [kvm_intel] */",
        " 0)   1.380 us    |  vmx_prepare_switch_to_guest [kvm_intel]();",
    )
    assert [(pid, kind) for _, pid, _, _, kind, _ in found] == [
        (149, "probe"),
        (149, "wrmsr"),
        (149, "return"),
        (149, "leaf"),
    ]


def test_a_failed_access_is_none(tmp_path: Path) -> None:
    assert not events(tmp_path, "x-1 [000] .... 1.0: write_msr: c0000102, value 8000000000000000 #GP")


def test_other_registers_and_events_are_left_out(tmp_path: Path) -> None:
    assert not events(
        tmp_path,
        "x-1 [000] .... 1.0: read_msr: e8, value 0",
        "x-1 [000] .... 1.0: kvm_pio: pio_write at 0x10 size 1 count 1 val 0x1",
        'x-1 [000] .... 1.0: somebody_else: (do_sys_open+0x0/0x10) name="a"',
    )


def test_probes_are_known_by_their_function(tmp_path: Path) -> None:
    found = events(
        tmp_path,
        "x-1 [000] .... 1.0: mine: (vmx_prepare_switch_to_guest+0x0/0x190 [kvm_intel]) loaded=1 hgs=0xa",
        "x-1 [000] .... 1.0: mine2: (vmx_set_efer.part.0+0x0/0x150 [kvm_intel]) efer=0x500",
        "x-1 [000] .... 1.0: p_vmx_vcpu_put_0: (ffffffffc0401230) loaded=1",
        "x-1 [000] .... 1.0: myret: (kvm_arch_vcpu_put+0x32/0x200 [kvm] <- vmx_vcpu_put)",
    )
    assert [(kind, data) for *_, kind, data in found] == [
        ("probe", ("enter", {"loaded": 1, "hgs": 10})),
        ("probe", ("efer_work", {"efer": 0x500})),
        ("probe", ("put", {"loaded": 1})),
        ("return", ("put", {})),
    ]


@pytest.mark.parametrize("mark", ["CPU:0 [LOST 12 EVENTS]", "CPU:0 [LOST EVENTS]", "CPU 0: 12 messages lost"])
def test_lost_events_are_said_and_prove_nothing(mark: str, reading: Reads) -> None:
    text = lines("s1.dedicated-accessors")
    entered = next(i for i, line in enumerate(text) if "hgs=0x7000aaaa0000" in line)
    recording = reading([*text[:entered], mark, *text[entered:]])
    told = verdict(recording)
    assert "1 place(s) where events were lost" in told["notes"][0]
    assert recording.steps


def test_carriage_returns(reading: Reads, tmp_path: Path) -> None:
    file = tmp_path / "crlf"
    file.write_bytes("\r\n".join([*lines("s1.dedicated-accessors"), ""]).encode())
    assert verdict(read(file)) == verdict(reading(lines("s1.dedicated-accessors")))


def test_a_cut_last_line_is_not_used(tmp_path: Path) -> None:
    text = lines("long")
    last = max(i for i, line in enumerate(text) if "c0000102" in line)
    file = tmp_path / "cut"
    file.write_text("\n".join([*text[:last], text[last][:-6]]))
    told = verdict(read(file))
    assert told["verdict"] == "ok"
    assert any("may be cut off" in note for note in told["notes"])


def test_broken_lines_are_counted(reading: Reads) -> None:
    text = lines("s1.dedicated-accessors")
    told = verdict(
        reading([*text[:20], "@@@ nothing", "x-1 [000] d... 1.0: sched_switch: what?", *text[20:]])
    )
    assert told["verdict"] == "violated"
    assert "2 line(s) can't be read, the first is line 21: left out" in told["notes"]


@pytest.mark.parametrize(
    "line",
    [
        "@@@ write_msr c0000102 ???",
        "x-1 [000] d... 1.0: write_msr: c0000102, worth 0",
        "x-1 [000] d... 1.0: kvm_msr: msr_read C0000102 = what",
        " 0)               |    /* write_msr: c0000102, worth 0 */",
        "somebody's tool: MSR_KERNEL_GS_BASE <- 7f0000001000",
    ],
)
def test_unread_lines_that_name_the_register_are_counted(line: str, reading: Reads) -> None:
    text = lines("s1.dedicated-accessors")
    recording = reading([*text[:20], "@@@ nothing", line, *text[20:], line])
    reader = recording.reader
    assert (reader.broken, reader.unread_register, reader.first_unread) == (3, 2, 22)
    assert f"2 of them name(s) the register, the first is line 22: {line.strip()}" in reader.notes()


def test_overwritten_beginning_is_said(reading: Reads) -> None:
    head = "# entries-in-buffer/entries-written: 300/5345   #P:1"
    told = verdict(reading([head, *lines("long")[100:]]))
    assert any("5045 older event(s)" in note for note in told["notes"])


def test_empty_and_unfit_files(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("")
    assert verdict(read(empty))["verdict"] == "inconclusive"
    for content, expected in (
        (b"\x7fELF\0\0\0", "a binary file"),
        (b"\x17\x08\x44tracing\0\0", "trace-cmd's binary file"),
    ):
        (tmp_path / "b").write_bytes(content)
        with pytest.raises(InputError, match=expected):
            read(tmp_path / "b")
    (tmp_path / "prose").write_text("a poem\nof two lines\n")
    with pytest.raises(InputError, match="no line of it is ftrace text"):
        verdict(read(tmp_path / "prose"))
    with pytest.raises(InputError, match="can't be read"):
        read(tmp_path)
    with pytest.raises(InputError, match=r"did you mean 's1\.dedicated-accessors'"):
        read("s1.dedicated-accesors")


def test_endless_line(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * (3 << 20))
    with pytest.raises(InputError, match="no line of it is ftrace text"):
        verdict(read(tmp_path / "long"))


def test_what_was_read_before_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line whose beginning and event are known, from other lines, is not looked at as a whole again."""
    task, other = "  kvm-7   [000] d..1.", "  kvm-7   [001] ....."
    write, probe = "write_msr: c0000102, value 5", "p: (vmx_vcpu_load+0x0/0x2) loaded=0 ggs=0x5"
    times = ["1.5", "2.5", "2.", ".5", "1e5", "nan", "-3.5", "3_0.5", "3.5", "9" * 21 + ".5"]
    text = [f"{task} {time}: {event}" for time in times for event in (write, probe)]
    text += [f"{other} 4.5: {write}", f"{task} 5.5: write_msr: c0000102,", "value 5", f"{task} 6.5: {probe}"]
    text += [f"{task} 7.5: {probe}", "  ggs=0x6", f"{other} 8.5: {write} #GP", f"kvm {other} 9.5: {write}"]
    text += [f"{other} 10.5: {write}{number}" for number in range(9)] + [f"{task} 11.5: {write}"]
    remembering = events(tmp_path, *text)
    assert [event[:2] + event[3:4] for event in remembering[:4]] == [(0, 7, 1.5)] * 2 + [(0, 7, 2.5)] * 2
    monkeypatch.setattr("vmxsim.ftrace.reader._REMEMBERED", 3)
    assert events(tmp_path, *text) == remembering
    monkeypatch.setattr("vmxsim.ftrace.reader._split", lambda _text: None)
    assert events(tmp_path, *text) == remembering
