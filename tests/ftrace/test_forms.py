"""Every form in which a trace is passed on gives what the plain file gives."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.ftrace.conftest import CLEAN, SEED, lines
from tests.ftrace.forms import ANY_TRACER, FORMS, OTHER_TIMES, PACKED
from vmxsim.errors import InputError
from vmxsim.ftrace.events import WRAPPERS
from vmxsim.ftrace.faults import inject
from vmxsim.ftrace.reader import Reader
from vmxsim.ftrace.recording import Recording, example_path, read, verdict


def write(file: Path, form: list[str] | bytes) -> Path:
    file.write_bytes(form if isinstance(form, bytes) else ("\n".join(form) + "\n").encode())
    return file


def told(recording: Recording) -> dict[str, Any]:
    """What a form must not change."""
    found = verdict(recording)
    event = found["event"] or {}
    return {
        "verdict": found["verdict"],
        "invariant": found["invariant"],
        "event": [event.get(key) for key in ("time", "cpu", "pid", "name")],
        "fits": found["fits"],
        "accesses": recording.follower.accesses,
        "values": [access.data for access in recording.accesses()],
        "entries": recording.follower.entries,
        "unread": recording.reader.unread_register,
    }


@cache
def plain(name: str, folder: Path) -> dict[str, Any]:
    return told(read(write(folder / name, lines(name))))


@pytest.mark.parametrize(
    ("name", "form"),
    [
        (name, form)
        for name in (*CLEAN, *SEED)
        for form in FORMS
        if (form in ANY_TRACER if name == "fgraph" else form not in PACKED or name in SEED)
    ],
)
def test_a_form_changes_nothing(name: str, form: str, tmp_path: Path, tmp_path_factory: Any) -> None:
    expected = dict(plain(name, tmp_path_factory.getbasetemp()))
    got = told(read(write(tmp_path / "form", FORMS[form](lines(name)))))
    if form in OTHER_TIMES:
        got["event"][0] = expected["event"][0]
    assert got == expected


@pytest.mark.parametrize("form", ["gzip", "CRLF", "UTF-16", "quoted", "web page", "decode_msr.py"])
def test_a_fault_can_be_put_into_it(form: str, tmp_path: Path) -> None:
    file = write(tmp_path / "good", FORMS[form](lines("migrate")))
    fault = inject(file, seed=13, kind="load forgotten")
    assert "write_msr" in read(file).reader.text().split("\n")[fault.line - 1]
    changed = told(read(fault.write(tmp_path / "changed")))
    assert changed["accesses"] == told(read(file))["accesses"] - 1


@pytest.mark.parametrize("form", ["wrapped", "trace-cmd report -R", "colours"])
def test_a_fault_is_refused_where_the_line_is_not_the_event(form: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this is another form"):
        inject(write(tmp_path / "good", FORMS[form](lines("migrate"))), seed=13)


#: Forms that keep the file's header.
WHOLE = (
    *(
        "latency-format",
        "decode_msr.py",
        "counter clock",
        "barred",
        "wrapped",
        "wrapped and quoted",
        "terminal",
    ),
    *("quoted-printable", "colours", "web page", "indented", "numbered", "CRLF", "byte order mark", "gzip"),
)


@pytest.mark.parametrize("form", WHOLE)
@pytest.mark.parametrize("name", ["s1.dedicated-accessors", "migrate"])
def test_a_form_is_complete_if_the_file_is(name: str, form: str, tmp_path: Path) -> None:
    """The file says how many events it has, and all of them are read: markers, too."""
    text = example_path(name).read_text().splitlines()
    reader = Reader(write(tmp_path / "t", FORMS[form](text)))
    found = [event for event in reader.events() if event.kind == "marker"]
    assert reader.complete and len(found) == sum("tracing_mark_write" in line for line in text)


EXCERPT = "c0000102, value 7f0000001000"


@pytest.mark.parametrize(
    ("line", "comm", "pid", "cpu", "time"),
    [
        (f"  CPU 0/KVM  4242 [015] 100.000001: msr:write_msr: {EXCERPT}", "CPU 0/KVM", 4242, 15, 100.000001),
        (
            f"qemu-kvm 4240/4242 [015] 100.000001:   msr:write_msr: {EXCERPT}",
            "qemu-kvm",
            4242,
            15,
            100.000001,
        ),
        (f"a-b 7 [x] 4242 [015] 1.000001: msr:write_msr: {EXCERPT}", "a-b 7 [x]", 4242, 15, 1.000001),
        (f":4242  4242 [000] K  1.5:  1 msr:write_msr: {EXCERPT}", ":4242", 4242, 0, 1.5),
        (f"CPU 0/KV-4242    15d..2. 1500000us+: write_msr: {EXCERPT}", "CPU 0/KV", 4242, 15, 1.5),
        (f"<...>-4242    0dN.2. 1500000us#: write_msr: {EXCERPT}", "<...>", 4242, 0, 1.5),
        (f"<...>-4242    0.....  77: write_msr: {EXCERPT}", "<...>", 4242, 0, 77.0),
        (
            f" CPU 0/KVM  4242 15 1 00000002 0000002a [0000a1b2] 1.500ms (+0.001ms): write_msr: {EXCERPT}",
            "CPU 0/KVM",
            4242,
            15,
            0.0015,
        ),
        (f"<4>[  1.5][ C15] CPU 0/KV-4242 15d..2. 5us : write_msr: {EXCERPT}", "CPU 0/KV", 4242, 15, 5e-6),
        (f"4,99,1234,-;CPU 0/KV-4242 15d..2. 5us : write_msr: {EXCERPT}", "CPU 0/KV", 4242, 15, 5e-6),
        (f"Nov  8 10:00:00 h kernel: [  1.5] x-1  0d..2. 5us : write_msr: {EXCERPT}", "x", 1, 0, 5e-6),
        (f"[   99.1 <    0.000001>] x-1  0d..2. 5us : write_msr: {EXCERPT}", "x", 1, 0, 5e-6),
        (f"[Nov28 10:00] x-1  0d..2. 5us : write_msr: {EXCERPT}", "x", 1, 0, 5e-6),
        (f"[  +0.000001] x-1  0d..2. 5us : write_msr: {EXCERPT}", "x", 1, 0, 5e-6),
        (f"2026-11-28T10:00:00,123+0100 x-1  0d..2. 5us : write_msr: {EXCERPT}", "x", 1, 0, 5e-6),
        (f"Sat 2026-11-28 10:00:00 UTC h kernel: x-1  0d..2. 5us : write_msr: {EXCERPT}", "x", 1, 0, 5e-6),
        (f"1795860000.12 h kernel: x-1  0d..2. 5us : write_msr: {EXCERPT}", "x", 1, 0, 5e-6),
        (f"kern  :warn  : [  1.5] x-1  0d..2. 5us : write_msr: {EXCERPT}", "x", 1, 0, 5e-6),
        (f"> >> | x-1 [000] d..2. 1.5: write_msr: {EXCERPT}", "x", 1, 0, 1.5),
        (f"   17:    x-1 [000] d..2. 1.5: write_msr: {EXCERPT}", "x", 1, 0, 1.5),
        ("x-1 [000] d..2. 1.5: write_msr: MSR_KERNEL_GS_BASE(c0000102), value 7f0000001000", "x", 1, 0, 1.5),
        ("x-1 [000] 1.5: write_msr: msr=0xc0000102 val=0x7f0000001000 failed=0", "x", 1, 0, 1.5),
        ("x-1 [000] 1.5: write_msr: msr=3221225730 val=139637976731648 failed=0", "x", 1, 0, 1.5),
        ("x-1 [000] 98765432109876: write_msr: c0000102, value 7f0000001000", "x", 1, 0, 98765432109876.0),
    ],
)
def test_layouts(line: str, comm: str, pid: int, cpu: int, time: float, tmp_path: Path) -> None:
    (event,) = Reader(write(tmp_path / "t", [line])).events()
    assert (event.comm, event.pid, event.cpu, event.time) == (comm, pid, cpu, time)
    assert (event.name, event.kind, event.data) == ("write_msr", "wrmsr", 0x7F0000001000)


@pytest.mark.parametrize(
    "line",
    [
        "x 1 [000] 1.0: msr:write_msr: c0000102, value 8000000000000000 #GP",
        "x-1 [000] 1.0: write_msr: msr=3221225730 val=9223372036854775808 failed=1",
        "x-1 [000] 1.0: write_msr: MSR_KERNEL_GS_BASE(c0000102), value 8000000000000000 #GP",
        "x-1 [000] 1.0: write_msr: MSR_EFER(c0000080), value d01",
        "x-1 [000] 1.0: read_msr: msr=0xe8 (232) val=0x0 (0) failed=0x0 (0)",
    ],
)
def test_a_failed_access_and_another_register_are_read(line: str, tmp_path: Path) -> None:
    reader = Reader(write(tmp_path / "t", [line]))
    assert not list(reader.events()) and reader.matched == 1 and not reader.broken


@pytest.mark.parametrize("more", [[], ["# " + "-" * 200]])
def test_a_failed_access_whose_mark_is_on_the_next_line_is_none(more: list[str], tmp_path: Path) -> None:
    text = [*more, "x-1 [000] d..2. 1.0: write_msr: c0000102, value 8000000000000000", "#GP"]
    reader = Reader(write(tmp_path / "t", text))
    assert not list(reader.events()) and not reader.broken


@pytest.mark.parametrize("tail", [["7000aaaa0000"], ["> 7000aaaa0000"], ["", "  7000aaaa0000"]])
def test_a_value_on_the_next_line(tail: list[str], tmp_path: Path) -> None:
    text = ["x-1 [000] d..2. 1.0: write_msr: c0000102, value", *tail, "x-1 [000] 2.0: kvm_entry: vcpu 0"]
    reader = Reader(write(tmp_path / "t", text))
    assert [(e.line, e.data) for e in reader.events()] == [(1, 0x7000AAAA0000), (2 + len(tail), 0)]
    assert not reader.broken


def test_half_a_value_is_not_a_value(tmp_path: Path) -> None:
    """The name of an event, cut in two, shows that these are lines of a terminal."""
    text = ["kernel-thread-1 [000] d..2. 0.5: kvm_entry: vcp", "u 0"]
    text += ["x-1 [000] 1.0: write_msr: c0000102, value 7000a", "aaa0000"]
    reader = Reader(write(tmp_path / "t", text))
    assert [event.data for event in reader.events()] == [0, 0x7000AAAA0000] and not reader.broken


@pytest.mark.parametrize("following", ["aa0000", "0", "deadbeef"])
def test_what_may_be_half_a_value_is_not_read(following: str, tmp_path: Path) -> None:
    """Nothing else shows that lines were broken where there is no space."""
    text = ["x-1 [000] d..2. 1.0: write_msr: c0000102, value 7000aa", following]
    reader = Reader(write(tmp_path / "t", text))
    assert not list(reader.events())
    assert (reader.broken, reader.unread_register) == (2, 1)


@pytest.mark.parametrize("garbage", ["0", "deadbeef", "12345", "@@@", "rip 0x1", "value 1"])
def test_garbage_in_a_plain_file_changes_no_event_and_is_counted(garbage: str, tmp_path: Path) -> None:
    text = lines(SEED[0])
    more = [line for one in text for line in (one, garbage)]
    reader = Reader(write(tmp_path / "t", more))
    found = [(event.time, event.data) for event in reader.events()]
    expected = Reader(write(tmp_path / "p", text))
    assert found == [(event.time, event.data) for event in expected.events()]
    assert reader.broken == len(text)


@pytest.mark.parametrize("prose", ["Here the host's value comes back.", "and 12 more", "@@@"])
def test_prose_is_no_part_of_an_event(prose: str, tmp_path: Path) -> None:
    text = ["x-1 [000] d..2. 1.0: write_msr: c0000102, value 7000aa", prose]
    reader = Reader(write(tmp_path / "t", text))
    assert [event.data for event in reader.events()] == [0x7000AA]
    assert (reader.broken, reader.first_broken, reader.unread_register) == (1, 2, 0)


def test_a_value_that_never_comes_is_an_unread_access(tmp_path: Path) -> None:
    text = ["x-1 [000] d..2. 1.0: write_msr: c0000102, value", "I cut it here."]
    reader = Reader(write(tmp_path / "t", text))
    assert not list(reader.events())
    assert (reader.broken, reader.unread_register, reader.first_unread) == (2, 1, 1)


def test_call_chains_are_no_events(tmp_path: Path) -> None:
    text = [
        "x 1 [000] 1.0: msr:read_msr: c0000102, value 0",
        "        ffffffff8106a2c4 native_read_msr+0x4 ([kernel.kallsyms])",
        "        ffffffffc0401230 vmx_prepare_switch_to_host+0x90 ([kvm_intel])",
        "",
        "x-1 [000] d..2. 2.0: <stack trace>",
        " => vmx_vcpu_put",
        " => kvm_sched_out <ffffffffc0801000>",
    ]
    reader = Reader(write(tmp_path / "t", text))
    assert len(list(reader.events())) == 1 and not reader.broken


def test_soft_breaks_alone_are_enough(tmp_path: Path) -> None:
    """Lines of quoted-printable text in which no character had to be encoded."""
    line = "            CPU 0/KVM-4242    [015] d..2.   100.000001: write_msr: c0000102, value 7000aaaa0000"
    reader = Reader(write(tmp_path / "t", [line[:75] + "=", line[75:]]))
    (event,) = reader.events()
    assert (event.line, event.data, reader.broken) == (1, 0x7000AAAA0000, 0)


def test_an_equals_sign_at_the_end_joins_nothing(tmp_path: Path) -> None:
    text = ["x-1 [000] d..2. 1.0: tracing_mark_write: a =", f"x-1 [000] d..2. 2.0: write_msr: {EXCERPT}"]
    assert [event.kind for event in Reader(write(tmp_path / "t", text)).events()] == ["marker", "wrmsr"]


def test_perf_script_without_the_cpu_cannot_be_followed(tmp_path: Path) -> None:
    reader = Reader(write(tmp_path / "t", [f"CPU 0/KVM  4242 100.000001: msr:write_msr: {EXCERPT}"]))
    assert not list(reader.events()) and reader.unread_register == 1
    assert any("perf script -F +cpu" in note for note in reader.notes())


@pytest.mark.parametrize("mark", ["PERF_RECORD_LOST lost 12", "[  9.1] ** 12 printk messages dropped **"])
def test_lost_events(mark: str, tmp_path: Path) -> None:
    reader = Reader(write(tmp_path / "t", [mark]))
    assert [event.kind for event in reader.events()] == ["lost"] and reader.lost == 1


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("x-1 [000] .... 1.0: kvm_exit: vcpu 0 reason msr rip 0xfff0 info1 0x0", "kvm_exit reason msr"),
        (
            "x-1 [000] .... 1.0: kvm_exit: reason npf rip 0xfff0 info 10000000f fee00000",
            "kvm_exit reason npf",
        ),
        ("x-1 [000] .... 1.0: kvm_exit: vcpu 0 reason PF excp rip 0xfff0", "kvm_exit reason PF"),
        ("x 1 [000] 1.0: kvm:kvm_exit: vcpu 0 reason EXIT_MSR rip 0xfff0", "kvm_exit reason EXIT_MSR"),
        ("x-1 [000] 1.0: kvm_exit: exit_reason=124 guest_rip=0 isa=2 info1=0", "kvm_exit with isa=2"),
        ("x-1 [000] .... 1.0: svm_vcpu_put <-kvm_arch_vcpu_put", "function svm_vcpu_put"),
        ("x-1 [000] .... 1.0: p1: (svm_vcpu_run+0x0/0x10 [kvm_amd])", "function svm_vcpu_run"),
        (
            "x-1 [000] 1.0: kvm_nested_vmexit: rip: 0x0 reason: npf ext_inf1: 0x0",
            "kvm_nested_vmexit reason npf",
        ),
        ("x-1 [000] .... 1.0: kvm_exit: vcpu 0 reason VMEXIT_NPF rip 0xfff0", "kvm_exit reason VMEXIT_NPF"),
        ("x-1 [000] .... 1.0: kvm_invlpga: rip: 0x0 asid: 0 address: 0x0", "event kvm_invlpga"),
        (" 0)   1.0 us    |  svm_get_msr [kvm_amd]();", "function svm_get_msr"),
        (" 0)   1.0 us    |  avic_vcpu_put [kvm_amd]();", "module kvm_amd"),
    ],
)
def test_a_trace_of_kvm_on_amd_is_called_one(line: str, shown: str, tmp_path: Path) -> None:
    reader = Reader(write(tmp_path / "t", [line]))
    list(reader.events())
    assert reader.vendor == "amd"
    assert reader.notes() == [f"this is KVM on AMD ({shown}); vmxsim follows Intel VMX only"]


@pytest.mark.parametrize("name", [*CLEAN, *SEED])
def test_a_trace_of_kvm_on_intel_is_none(name: str, tmp_path: Path) -> None:
    reader = Reader(write(tmp_path / "t", lines(name)))
    list(reader.events())
    assert reader.vendor == ""


def with_wrappers(text: list[str], both: bool) -> list[str]:
    """As on a kernel with TDX: probes at the wrappers, too, or in place of the functions inside."""
    out = []
    for line in text:
        found = re.match(r"(.*: )(ret_)?vmx_(\w+): (\(.*)", line)
        if not found or f"vt_{found[3]}" not in WRAPPERS:
            out.append(line)
            continue
        start, ret, name, body = found.groups()
        outer = f"{start}{ret or ''}vt_{name}: {body.replace(f'vmx_{name}', f'vt_{name}')}"
        bare = re.sub(r"\) .*", ")", outer) if both else outer
        out += ([line, bare] if ret else [bare, line]) if both else [outer]
    return out


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("name", [name for name in (*CLEAN, *SEED) if name != "fgraph"])
def test_a_wrapper_and_the_function_inside_count_once(name: str, both: bool, tmp_path: Path) -> None:
    changed = with_wrappers(lines(name), both)
    assert any(": vt_" in line for line in changed)
    assert told(read(write(tmp_path / "t", changed))) == told(read(write(tmp_path / "p", lines(name))))


@pytest.mark.parametrize(
    ("call", "end", "leaf"),
    [
        ("f() {", "}", "f();"),
        ("f [kvm_intel]() {", "} /* f [kvm_intel] */", "f [kvm_intel]();"),
        ("f() {", "} /* f = 0x0 */", "f(); /* = -22 */"),
        ("f() {", "} /* ret=0x0 */", "f(); /* <-g ret=0x0 */"),
        ("f() {", "} /* f ret=-11 */", "f(); /* ret=0x0 */"),
        ("f [kvm_intel](vcpu=0xffff888100a0c000, cpu=1) { /* <-g */", "}", "f(vcpu=0xffff888100a0c000);"),
    ],
)
@pytest.mark.parametrize(
    "start",
    [
        " 3)   0.1 us    |  ",
        "  1.500000 |   3)    x-12   |   0.1 us  |  ",
        " 3)  x-12   |  d..2.  | + 10.1 us |  ",
    ],
)
def test_options_of_function_graph(start: str, call: str, end: str, leaf: str, tmp_path: Path) -> None:
    text = [start + part.replace("f", "vmx_vcpu_put", 1) for part in (call, end, leaf)]
    found = [(event.cpu, event.kind, event.data[0]) for event in Reader(write(tmp_path / "t", text)).events()]
    assert found == [(3, "probe", "put"), (3, "return", "put"), (3, "leaf", "put")]


def test_functions_as_trace_cmd_prints_them(tmp_path: Path) -> None:
    text = [
        "x-1 [000] 1.0: function:             vmx_vcpu_put <-- kvm_arch_vcpu_put",
        "x-1 [000] 1.0: funcgraph_entry:                   |  vmx_vcpu_load() {",
        "x-1 [000] 1.0: funcgraph_entry:        0.123 us   |    other();",
        "x-1 [000] 1.0: funcgraph_exit:         1.380 us   |  }",
    ]
    found = [(event.kind, event.data[0]) for event in Reader(write(tmp_path / "t", text)).events()]
    assert found == [("probe", "put"), ("probe", "load"), ("return", "load")]


def fold(line: str, width: int) -> list[str]:
    return [line[at : at + width] for at in range(0, len(line) or 1, width)]


def fold_at_spaces(line: str, width: int) -> list[str]:
    """As ``fold -s`` and format=flowed: the space stays at the end."""
    pieces = []
    while len(line) > width:
        at = line.rfind(" ", 0, width) + 1 or width
        pieces.append(line[:at])
        line = line[at:]
    return [*pieces, line]


@pytest.mark.parametrize("quotation", ["", ">> "])
@pytest.mark.parametrize("folded", [fold, fold_at_spaces, textwrap.wrap])
@pytest.mark.parametrize(
    ("form", "width"),
    [
        ("perf script", 72),
        ("syslog", 64),
        ("journal", 76),
        ("trace-cmd report -R", 80),
        ("options/fields", 70),
        ("latency-format", 66),
        ("trace-cmd report", 100),
    ],
)
def test_any_form_is_wrapped(
    form: str,
    width: int,
    folded: Callable[[str, int], list[str]],
    quotation: str,
    tmp_path: Path,
    tmp_path_factory: Any,
) -> None:
    text = lines(SEED[0])
    made = FORMS[form](text)
    assert isinstance(made, list)
    wrapped = [quotation + piece for line in made for piece in folded(line, width)]
    assert told(read(write(tmp_path / "w", wrapped))) == plain(SEED[0], tmp_path_factory.getbasetemp())
