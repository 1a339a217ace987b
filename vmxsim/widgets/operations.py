"""What the explorer can do to the register: operations and toggles, as scenarios.

An operation and the toggles **long mode** and **guest state loaded** make a list of
actions: a preparation that brings the machine there, then the operation itself, at which
the view starts. The guest owns the value 0xA000 from the beginning, so that a place which
holds it can be told from one which does not.
"""

from __future__ import annotations

from attrs import frozen

#: The guest's value, stored before anything else by KVM_SET_MSRS.
PREPARE = ("set-msr 0xA000",)

#: The functions that load the guest's state and put the host's back, in the words of every design.
ENTER = ("vmx_save_host_state", "vmx_prepare_switch_to_guest")
LEAVE = ("__vmx_load_host_state", "vmx_load_host_state", "vmx_prepare_switch_to_host")


@frozen
class Operation:
    """One thing to look at.

    ``loaded`` and ``unloaded`` are its actions with guest state loaded (the vCPU thread is
    in the guest) and not loaded (the thread is in user space). In an action ``{on}`` and ``{off}``
    stand for the long mode to go to and back to, ``{look}`` for reading the guest's value at
    the end. ``focus``: the view starts where the first of these functions is reached.
    """

    id: str
    title: str
    loaded: tuple[str, ...]
    unloaded: tuple[str, ...]
    about: str
    focus: tuple[str, ...] = ()


OPERATIONS = {
    operation.id: operation
    for operation in (
        Operation(
            "enter",
            "Enter: load guest state",
            ("emulate rdmsr -> 0xA000",),
            ("run",),
            "What runs before every VM entry. With guest state loaded already it returns at once.",
            ENTER,
        ),
        Operation(
            "leave",
            "Leave: put the host's state back",
            ("exit",),
            ("get-msr -> 0xA000",),
            "What runs when the vCPU thread goes back to user space, sleeps or is preempted.",
            LEAVE,
        ),
        Operation(
            "read",
            "Read: KVM reads the guest's value",
            ("emulate rdmsr -> 0xA000",),
            ("get-msr -> 0xA000",),
            "vmx_get_msr(): for KVM's emulator while guest state is loaded, else for KVM_GET_MSRS.",
            ("vmx_get_msr",),
        ),
        Operation(
            "write",
            "Write: KVM writes the guest's value",
            ("emulate wrmsr 0xB000", "guest rdmsr -> 0xB000"),
            ("set-msr 0xB000", "get-msr -> 0xB000"),
            "vmx_set_msr(): for KVM's emulator while guest state is loaded, else for KVM_SET_MSRS.",
            ("vmx_set_msr",),
        ),
        Operation(
            "guest",
            "Guest: its own WRMSR and RDMSR",
            ("guest wrmsr 0xB000", "guest rdmsr -> 0xB000"),
            ("run", "guest wrmsr 0xB000", "guest rdmsr -> 0xB000"),
            "Whether a guest's access exits or acts on the register, the MSR bitmap decides.",
        ),
        Operation(
            "efer",
            "Set EFER: long mode on or off",
            ("guest long-mode {on}", "guest long-mode {off}", "{look}"),
            ("set-efer long-mode {on}", "set-efer long-mode {off}", "{look}"),
            "vmx_set_efer(): the guest flips CR0.PG while its state is loaded, else KVM_SET_SREGS sets it.",
            ("vmx_set_efer", "enter_lmode", "exit_lmode"),
        ),
        Operation(
            "preempt",
            "Preempt: scheduled out, in again on CPU 1",
            ("preempt cpu1", "guest rdmsr -> 0xA000"),
            ("preempt cpu1", "get-msr -> 0xA000"),
            "An interrupt takes the vCPU thread off its CPU; it goes on elsewhere.",
        ),
        Operation(
            "smm",
            "SMI and RSM, as KVM emulates them",
            ("guest smi", "guest rsm", "{look}"),
            ("run", "guest smi", "exit", "run", "guest rsm", "guest rdmsr -> 0xA000"),
            "System-management mode leaves long mode and comes back. Without loaded state the handler"
            " goes to user space in between.",
        ),
    )
}


def actions_of(operation: Operation, long_mode: bool, loaded: bool) -> tuple[list[str], int]:
    """The scenario's actions, and how many of them are preparation."""
    on, off = ("off", "on") if long_mode else ("on", "off")
    look = "guest rdmsr -> 0xA000" if loaded else "get-msr -> 0xA000"
    prepare = [*PREPARE, *(["run"] if loaded else [])]
    chosen = operation.loaded if loaded else operation.unloaded
    return prepare + [action.format(on=on, off=off, look=look) for action in chosen], len(prepare)
