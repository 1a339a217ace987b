"""The exercises of labs 1 to 8 in order, easiest first; their solutions are only in the labs' sources."""

from __future__ import annotations

from vmxsim.errors import unknown
from vmxsim.kernel.machine import Value
from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.scenario import HOSTS, make_scenario
from vmxsim.teaching.exercises.faulty_designs import CopyFirst, EnterIsTold, NotSwitched, TwoSections
from vmxsim.teaching.exercises.goals import (
    ArrowsMet,
    Breaks,
    CostAtMost,
    InvariantsHold,
    OnlyChanged,
    Reaches,
)
from vmxsim.teaching.exercises.specification import Exercise

_READ = "vmx_read_guest_kernel_gs_base"


def _scheduled_out_inside(trace: RunTrace) -> bool:
    """Whether the vCPU thread was scheduled out in the middle of the read, wherever it resumes."""
    begun: set[int] = set()
    out: set[int] = set()
    for step in trace.steps:
        if step.thread == "thread0" and step.function == _READ:
            if step.action in out:
                return True
            begun.add(step.action)
        elif step.action in begun and any(access.kind == "ctxsw" for access in step.accesses):
            out.add(step.action)
    return False


ONE_TICK = Exercise(
    id="one-tick",
    title="Be the scheduler: one tick",
    task=(
        "KVM's read of the guest's MSR_KERNEL_GS_BASE disables preemption around its test and its RDMSR, and"
        " still it is wrong. You are the scheduler. Place one tick inside the kernel, so that the read"
        " returns a value that is not the guest's anymore."
    ),
    start=CopyFirst,
    schedule=("run", "guest wrmsr 0xA000", "emulate rdmsr"),
    long_mode=True,
    goals=(
        Reaches(
            f"Your tick takes the vCPU thread off its CPU in the middle of {_READ}()",
            _scheduled_out_inside,
            3,
        ),
        Breaks("guest-value", actions=3, ticks=1),
    ),
    hints=(
        f"{_READ}() has six lines. A tick that comes before its first line, or after its last, does no harm."
        " And a tick that comes where preemption is disabled waits.",
        "A tick inside an action is written with the action as the key:"
        ' {"emulate rdmsr": {"preempt": {"before": ..., "in": ..., "cpu": ...}}}.'
        " 'before' names a primitive, such as wrmsr or preempt_enable, or 'line N' of the function in 'in';"
        " 'cpu' says on which CPU the thread resumes, which may be the same one.",
        "The saved copy is out of date as long as the guest's state is loaded, and nobody uses it then. Leave"
        " brings it up to date and clears the flag. What does the function hold in its hand at that moment?",
    ),
    difficulty=1,
    minutes=15,
)


_WRITE = "vmx_write_guest_kernel_gs_base"

CAREFUL_WRITE = Exercise(
    id="careful-write",
    title="A careful write",
    task=(
        "KVM's write of the guest's MSR_KERNEL_GS_BASE disables preemption while it tests whether guest state"
        " is loaded, and again while it writes the register. Put it right."
    ),
    start=TwoSections,
    edit=(_WRITE,),
    goals=(
        OnlyChanged(_WRITE),
        InvariantsHold(),
        CostAtMost("emulate wrmsr", {"wrmsr_kernel_gs_base": 1, "full_host_reload": 0}),
    ),
    hints=(
        "Check the function as it is, and play the counterexample. Between which two lines does the first"
        " tick come, and what has changed when the thread resumes?",
        "What must stay together is not a single line. It is a test and what is done because of its result.",
        "preempt_disable() must come before the flag is tested. And on every way out of the function"
        " preempt_enable() must have been called as often as preempt_disable().",
    ),
    difficulty=1,
    minutes=15,
)


MODE_CHANGES = Exercise(
    id="mode-changes",
    title="A mode that changes too early",
    task=(
        "Linux 2.6.33 switches the register only for a guest in long mode, and asks EFER.LMA whether it is in"
        " it. enter_lmode() and exit_lmode() change EFER.LMA while guest state may be loaded. Repair both."
    ),
    start="lazy-long-mode",
    edit=("enter_lmode", "exit_lmode"),
    goals=(
        OnlyChanged("enter_lmode", "exit_lmode"),
        InvariantsHold(host="64-bit"),
        InvariantsHold(host="32-bit"),
    ),
    hints=(
        "Leave looks at EFER.LMA to know whether the register holds the guest's value. So the state must be"
        " left by the rule under which it was entered.",
        "vmx_set_efer(), which you do not change, gives the host its state back before it stores the new"
        " EFER. Print it: print(*ex.start.functions()['vmx_set_efer'].source, sep='\\n').",
        "Nothing has to be added. Let vmx_set_efer() be the only function that changes vmx.efer, and hand it"
        " the value that you want.",
    ),
    difficulty=2,
    minutes=20,
)


_LEAVE = "__vmx_load_host_state"

SAVE_BEFORE_LOAD = Exercise(
    id="save-before-load",
    title="Save before you load",
    task=(
        "In Linux 2.6.36 leave reloads the GS selector of a 32-bit host process with load_gs_index(). The"
        " guest's value is lost, and so is the process's own GS base. Repair leave, so that it is right for"
        " 32-bit and for 64-bit host processes."
    ),
    start="load-gs-index",
    edit=(_LEAVE,),
    goals=(
        OnlyChanged(_LEAVE),
        InvariantsHold(host="32-bit"),
        InvariantsHold(host="64-bit"),
    ),
    hints=(
        "load_gs_index() is SWAPGS; MOV %gs; SWAPGS. Where does the base go that MOV %gs loads from the"
        " descriptor, and who still had something there?",
        "The guest's value must be read back before load_gs_index() runs. What load_gs_index() leaves in the"
        " register is right for a 32-bit process: who overwrites it? current.thread.gs is 0 if the base comes"
        " from a descriptor.",
        "What is only true of a guest in long mode must be asked again: the value is read back at one place"
        " and the host's is written at another, and both stand under the same condition.",
    ),
    difficulty=2,
    minutes=20,
)


_GRANTED = ("no-kernel-preemption", "no-mode-switch", "guest-wrote-first")


def _guest_reads_hosts(trace: RunTrace) -> bool:
    """Whether the last action is the guest's own read, and it returns the vCPU thread's GS base."""
    last = trace.scenario.actions[-1]
    machine = trace.simulator.m
    returned = machine.vcpus[last.vcpu].returned
    return (
        last.verb == "guest rdmsr"
        and isinstance(returned, Value)
        and returned.number == machine.threads[0].true_user_gs_base.number
    )


WHAT_WAS_GRANTED = Exercise(
    id="what-was-granted",
    title="What was granted",
    task=(
        "The author of the patch says: nothing happens before the guest has written its register in long"
        " mode, a running guest does not change its mode itself, and inside these short functions no tick"
        " comes. Grant all three. Find a schedule on which the patch fails all the same."
    ),
    start="dedicated-accessors",
    schedule=("run", "guest wrmsr 0xA000", "guest rdmsr"),
    long_mode=True,
    goals=(
        Breaks("guest-value", actions=7, assume=_GRANTED),
        Reaches(
            "Its last action is 'guest rdmsr', and it returns the host thread's GS base",
            _guest_reads_hosts,
            7,
        ),
    ),
    hints=(
        "The guest does not change its mode itself. Who else can take it out of long mode, and back?",
        "In system-management mode the guest is outside long mode. The handler is guest code like any other:"
        " it may be scheduled out, or need user space.",
        "Outside long mode leave gives the host its value back, and the next enter does not load the guest's."
        " Let that happen between 'guest smi' and 'guest rsm'.",
    ),
    difficulty=3,
    minutes=20,
)


_ACCESSORS = ("vmx_get_msr", "vmx_set_msr")

CHEAP_ACCESSORS = Exercise(
    id="cheap-accessors",
    title="Right and cheap",
    task=(
        "In Linux 4.18 KVM gives the host all of its state back whenever it reads or writes the guest's"
        " MSR_KERNEL_GS_BASE. Rewrite the two accessors: right on every schedule, without a full host reload,"
        " with one access of the register at most, and with none outside long mode."
    ),
    start="host-from-thread",
    edit=_ACCESSORS,
    goals=(
        OnlyChanged(*_ACCESSORS),
        InvariantsHold(),
        CostAtMost(
            "emulate rdmsr",
            {"rdmsr_kernel_gs_base": 1, "wrmsr_kernel_gs_base": 0, "full_host_reload": 0},
            long_modes=(True,),
            hosts=HOSTS,
        ),
        CostAtMost(
            "emulate wrmsr",
            {"rdmsr_kernel_gs_base": 0, "wrmsr_kernel_gs_base": 1, "full_host_reload": 0},
            long_modes=(True,),
            hosts=HOSTS,
        ),
        CostAtMost("emulate rdmsr", {"rdmsr_kernel_gs_base": 0, "full_host_reload": 0}, long_modes=(False,)),
    ),
    hints=(
        "Where is the guest's value? In the register, or in vmx.msr_guest_kernel_gs_base: it depends on two"
        " things that you can ask, is_long_mode(vmx) and vmx.loaded_cpu_state.",
        "The answer to 'is it loaded?' is worth nothing after the next tick. See lab 2.",
        "A read may store what it found in the saved copy, and return that. A write must reach the saved"
        " copy in any case: whoever loads the register next takes it from there.",
    ),
    difficulty=3,
    minutes=25,
)


_TELLING = ("vmx_set_efer", "vmx_save_host_state", "__vmx_load_host_state")
_REPORTED = make_scenario(
    ["set-msr 0xA000", "run", "guest smi", "exit", "run", "guest rsm", "guest rdmsr -> 0xA000"],
    long_mode=True,
)
_FIRST_ENTRY = make_scenario(["run", "guest long-mode on", "guest rdmsr -> 0x0"])

REPAIR_THE_PATCH = Exercise(
    id="repair-the-patch",
    title="Repair the second version",
    task=(
        "Commit 678e315e78a7 loads nothing when the guest enters long mode while its state is loaded. In this"
        " second version vmx_set_efer() leaves a note, vmx.mode_changed, and the next enter loads the"
        " register. Both reported schedules come out right. Somebody else comes before that enter: repair"
        " it, and keep what the patch won. Outside long mode the register is not switched, and nothing"
        " reloads the whole host state."
    ),
    start=EnterIsTold,
    edit=_TELLING,
    goals=(
        OnlyChanged(*_TELLING),
        ArrowsMet(_FIRST_ENTRY, "the guest enters long mode and reads its register"),
        ArrowsMet(_REPORTED, "SMI, a trip to user space, RSM, and the guest reads its register"),
        InvariantsHold(),
        CostAtMost(
            "guest long-mode on", {"wrmsr_kernel_gs_base": 1, "full_host_reload": 0}, long_modes=(False,)
        ),
    ),
    hints=(
        "The note says: the register is not the guest's yet, whatever EFER says. Who looks at EFER and at the"
        " flag, and does not read the note?",
        "Leave may run between the change of EFER and the next enter. It believes that the register is the"
        " guest's, and saves it. And once state is left, enter loads everything: what is the note worth"
        " then?",
        "A note that outlives its state hurts later: a leave that believes it does not save what the guest"
        " has written since. Leave it only while state is loaded, and take it back on leaving. And it must"
        " appear together with the new EFER.",
    ),
    difficulty=4,
    minutes=30,
)


_FUNCTIONS = (
    "vmx_prepare_switch_to_guest",
    "vmx_prepare_switch_to_host",
    "vmx_read_guest_kernel_gs_base",
    "vmx_write_guest_kernel_gs_base",
)

FROM_SCRATCH = Exercise(
    id="from-scratch",
    title="From scratch",
    task=(
        "The guest's accesses are never intercepted, and nobody switches the register. Write enter, leave"
        " and the two accessors. On a 64-bit host, entering must not read the register; a VM exit that KVM"
        " handles itself must cost nothing."
    ),
    start=NotSwitched,
    edit=_FUNCTIONS,
    goals=(
        OnlyChanged(*_FUNCTIONS),
        InvariantsHold(cpus=3),
        CostAtMost("run", {"rdmsr_kernel_gs_base": 0, "wrmsr_kernel_gs_base": 1}),
        CostAtMost("exit", {"rdmsr_kernel_gs_base": 1, "wrmsr_kernel_gs_base": 1}),
        CostAtMost("emulate rdmsr", {"rdmsr_kernel_gs_base": 1, "wrmsr_kernel_gs_base": 0}),
    ),
    hints=(
        "Enter runs before every VM entry, leave when the thread goes to user space or is scheduled out."
        " Keep a flag, vmx.loaded_cpu_state, so that each does its work once: both test it first, and change"
        " it.",
        "Enter: keep the host's value in vmx.msr_host_kernel_gs_base, then load the guest's. For a 64-bit"
        " task (current.bits == 64) the host's value is in current.thread.gsbase; for a 32-bit one only the"
        " register has it.",
        "Leave: the guest's value comes first, since load_gs_index() overwrites the register (lab 4). The"
        " host's comes last.",
        "The accessors ask the flag, and the flag may change at every tick (lab 2).",
    ),
    difficulty=5,
    minutes=30,
)


#: All exercises by id, in the order of the labs.
EXERCISES: dict[str, Exercise] = {
    exercise.id: exercise
    for exercise in (
        ONE_TICK,
        CAREFUL_WRITE,
        MODE_CHANGES,
        SAVE_BEFORE_LOAD,
        WHAT_WAS_GRANTED,
        CHEAP_ACCESSORS,
        REPAIR_THE_PATCH,
        FROM_SCRATCH,
    )
}


def find_exercise(name: str) -> Exercise:
    """The exercise of this id. Raises InputError with the nearest."""
    word = str(name).strip()
    if word not in EXERCISES:
        raise unknown("exercise", word, EXERCISES)
    return EXERCISES[word]
