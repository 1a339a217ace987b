"""What can happen next to a thread: the choices of the model and how each one's section starts."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from vmxsim.checker.promela.environment import Environment
from vmxsim.checker.promela.lines import Lines
from vmxsim.checker.promela.routines import IOCTLS, Routine
from vmxsim.checker.promela.terms import Term
from vmxsim.model.registers import EFER_LMA, EFER_LME

RUN, GET_MSRS, SET_MSRS, SET_SREGS = IOCTLS
_LONG = f"(T.efer & {EFER_LMA})"
_AFTER_EXIT = {
    "exit": "IO_INSTRUCTION", "guest long-mode off": "CR_ACCESS", "guest smi": "SMI", "guest rsm": "RSM",
    "emulate rdmsr": "emulated RDMSR", "emulate wrmsr": "emulated WRMSR",
}  # fmt: skip
#: Where each action is possible: the thread's mode, and what else must hold.
ACTIONS = {
    "run": ("USER", ""), "run cancelled": ("USER", ""), "get-msr": ("USER", ""), "set-msr": ("USER", ""),
    "set-efer long-mode on": ("USER", f"!T.smm && !{_LONG}"),
    "set-efer long-mode off": ("USER", f"!T.smm && {_LONG}"),
    "guest rdmsr": ("GUEST", ""), "guest wrmsr": ("GUEST", ""),
    "emulate rdmsr": ("GUEST", ""), "emulate wrmsr": ("GUEST", ""), "exit": ("GUEST", ""),
    "guest long-mode on": ("GUEST", f"!{_LONG}"), "guest long-mode off": ("GUEST", _LONG),
    "guest smi": ("GUEST", "!T.smm"), "guest rsm": ("GUEST", "T.smm"), "guest swapgs": ("GUEST", _LONG),
}  # fmt: skip
_WRITES = ("set-msr", "guest wrmsr", "emulate wrmsr")


@frozen
class Possible:
    """One choice: its name in the model, when it is there, what is set when it is taken, and
    the statements with which its section starts."""

    name: str
    words: str
    guard: str
    setup: list[str]
    start: list[str]


def names() -> set[str]:
    """Names that the choices take."""
    plain = {_name(verb) for verb in ACTIONS}
    values = {f"{_name(verb)}_{value}" for verb in _WRITES for value in ("FIRST", "SECOND")}
    return {*plain, *values, "STEP", "PENDING", "OUT", "IN", "START_IN_LONG_MODE", "START_OUTSIDE_LONG_MODE"}


def _name(verb: str) -> str:
    return verb.replace(" ", "_").replace("-", "_").upper()


class Choices:
    """All choices in one environment. ``asking`` are the positions from which a tick can be
    pending that only need_resched() sees."""

    def __init__(
        self, lines: Lines, routines: list[Routine], environment: Environment, cpus: int, vcpus: int
    ) -> None:
        self.lines, self.environment, self.cpus, self.vcpus = lines, environment, cpus, vcpus
        self.ioctls = {r.function.name: r for r in routines if not r.calls and not r.scheduler}

    def all(self, asking: list[int]) -> Iterator[Possible]:
        """Every choice, the start left out."""
        for verb, (mode, also) in ACTIONS.items():
            if verb in self.environment.forbid:
                continue
            guard = f"!T.waiting && T.mode == {mode}" + (f" && {also}" if also else "")
            values = ("FIRST", "SECOND") if verb in _WRITES else ("",)
            for value in values[: 1 if self.environment.one_value else None]:
                name = _name(verb) + (f"_{value}" if value else "")
                data = [f"T.msr_data = {value}"] if value else []
                yield Possible(
                    name, f"{verb} {value}".strip(), guard, [], [*data, *self._action(verb, value)]
                )
        kernel, ticks = "!T.waiting && T.mode == KERNEL", self.environment.preemption
        yield Possible("STEP", "its kernel code goes on", kernel, [], [])
        if ticks == "everywhere" and asking:
            there = " || ".join(f"T.pc == {position}" for position in asking)
            words = "a tick comes on the way that only need_resched() sees"
            yield Possible(
                "PENDING", words, f"{kernel} && T.scheduler_pc == 0 && ({there})", [], ["pending = 1"]
            )
        if ticks != "never":
            where = "T.mode != OFF" if ticks == "everywhere" else "(T.mode == USER || T.mode == GUEST)"
            yield Possible(
                "OUT", "a tick: it is taken from its CPU", f"!T.waiting && {where}", [], ["tick()"]
            )
        for cpu in range(self.cpus):
            guard = f"T.waiting && {self._free(cpu)}"
            setup = [f"T.cpu = {cpu}"] if self.cpus > 1 else []
            if not self.environment.migration and setup:
                guard, setup = f"{guard} && T.cpu == {cpu}", []
            yield Possible("IN", f"it goes on on CPU {cpu}", guard, setup, ["switch_in()"])

    def _free(self, cpu: int) -> str:
        if self.vcpus == 1:
            return "true"
        other = f" || thread[1 - _pid].cpu != {cpu}" if self.cpus > 1 else ""
        return f"(thread[1 - _pid].waiting{other})"

    # -- how an action starts

    def _ioctl(self, name: str, *args: Term) -> list[str]:
        handle = Term("0", frozenset([0]))
        entered = self.lines.enter(self.ioctls[name], [handle, *args], None, name)
        return ["T.mode = KERNEL", *entered, "running = 0"]

    def _action(self, verb: str, value: str) -> list[str]:
        passes = "passes_through()"
        match verb:
            case "run" | "run cancelled":
                return [f"T.signal_pending = {int(verb != 'run')}", *self._ioctl(RUN)]
            case "get-msr":
                return self._ioctl(GET_MSRS)
            case "set-msr":
                return self._ioctl(SET_MSRS)
            case "set-efer long-mode on" | "set-efer long-mode off":
                return self._ioctl(SET_SREGS, *self._sregs(verb.endswith("on")))
            case "guest swapgs":
                return ["guest_swapgs()", "running = 0"]
            case "guest long-mode on":
                first, second = (self.lines.terms.encoding.text(word) for word in ("PG off", "LME on"))
                return [f"T.script = (T.cr0 & (1 << 31) -> {first} : {second})", "next_of_script()"]
            case "guest rdmsr":
                done = "guest_finds(T.kernel_gs_base, T.true_guest_value); running = 0"
                return [f"if\n:: {passes} -> {done}\n:: else -> vm_exit({self._word('MSR_READ')})\nfi"]
            case "guest wrmsr":
                wrote = ["guest_wrote()"] if self.environment.guest_wrote_first else []
                done = f"guest_wrmsr({value}); running = 0"
                return [
                    *wrote,
                    f"if\n:: {passes} -> {done}\n:: else -> vm_exit({self._word('MSR_WRITE')})\nfi",
                ]
        return [f"vm_exit({self._word(_AFTER_EXIT[verb])})"]

    def _word(self, word: str) -> str:
        return self.lines.terms.encoding.text(word)

    def _sregs(self, on: bool) -> tuple[Term, Term]:
        domains, pg = self.lines.store.domains, 1 << 31
        efers, cr0s = domains.get("efer", set()), domains.get("cr0", set())
        if on:
            efer = Term(
                f"(T.efer | {EFER_LME | EFER_LMA})", frozenset(x | EFER_LME | EFER_LMA for x in efers)
            )
            return efer, Term("(T.cr0 | (1 << 31))", frozenset(x | pg for x in cr0s))
        efer = Term(f"(T.efer & ~{EFER_LMA})", frozenset(x & ~EFER_LMA for x in efers))
        return efer, Term("(T.cr0 & ~(1 << 31))", frozenset(x & ~pg for x in cr0s))
