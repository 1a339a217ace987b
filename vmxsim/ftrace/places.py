"""The places that can hold the register's value while a recording plays, and what each is worth.

The state is a flat dictionary, so that a step is the list of what it changed and can be taken
back. What can't be told is None; its status is ``unknown``.
"""

from __future__ import annotations

from typing import Any

from vmxsim.model.machine import MODE_WORDS
from vmxsim.model.value import Value, owner_words
from vmxsim.trace import Box, Cell, Scene

State = dict[str, Any]

_MODES: dict[str | None, str] = {None: "not known", "waits": "waits"}
_MODES.update(MODE_WORDS)
_ANSWERS = {None: "not known", True: "yes", False: "no"}
_PASSED = {None: "not known", True: "passed through", False: "intercepted"}


def scene(state: State, cpus: list[int], threads: list[tuple[int, str, int]]) -> Scene:
    """All boxes. ``threads``: index, name and pid of each vCPU thread."""
    register = {cpu: judge_register(state, cpu) for cpu in cpus}
    boxes = [_cpu(state, cpu, register[cpu]) for cpu in cpus]
    boxes += [_vcpu(state, index) for index, _, _ in threads]
    boxes += [_task(state, *thread) for thread in threads]
    dangers = tuple(danger for cpu in cpus for danger in _dangers(state, cpu, register[cpu]))
    return Scene(tuple(boxes), dangers)


def judge_register(state: State, cpu: int) -> str:
    """The status of a CPU's register: whose value should stand in it now?"""
    value: Value | None = state.get(f"cpu{cpu}.kernel_gs_base")
    if value is None:
        return "unknown"
    index = state.get(f"cpu{cpu}.thread")
    if index is None:
        return "live"
    guest = f"vcpu{index}"
    if state.get(f"thread{index}.mode") == "guest" and state.get(f"{guest}.passed") is not False:
        return _judge(value, state.get(f"{guest}.true"), guest)
    if value.owner == guest:
        if not state.get(f"{guest}.loaded"):
            return "foreign"
        true = state.get(f"{guest}.true")
        return "live" if true is None or true == value.number else "stale"
    return "live" if value.owner == f"thread{index}" else "foreign"


def _judge(value: Value, true: int | None, owner: str) -> str:
    if true is not None and value.number == true:
        return "live"
    if value.owner != owner:
        return "foreign"
    return "live" if true is None else "stale"


def _cpu(state: State, cpu: int, status: str) -> Box:
    index = state.get(f"cpu{cpu}.thread")
    runs = state.get(f"cpu{cpu}.runs") or "not known"
    if index is not None:
        runs = f"{owner_words(f'thread{index}')}, {_MODES[state.get(f'thread{index}.mode')]}"
    place = f"cpu{cpu}.kernel_gs_base"
    cell = Cell(place, "KERNEL_GS_BASE", state.get(place), status)
    return Box(f"cpu{cpu}", "cpu", f"CPU {cpu}", (("runs", runs),), (cell,))


def _vcpu(state: State, index: int) -> Box:
    id_ = f"vcpu{index}"
    true = state.get(f"{id_}.true")
    loaded = state.get(f"{id_}.loaded")
    facts = (
        ("EFER.LMA", _ANSWERS[state.get(f"{id_}.long_mode")]),
        ("guest state loaded", _ANSWERS[loaded]),
        ("guest access", _PASSED[state.get(f"{id_}.passed")]),
        ("true value", "not known" if true is None else hex(true)),
    )
    g, h = state.get(f"{id_}.g"), state.get(f"{id_}.h")
    register = _register_of(state, index)
    if g is None:
        g_status = "unknown"
    elif loaded and register is None:
        g_status = "unknown"
    elif loaded and register is not None and register.owner == id_:
        g_status = "copy" if register.number == g.number else "live" if g.number == true else "stale"
    else:
        g_status = _judge(g, true, id_)
    if h is None:
        h_status = "unknown" if loaded else "unused"
    elif not loaded:
        h_status = "unused"
    else:
        h_status = "copy" if register is not None and register.owner == f"thread{index}" else "live"
    cells = (
        Cell(f"{id_}.g", "msr_guest_kernel_gs_base", g, g_status),
        Cell(f"{id_}.h", "msr_host_kernel_gs_base", h, h_status),
    )
    return Box(id_, "vcpu", f"struct vcpu_vmx, vCPU {index}", facts, cells)


def _register_of(state: State, index: int) -> Value | None:
    cpu = state.get(f"thread{index}.cpu")
    if cpu is None or state.get(f"cpu{cpu}.thread") != index:
        return None
    value: Value | None = state.get(f"cpu{cpu}.kernel_gs_base")
    return value


def _task(state: State, index: int, name: str, pid: int) -> Box:
    id_ = f"thread{index}"
    base = state.get(f"{id_}.gs_base")
    cpu = state.get(f"{id_}.cpu")
    facts = (
        ("mode", _MODES[state.get(f"{id_}.mode")]),
        ("CPU", "not known" if cpu is None else str(cpu)),
    )
    register = _register_of(state, index)
    status = "unknown" if base is None else ("copy" if register == base else "live")
    title = f"vCPU thread {index} ({name}-{pid})"
    return Box(id_, "task", title, facts, (Cell(f"{id_}.gs_base", "user GS base", base, status),))


def _dangers(state: State, cpu: int, status: str) -> list[tuple[str, str]]:
    index = state.get(f"cpu{cpu}.thread")
    value: Value | None = state.get(f"cpu{cpu}.kernel_gs_base")
    if index is None or value is None:
        return []
    guest = f"vcpu{index}"
    found = []
    if state.get(f"{guest}.loaded") and state.get(f"{guest}.passed") and value.owner != guest:
        true = state.get(f"{guest}.true")
        if true != value.number:
            right = "" if true is None else f"; right is {hex(true)}"
            whose = owner_words(value.owner)
            who = owner_words(guest)
            text = f"If {who} read its KERNEL_GS_BASE now, it would get {value}, of {whose}{right}."
            found.append(("guest-value", text))
    if value.owner == guest:
        thread = owner_words(f"thread{index}")
        text = f"If user space of {thread} ran now, its GS base would be the guest's {value}."
        found.append(("host-value", text))
    return found
