"""The recordings of a real kernel: what is proved, by which event, and which designs fit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.ftrace.conftest import CLEAN, SEED, as_report, lines, without_probes
from vmxsim.designs import DESIGNS as KNOWN
from vmxsim.ftrace.evidence import DESIGNS
from vmxsim.ftrace.recording import Recording, read, verdict

Reads = Callable[[list[str]], Recording]

LATER = {
    "host-from-thread": list(DESIGNS[6:]),
    "dedicated-accessors": list(DESIGNS[7:]),
    "never-trap": list(DESIGNS[8:]),
}
FITS = {
    "long": LATER["host-from-thread"],
    "preempt": LATER["host-from-thread"],
    "migrate": LATER["host-from-thread"],
    "two": LATER["host-from-thread"],
    "fgraph": LATER["host-from-thread"],
    "fep": LATER["dedicated-accessors"],
    "prot32": LATER["never-trap"],
    "efer": LATER["never-trap"],
    "s1.guest-state-loaded": LATER["never-trap"],
    "s1.host-from-thread": ["host-from-thread"],
    "s1.dedicated-accessors": ["dedicated-accessors"],
    "s3.dedicated-accessors": ["dedicated-accessors"],
}
#: The first event that breaks an invariant: with the kprobes, and without them.
BROKEN = {"s1.dedicated-accessors": (9.017182, 9.017269), "s3.dedicated-accessors": (17.133237, 17.133256)}


def test_designs_are_those_of_the_simulator() -> None:
    assert list(KNOWN) == list(DESIGNS)


@pytest.mark.parametrize("name", FITS)
def test_fits(name: str, reading: Reads) -> None:
    told = verdict(reading(lines(name)))
    assert told["fits"] == FITS[name]
    assert set(told["ruled_out"]) == set(DESIGNS) - set(FITS[name])


@pytest.mark.parametrize("name", CLEAN)
@pytest.mark.parametrize("change", [list, without_probes, as_report])
def test_nothing_wrong(name: str, change: Callable[[list[str]], list[str]], reading: Reads) -> None:
    if name == "fgraph" and change is not list:
        pytest.skip("function_graph has no such layout")
    told = verdict(reading(change(lines(name))))
    assert told["verdict"] == "ok", told["words"]
    assert told["invariant"] is None and told["event"] is None


@pytest.mark.parametrize("name", SEED)
@pytest.mark.parametrize("layout", [list, as_report])
def test_seed_patch(name: str, layout: Callable[[list[str]], list[str]], reading: Reads) -> None:
    told = verdict(reading(layout(lines(name))))
    assert told["verdict"] == "violated" and told["invariant"] == "guest-value"
    assert told["event"]["name"] == "kvm_entry" and told["event"]["time"] == BROKEN[name][0]
    assert "0x7000aaaa0000" in told["words"]


@pytest.mark.parametrize("name", SEED)
@pytest.mark.parametrize("layout", [list, as_report])
def test_seed_patch_without_probes(
    name: str, layout: Callable[[list[str]], list[str]], reading: Reads
) -> None:
    told = verdict(reading(layout(without_probes(lines(name)))))
    assert told["verdict"] == "violated" and told["invariant"] == "guest-value"
    assert told["event"]["name"] == "read_msr" and told["event"]["time"] == BROKEN[name][1]
    assert "dedicated-accessors" in told["fits"]


def test_the_markers_decide_nothing() -> None:
    forged = read("s1.guest-state-loaded")
    assert verdict(forged)["verdict"] == "ok"
    assert any("KVM_RUN" in action for action in forged.actions)


def test_equal_numbers_prove_nothing(reading: Reads) -> None:
    """With a user GS base of 0 the seed patch's defect shows no wrong value."""
    text = [line.replace("7000aaaa0000", "0") for line in lines("s1.dedicated-accessors")]
    for change in (list, without_probes):
        told = verdict(reading(change(text)))
        assert told["verdict"] == "inconclusive" and "equal" in told["words"]


def test_one_design_is_asked_about() -> None:
    recording = read("s1.host-from-thread")
    told = verdict(recording, "host-always")
    assert told["fits"] == [] and list(told["ruled_out"]) == ["host-always"]
    assert "enter does not read" in told["words"]
    told = verdict(recording, "host-from")
    assert told["fits"] == ["host-from-thread"] and told["ruled_out"] == {}


def test_two_defects_in_two_threads_are_told_apart(reading: Reads) -> None:
    """The same trace twice, interleaved, as another thread on another CPU."""
    first = lines("s1.dedicated-accessors")
    second = [
        line.replace("-109 ", "-209 ").replace("[000]", "[001]").replace("pid=109", "pid=209")
        for line in first
    ]
    both = [line for pair in zip(first, second, strict=True) for line in pair]
    recording = reading(both)
    told = verdict(recording)
    assert told["event"]["pid"] == 109 and told["event"]["time"] == BROKEN["s1.dedicated-accessors"][0]
    assert {violation.words.count("guest 1") for violation in recording.violations} >= {0, 1}


def test_a_system_call_of_the_thread_is_not_kvms(reading: Reads) -> None:
    """Without FSGSBASE, arch_prctl(ARCH_GET_GS) reads the register between two KVM_RUNs."""
    text = without_probes(lines("long"))
    run = next(i for i, line in enumerate(text) if "kvm_userspace_exit" in line) + 1
    call = "         kvmtest-110     [000] .....     8.816700: read_msr: c0000102, value 7000aaaa0000"
    recording = reading([*text[:run], call, *text[run:]])
    assert recording.follower.roles[run + 1] == "host"
    told = verdict(recording)
    assert told["verdict"] == "ok" and told["fits"] == FITS["long"]
    for flags in ("", "....."):  # a kernel that does not count preempt_disable(), a layout without flags
        silent = [line.replace(" d..1. ", f" {flags} ").replace(" d..2. ", f" {flags} ") for line in text]
        silent = [line.replace(" ...1. ", f" {flags} ").replace(" ..... ", f" {flags} ") for line in silent]
        silent = [line.replace(" d.h1. ", f" {flags} ") for line in silent]
        other = call.replace(" ..... ", f" {flags} ")
        told = verdict(reading([*silent[:run], other, *silent[run:]]))
        assert told["verdict"] == "ok" and told["fits"] == FITS["long"], told
