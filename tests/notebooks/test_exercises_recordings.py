"""Notebooks 09 and 09b: their exercises and claims come out as their text promises."""

import re

import pytest

from vmxsim.errors import InputError
from vmxsim.ftrace.faults import KINDS, inject
from vmxsim.ftrace.recording import example_path, read, verdict
from vmxsim.kernel.language import *


def lines_of(name):
    return example_path(name).read_text().splitlines()


def judged(folder, lines):
    file = folder / "changed.trace"
    file.write_text("\n".join(lines) + "\n")
    return verdict(read(file))


def numbered(lines, word):
    return next(n for n, line in enumerate(lines) if word in line)


def test_without_probes_the_read_back_proves_what_the_entry_did(tmp_path):
    lines = lines_of("s1.dedicated-accessors")
    whole, bare = judged(tmp_path, lines), judged(tmp_path, [x for x in lines if "vmx_" not in x])
    assert (whole["verdict"], whole["event"]["name"]) == ("violated", "kvm_entry")
    assert (bare["verdict"], bare["event"]["name"]) == ("violated", "read_msr")


def test_the_first_enter_rules_out_never_trap_and_not_the_parent():
    told = verdict(read("s1.dedicated-accessors"))
    enter = told["ruled_out"]["never-trap"]
    assert "vmx_prepare_switch_to_guest" in lines_of("s1.dedicated-accessors")[enter - 1]
    assert told["ruled_out"]["host-from-thread"] > enter
    assert verdict(read("s1.guest-state-loaded"), "dedicated-accessors")["ruled_out"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [("c0000102", "inconclusive"), ("kvm_entry", "inconclusive"), ("sched_switch", "ok")],
)
def test_what_a_recording_must_have(tmp_path, word, expected):
    told = judged(tmp_path, [line for line in lines_of("migrate") if word not in line])
    assert told["verdict"] == expected


def test_a_missing_line_is_no_proof_unless_the_count_says_that_none_is_missing(tmp_path):
    lines = lines_of("s1.guest-state-loaded")
    del lines[numbered(lines, "write_msr: c0000102")]
    assert judged(tmp_path, lines)["verdict"] == "inconclusive"
    count = numbered(lines, "entries-in-buffer")
    assert "308/308" in lines[count]
    lines[count] = lines[count].replace("308/308", "307/307")
    told = judged(tmp_path, lines)
    assert (told["verdict"], told["fits"]) == ("violated", ["dedicated-accessors"])


def test_a_wrong_order_is_a_note_and_a_wrong_value_a_proof(tmp_path):
    lines = lines_of("migrate")
    save, load = numbered(lines, "read_msr: c0000102"), numbered(lines, "c0000102, value ffff888022220000")
    (early, reads), (late, writes) = (line.rsplit(": c0000102", 1) for line in lines[save : save + 2])
    stamp, then = early.removesuffix("read_msr"), late.removesuffix("write_msr")
    swapped = list(lines)
    swapped[save : save + 2] = [f"{stamp}write_msr: c0000102{writes}", f"{then}read_msr: c0000102{reads}"]
    told = judged(tmp_path, swapped)
    assert told["verdict"] == "inconclusive"
    assert f"line {save + 1}," in told["notes"][0]
    lines[load] = lines[load].replace("22220000", "11110000")
    assert judged(tmp_path, lines)["verdict"] == "violated"


def wrong_restores(lines):
    """09b, section 3: the numbers of the lines on which leave restores another value than h."""
    found, h = [], None
    for number, line in enumerate(lines, 1):
        if " vmx_vcpu_put: " in line and "loaded=1" in line:
            h = int(re.search(r"hgs=(\w+)", line)[1], 0)
        if h is not None and "write_msr: c0000102" in line:
            if int(line.split()[-1], 16) != h:
                found.append(number)
            h = None
    return found


def test_a_wrong_restore_is_seen_only_with_the_probes(tmp_path):
    lines = lines_of("migrate")
    restore = numbered(lines, "read_msr: c0000102") + 1
    wrong = list(lines)
    wrong[restore] = lines[restore].replace("7000aaaa0000", "7000bbbb0000")
    told = judged(tmp_path, wrong)
    assert (told["verdict"], told["invariant"]) == ("violated", "host-value")
    bare = [line for line in wrong if "vmx_" not in line and "vcpu_" not in line]
    assert judged(tmp_path, bare)["verdict"] == "ok"
    assert wrong_restores(wrong) == [restore + 1]
    assert wrong_restores(lines) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_every_kind_of_fault_is_seen_where_it_stands(tmp_path, kind, seed):
    fault = inject("migrate", seed, kind)
    told = verdict(read(fault.write(tmp_path / "suspect.trace")))
    if told["verdict"] == "violated":
        assert kind.endswith("loaded")
        seen = told["event"]["line"]
    else:
        (place,) = (note for note in told["notes"] if "place(s)" in note)
        seen = int(re.search(r"first at line (\d+)", place)[1])
    assert abs(seen - fault.line) <= 5
    assert fault.guess(fault.line).startswith("Right")
    assert "before" in fault.guess(fault.line + 9)
    assert "after" in fault.guess(fault.line - 9)


def test_an_older_value_is_not_drawn_as_coming_from_the_place_that_holds_the_newer_one(tmp_path):
    """09, section 7: the WRMSR of the fault, and one that is right."""
    found = read(inject("migrate", 13).write(tmp_path / "suspect.trace"))
    wrong = found.steps[found.violations[0].step - 1]
    right = next(step for step in found.steps if "write_msr: c0000102" in step.source)
    assert [move.source for move in wrong.moves] == [""]
    assert not wrong.notes, "it does not say 'register = g'"
    assert [move.source for move in right.moves] == ["vcpu0.g"]


def test_the_seeds_of_the_notebooks():
    assert (inject("migrate", 13).kind, inject("migrate", 13).line) == ("old value loaded", 408)
    assert inject("migrate", 8).kind == "load forgotten"
    assert {inject("migrate", seed).kind for seed in range(1, 12)} == set(KINDS)
    kinds = [inject("migrate", seed).kind for seed in (7, 2, 0, 1, 5)]
    wrong_value, missing, order = kinds[:2], kinds[2:4], kinds[4:]
    assert wrong_value == ["old value loaded", "host value loaded"]
    assert (missing, order) == (["restore forgotten", "load forgotten"], ["restored first"])


def test_a_fault_is_kept_to_itself_and_is_the_same_again():
    fault = inject("migrate", 3)
    assert fault.kind not in repr(fault)
    assert inject(read("migrate"), 3).text == fault.text
    assert fault.text != inject("migrate", 4).text


def test_faults_that_cannot_be():
    with pytest.raises(InputError, match="load forgotten"):
        inject("migrate", kind="load forgoten")
    with pytest.raises(InputError, match="no place"):
        inject("s1.dedicated-accessors", kind="old value loaded")
    with pytest.raises(InputError, match="no file and no example"):
        inject("migrat")
