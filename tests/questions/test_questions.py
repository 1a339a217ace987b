"""Questions are true: the right option is what the run does next, and no other option is."""

import re
from collections import Counter, defaultdict
from contextlib import suppress

import pytest

import vmxsim
from vmxsim.designs import DESIGNS, NeverTrap
from vmxsim.errors import InputError
from vmxsim.ftrace.recording import example_path, read
from vmxsim.kernel.language import *
from vmxsim.teaching.questions.ask import KINDS, ask, key_questions, spans_apart

SCHEDULES = {
    "enters": (["run", "guest long-mode on", "guest rdmsr", "exit", "get-msr"], False),
    "reads": (["set-msr 0xA000", "run", "guest rdmsr", "emulate rdmsr", "emulate wrmsr 0xB000"], True),
    "moves": (["set-msr 0xA000", "run", "preempt cpu1", "guest rdmsr", "guest long-mode off", "exit"], True),
}


SIGNALED = {"emulate wrmsr 0xB000": {"signal": True}}
RETURNS = ["run", SIGNALED, "user gs-base 0x7F0000005000", "run cancelled", "get-msr"]
#: Hosts whose thread has its base from a descriptor, or on which all bases are 0.
HOSTS = {
    "descriptor": {"host": "32-bit"},
    "selector": {"gs_base_from": "descriptor"},
    "zero": {"user_gs_bases": "zero"},
}
CASES = [(design, name) for design in DESIGNS for name in SCHEDULES]
CASES += [(design, name) for design in ("load-gs-index", "never-trap", "fsgsbase") for name in HOSTS]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def trace(request):
    design, name = request.param
    if name in HOSTS:
        steps = [step for step in RETURNS if name != "zero" or not str(step).startswith("user")]
        return vmxsim.run(steps, design, long_mode=True, **HOSTS[name])
    actions, long_mode = SCHEDULES[name]
    return vmxsim.run(actions, design, long_mode=long_mode)


def every_question(trace):
    """All that can be asked: of each action, and of each step of kernel code."""
    for kind in KINDS:
        places = [{"action": n} for n in range(len(trace.actions))]
        places += [{"step": s.index + 1} for s in trace.steps]
        for where in places:
            with suppress(InputError):  # not every kind can be asked everywhere
                yield ask(trace, kind, **where)


def test_each_has_one_right_answer_and_says_why_of_all(trace):
    count = 0
    for question in every_question(trace):
        count += 1
        assert sum(option.right for option in question.options) == 1, question
        assert 2 <= len({option.text for option in question.options}) == len(question.options), question
        assert all(option.reason.endswith((".", "!")) for option in question.options), question
        assert 0 <= question.before < question.telling <= question.after <= len(trace.steps), question
    assert count > len(trace.steps)


@pytest.mark.parametrize("name", ["migrate", "s1.dedicated-accessors"])
def test_a_recording_is_asked_about_as_far_as_it_tells(name):
    recording = read(example_path(name))
    told = [ask(recording, kind, at="read_msr: c0000102") for kind in ("live", "stale", "owner")]
    assert all(sum(option.right for option in question.options) == 1 for question in told)
    assert told[0].after == next(s.index + 1 for s in recording.steps if "read_msr: c0000102" in s.source)
    for kind in ("reads", "count", "value"):
        with pytest.raises(InputError, match="asks"):
            ask(recording, kind, at="read_msr")


def right(question):
    return question.options[question.right].text


def form(text):
    """What an option looks like, whatever it names."""
    text = re.sub(r"“[^”]*”", "“”", text)
    text = re.sub(
        r"[a-z_.]+(\[\w+\])?(?= of vCPU)", "field", text.replace("KERNEL_GS_BASE of CPU", "HW of CPU")
    )
    return re.sub(r"0x[0-9a-f]+|\d+", "N", re.sub(r"\b\w*(_\w+)+\b", "name", text))


#: The forms of the options that each kind has; all may be right, and all may be wrong.
FORMS = {
    "live": r"(HW|field) of v?CPU N|nowhere: it is lost",
    "stale": r"only .* of v?CPU N|.* of v?CPU N and .* of v?CPU N|none of them",
    "owner": r"(guest N|vCPU thread N|plain task|the descriptor|an unknown owner)'s",
    "value": r"N, (guest N's value|(vCPU thread N|plain task)'s user GS base|nobody's base)",
    "line": r"(name, )?line N: “”",
    "intercepted": r"(Yes|No): .*",
    "preempt": r"right away, (after this line|before the first line of name)"
    r"|after (line N of name, “”|the guest's next exit|the end of this run)"
    r"|when the thread returns to user space",
}


def test_no_option_is_told_by_its_form_or_its_place():
    """Over many runs: every option has one of the forms of its kind, a form that is right is wrong elsewhere,
    and the right option is as often the first as the last."""
    seen, places = defaultdict(set), defaultdict(Counter)
    for design, name in CASES[::5]:
        if name in HOSTS:
            continue
        actions, long_mode = SCHEDULES[name]
        run = vmxsim.run(actions, design, long_mode=long_mode)
        for question in every_question(run):
            if question.kind not in FORMS:
                continue
            places[len(question.options)][question.right] += 1
            for option in question.options:
                kind = question.kind
                assert re.fullmatch(FORMS[kind], form(option.text)), option
                seen[kind, option.text.split(":")[0] if kind == "intercepted" else form(option.text)].add(
                    option.right
                )
    always = {key for key, found in seen.items() if found == {True}}
    assert not always, "a form that is always right"
    for options, counts in places.items():
        asked = sum(counts.values())
        for place in range(options):
            assert abs(counts[place] / asked - 1 / options) < 0.05 + 1 / asked**0.5, (options, counts)


def test_the_lost_value_has_an_owner_and_the_step_that_lost_it_is_named():
    """KVM_SET_MSRS writes g while state is loaded: leave overwrites it with what the register holds."""

    class Forgets(vmxsim.DESIGNS["never-trap"]):
        def vmx_write_guest_kernel_gs_base(self, vmx, data):
            vmx.msr_guest_kernel_gs_base = data

    run = vmxsim.run(
        ["set-msr 0xA000", "run", "emulate wrmsr 0xB000", "exit", "get-msr"], Forgets, long_mode=True
    )
    lost = ask(run, "live", action=3)
    told = lost.options[lost.right]
    assert told.text == "nowhere: it is lost"
    assert (
        "vmx_prepare_switch_to_host" in told.reason
        and "the last place with guest 0's value 0xb000" in told.reason
    )
    assert run.steps[lost.telling - 1].source == "vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)"
    marked = ask(run, "lost")
    assert marked.telling == lost.telling and marked.options[marked.right].reason == told.reason
    stays = "After this step, guest 0's true value is still in msr_guest_kernel_gs_base of vCPU 0."
    assert marked.options[marked.right - 1].reason == stays
    value = {option.text: option for option in ask(run, "value", action=4).options}
    assert "No place holds 0xb000 now." in value["0xb000, guest 0's value"].reason
    assert value["0xa000, guest 0's value"].right


def test_an_answer_may_be_a_number_or_a_step(trace):
    """What is counted is what the steps did; a marked step is in exactly one option's range."""
    for number, result in enumerate(trace.results):
        steps = [s for s in trace.steps if s.action == number]
        did = sum(a.kind in ("rdmsr", "wrmsr") for s in steps for a in s.accesses)
        question = ask(trace, "count", action=number)
        assert (question.typed, right(question)) == ("number", str(did))
        if str(result["returned"]).startswith("0x"):
            question = ask(trace, "reads", action=number)
            assert (question.typed, right(question)) == ("value", result["returned"])
    for kind in ("lost", "leak"):
        with suppress(InputError):
            question = ask(trace, kind)
            ranges = [option.steps for option in question.options]
            covered = [n for first, last in ranges for n in range(first, last + 1)]
            assert question.marks and covered == list(range(1, question.after + 1))
            assert question.options[question.right].steps == (question.telling, question.telling)


def test_feedback_names_the_flag_that_decides_and_since_when():
    run = vmxsim.run(["set-msr 0xA000", "run", "exit", "get-msr"], "never-trap", long_mode=True)
    question = ask(run, "live", at="vmx_prepare_switch_to_host: rdmsr", action=2)
    by_name = {option.text: option for option in question.options}
    saved = by_name["msr_guest_kernel_gs_base of vCPU 0"]
    assert (
        saved.right
        and "loaded_cpu_state has been 0 since line 5 of vmx_prepare_switch_to_host" in saved.reason
    )
    copy = by_name["KERNEL_GS_BASE of CPU 0"].reason
    assert copy.endswith("so KVM's next read looks in msr_guest_kernel_gs_base of vCPU 0.")
    value = ask(run, "value", action=3)
    assert "loaded_cpu_state has been 0 since line 5" in value.options[value.right].reason
    assert "return vmx.msr_guest" in run.steps[value.telling - 1].source
    wrote = vmxsim.run(["run", "guest wrmsr 0xB000", "exit"], "never-trap", long_mode=True)
    between = ask(wrote, "live", at="vmx_prepare_switch_to_host: vmx.loaded_cpu_state = False")
    assert right(between) == "KERNEL_GS_BASE of CPU 0"
    told = between.options[between.right].reason
    assert told.endswith(
        "which holds guest 0's value 0x0: that must be put right while nothing else can run."
    )


def test_nobody_is_asked_about_an_owner_that_no_place_has():
    first = ask(vmxsim.run(["run"], "never-trap", long_mode=True), "owner", action=0)
    assert {option.text for option in first.options} == {"guest 0's", "vCPU thread 0's", "plain task's"}


def test_the_owner_is_who_owns_what_the_register_holds(trace):
    names = {"vcpu0": "guest 0's", "thread0": "vCPU thread 0's", "plain": "plain task's"}
    names |= {"descriptor": "nobody's", "unknown": "an unknown owner's"}
    for number in range(len(trace.actions)):
        try:
            question = ask(trace, "owner", action=number)
        except InputError:
            assert trace.scenario.user_gs_bases == "zero", "else no two owners have the same value"
            continue
        cpu = trace.steps[question.after - 1].cpu
        held = trace.machine(question.after).cpus[cpu].kernel_gs_base
        assert right(question) == names[held.owner]


def test_a_value_that_two_owners_have_is_offered_once():
    """What load_gs_index() takes from the descriptor is the thread's own base, and not called nobody's."""
    trace = vmxsim.run(["run", "exit"], "never-trap", host="32-bit", long_mode=True)
    loads = next(s.index + 1 for s in trace.steps if s.source.startswith("load_gs_index"))
    texts = [option.text for option in ask(trace, "owner", step=loads).options]
    assert sorted(texts) == ["guest 0's", "nobody's", "plain task's", "vCPU thread 0's"]
    zero = vmxsim.run(["set-msr 0xA000", "run", "exit"], "never-trap", user_gs_bases="zero")
    assert {option.text for option in ask(zero, "owner", action=2).options} == {
        "guest 0's",
        "vCPU thread 0's",
    }
    unset = vmxsim.run(["run", "exit"], "never-trap", user_gs_bases="zero")
    with pytest.raises(InputError, match="every owner has the same value"):
        ask(unset, "owner", action=1)


def test_what_is_nobodys_is_called_so_as_in_the_picture():
    trace = vmxsim.run(["run", "exit"], "load-gs-index", host="32-bit", long_mode=True)
    asked = ask(trace, "owner", at="__vmx_load_host_state: rdmsr")
    assert right(asked) == "nobody's"
    before = ask(trace, "owner", at="__vmx_load_host_state: load_gs_index")
    (told,) = (option.reason for option in before.options if option.text == "nobody's")
    assert told == "Nobody's base is in thread.gsbase of vCPU thread 0."


def test_the_function_in_view_is_the_one_that_decides_and_tells_no_answer():
    """What KVM runs next tells whether an access exits; where no value moves, the change of mode decides."""
    trace = vmxsim.run(["run", "guest rdmsr", "guest long-mode on", "guest rdmsr"], "dedicated-accessors")
    assert [ask(trace, "intercepted", action=n).about for n in (1, 3)] == ["", ""]
    assert ask(trace, "owner", action=0).about == "vmx_save_host_state"
    assert ask(trace, "owner", action=2).about == "vmx_set_efer"


def test_a_true_value_that_is_gone_is_said_to_be_lost_and_by_what():
    class Careless(NeverTrap):
        def vmx_read_guest_kernel_gs_base(self, vmx):
            if vmx.loaded_cpu_state:
                vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
            return vmx.msr_guest_kernel_gs_base

    tick = {"before": "rdmsr", "in": "vmx_read_guest_kernel_gs_base", "cpu": 1}
    actions = ["set-msr 0xA000", "run", {"emulate rdmsr": {"preempt": tick}}]
    asked = ask(vmxsim.run(actions, Careless, long_mode=True), "value", action=2)
    (told,) = (option.reason for option in asked.options if option.text.startswith("0xa000"))
    assert told.startswith("No place holds 0xa000 now. Line 3 of vmx_read_guest_kernel_gs_base (step ")
    assert told.endswith("the last place with guest 0's value 0xa000.")


def test_the_value_is_what_the_action_returned(trace):
    asked = 0
    for number, result in enumerate(trace.results):
        if str(result["returned"]).startswith("0x"):
            asked += 1
            assert right(ask(trace, "value", action=number)).split(",")[0] == result["returned"]
        else:
            with pytest.raises(InputError):
                ask(trace, "value", action=number)
    assert asked


def test_interception_is_the_design_s(trace):
    for number, action in enumerate(trace.actions):
        if action.startswith("guest rdmsr"):
            exits = trace.results[number - 1]["intercepted"]
            question = ask(trace, "intercepted", action=number)
            assert right(question).startswith("Yes") == exits
            assert question.hides == {"vcpu0.guest access"}


@pytest.mark.parametrize(
    ("design", "rule"),
    [
        ("never-trap", "This design never intercepts the register."),
        ("msr-array", "This design intercepts the register in every mode."),
        ("dedicated-accessors", "What was last written to the MSR bitmap decides."),
    ],
)
def test_the_bitmap_decides_only_where_the_design_s_rule_is_the_mode(design, rule):
    trace = vmxsim.run(["run", "guest rdmsr"], design, interception="bitmap")
    question = ask(trace, "intercepted", action=1)
    assert next(option.reason for option in question.options if option.right).startswith(rule)


def test_a_tick_is_told_once_and_after_a_call_it_comes_before_the_callee():
    guest = ["set-msr 0xA000", "run", "guest wrmsr 0xB000", "preempt cpu1", "emulate rdmsr"]
    run = vmxsim.run(guest, "dedicated-accessors", long_mode=True)
    came = ask(run, "preempt", at="vcpu_enter_guest: local_irq_enable", action=3)
    assert "A tick has come already" in came.prompt
    assert "comes right after" not in came.prompt
    call = ask(run, "preempt", at="em_rdmsr: data =")
    assert "It calls vmx_get_msr. A tick comes before the first line of that" in call.prompt
    assert right(call) == "right away, before the first line of vmx_get_msr"
    plain = ask(run, "preempt", at="vmx_read_guest_kernel_gs_base: if vmx.loaded")
    assert "A tick comes right after it" in plain.prompt
    assert "right away, after this line" in [option.text for option in plain.options]


def test_a_tick_waits_where_preemption_is_disabled(trace):
    for step in trace.steps:
        if step.mode == "kernel" and step.line:
            question = ask(trace, "preempt", step=step.index + 1)
            assert right(question).startswith("right away") == step.preemptible


def test_the_next_line_is_the_one_that_runs(trace):
    asked = 0
    for step in trace.steps[1:]:
        try:
            question = ask(trace, "line", step=step.index + 1)
        except InputError:
            continue
        asked += 1
        one_function = question.prompt.count(f" of {step.function} has run") and all(
            option.text.startswith("line ") for option in question.options
        )
        named = "" if one_function else f"{step.function}, "
        assert right(question) == f"{named}line {step.line}: “{step.source}”"
    assert asked


def test_a_copy_grows_stale_with_the_write_that_leaves_it_behind():
    """Nothing is moved into the saved value: the guest's WRMSR decides."""
    write = ["set-msr 0xA000", "run", "guest wrmsr 0xB000"]
    passed = vmxsim.run(write, "never-trap")
    asked = ask(passed, "stale", action=2)
    assert asked.changes and passed.steps[asked.telling - 1].source.startswith("WRMSR")
    quiet = ask(vmxsim.run(["set-msr 0xA000", "run", "guest rdmsr"], "never-trap"), "stale", action=2)
    assert right(quiet) == "none of them" and not quiet.changes, "it was already so"


def test_the_live_place_holds_the_true_value_and_stale_ones_do_not(trace):
    for number in range(len(trace.actions)):
        live, stale = (ask(trace, kind, action=number) for kind in ("live", "stale"))
        boxes = trace.scene(live.after).boxes
        cells = [c for box in boxes for c in box.cells if box.kind == "cpu" or c.place.endswith((".g", ".h"))]
        true = trace.machine(live.after).vcpus[0].true_guest_value
        if right(live).startswith("nowhere"):
            assert not [c for c in cells if c.status == "live" and c.value == true]
        else:
            assert [c for c in cells if c.status == "live" and c.value.number == true.number]
        wrong = [c for c in cells if c.status in ("stale", "foreign")]
        assert right(stale).startswith("none") == (not wrong)


def test_key_questions_are_about_what_decides(trace):
    questions = key_questions(trace)
    assert 1 <= len(questions) <= 3
    assert spans_apart(questions)
    broken = {v.action for v in trace.violations}
    if broken:
        assert broken & {trace.steps[q.after - 1].action for q in questions}


def test_the_seed_s_regression_is_asked_about():
    seed = vmxsim.run(["run", "guest long-mode on", "guest rdmsr"], "dedicated-accessors")
    owner, value = key_questions(seed)
    assert (owner.kind, right(owner)) == ("owner", "vCPU thread 0's")
    assert (value.kind, right(value)) == ("value", "0x7f0000001000, vCPU thread 0's user GS base")
    assert "It should be 0x0" in value.options[value.right].reason


def test_reasons_name_the_condition_that_decides():
    seed = vmxsim.run(["run", "guest long-mode on"], "dedicated-accessors")
    again = [s for s in seed.steps if s.function == "vmx_save_host_state"][-1]
    question = ask(seed, "line", step=again.index + 1)
    assert question.prompt.startswith("Line 2 of vmx_save_host_state has run")
    assert right(question) == "line 3: “return”", (
        "all options are lines of the function that the prompt names"
    )
    told = question.options[question.right].reason
    assert told.startswith(
        "Line 2 tests “vmx.loaded_cpu_state”, and that is true. loaded_cpu_state has been 1 since"
    )
    assert question.hides == {"next"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lively",), "unknown question 'lively'.*did you mean 'live'"),
        (("live", {"step": 999}), "no step 999: this run has steps 1 to"),
        (("live", {"action": 7}), "no action 7: this run has actions 0 to 1"),
        (("preempt", {"action": 0}), "one line of kernel code"),
        (("intercepted", {"action": 0}), "no RDMSR or WRMSR here"),
        (("value", {"action": 0}), "returns nothing"),
        (("reads", {"step": 3}), "does not read KERNEL_GS_BASE"),
        (("count", {"action": 0, "of": "rdmrs"}), "of: unknown operation 'rdmrs'.*did you mean 'rdmsr'"),
        (("live", {"action": 0, "of": "rdmsr"}), "of: 'live' counts nothing"),
        (("lost", {"action": 0}), "no step here loses guest 0's true value"),
        (("leak", {"action": 0}), "no value leaks here"),
    ],
)
def test_what_cannot_be_asked_is_said(arguments, words):
    run = vmxsim.run(["run", "guest long-mode on"], "dedicated-accessors")
    kind, where = (*arguments, {})[:2]
    with pytest.raises(InputError, match=words):
        ask(run, kind, **where)


@pytest.mark.parametrize(
    ("where", "step"),
    [
        ({"at": "vmx_handle_exit"}, lambda s: s.function == "vmx_handle_exit"),
        ({"at": "vmx_handle_exit", "action": 3}, lambda s: s.function == "vmx_handle_exit" and s.action == 3),
        ({"at": "guest: WRMSR"}, lambda s: s.mode == "guest"),
        (
            {"at": "vmx_prepare_switch_to_host: rdmsr", "action": -1},
            lambda s: s.action == 4 and "= rdmsr" in s.source,
        ),
        ({"after": "preempt_schedule_irq: context_switch"}, lambda s: s.function == "__switch_to"),
        (
            {"after": "vmx_prepare_switch_to_guest: if vmx.loaded", "nth": -1},
            lambda s: s.function == "vmx_prepare_switch_to_guest" and s.source == "return",
        ),
        ({"before": "vmx_prepare_switch_to_host: return"}, lambda s: s.source.startswith("if not vmx.lo")),
    ],
)
def test_a_place_is_named_by_its_function_and_text(where, step):
    actions = ["set-msr 0xA000", "run", "guest wrmsr 0xB000", "preempt cpu1", "emulate rdmsr", "exit"]
    if where.get("action") == -1:
        actions.remove("emulate rdmsr")
    run = vmxsim.run(actions, "never-trap", long_mode=True)
    question = ask(run, "live", **where)
    assert question.after == question.before + 1 == next(s.index + 1 for s in run.steps if step(s))


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"at": "vmx_get_mrs"}, "no step of 'vmx_get_mrs' runs; did you mean “vmx_get_msr”"),
        ({"at": "vcpu_load: 9"}, "no line of vcpu_load that runs contains '9'; these run: “preempt_dis"),
        ({"at": "vmx_get_msr", "action": 0}, r"no step of 'vmx_get_msr' runs in action 1 \(run\)"),
        ({"at": "vmx_get_msr", "nth": 4}, r"comes 1 time \(step \d+\): there is no 4"),
        ({"at": "vmx_get_msr", "step": 3}, "not at and step"),
        ({"at": 3}, "at: expected 'FUNCTION' or 'FUNCTION: TEXT', not 3"),
        ({"nth": 2}, "nth chooses between"),
        ({"before": "user space"}, "no step 0"),
    ],
)
def test_a_place_that_is_not_there_is_said_with_the_nearest(where, words):
    run = vmxsim.run(["run", "emulate rdmsr"], "never-trap")
    with pytest.raises(InputError, match=words):
        ask(run, "live", **where)
