"""The choices of the Promela model: what can happen next to a thread, and how it starts."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from vmxsim.checker.assumptions import ASSUMPTIONS, Restriction
from vmxsim.checker.states import SLOTS, USER
from vmxsim.checker.symbolic import ENTERS
from vmxsim.errors import InputError
from vmxsim.kernel.machine import EFER_LMA, EFER_LME, Host
from vmxsim.promela.code import Lines
from vmxsim.promela.terms import IOCTLS, Routine, Term

#: Supported assumptions that do more than forbid actions.
_KNOWN = {
    "no-preemption", "no-kernel-preemption", "no-migration", "one-value", "starts-in-long-mode",
    "starts-outside-long-mode", "guest-wrote-first", "no-signal",
}  # fmt: skip


@frozen
class Environment:
    """What guest, user space and scheduler may do; by default, everything.

    ``forbid`` are actions that never happen (``guest swapgs``, ``guest smi``, ...).
    ``preemption`` says where a tick may arrive: ``everywhere``, ``at rest`` (in the guest and in
    user space) or ``never``. Without ``migration`` a thread resumes on the CPU where it was
    preempted. With ``one_value`` guest and user space write only the first of the two values.
    With ``guest_wrote_first`` transitions that break an invariant before the guest has written
    a value with WRMSR in long mode do not happen. With ``signals`` one may be pending when an exit has
    been handled.
    """

    forbid: frozenset[str] = frozenset()
    preemption: str = "everywhere"
    migration: bool = True
    one_value: bool = False
    guest_wrote_first: bool = False
    signals: bool = True


def restricted(restriction: Restriction) -> Environment:
    """The environment under the checker's assumptions, apart from their ``long_modes``.

    Raises InputError for an assumption that the model cannot express.
    """
    names = set(restriction.names)
    if unknown := [name for name in restriction.names if name not in _KNOWN and not ASSUMPTIONS[name].verbs]:
        raise InputError(f"the Promela model does not support '{unknown[0]}'", "assume")
    preemption = "at rest" if "no-kernel-preemption" in names else "everywhere"
    return Environment(
        forbid=restriction.verbs,
        preemption="never" if "no-preemption" in names else preemption,
        migration="no-migration" not in names,
        one_value="one-value" in names,
        guest_wrote_first="guest-wrote-first" in names,
        signals=not names & {"no-signal", "no-exit"},
    )


RUN, GET_MSRS, SET_MSRS, SET_SREGS = IOCTLS
_LONG = f"(T.efer & {EFER_LMA})"
_AFTER_EXIT = {
    "exit": "IO_INSTRUCTION", "guest long-mode off": "CR_ACCESS", "guest smi": "SMI", "guest rsm": "RSM",
    "emulate rdmsr": "emulated RDMSR", "emulate wrmsr": "emulated WRMSR",
}  # fmt: skip
#: When each action is possible: the thread's mode, and a further condition.
ACTIONS = {
    "run": ("USER", ""), "run cancelled": ("USER", ""), "get-msr": ("USER", ""), "set-msr": ("USER", ""),
    "set-efer long-mode on": ("USER", f"!T.smm && !{_LONG}"),
    "set-efer long-mode off": ("USER", f"!T.smm && {_LONG}"),
    "guest rdmsr": ("GUEST", ""), "guest wrmsr": ("GUEST", ""),
    "emulate rdmsr": ("GUEST", ""), "emulate wrmsr": ("GUEST", ""), "exit": ("GUEST", ""),
    "guest long-mode on": ("GUEST", f"!{_LONG}"), "guest long-mode off": ("GUEST", _LONG),
    "guest smi": ("GUEST", "!T.smm"), "guest rsm": ("GUEST", "T.smm"), "guest swapgs": ("GUEST", _LONG),
    "user gs-base": ("USER", ""),
}  # fmt: skip

_WRITES = ("set-msr", "guest wrmsr", "emulate wrmsr")


@frozen
class Possible:
    """A choice: its name in the model, a comment, its guard, what it sets when taken, and the
    statements that start its section."""

    name: str
    words: str
    guard: str
    setup: list[str]
    start: list[str]


def names() -> set[str]:
    """The names of all choices."""
    plain = {_name(verb) for verb in ACTIONS}
    values = {f"{_name(verb)}_{value}" for verb in _WRITES for value in ("FIRST", "SECOND")}
    return {
        *plain,
        *values,
        "STEP",
        "PENDING",
        "SIGNAL",
        "OUT",
        "IN",
        "START_IN_LONG_MODE",
        "START_OUTSIDE_LONG_MODE",
    }


def _name(verb: str) -> str:
    return verb.replace(" ", "_").replace("-", "_").upper()


class Choices:
    """All choices in one environment."""

    def __init__(
        self,
        lines: Lines,
        routines: list[Routine],
        environment: Environment,
        cpus: int,
        vcpus: int,
        host: Host,
    ) -> None:
        self.lines, self.environment, self.cpus, self.vcpus = lines, environment, cpus, vcpus
        self.host = host
        self.ioctls = {r.function.name: r for r in routines if not r.calls and not r.scheduler}

    def all(self, asking: list[int], ending: list[int]) -> Iterator[Possible]:
        """Every choice except the start. ``asking`` are the positions from which a tick can be
        pending that only need_resched() sees, ``ending`` those from which a signal can end KVM_RUN."""
        for verb, (mode, also) in ACTIONS.items():
            if verb in self.environment.forbid or (verb == "user gs-base" and self.host.bases == "zero"):
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
        yield Possible("STEP", "its kernel code continues", kernel, [], [])
        if ticks == "everywhere" and asking:
            there = " || ".join(f"T.pc == {position}" for position in asking)
            words = "a tick arrives that only need_resched() sees"
            yield Possible(
                "PENDING", words, f"{kernel} && T.scheduler_pc == 0 && ({there})", [], ["pending = 1"]
            )
        if self.environment.signals and ending:
            there = " || ".join(f"T.pc == {position}" for position in ending)
            words = "a signal is pending once the exit has been handled"
            guard = f"{kernel} && T.scheduler_pc == 0 && {_MAY_SIGNAL.format(EXTERNAL=self._word(_TICK))}"
            yield Possible("SIGNAL", words, f"{guard} && ({there})", [], ["signal = 1"])
        if ticks != "never":
            where = "T.mode != OFF" if ticks == "everywhere" else "(T.mode == USER || T.mode == GUEST)"
            yield Possible("OUT", "a tick: it is preempted", f"!T.waiting && {where}", [], ["tick()"])
        for cpu in range(self.cpus):
            guard = f"T.waiting && {self._free(cpu)}"
            setup = [f"T.cpu = {cpu}"] if self.cpus > 1 else []
            if not self.environment.migration and setup:
                guard, setup = f"{guard} && T.cpu == {cpu}", []
            yield Possible("IN", f"it resumes on CPU {cpu}", guard, setup, ["switch_in()"])

    def _free(self, cpu: int) -> str:
        if self.vcpus == 1:
            return "true"
        other = f" || thread[1 - _pid].cpu != {cpu}" if self.cpus > 1 else ""
        return f"(thread[1 - _pid].waiting{other})"

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
            case "user gs-base":
                return [*self._exchange(), "running = 0"]
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

    def _exchange(self) -> list[str]:
        """User space changes its base: HOST is the new one, OTHER the old one."""
        kept = [f"T.{name}" for name in SLOTS if self.lines.terms.store.kept(name)]
        changes = [f"{x} = ({x} == HOST -> OTHER : ({x} == OTHER -> HOST : {x}))" for x in kept]
        by_msr = self.host.gs_base_from == "msr" and not self.host.fsgsbase
        user = [f"T.{SLOTS[USER]} = HOST"] if by_msr and f"T.{SLOTS[USER]}" in kept else []
        return [*changes, "T.kernel_gs_base = HOST", *user]

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


#: Lines after which a section is taken to loop forever.
MAX_LINES = 5000
#: When a signal that is pending after an exit makes a difference, see ``checker/symbolic.py``.
_TICK = "EXTERNAL_INTERRUPT"
_MAY_SIGNAL = (
    "!T.signal_pending && !T.irqs_disabled && T.script == NOTHING"
    " && T.exit_reason != NOTHING && T.exit_reason != {EXTERNAL}"
)
_SIGNAL = "if\n:: signal && {may} -> T.signal_pending = 1; signal = 0\n:: else -> skip\nfi"
_PENDING = "if\n:: pending -> T.need_resched = 1; pending = 0\n:: else -> skip\nfi"

#: The process of a thread: a choice, then a section, line by line.
_PROCESS = """\
active [{vcpus}] proctype vcpu_thread() {{
end: do
  :: atomic {{
    if
{options}
    fi;
    d_step {{
      {counts}running = 1;
      if
{starts}
      :: else -> skip
      fi;
      do
      :: !running -> break
      :: else ->
         lines++;
         fails_if(lines > {most});
         if
         :: T.scheduler_pc ->
{scheduler_lines}
         :: else ->
{lines}
         fi;
         do /* returning is not a line */
         :: T.pc >= ENDS ->
{ends}
         :: T.scheduler_pc >= ENDS ->
{scheduler_ends}
         :: !at_end() -> break
         od;
         after_line()
      od;
      end_of_section()
    }}
  }}
  od
}}
"""


def process(
    lines: Lines, routines: list[Routine], ends: int, choices: list[Possible], vcpus: int, counts: bool
) -> str:
    """The process of a thread. Positions from ``ends`` on are ends of functions; ``counts``: a
    violation does not always count."""
    options, starts = [], {}
    for choice in choices:
        setup = "; ".join([*choice.setup, f"choice = {choice.name}"])
        options.append(f"    /* {choice.words} */\n    :: d_step {{ {choice.guard} -> {setup} }}")
        starts[choice.name] = choice.start
    begin = [f"      :: choice == {name} -> " + joined(start, 9) for name, start in starts.items() if start]
    base = [r for r in routines if not r.scheduler]
    scheduler = [r for r in routines if r.scheduler]
    return _PROCESS.format(
        vcpus=vcpus,
        options="\n".join(options),
        counts="counts = T.guest_wrote;\n      " if counts else "",
        starts="\n".join(begin),
        most=MAX_LINES,
        lines=_dispatch(lines, base, ends, False),
        scheduler_lines=_dispatch(lines, scheduler, ends, False),
        ends=_dispatch(lines, base, ends, True),
        scheduler_ends=_dispatch(lines, scheduler, ends, True),
    )


def _dispatch(lines: Lines, routines: list[Routine], ends: int, of_ends: bool) -> str:
    """The statements of each line, or of each end of a function, grouped by function."""
    out = ["            if"]
    for routine in routines:
        f, pc = routine.function, routine.pc
        own = [(p, n) for n, p in enumerate(routine.positions) if (p >= ends) is of_ends]
        positions = [p for p, _ in own] + [routine.leave] * of_ends
        if not positions:
            continue
        first, last = min(positions), max(positions)
        guard = f"{pc} >= {first} && {pc} <= {last}" if first < last else f"{pc} == {first}"
        out += [f"            /* {f.owner}.{f.name}() */", f"            :: {guard} ->", "               if"]
        for position, index in own:
            i = f.instructions[index]
            text = f"{f.at(i.line).name}: {routine.source(i)}" if i.kind != "end" or i.expr else "its end"
            may = _MAY_SIGNAL.format(EXTERNAL=lines.terms.encoding.text(_TICK))
            signals = f.name != ENTERS and "signal_pending" in i.queries
            statements = [
                *[_PENDING] * ("need_resched" in i.queries),
                *[_SIGNAL.format(may=may)] * signals,
                *lines.line(routine, index),
            ]
            out.append(f"               /* {f.name}, {text} */")
            out.append(f"               :: {pc} == {position} -> " + joined(statements, 18))
        if of_ends:
            out.append(f"               /* {f.name}, back to its caller */")
            out.append(f"               :: {pc} == {last} -> " + joined(lines.leave(routine), 18))
        out.append("               fi")
    return "\n".join([*out, "            fi"])


def joined(statements: list[str], indent: int) -> str:
    """Statements joined by semicolons, one per line."""
    margin = "\n" + " " * indent
    return (";" + margin).join(s.replace("\n", margin) for s in statements)
