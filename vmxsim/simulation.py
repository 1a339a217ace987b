"""Running a scenario on a design: what ``vmxsim.run`` does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vmxsim.designs import DESIGNS, find_design
from vmxsim.errors import InputError
from vmxsim.kernel.environment import Environment
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.system import make_machine
from vmxsim.model.machine import Machine
from vmxsim.model.value import Value, owner_words
from vmxsim.runtrace import RunTrace
from vmxsim.scenario import Scenario, make_scenario

#: The first design of a kernel with SMM, which came to KVM in 4.2 (not looked up).
_FIRST_WITH_SMM = "host-from-thread"


def run(
    scenario: Scenario | str | Path | Sequence[Any],
    design: str | type[Kvm] | None = None,
    *,
    host: str | None = None,
    long_mode: bool | None = None,
    cpus: int | None = None,
    vcpus: int | None = None,
    interception: str | None = None,
    title: str | None = None,
    ticks: Iterable[tuple[int, int | None]] = (),
) -> RunTrace:
    """Run a scenario and return its :class:`~vmxsim.runtrace.RunTrace`.

    ``scenario`` is a :class:`~vmxsim.scenario.Scenario`, a path, YAML text or a list of
    actions; the keywords replace what it says. ``design`` is an id, a commit's short hash,
    an unambiguous prefix or your own subclass of a design. ``ticks`` are (step, CPU)
    pairs: a tick comes right after that step (from 1) and the thread goes on on that CPU
    (None: the same); where preemption is disabled it stays pending.

    Raises InputError for a scenario that cannot be read or an action that is not possible,
    SimulationError for a design that does what the kernel must not.
    """
    if design is not None and not isinstance(design, str):
        chosen, name = find_design(design), None
    else:
        chosen, name = None, design
    s = make_scenario(
        scenario, design=name, host=host, long_mode=long_mode, cpus=cpus, vcpus=vcpus,
        interception=interception, title=title,
    )  # fmt: skip
    if chosen is None:
        chosen = _named_design(s)
    bits = int(s.host[:2])
    environment = Environment(
        chosen, make_machine(chosen, bits, s.long_mode, s.cpus, s.vcpus), s.interception
    )
    trace = RunTrace(s, chosen, environment, make_machine(chosen, bits, s.long_mode, s.cpus, s.vcpus))
    due = {int(step): cpu for step, cpu in ticks}
    if due:
        _deliver(environment, due)
    for index, action in enumerate(s.actions):
        try:
            environment.perform(action)
        except InputError as error:
            raise error.at(s.where(index)) from None
        trace.results.append(result(environment, action.vcpu))
        if action.expected is not None:
            trace.expect(index, action, environment.m.vcpus[action.vcpu].returned)
    trace.remarks += _equal_numbers(s, environment.m)
    order = list(DESIGNS)
    if chosen.id in order[: order.index(_FIRST_WITH_SMM)] and any(a.verb == "guest smi" for a in s.actions):
        trace.remarks.append(
            f"anachronism: KVM has emulated SMM since Linux 4.2 (not looked up); {chosen.id} is older"
        )
    return trace


def _named_design(s: Scenario) -> type[Kvm]:
    if not s.design:
        hint = (
            "no design: write 'design: dedicated-accessors' in the scenario, or name one beside it"
            " (on the command line --design ID, or --design FILE.py:NAME for one of your own)"
        )
        raise InputError(hint, s.file or "design")
    try:
        return find_design(s.design)
    except InputError as error:
        raise (error.at(s.where_design()) if s.design_line else error) from None


def _equal_numbers(s: Scenario, m: Machine) -> list[str]:
    """What cannot be told apart: a value given to a guest that a host task has too."""
    hosts = {task.gs_base.number: owner_words(task.id) for task in (*m.threads, m.plain)}
    given = {a.value: f"guest {a.vcpu}" for a in s.actions if a.value in hosts and a.value is not None}
    return [
        f"{hex(value)} is both {guest}'s value and the user GS base of {hosts[value]}:"
        " a leak between them cannot be told"
        for value, guest in given.items()
    ]


def _deliver(environment: Environment, due: dict[int, int | None]) -> None:
    def after(number: int) -> None:
        if number in due:
            thread = environment.m.task_named(environment.records[-1].thread)
            if thread is environment.m.plain or not environment.m.is_current(thread):
                environment.note("the tick comes where no vCPU thread runs: nothing changes")
                return
            environment.tick(thread, due.pop(number))

    environment.after_record = after


def result(environment: Environment, acting: int) -> dict[str, Any]:
    """What there is to see after an action, with the field names of ``run --json``.

    Numbers are hexadecimal text. With several vCPUs the fields of the vCPU are lists.
    """
    m = environment.m
    accesses = [
        [kind, cpu, hex(value)] for record in _last(environment) for kind, cpu, value in record.accesses
    ]
    each = [_vcpu_result(environment, n, n == acting) for n in range(len(m.vcpus))]
    returned = m.vcpus[acting].returned
    found: dict[str, Any] = {
        "accesses": accesses,
        "returned": hex(returned.number) if isinstance(returned, Value) else returned,
        "registers": [hex(cpu.kernel_gs_base.number) for cpu in m.cpus],
    }
    for name in each[0]:
        found[name] = each[0][name] if len(each) == 1 else [one[name] for one in each]
    return found


def _last(environment: Environment) -> list[Any]:
    records, action = environment.records, environment.action
    first = len(records)
    while first and records[first - 1].action == action:
        first -= 1
    return records[first:]


def _vcpu_result(environment: Environment, n: int, acting: bool) -> dict[str, Any]:
    m: Machine = environment.m
    vcpu, thread = m.vcpus[n], m.threads[n]
    register = m.cpus[thread.cpu].kernel_gs_base.number
    current = m.is_current(thread)
    in_guest = current and thread.mode == "guest"
    passes = environment.passes_through(vcpu)
    true = vcpu.true_guest_value.number
    misread = acting and isinstance(vcpu.returned, Value) and vcpu.returned.number != true
    return {
        "cpu": thread.cpu,
        "in_guest": in_guest,
        "guest_saved": hex(vcpu.g.number),
        "host_saved": hex(vcpu.h.number) if vcpu.loaded else None,
        "loaded": vcpu.loaded,
        "long_mode": vcpu.long_mode,
        "intercepted": not passes,
        "true_guest_value": hex(true),
        "guest_wrong": bool(misread or (in_guest and passes and register != true)),
        "host_wrong": current and thread.mode == "user" and register != thread.gs_base.number,
    }
