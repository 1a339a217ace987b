"""Write a design as a Promela model, from the instructions of its functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import define

from vmxsim.checker.either_way import conditions_of
from vmxsim.checker.relevant import relevant_vcpu_fields
from vmxsim.checker.states import (
    GUEST_BASE,
    GUEST_VALUES,
    HOST,
    NON_CANONICAL,
    OTHER,
    RESET,
    SLOTS,
    UNKNOWN,
    USER,
    ZERO,
    numbered_values,
)
from vmxsim.errors import InputError, counted
from vmxsim.kernel.attributes import U64, at_first, vcpu_fields
from vmxsim.kernel.kvm import Kvm, hook, name_of
from vmxsim.kernel.machine import EFER_LMA, EFER_LME, Host, Value, reset_cr0, reset_efer
from vmxsim.promela.choices import Choices, Environment, Possible, names, process
from vmxsim.promela.code import DEEPEST, Effects, Lines, may_ask
from vmxsim.promela.terms import SCHEDULE, VALUE_NAMES, Encoding, Store, Term, Terms, collect, variable_of
from vmxsim.simulation.scenario import make_host

HEADER = """\
/*
 * {title}
 * {host}, {cpus} CPU(s), {vcpus} vCPU(s); written by vmxsim from the design's kernel code.
 *
 * A transition of a thread is a choice (the if at the top of the process) and a section: what follows up
 * to the next point where somebody else can act. Spin takes three steps for it (the choice, the join
 * after it, the section) without a state in between, so a trail of n transitions has 3 n + 2 steps. A
 * section is one d_step. It makes atomic: lines of kernel code with preemption disabled or interrupts
 * off, what the processor does at VM entry and exit, the scheduler's work before and after the context
 * switch, and returning from a function, which is not a line. Every line that may be preempted ends a
 * section.
 *
 * A thread's state is in thread[_pid] (T): the modes, flags and EFER; the number of the value in each
 * place that can hold the register's value; and its stack: pc and scheduler_pc are the next line (0:
 * none), f__x is variable x of function f, f__caller the caller to which f returns. A CPU's register is
 * kept with the thread that runs there. State that nothing depends on is left out.
 *
 *   spin -a model.pml
 *   gcc -O2 -DSAFETY -DNOREDUCE -o pan pan.c; ./pan -n -m3000000      (add -DBFS for a shortest trail)
 *   spin -t -p model.pml                                              (shows the trail)
 *
 * HOST is always the thread's true user GS base. When its user space changes it, HOST and OTHER are exchanged
 * in every place, so that the new base is HOST again.
 *
 * With -DWATCH=n (spin -DWATCH=2 -a ...) only the invariants in n are asserted; the others still end a
 * path. With -DCOUNT no assertion fails: every violation leads to one sink state. The states stored are
 * then those of `vmxsim check`, counted with the CPU of each running thread, plus one before the start,
 * plus the sink if it is reached.
 * If one process is not enough: gcc -DNCORE=2 -DSAFETY -DNOREDUCE -DMEMLIM=8000 (several processes with a
 * shared table), -DCOLLAPSE or -DMA=100 (less memory, slower), -DBITSTATE and pan -w32 (only hashes of
 * states, so the search may miss some), or `swarm` (many such searches, each different). Without
 * -DNOREDUCE Spin looks for independent steps; there are none here.
 */
"""

MACROS = """\
#define T thread[_pid]

#define no_stack() (T.pc == 0 && T.scheduler_pc == 0)
#define in_scheduler() (T.scheduler_pc >= {first} && T.scheduler_pc <= {last})
#define preemptible() (!T.irqs_disabled && T.preempt_count == 0 && !in_scheduler())
#define at_end() (T.pc >= ENDS || T.scheduler_pc >= ENDS)
#define passes_through() ({passes})

#define number_of(v) ({number_of})
#define wrong(found, right) (number_of(found) != number_of(right))

inline fails_if(condition) {{
  if
  :: (condition) -> bad = bad | CONTRACT; running = 0
  :: else -> skip
  fi
}}

inline guest_finds(found, right) {{
  if
  :: wrong(found, right) -> bad = bad | GUEST_VALUE |
     ((found) == HOST || (found) == OTHER -> NO_LEAK : 0)
  :: else -> skip
  fi
}}

inline user_space() {{
  T.mode = USER;
  if
  :: wrong(T.kernel_gs_base, HOST) -> bad = bad | HOST_VALUE |
     (T.kernel_gs_base <= GUEST_BASE -> NO_LEAK : 0)
  :: else -> skip
  fi
}}

inline guest_runs() {{
  if
  :: passes_through() -> guest_finds(T.kernel_gs_base, T.true_guest_value)
  :: else -> skip
  fi
}}

inline host_wrmsr(written) {{
  if
  :: NON_CANONICAL(written) -> bad = bad | NO_HOST_FAULT
  :: else -> T.kernel_gs_base = written
  fi
}}

inline guest_wrmsr(written) {{
  if
  :: NON_CANONICAL(written) -> skip
  :: else -> T.kernel_gs_base = written; T.true_guest_value = written
  fi;
  guest_finds(T.kernel_gs_base, T.true_guest_value)
}}

inline guest_swapgs() {{
  guest_finds(T.kernel_gs_base, T.true_guest_value);
  result = T.kernel_gs_base; T.kernel_gs_base = T.gs_base; T.gs_base = result;
  result = T.true_guest_value; T.true_guest_value = T.true_gs_base; T.true_gs_base = result;
  guest_runs()
}}

inline disable_preemption() {{
  if
  :: T.preempt_count == DEEPEST -> bad = bad | NOT_MODELLED; running = 0
  :: else -> T.preempt_count++
  fi
}}

inline enable_preemption() {{
  if
  :: T.preempt_count == 0 -> bad = bad | CONTRACT; running = 0
  :: else -> T.preempt_count--
  fi
}}

inline vm_exit(reason) {{
  T.mode = KERNEL;
  T.exit_reason = reason
}}

/* a guest that enters long mode: CR0.PG off, EFER.LME on, CR0.PG on, as needed */
inline next_of_script() {{
  if
  :: T.script == PG_OFF -> T.script = LME_ON; vm_exit(CR_ACCESS)
  :: T.script == LME_ON && !(T.efer & {lme}) -> T.script = PG_ON; vm_exit(MSR_WRITE_OF_EFER)
  :: else -> T.script = NOTHING; vm_exit(CR_ACCESS)
  fi
}}

/* the interrupt handler, on top of the running code */
inline schedule() {{
  if
  :: T.scheduler_pc != 0 -> bad = bad | NOT_MODELLED; running = 0
  :: else -> skip
  fi;
  T.mode = KERNEL;
  {schedule}
}}

inline tick() {{
  T.need_resched = 1;
  if
  :: T.mode == GUEST -> vm_exit(EXTERNAL_INTERRUPT)
  :: else -> schedule()
  fi
}}

/* __switch_to(): the task's bases are saved */
inline switch_out() {{
  T.need_resched = 0;
  T.waiting = 1;{save}
  T.kernel_gs_base = RESET;{leave_cpu}
  running = 0
}}

/* __switch_to(): the task's base is loaded */
inline switch_in() {{
  T.waiting = 0;
  T.kernel_gs_base = {base};
  if
  :: no_stack() -> T.preempt_count = 0; user_space(); running = 0
  :: else -> T.preempt_count = 1
  fi
}}

/* after a line: continue, enter the scheduler, or end the section */
inline after_line() {{
  if
  :: !running -> skip
  :: running && no_stack() && !(T.need_resched && preemptible()) -> user_space(); running = 0
  :: running && !no_stack() && T.mode == GUEST ->
     if
     :: T.need_resched -> vm_exit(EXTERNAL_INTERRUPT)
     :: !T.need_resched && T.script != NOTHING -> next_of_script()
     :: else -> running = 0
     fi
  :: else ->
     if
     :: !preemptible() -> skip
     :: preemptible() && T.need_resched -> schedule()
     :: else -> running = 0
     fi
  fi
}}

/* at rest, reset what only the action needed */
inline rest() {{
  if
  :: T.mode == KERNEL -> skip
  :: else ->
     {rest}
  fi
}}

inline end_of_section() {{
  {uncounted}assert(!(bad & NOT_MODELLED));
#ifndef COUNT
  assert(!(bad & WATCH));
#endif
  if
  :: bad -> sink()
  :: else -> rest()
  fi;
  choice = 0; bad = 0; lines = 0; pending = 0; signal = 0; running = 0; result = 0{counts}
}}
"""

#: A transition that breaks an invariant before violations count is assumed not to happen.
EARLY = """\
if
  :: bad && !counts -> sink(); bad = bad & NOT_MODELLED
  :: else -> skip
  fi;
  """


EXITS = (
    "MSR_READ", "MSR_WRITE", "MSR_WRITE of EFER", "CR_ACCESS", "emulated RDMSR", "emulated WRMSR", "SMI",
    "RSM", "IO_INSTRUCTION", "EXTERNAL_INTERRUPT",
)  # fmt: skip
#: The next instruction of a guest that needs several to enter long mode.
SCRIPTS = ("PG off", "LME on", "PG on")
_FLAGS = ("waiting", "preempt_notifier", "signal_pending", "need_resched", "irqs_disabled")


def saved_base(host: Host) -> int:
    """The number of the value in ``thread.gsbase`` at the start."""
    return ZERO if host.starts_saved_as_zero else HOST


def start_values(
    design: type[Kvm], host: Host, long_mode: bool, waiting: bool, cpu: int, values: tuple[Value, ...]
) -> dict[str, Any]:
    """The initial values of a thread's variables, in user space or waiting for a CPU."""
    in_array = design.labels["h"].startswith("host_msrs")
    slots = [RESET if waiting else HOST, RESET, HOST if in_array else UNKNOWN, GUEST_BASE, RESET, GUEST_BASE]
    return {
        "mode": "user",
        **dict.fromkeys(_FLAGS, False),
        "waiting": waiting,
        "cpu": cpu,
        "preempt_count": 0,
        "task_gs_sel": host.gs_sel,
        "bits": host.bits,
        "efer": reset_efer(long_mode),
        "cr0": reset_cr0(long_mode),
        "loaded": False,
        "lists_kernel_gs_base": long_mode,
        "save_nmsrs": design.shared_msrs[long_mode],
        "msrs_ready": False,
        "bitmap_passes": long_mode or design.bitmap_passes_at_creation,
        "ldt_sel": 0,
        "gs_sel": 0,
        "exit_reason": "",
        "smm": False,
        "smram_efer": 0,
        "smram_cr0": 0,
        "script": "",
        "guest_wrote": False,
        **{name: values[n] for name, n in zip(SLOTS, [*slots, RESET, saved_base(host)], strict=True)},
        **{variable_of(n, True): at_first(first) for n, first in vcpu_fields(design, long_mode).items()},
    }


def declare(store: Store, values: tuple[Value, ...], cpus: int, guest_wrote_first: bool, host: Host) -> None:
    """Declare the values that guest, user space and scheduler store in the variables."""
    store.grow("mode", ["", "user", "kernel", "guest"])
    for name in _FLAGS:
        store.grow(name, [False, True])
    store.grow("cpu", range(cpus))
    store.grow("preempt_count", range(DEEPEST + 1))
    store.grow("exit_reason", ["", *EXITS])
    store.grow("script", ["", *SCRIPTS])
    store.grow("guest_wrote", [False, guest_wrote_first])
    for n, name in enumerate(SLOTS):
        if n != USER or host.fsgsbase:  # saving reads the register
            store.grow(name, values)
    if host.gs_base_from == "descriptor":
        saved = [saved_base(host), ZERO]
        store.grow(SLOTS[USER], [values[n] for n in (*saved, *([OTHER] if HOST in saved else []))])


#: One bit for each invariant; the last means that the model cannot follow the design.
BITS = ("GUEST_VALUE", "HOST_VALUE", "NO_LEAK", "NO_HOST_FAULT", "CONTRACT", "NOT_MODELLED")
_FREE = Environment()


def promela(
    design: type[Kvm],
    *,
    bits: int = 64,
    gs_base_from: str | None = None,
    fsgsbase: bool | None = None,
    bases: str = "own",
    cpus: int = 2,
    vcpus: int = 1,
    long_modes: tuple[bool, ...] = (False, True),
    interception: str = "rule",
    non_canonical: bool = False,
    environment: Environment = _FREE,
) -> str:
    """The design as a self-contained model for Spin.

    Its states are those of the checker, with the CPU of each running thread. ``bits``, ``gs_base_from``,
    ``fsgsbase`` and ``bases`` describe the :class:`~vmxsim.kernel.machine.Host`. Raises InputError
    for anything that a finite Promela model cannot express.
    """
    if vcpus not in (1, 2):
        raise InputError("the model supports one or two vCPUs", "vcpus")
    if not 1 <= cpus <= 16:
        raise InputError("the model supports 1 to 16 CPUs", "cpus")
    if hook(design, "exit_to_user_mode"):
        raise InputError("the Promela model has no exit_to_user_mode()", name_of(design))
    host = make_host(f"{bits}-bit", design, gs_base_from, fsgsbase, bases)
    return _Model(design, host, cpus, vcpus, long_modes, interception, non_canonical, environment).text()


@define(slots=False)
class _Model:
    design: type[Kvm]
    host: Host
    cpus: int
    vcpus: int
    long_modes: tuple[bool, ...]
    interception: str
    non_canonical: bool
    environment: Environment

    def __attrs_post_init__(self) -> None:
        second = NON_CANONICAL if self.non_canonical else GUEST_VALUES[1]
        self.values = numbered_values((GUEST_VALUES[0], second), self.host.bases)
        self.encoding = Encoding(self.values, {*names(), *BITS})
        self.store = Store(self.encoding)
        self.terms = Terms(self.store, self.non_canonical, self.host)
        own = self.design.own_fields("fields")
        fields = relevant_vcpu_fields(self.design, self.interception)
        self.fields = [variable_of(name, name in own) for name in fields]
        self.holders = (*SLOTS, *(variable_of(n, True) for n, first in own.items() if isinstance(first, U64)))
        self.lines = Lines(self.terms, Effects(self.terms), self.fields, self.holders)
        self.routines, self.ends = collect(self.design)
        self.scheduler = next(r for r in self.routines if r.scheduler and r.function.name == SCHEDULE)
        self.choices = Choices(self.lines, self.routines, self.environment, self.cpus, self.vcpus, self.host)
        self.asking = may_ask(self.routines, "need_resched"), may_ask(self.routines, "signal_pending")
        self.counts = self.environment.guest_wrote_first

    def text(self) -> str:
        self._find_values()
        body = process(
            self.lines, self.routines, self.ends, list(self._all_choices()), self.vcpus, self.counts
        )
        parts = [self._header(), self._names(), self._variables(), self._start(), self._macros(), body]
        return "\n".join(parts)

    def _start_values(self, long_mode: bool, thread: int) -> dict[str, object]:
        waiting = thread >= self.cpus
        cpu = min(thread, self.cpus - 1) if not waiting or not self.environment.migration else 0
        found = start_values(self.design, self.host, long_mode, waiting, cpu, self.values)
        known = {
            *self.fields, *self.holders, *_FLAGS,
            "script", "guest_wrote", "mode", "cpu", "bits", "task_gs_sel", "preempt_count",
        }  # fmt: skip
        return {name: value for name, value in found.items() if name in known}

    def _find_values(self) -> None:
        declare(self.store, self.values, self.cpus, self.environment.guest_wrote_first, self.host)
        for name in self.holders[len(SLOTS) :]:
            self.store.grow(name, self.values)
        for long_mode in self.long_modes:
            for name, value in self._start_values(long_mode, 0).items():
                self.store.grow(name, [value])
        self.store.grow("pc", range(2))  # always a variable
        self.store.grown = True
        while self.store.grown:
            self.store.grown = False
            list(self.choices.all(*self.asking))
            self._schedule()
            for routine in self.routines:
                for index in range(len(routine.positions)):
                    self.lines.line(routine, index)
                self.lines.leave(routine)

    def _schedule(self) -> list[str]:
        return self.lines.enter(self.scheduler, [Term("0", frozenset([0]))], None, SCHEDULE)

    def _header(self) -> str:
        return HEADER.format(
            title=self.design.title, host=self._host_words(), cpus=self.cpus, vcpus=self.vcpus
        )

    def _host_words(self) -> str:
        host = self.host
        words = [f"{host.bits}-bit host", f"GS base from {host.gs_base_from}"]
        words += ["FSGSBASE"] * host.fsgsbase + ["all bases 0"] * (host.bases == "zero")
        if unknown := conditions_of(self.design):
            words.append(f"{counted(len(unknown), 'condition')} that the model does not know: as is assumed")
        return ", ".join(words)

    def _names(self) -> str:
        values = [f"#define {name} {n} /* {v}, {v.owner} */" for n, (name, v) in enumerate(
            zip(VALUE_NAMES, self.values, strict=True))]  # fmt: skip
        words = [f"#define {name} {n}" for n, name in enumerate(self.encoding.words.values())]
        bits = [f"#define {name} {1 << n}" for n, name in enumerate(BITS)]
        odd = "((v) == SECOND)" if self.non_canonical else "false"
        choices = list(dict.fromkeys(c.name for c in self._all_choices()))
        lines = [
            "/* values of the register */", *values, f"#define NONE {self.store.none()}",
            f"#define NON_CANONICAL(v) {odd}", "/* modes, exit reasons and other words */", "#define OFF 0",
            *words, "/* what a transition breaks */", *bits, "#ifndef WATCH", "#define WATCH 31", "#endif",
            "/* positions below this are lines, the others ends of functions */", f"#define ENDS {self.ends}",
            f"#define DEEPEST {DEEPEST}", f"mtype = {{ {', '.join(choices)} }}", "",
        ]  # fmt: skip
        return "\n".join(lines)

    def _variables(self) -> str:
        own = [name for name in self.store.domains if self.store.kept(name) and name not in ("pc",)]
        ends = max(r.leave for r in self.routines)
        declared = [self.store.declaration(name) for name in own if not name.endswith(" result")]
        narrow = [d for d in declared if d.startswith("unsigned")]
        wide = [d for d in declared if not d.startswith("unsigned")]
        pcs = [f"unsigned {name} : {ends.bit_length()}" for name in ("pc", "scheduler_pc")]
        rows = ";\n  ".join([*pcs, *narrow, *wide])
        counts = "bit counts; /* violations count */\n" if self.counts else ""
        return (
            f"typedef Thread {{\n  {rows}\n}}\nThread thread[{self.vcpus}];\n"
            "bit broken; /* the sink */\n"
            "/* used only within a transition */\n"
            f"mtype choice; byte bad; bit running, pending, signal; short lines; int result;\n{counts}"
        )

    def _start(self) -> str:
        out = []
        for long_mode in self.long_modes:
            sets = [
                f"thread[{n}].{name} = {self.encoding.text(value)}"
                for n in range(self.vcpus)
                for name, value in self._start_values(long_mode, n).items()
                if self.store.kept(name) and self.encoding.code(value) != 0
            ]
            name = f"start_{'in' if long_mode else 'outside'}_long_mode"
            out.append(f"inline {name}() {{\n  " + ";\n  ".join([*sets, "running = 0"]) + "\n}\n")
        own = [n for n in self.store.domains if self.store.kept(n) and " " not in n and n != "pc"]
        zero = [f"thread[{n}].{v} = 0" for n in range(self.vcpus) for v in ("pc", "scheduler_pc", *own)]
        out.append("inline sink() {\n  " + ";\n  ".join([*zero, "broken = 1"]) + "\n}\n")
        return "\n".join(out)

    def _macros(self) -> str:
        steps = [p for p in self.scheduler.positions if p < self.ends]
        groups = [(n, next(m for m, v in enumerate(self.values) if v.number == value.number))
                  for n, value in enumerate(self.values)]  # fmt: skip
        number_of = "(v)"
        for n, least in reversed([g for g in groups if g[0] != g[1]]):
            number_of = f"((v) == {VALUE_NAMES[n]} -> {VALUE_NAMES[least]} : {number_of})"
        rest = ["T.exit_reason = NOTHING", "T.signal_pending = 0", "T.msr_data = RESET"]
        smram = [f"T.{name} = 0" for name in ("smram_efer", "smram_cr0") if self.store.kept(name)]
        if smram:
            rest.append(f"if\n     :: T.smm -> skip\n     :: else -> {'; '.join(smram)}\n     fi")
        passes = {"always": "false", "never": "true"}.get(self.design.interception)
        if passes is None:
            bitmap = self.interception == "bitmap"
            passes = self.terms.variable("bitmap_passes").text if bitmap else f"(T.efer & {EFER_LMA}) != 0"
        moves = self.cpus > 1 and self.environment.migration
        first = self.counts
        wrote = f"#define guest_wrote() T.guest_wrote = (T.guest_wrote || (T.efer & {EFER_LMA}) != 0)\n"
        return (wrote if first else "") + MACROS.format(
            first=steps[0], last=steps[-1], passes=passes, number_of=number_of, lme=EFER_LME,
            save=self._save(), base=self.terms.base_to_load(), schedule=";\n  ".join(self._schedule()),
            leave_cpu="\n  T.cpu = 0;" if moves else "", rest=";\n     ".join(rest),
            uncounted=EARLY if first else "",
            counts="; counts = 0" if first else "",
        )  # fmt: skip

    def _save(self) -> str:
        """What a context switch does with the bases of the task that leaves."""
        if not self.host.leaves_zero:
            return "".join(f"\n  {statement};" for statement in self.lines.effects.save())
        # the next task's base is 0: it finds what is there, unless the kernel thinks that this task had one
        none = f"!wrong({self.terms.variable(SLOTS[USER]).text}, {VALUE_NAMES[ZERO]})"
        broken = "bad = bad | HOST_VALUE | (T.kernel_gs_base <= GUEST_BASE -> NO_LEAK : 0)"
        return f"\n  if\n  :: {none} && wrong(T.kernel_gs_base, HOST) -> {broken}\n  :: else -> skip\n  fi;"

    def _all_choices(self) -> Iterable[Possible]:
        for long_mode in self.long_modes:
            where = "in" if long_mode else "outside"
            yield Possible(
                f"START_{where.upper()}_LONG_MODE", f"the guests start {where} long mode",
                "_pid == 0 && T.mode == OFF && !broken", [], [f"start_{where}_long_mode()"],
            )  # fmt: skip
        yield from self.choices.all(*self.asking)
