"""A design as a Promela model, written from the instructions of its functions."""

from __future__ import annotations

from collections.abc import Iterable

from vmxsim.checker.promela.asking import DEEPEST, may_ask
from vmxsim.checker.promela.choices import Choices, Possible, names
from vmxsim.checker.promela.effects import Effects
from vmxsim.checker.promela.encoding import VALUE_NAMES, Encoding
from vmxsim.checker.promela.environment import Environment
from vmxsim.checker.promela.lines import Lines
from vmxsim.checker.promela.macros import EARLY, HEADER, MACROS
from vmxsim.checker.promela.process import process
from vmxsim.checker.promela.routines import SCHEDULE, collect
from vmxsim.checker.promela.start import declare, start_values
from vmxsim.checker.promela.store import Store
from vmxsim.checker.promela.terms import Term, Terms
from vmxsim.checker.relevance import relevant_vcpu_fields
from vmxsim.checker.values import GUEST_VALUES, NON_CANONICAL, SLOTS, USER, numbered_values
from vmxsim.errors import InputError
from vmxsim.kernel.kvm import Kvm
from vmxsim.model.registers import EFER_LMA, EFER_LME

#: What a transition breaks, one bit each; the last means that the model cannot follow the design.
BITS = ("GUEST_VALUE", "HOST_VALUE", "NO_LEAK", "NO_HOST_FAULT", "CONTRACT", "NOT_MODELLED")
_FREE = Environment()


def promela(
    design: type[Kvm],
    *,
    bits: int = 64,
    cpus: int = 2,
    vcpus: int = 1,
    long_modes: tuple[bool, ...] = (False, True),
    interception: str = "rule",
    non_canonical: bool = False,
    environment: Environment = _FREE,
) -> str:
    """The design as a self-contained model for Spin.

    Its states are those of the model checker, with the CPU of each thread that runs.
    Raises InputError for what a finite Promela model cannot express, saying what and where.
    """
    if vcpus not in (1, 2):
        raise InputError("the model knows one or two vCPUs", "vcpus")
    if not 1 <= cpus <= 16:
        raise InputError("between 1 and 16 CPUs", "cpus")
    return _Model(design, bits, cpus, vcpus, long_modes, interception, non_canonical, environment).text()


class _Model:
    def __init__(
        self,
        design: type[Kvm],
        bits: int,
        cpus: int,
        vcpus: int,
        long_modes: tuple[bool, ...],
        interception: str,
        non_canonical: bool,
        environment: Environment,
    ) -> None:
        self.design, self.bits, self.cpus, self.vcpus = design, bits, cpus, vcpus
        self.long_modes, self.interception, self.non_canonical = long_modes, interception, non_canonical
        self.environment = environment
        self.values = numbered_values(NON_CANONICAL if non_canonical else GUEST_VALUES[1])
        self.encoding = Encoding(self.values, {*names(), *BITS})
        self.store = Store(self.encoding)
        self.terms = Terms(self.store, non_canonical)
        self.fields = relevant_vcpu_fields(design, interception)
        self.lines = Lines(self.terms, Effects(self.terms), self.fields)
        self.routines, self.ends = collect(design)
        self.scheduler = next(r for r in self.routines if r.scheduler and r.function.name == SCHEDULE)
        self.choices = Choices(self.lines, self.routines, environment, cpus, vcpus)
        self.asking = may_ask(self.routines)
        self.counts = environment.guest_wrote_first

    def text(self) -> str:
        self._find_values()
        body = process(
            self.lines, self.routines, self.ends, list(self._all_choices()), self.vcpus, self.counts
        )
        parts = [self._header(), self._names(), self._variables(), self._start(), self._macros(), body]
        return "\n".join(parts)

    # -- which values reach which variable

    def _start_values(self, long_mode: bool, thread: int) -> dict[str, object]:
        waiting = thread >= self.cpus
        cpu = min(thread, self.cpus - 1) if not waiting or not self.environment.migration else 0
        found = start_values(self.design, self.bits, long_mode, waiting, cpu, self.values)
        known = {
            *self.fields,
            *SLOTS,
            "script",
            "guest_wrote",
            "mode",
            "cpu",
            "waiting",
            "bits",
            "task_gs_sel",
        }
        known |= {"preempt_notifier", "signal_pending", "need_resched", "irqs_disabled", "preempt_count"}
        return {name: value for name, value in found.items() if name in known}

    def _find_values(self) -> None:
        declare(self.store, self.values, self.cpus, self.environment.guest_wrote_first)
        for long_mode in self.long_modes:
            for name, value in self._start_values(long_mode, 0).items():
                self.store.grow(name, [value])
        self.store.grow("pc", range(2))  # a variable, however many lines there are
        self.store.grown = True
        while self.store.grown:
            self.store.grown = False
            list(self.choices.all(self.asking))
            self._schedule()
            for routine in self.routines:
                for index in range(len(routine.positions)):
                    self.lines.line(routine, index)
                self.lines.leave(routine)

    def _schedule(self) -> list[str]:
        return self.lines.enter(self.scheduler, [Term("0", frozenset([0]))], None, SCHEDULE)

    # -- the parts of the text

    def _header(self) -> str:
        return HEADER.format(
            title=self.design.title, host=f"{self.bits}-bit", cpus=self.cpus, vcpus=self.vcpus
        )

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
            "/* positions: lines up to here, then ends of functions */", f"#define ENDS {self.ends}",
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
        counts = "bit counts; /* a violation counts */\n" if self.counts else ""
        return (
            f"typedef Thread {{\n  {rows}\n}}\nThread thread[{self.vcpus}];\n"
            "bit broken; /* the sink */\n"
            "/* within a transition only */\n"
            f"mtype choice; byte bad; bit running, pending; short lines; int result;\n{counts}"
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
            user=self.terms.variable(SLOTS[USER]).text, schedule=";\n  ".join(self._schedule()),
            leave_cpu="\n  T.cpu = 0;" if moves else "", rest=";\n     ".join(rest),
            uncounted=EARLY if first else "",
            counts="; counts = 0" if first else "",
        )  # fmt: skip

    # -- what can happen

    def _all_choices(self) -> Iterable[Possible]:
        for long_mode in self.long_modes:
            where = "in" if long_mode else "outside"
            yield Possible(
                f"START_{where.upper()}_LONG_MODE", f"the guests start {where} long mode",
                "_pid == 0 && T.mode == OFF && !broken", [], [f"start_{where}_long_mode()"],
            )  # fmt: skip
        yield from self.choices.all(self.asking)
