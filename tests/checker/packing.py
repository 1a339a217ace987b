"""The simulator's machine as the checker would name it: an independent way from one to the other."""

from vmxsim.checker.states import CONSTANTS, HOST, OTHER, pack, take_out, unpack
from vmxsim.kernel.machine import Value
from vmxsim.kernel.simulator import GUEST_GS_BASE, USER_GS_BASE


def fields_at_rest(control, machine, n=0):
    """The fields of thread ``n``'s control state, by (object, name), when an action has ended."""
    thread, vcpu = machine.threads[n], machine.vcpus[n]
    objects = {"cpu0": machine.cpus[thread.cpu], "thread0": thread, "vcpu0": vcpu}
    found = {(holder, name): getattr(objects[holder], name, None) for holder, name in control.fields}
    found |= {("thread0", "waiting"): False, ("vcpu0", "script"): "", ("vcpu0", "guest_wrote"): False}
    found[("thread0", "base_changed")] = thread.true_user_gs_base.number != USER_GS_BASE[n]
    # what only an action under way needs is left behind by the simulator, and reset by the checker
    found |= {("thread0", "signal_pending"): False, ("vcpu0", "exit_reason"): ""}
    if not vcpu.smm:
        found |= {("vcpu0", "smram_efer"): 0, ("vcpu0", "smram_cr0"): 0}
    if not machine.is_current(thread):
        found |= _waiting(thread)
    return {field: found[field] for field in control.fields}


def _waiting(thread):
    """Where a thread waits, another has its CPU: it will find it as context_switch() leaves it."""
    exits = thread.stack is not None and thread.stack[3] is not None  # the scheduler runs on top of KVM_RUN
    return {
        ("thread0", "waiting"): True,
        ("cpu0", "preempt_count"): int(thread.stack is not None),
        ("cpu0", "irqs_disabled"): False,
        ("cpu0", "need_resched"): False,
        ("vcpu0", "exit_reason"): "EXTERNAL_INTERRUPT" if exits else "",
    }


def slots_at_rest(control, machine, n=0):
    """The numbers of the values in the slots of thread ``n``, those on its stack included."""
    thread, vcpu = machine.threads[n], machine.vcpus[n]
    reset = Value(0, vcpu.id)
    register = machine.cpus[thread.cpu].kernel_gs_base if machine.is_current(thread) else reset
    ghosts = vcpu.true_guest_value, vcpu.true_gs_base
    values = [register, vcpu.g, vcpu.h, vcpu.gs_base, *ghosts, reset, thread.gs_base]
    own = control.design.own_fields("fields")
    values += [getattr(vcpu, name) for name in own if isinstance(getattr(vcpu, name), Value)]
    owners = {f"vcpu{n}": "vcpu0"}
    bases = {GUEST_GS_BASE[n]: GUEST_GS_BASE[0]}
    known = {(value.number, value.owner): number for number, value in enumerate(control.values)}
    values += take_out(thread.stack)[1]

    first = USER_GS_BASE[n] if control.sections.tracks_base else thread.true_user_gs_base.number

    def number(v):
        if v.owner == thread.id:  # its true base, or an older one
            return HOST if v.number == first else OTHER
        return known[bases.get(v.number, v.number), owners.get(v.owner, v.owner)]

    return [number(v) for v in values]


def packed(control, machine, n=0):
    """Thread ``n`` as a packed state; None where the checker has no such control state."""
    stack, _ = take_out(_as_first(machine.threads[n].stack))
    stacks = {known: number for number, known in enumerate(control.stacks)}
    if stack not in stacks:
        return None
    state = (stacks[stack], *fields_at_rest(control, machine, n).values())
    if state not in control.states:
        return None
    return (control.states.index(state) << CONSTANTS) | pack(slots_at_rest(control, machine, n))


def _as_first(stack):
    """The stack as if its vCPU, the first argument of every function on it, were vCPU 0."""
    if stack is None:
        return None
    function, index, frame, caller = stack
    return (function, index, (0, *frame[1:]), _as_first(caller))


def unpacked(control, state):
    """A packed state's fields by (object, name), and the numbers in its slots."""
    fields = dict(zip(control.fields, control.states[state >> CONSTANTS][1:], strict=True))
    return fields, unpack(state)
