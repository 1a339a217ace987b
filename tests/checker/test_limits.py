"""A search that was cut short concludes nothing; what fails or cannot be followed is said in words."""

import pytest
from attrs import evolve

from tests.checker import failing
from tests.checker.replaying import replay
from vmxsim.checker import check as verdict
from vmxsim.checker.check import check
from vmxsim.checker.cut import CutShort
from vmxsim.checker.result import verdict_html
from vmxsim.checker.why import why
from vmxsim.errors import InputError


def incomplete(result, why):
    """Nothing was concluded, and it says why."""
    assert result.verdict == "incomplete" and result.counterexample is None
    assert why in result.hosts[0].cut
    assert "unknown" in result.hosts[0].invariants.values()
    assert "INCOMPLETE" in repr(result) and "SAFE" not in repr(result)
    assert "INCOMPLETE" in result._repr_html_()
    with pytest.raises(InputError, match="no counterexample"):
        _ = result.scenario


def test_too_many_states_are_no_pass():
    incomplete(check("never-trap", max_states=1000), "the limit of 1,000 states was reached (--max-states)")


def test_time_that_is_over_is_no_pass():
    incomplete(check("never-trap", max_seconds=1e-6), "(--max-seconds)")


def test_a_reader_who_stops_it_gets_no_pass():
    incomplete(check("never-trap", stopped=lambda: True), "interrupted")


@pytest.mark.parametrize("after", [1, 5, 20])
def test_a_keyboard_interrupt_ends_all_host_widths_and_returns_what_was_found(after):
    told = []

    def progress(states, seconds):
        told.append(states)
        if len(told) == after:
            raise KeyboardInterrupt

    result = check("vcpu-vt", progress=progress)
    incomplete(result, "interrupted")
    assert [host.host for host in result.hosts] == ["64-bit", "32-bit"]
    assert len(told) == after, "the second width is not begun"


@pytest.mark.parametrize("end", [KeyboardInterrupt, MemoryError, CutShort("enough", "--max-seconds")])
def test_two_vcpus_cut_short_say_that_one_thread_alone_was_safe(monkeypatch, end):
    def ended(*_):
        raise end

    monkeypatch.setattr(verdict, "kinds_of", ended)
    result = check("never-trap", host="64-bit", vcpus=2)
    incomplete(result, "each thread alone was explored to the end and breaks nothing")
    assert result.hosts[0].states == check("never-trap", host="64-bit").hosts[0].states


@pytest.mark.parametrize(
    ("limit", "why"),
    [
        ({"max_states": 10_000}, "10,000 states"),
        ({"max_seconds": 1e-6}, "seconds"),
        ({"stopped": lambda: True}, ""),
    ],
)
def test_limits_hold_for_two_vcpus(limit, why):
    incomplete(check("vcpu-vt", host="64-bit", vcpus=2, **limit), why)


def test_a_long_computation_of_two_vcpus_can_be_stopped_and_tells_how_far_it_is():
    told = []

    def stopped():
        return len(told) > 180

    result = check(
        "never-trap", host="64-bit", vcpus=2, progress=lambda *now: told.append(now), stopped=stopped
    )
    incomplete(result, "each thread alone")
    told.clear()
    check("never-trap", host="64-bit", vcpus=2, progress=lambda *now: told.append(now))
    assert any(states == 13_266_395_888 for states, _ in told) and len(told) > 200


@pytest.mark.parametrize("after", [1, 20, 60])
def test_memory_that_runs_out_is_no_pass_and_what_was_explored_is_told(after):
    told = []

    def progress(states, seconds):
        told.append(states)
        if len(told) == after:
            raise MemoryError

    result = check("never-trap", host="64-bit", progress=progress)
    incomplete(result, "the memory ran out")
    assert not result.interrupted and result.hosts[0].states >= told[-1] == max(told)


def test_memory_that_runs_out_before_the_search_and_after_it_is_no_pass(monkeypatch):
    def full(*_, **__):
        raise MemoryError

    for place in ("shortest_path", "kept_table"):
        monkeypatch.setattr(verdict, place, full)
        incomplete(check("dedicated-accessors"), "the memory ran out")


def test_the_last_part_of_many_vcpus_can_be_stopped_too(monkeypatch):
    def asks(*_, ask, **__):
        told.append(True)
        ask()

    told = []
    monkeypatch.setattr(verdict, "together", asks)
    result = check("never-trap", host="64-bit", vcpus=4, stopped=lambda: bool(told))
    incomplete(result, "it was interrupted; each thread alone")


def test_what_two_vcpus_break_is_told_with_all_that_they_do():
    result = check("dedicated-accessors", host="64-bit", vcpus=2)
    assert result.verdict == "violated" and result.counterexample.actions == 2
    assert result.hosts[0].invariants["host-value"] == "holds" and result.hosts[0].states > 10**10
    assert not result.hosts[0].cut and "Not everything" not in repr(result)


def test_a_violation_by_two_vcpus_counts_even_if_they_are_not_counted(monkeypatch):
    monkeypatch.setattr(verdict, "kinds_of", lambda *_: cut_short())
    result = check("dedicated-accessors", host="64-bit", vcpus=2)
    assert result.verdict == "violated" and result.counterexample.actions == 2
    assert "enough" in result.hosts[0].cut and "unknown" in result.hosts[0].invariants.values()


def cut_short():
    raise CutShort("enough")


def test_a_violation_found_before_the_end_counts():
    result = check("dedicated-accessors", host="64-bit", max_states=60_000)
    assert result.verdict == "violated" and result.hosts[0].cut
    assert result.hosts[0].invariants["host-value"] == "unknown"


def test_progress_is_told_in_states_and_seconds():
    told = []
    check("never-trap", host="64-bit", progress=lambda *now: told.append(now))
    assert told == sorted(told) and told[-1][0] > 10_000


def test_a_design_that_counts_without_end_is_incomplete(monkeypatch):
    monkeypatch.setattr("vmxsim.checker.transition_table.MOST_STATES", 20_000)
    incomplete(check(failing.CountsWithoutEnd, host="64-bit"), "count up without end")


@pytest.mark.parametrize(
    ("design", "says"),
    [
        (failing.LoopsForEver, "loops forever"),
        (failing.LoopsWithPreemptionDisabled, "loops forever"),
        (failing.Recurses, "the kernel's stack overflows"),
        (failing.BreaksAContract, "requires preemption disabled, called by vmx_get_msr()"),
        (failing.KeepsPreemptionDisabled, "requires preemption enabled"),
        (failing.EnablesTooOften, "preempt_enable() without preempt_disable()"),
    ],
)
def test_what_the_kernel_must_not_do_is_a_violation_of_its_contract(design, says):
    result = check(design, host="64-bit")
    example = result.counterexample
    assert (result.verdict, example.invariant, example.actions) == ("violated", "contract", 1)
    assert says in example.words and says in repr(result)
    replay(design, example)


def test_a_loop_that_ends_for_most_values_only_is_found():
    result = check(failing.LoopsIfValuesAreEqual, host="64-bit")
    assert result.counterexample.invariant == "contract"
    replay(failing.LoopsIfValuesAreEqual, result.counterexample)


def test_leaving_for_user_space_with_preemption_disabled_is_told():
    example = check(failing.LeavesWithPreemptionDisabled, host="64-bit").counterexample
    assert "returns to user space with preempt_count 1" in example.words
    replay(failing.LeavesWithPreemptionDisabled, example)


def test_what_the_checker_cannot_follow_is_refused_with_the_function():
    with pytest.raises(InputError, match=r"vmx_get_msr\(\) reads 'cpu': the checker treats all CPUs"):
        check(failing.ReadsTheCpu)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"assume": "no-mode-swich"}, "did you mean 'no-mode-switch'?"),
        (
            {"assume": "starts-in-long-mode,starts-outside-long-mode"},
            "exclude each other: a guest cannot start both",
        ),
        ({"host": "64"}, "did you mean '64-bit'?"),
        ({"cpus": 0}, "a whole number from 1 to 64"),
        ({"vcpus": 5}, "a whole number from 1 to 4"),
        ({"vcpus": True}, "a whole number"),
        ({"max_states": 0}, "max_states: expected more than 0"),
        ({"max_states": None}, "max_states: expected a whole number, not None"),
        ({"max_seconds": -1}, "max_seconds: expected more than 0"),
        ({"assume": 3}, "assume: expected names of assumptions, not 3"),
    ],
)
def test_bad_arguments_are_told_with_what_was_expected(options, says):
    with pytest.raises(InputError) as refused:
        check("never-trap", **options)
    assert says in str(refused.value)


def test_no_design_is_refused_and_no_assumptions_are_none():
    for function in (check, why):
        with pytest.raises(InputError, match="expected a design, by name or as a class, not None"):
            function(None)
    assert check("never-trap", host="64-bit", assume=None).assumptions == ()


def test_an_interrupt_while_the_table_is_made_is_one_too(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(verdict, "kept_table", interrupted)
    incomplete(check("never-trap"), "interrupted")


@pytest.mark.parametrize("hosts", [None, 5, "65-bit", ["64-bit", 3], []])
def test_a_host_that_does_not_exist_and_no_host_at_all_are_refused(hosts):
    for ask in (lambda: why("never-trap", hosts=hosts), lambda: check("never-trap", host=hosts)):
        with pytest.raises(InputError, match="unknown host .*; expected 64-bit, 32-bit or both"):
            ask()


@pytest.mark.parametrize(("limit", "status"), [({}, "holds"), ({"max_states": 1000}, "unknown")])
def test_a_contract_broken_on_one_host_holds_on_the_other_only_if_all_was_explored(limit, status):
    full = check(failing.BreaksAContractIn64BitTasks)
    assert [host.verdict for host in full.hosts] == ["violated", "safe"]
    other = check(failing.BreaksAContractIn64BitTasks, host="32-bit", **limit).hosts[0]
    result = evolve(full, hosts=(full.hosts[0], other))
    assert [host.status("contract") for host in result.hosts] == ["violated", status]
    assert f"{status}</span>" in verdict_html(result).split("<code>contract</code>")[1].split("</tr>")[0]
    rows = [row.split("</tr>")[0] for row in result._repr_html_().split("<code>")[1:]]
    told = [row for row in rows if row.endswith(f"</b> {status}</span></td>")]
    assert len(rows) == len(told) == 4, "the three invariants and the contract, the 32-bit host last"
