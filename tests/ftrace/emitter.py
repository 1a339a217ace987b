"""ftrace text of a simulated run: what a kernel with that design would have traced.

An oracle for the reader: the run knows which design it followed and what broke; the text does not.
"""

from __future__ import annotations

from typing import Any

from vmxsim.ftrace.events import FUNCTIONS
from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.trace import Access, Step

#: The functions that have a kprobe, by role.
_STATE = {*FUNCTIONS.values()} - {"efer_work", "intercept_on", "intercept_off"}
_MSR = 0xC0000102


class Emitter:
    """Writes the events of a run; ``probes`` switches the kprobes on."""

    def __init__(self, trace: RunTrace, long_mode: bool, probes: bool = True) -> None:
        self.trace = trace
        self.probes = probes
        self.host = trace.machine(0).host
        self.lines = ["# tracer: nop", "#"]
        self.step_of_line: dict[int, int] = {}
        self.values: dict[str, Any] = {}
        for index in range(2):
            self.values[f"vcpu{index}.efer"] = 0xD01 if long_mode else 0x901
        for place, cell in trace.scene(0).cells().items():
            if cell.value is not None:
                self.values[place] = cell.value.number
        self.stacks: dict[str, tuple[str, ...]] = {}
        self.reason: dict[str, str] = {}
        self.cpu_of: dict[str, int] = {}
        self.step = 0

    def text(self) -> str:
        """The whole trace. As in a real one, the kernel's accesses to other MSRs show what is recorded, and
        the thread is switched in first."""
        self.emit("plain", 0, "sched_switch", self.switch_text("plain0", "thread0"))
        self.emit("plain", 0, "read_msr", "1d9, value 0")
        self.emit("plain", 0, "write_msr", "c0000103, value 0")
        for number, step in enumerate(self.trace.steps):
            self.step = number
            self.feed(step)
        count = len(self.lines) - 2
        self.lines[1] = f"# entries-in-buffer/entries-written: {count}/{count}   #P:2"
        return "\n".join(self.lines) + "\n"

    def emit(self, thread: str, cpu: int, name: str, text: str) -> None:
        pid = 50 + cpu if thread == "plain" else 100 + int(thread[6:])
        comm = "plain" if thread == "plain" else "vcpu thread-x"
        self.lines.append(
            f"{comm:>16}-{pid:<7} [{cpu:03}] d..1. {len(self.lines) / 1e6 + 1:12.6f}: {name}: {text}"
        )
        self.step_of_line[len(self.lines)] = self.step

    def fields(self, thread: str) -> str:
        vcpu = f"vcpu{thread[6:]}"
        get = self.values.get
        loaded = int(get(f"{vcpu}.loaded", 0))
        h, g, efer = get(f"{vcpu}.h", 0), get(f"{vcpu}.g", 0), get(f"{vcpu}.efer", 0)
        return f"loaded={loaded} hgs={h:#x} ggs={g:#x} cefer={efer:#x}"

    def feed(self, step: Step) -> None:
        thread = step.thread
        if thread != "plain":
            self.calls(step)
        self.accesses(step)
        was = self.values.get(f"{thread}.mode")
        for change in step.changes:
            after = getattr(change.after, "number", change.after)
            self.values[change.place] = int(after) if isinstance(after, bool) else after
            if change.place.endswith(".exit_reason") and change.after:
                self.reason[f"thread{change.place[4]}"] = change.after
        mode = self.values.get(f"{thread}.mode")
        if mode == was or thread == "plain":
            return
        if mode == "guest":
            self.emit(thread, step.cpu, "kvm_entry", "vcpu 0, rip 0x8000")
        elif was == "guest":
            reason = self.reason.get(thread, "IO_INSTRUCTION")
            reason = "EXCEPTION_NMI" if reason.startswith("emulated") else reason  # a forced emulation
            self.emit(thread, step.cpu, "kvm_exit", f"vcpu 0 reason {reason} rip 0x8000 info1 0x0 info2 0x0")
            if "MOV to CR0" in step.source:
                value = 0x80000031 if "PG = 1" in step.source else 0x31
                self.emit(thread, step.cpu, "kvm_cr", f"cr_write 0 = {value:#x}")
        elif mode == "user" and "KVM_RUN" in self.ioctl:
            self.emit(thread, step.cpu, "kvm_userspace_exit", "reason KVM_EXIT_IO (2)")
            self.ioctl = ""

    ioctl = ""
    switched = False

    def calls(self, step: Step) -> None:
        """Function entries and returns since the thread's last step."""
        thread = step.thread
        if step.mode == "user" and "ioctl" in step.source:
            self.ioctl = step.source
        now = tuple(frame.function for frame in step.stack) if step.mode == "kernel" else ()
        before = self.stacks.get(thread, ())
        same = 0
        while same < min(len(now), len(before)) and now[same] == before[same]:
            same += 1
        for function in reversed(before[same:]):
            self.returned(step, function)
        for function in now[same:]:
            self.called(step, function)
        self.stacks[thread] = now

    def called(self, step: Step, function: str) -> None:
        if function == "kvm_sched_out":
            self.switched = True
            self.emit(
                step.thread, step.cpu, "sched_switch", self.switch_text(step.thread, f"plain{step.cpu}")
            )
        role = FUNCTIONS.get(function, "")
        if not self.probes or role not in _STATE:
            return
        text = f"({function}+0x0/0x20 [kvm_intel]) {self.fields(step.thread)}"
        if role in ("get", "set"):
            data = self.values.get(f"vcpu{step.thread[6:]}.msr_data") or 0 if role == "set" else 0
            text += f" host={int('MSRS' in self.ioctl)} index={_MSR:#x} data={data:#x}"
        elif role == "efer":
            return  # the run does not hold its argument; cefer at the next probe shows the mode
        self.emit(step.thread, step.cpu, function, text)

    def returned(self, step: Step, function: str) -> None:
        if function in ("handle_wrmsr", "handle_rdmsr") or function.startswith("em_"):
            kind = "write" if "wrmsr" in function else "read"
            vcpu = f"vcpu{step.thread[6:]}"
            value = self.values.get(f"{vcpu}.msr_data" if kind == "write" else f"{vcpu}.returned")
            if value is not None:
                self.emit(step.thread, step.cpu, "kvm_msr", f"msr_{kind} c0000102 = {value:#x}")
        if self.probes and FUNCTIONS.get(function, "") in _STATE and FUNCTIONS[function] != "efer":
            self.emit(step.thread, step.cpu, f"ret_{function}", f"(somebody+0x10/0x20 [kvm] <- {function})")

    def accesses(self, step: Step) -> None:
        for access in step.accesses:
            if access.kind == "user":
                self.changed(step, access)
            elif access.kind == "wrmsr" and step.source.startswith("wrmsrns"):
                pass  # WRMSRNS leaves no event
            elif access.kind in ("rdmsr", "wrmsr"):
                name = "read_msr" if access.kind == "rdmsr" else "write_msr"
                self.emit(step.thread, access.cpu, name, f"c0000102, value {access.value:x}")
            elif access.kind == "ctxsw":
                if step.function == "__switch_to":
                    current = f"cpu{access.cpu}.current"
                    thread = next(change.after for change in step.changes if change.place == current)
                    self.emit(
                        "plain", access.cpu, "sched_switch", self.switch_text(f"plain{access.cpu}", thread)
                    )
                elif not self.switched:
                    text = self.switch_text(step.thread, f"plain{access.cpu}")
                    self.emit(step.thread, access.cpu, "sched_switch", text)
                else:
                    self.switched = False
                if not self.host.fsgsbase and access.value and not self.by_descriptor(step):
                    self.emit(step.thread, access.cpu, "write_msr", f"c0000102, value {access.value:x}")

    def by_descriptor(self, step: Step) -> bool:
        """Whether the base that a context switch loads comes from a descriptor: no MSR is written."""
        incoming = next(c.after for c in step.changes if c.place.endswith(".current"))
        return self.host.gs_base_from == "descriptor" and incoming != "plain"

    def changed(self, step: Step, access: Access) -> None:
        """User space changes its base: only arch_prctl() writes the MSR, with preemption disabled."""
        if not self.host.fsgsbase and self.host.gs_base_from == "msr":
            self.emit(step.thread, access.cpu, "write_msr", f"c0000102, value {access.value:x}")

    @staticmethod
    def switch_text(prev: str, following: str) -> str:
        def who(task: str) -> tuple[str, int]:
            if task.startswith("plain"):
                return "plain", 50 + int(task[5:])
            return "vcpu thread-x", 100 + int(task[6:])

        (a, b), (c, d) = who(prev), who(following)
        before = f"prev_comm={a} prev_pid={b} prev_prio=120 prev_state=R"
        return f"{before} ==> next_comm={c} next_pid={d} next_prio=120"
