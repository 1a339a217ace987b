"""Designs in C, made up at random: the same few accesses of the register, under whatever C can put them.

A line is chosen for what C says about it (promotion, truncation, precedence, short circuits, scope, jumps),
not for sense: most of these designs are wrong. What they do is for a C compiler to say.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

HERE = Path(__file__).parent / "c" / "compiled"
HEAD, EFFECTS, TAIL = ((HERE / f"design_{part}.c").read_text() for part in ("head", "effects", "tail"))

G, H, L = "vmx->msr_guest_kernel_gs_base", "vmx->msr_host_kernel_gs_base", "vmx->guest_state_loaded"
LONG_MODE = "is_long_mode(&vmx->vcpu)"
#: The vCPU's other fields, one of every type that a flag or a small number has.
FIELDS = tuple(f"vmx->{name}" for name in ("flag", "small", "medium", "number", "word", "wide", "bit"))
TYPES = ("bool", "int", "u8", "u16", "u32", "u64", "s64", "unsigned int", "char", "long")
NUMBERS = (
    "0", "1", "2", "3", "-1", "0x100", "0x400", "256", "255", "true", "false", "EFER_LMA", "EFER_LME", "ONCE",
    "0x500u", "1ULL",
)  # fmt: skip

READ, SAVE = "rdmsrl(MSR_KERNEL_GS_BASE, {});", "wrmsrl(MSR_KERNEL_GS_BASE, {});"


def indented(lines: list[str]) -> list[str]:
    return ["\t" + line for line in lines]


def block(head: str, lines: list[str]) -> list[str]:
    return [f"{head} {{".lstrip(), *indented(lines), "}"]


#: Lines of a function, or what makes them up once its variables are known.
Part = list[str] | Callable[[], list[str]]


class Design:
    """One design's text; ``chance`` decides everything."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        #: Fields hold flags and small numbers only, as the model's do; else whatever is computed.
        self.modest = chance.random() < 0.8
        #: How often an operator is an unusual one, and how often there is anything but the accesses.
        self.oddness = chance.choice((0, 0.1, 0.3, 0.5))
        self.density = chance.choice((0.1, 0.3, 0.6))
        self.fields = chance.sample(FIELDS, 2)
        #: How often a condition accesses the register; ``spent``: the statement does so already, and C does
        #: not say in which order.
        self.effects = chance.choice((0, 0, 0.1, 0.3))
        self.spent = True
        self.names = 0
        #: The function's variables, what it may only read, and how it is left early, '' if it may not be.
        self.variables: list[str] = []
        self.mode = LONG_MODE
        self.returns = ""

    def text(self) -> str:
        return "\n".join(
            [
                HEAD,
                EFFECTS * (self.effects > 0),
                self.enter(),
                self.leave(),
                self.read(),
                self.write(),
                self.efer(),
                TAIL,
            ]
        )

    def often(self, share: float) -> bool:
        return self.chance.random() < share

    # -- functions

    def function(self, head: str, parts: list[Part], last: str = "", returns: str = "return;") -> str:
        """Lines that change no register stand between the parts. ``head`` has the first line, and perhaps a
        variable."""
        self.variables, self.returns = [], returns
        self.mode = "efer & EFER_LMA" if "efer" in head else LONG_MODE
        first, *declared = head.split("\n")
        lines = [self.declaration() for _ in range(self.chance.choice((0, 1, 1, 2)))]
        for part in parts:
            lines += [*self.others(), *(part() if callable(part) else part)]
        lines += self.others()
        return "\n".join([first, "{", *declared, *indented([*lines, *filter(None, [last])]), "}", ""])

    def enter(self) -> str:
        head = "static void vmx_prepare_switch_to_guest(struct kvm_vcpu *vcpu)"
        keep = ["save_fsgs_for_kvm();", f"{H} = current->thread.gsbase;"]
        return self.function(
            f"{head}\n\tstruct vcpu_vmx *vmx = to_vmx(vcpu);",
            [[f"if ({L})", "\treturn;"], keep, lambda: self.perhaps([SAVE.format(G)]), [f"{L} = true;"]],
        )

    def leave(self) -> str:
        return self.function(
            "static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)",
            [
                [f"if (!{L})", "\treturn;"],
                lambda: self.perhaps([READ.format(G)]),
                lambda: self.perhaps([SAVE.format(H)]),
                [f"{L} = false;"],
            ],
        )

    def read(self) -> str:
        direct = [READ.format(G)]
        by_way = ["{", "\tu64 now;", "", f"\t{READ.format('now')}", f"\t{G} = now;", "}"]
        take = indented(self.chance.choice([direct, by_way]))
        return self.function(
            "static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)",
            [lambda: self.perhaps([f"if ({self.loaded()})", *take])], f"return {G};", f"return {G};",
        )  # fmt: skip

    def write(self) -> str:
        guarded = self.often(0.5)
        put = "\t" + SAVE.format("data")
        return self.function(
            "static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)",
            [
                ["preempt_disable();"] * guarded,
                lambda: block("", self.perhaps([f"if ({self.loaded()})", put])),
                ["preempt_enable();"] * guarded,
                lambda: self.perhaps([f"{G} = data;"]),
            ],
            returns="" if guarded else "return;",
        )

    def efer(self) -> str:
        moves = [f"if ({L} && (efer & EFER_LMA))", "\t" + SAVE.format(G)]
        head = "static void vmx_set_efer(struct kvm_vcpu *vcpu, u64 efer)"
        return self.function(
            f"{head}\n\tstruct vcpu_vmx *vmx = to_vmx(vcpu);",
            [moves if self.often(0.3) else [], ["vcpu->arch.efer = efer;"]],
            returns="",
        )

    # -- statements

    def perhaps(self, lines: list[str]) -> list[str]:
        """An access as it is, or under something."""
        if not self.often(self.density):
            return lines
        self.spent = False
        test, name = self.number(2), self.fresh("here")
        more = self.others()
        match self.chance.randrange(10):
            case 0:
                return block(f"if ({test})", lines)
            case 1:
                return [*block(f"if ({test})", self.others()), *block("else", lines)]
            case 2:
                return [*block("do", [f"if ({test})", "\tbreak;", *lines])[:-1], "} while (0);"]
            case 3:
                return [f"if ({test})", f"\tgoto {name};", *lines, f"{name}:", ";"]
            case 4:
                return block(f"for (int {name} = 0; {name} < {self.chance.choice('012')}; {name}++)", lines)
            case 5:
                return block(f"if ({self.number(1)} && {self.number(1)} || {self.number(1)})", lines)
            case 6:
                skip = [f"if ({test})", f"\t{self.chance.choice(('break', 'continue'))};"]
                return block(f"for (int {name} = 0; {name} < 2; {name}++)", [*skip, *lines, *more])
            case 7:
                left = [f"if ({test})", "\tbreak;", *more, f"{name}--;"]
                return block("", [f"int {name} = 2;", "", *block(f"while ({name})", [*lines, *left])])
            case 8:
                again = [f"if ({name}++ < 1 && ({test}))", f"\tgoto again_{name};"]
                return block("", [f"int {name} = 0;", "", f"again_{name}:", *lines, *more, *again])
        return block("", [f"bool {name} = {test};", "", *block(f"if ({name})", lines)])

    def fresh(self, stem: str) -> str:
        self.names += 1
        return f"{stem}_{self.names}"

    def declaration(self) -> str:
        self.spent = False
        line = f"{self.chance.choice(TYPES)} {self.fresh('v')} = {self.number(2)};"
        self.variables.append(f"v_{self.names}")
        return line

    def others(self, depth: int = 2) -> list[str]:
        """A few lines that change a number or jump, never an access."""
        return [line for _ in range(2) if depth and self.often(self.density) for line in self.other(depth)]

    def other(self, depth: int) -> list[str]:
        inner = self.others(depth - 1) or [self.stored(1)]
        self.spent = False
        shadow = self.chance.choice(self.variables or [self.fresh("v")])
        kind, simple = self.chance.choice(TYPES), self.chance.choice((L, *self.fields, *NUMBERS))
        match self.chance.randrange(10):
            case 0 if self.variables:
                sign = self.chance.choice(("|=", "&=", "^=", "+=", "-=", "<<=", ">>="))
                by = self.chance.choice("0123") if sign in ("<<=", ">>=") else self.number(2)
                return [f"{self.chance.choice(self.variables)} {sign} {by};"]
            case 1 if self.variables:
                return [
                    self.chance.choice(("{}++;", "++{};", "{}--;")).format(self.chance.choice(self.variables))
                ]
            case 2:
                return block(f"if ({self.number(2)})", inner)
            case 3:
                return [*block(f"if ({self.number(2)})", inner), *block("else", [self.stored(1)])]
            case (
                4
            ):  # a variable of the same name, where there is one: what is stored there is gone afterwards
                return block(
                    "",
                    [f"{kind} {shadow} = {simple};", "", f"{self.chance.choice(self.fields)} = !{shadow};"],
                )
            case 5 if self.returns:
                return [f"if ({self.number(3)})", f"\t{self.returns}"]
            case 6:
                return [f"if (({self.stored(2)[:-1]}))", f"\t{self.stored(1)}"]
            case 7:
                target = self.target()
                return [f"{target} = {self.number(1)} ? {self.fit(target, 1)} : {self.fit(target, 2)};"]
            case 8:
                return [f"note(vmx, {simple});"]
            case 9 if not self.modest:
                arms = [
                    f"case {arm}:\n\t\t{self.stored(1)}" + "\n\t\tbreak;" * self.often(0.6)
                    for arm in ("0", "1")
                ]
                return [f"switch ({self.number(2)}) {{", *arms, f"default:\n\t\t{self.stored(1)}", "}"]
        return [self.stored(3)]

    def target(self) -> str:
        return self.chance.choice(self.variables if self.variables and self.often(0.5) else self.fields)

    def stored(self, depth: int) -> str:
        target = self.target()
        return f"{target} = {self.fit(target, depth)};"

    def fit(self, target: str, depth: int) -> str:
        number = self.number(depth)
        if not self.modest or target in self.variables:
            return number
        return self.chance.choice(("0", "1", "2", "3", f"!({number})", f"!!({number})"))

    # -- expressions

    def loaded(self) -> str:
        return self.chance.choice(
            (L, "LOADED(vmx)", f"{L} == true", f"!!{L}", f"likely({L})", f"{L} && {self.number(1)}",
             f"READ_ONCE({L})", f"!{L} == 0")
        )  # fmt: skip

    def leaf(self) -> str:
        if not self.spent and self.often(self.effects):
            self.spent = True
            return self.chance.choice(
                ("took(vmx)", f"gave(vmx, {self.chance.choice((*self.fields, L, '1'))})")
            )
        if self.often(0.03):
            called = self.chance.choice(("narrow", "holds", "twice"))
            return self.chance.choice(("in_long_mode(vmx)", "which(vmx)", f"{called}({self.mode})"))
        known = (L, L, self.mode, self.mode, "vmx->vcpu.arch.efer & EFER_LMA", LONG_MODE)
        number = self.chance.choice(NUMBERS)
        return self.chance.choice((*known, number, *self.fields, *self.variables, *self.variables))

    def number(self, depth: int) -> str:
        if depth == 0 or self.often(0.4):
            return self.leaf()
        a, b, by = self.number(depth - 1), self.number(depth - 1), self.chance.choice("0123")
        plain = (
            f"!({a})", f"!!({a})", f"{a} && {b}", f"{a} || {b}", f"({a}) && ({b})", f"({a} || {b})",
            f"({a}) == ({b})", f"({a}) != ({b})", f"({a}) & ({b})", f"({a}) | ({b})", f"({a}) ^ ({b})",
        )  # fmt: skip
        odd = (
            f"~({a})", f"-({a})", f"{a} == {b}", f"({a}) < ({b})", f"({a}) > ({b})", f"({a}) <= ({b})",
            f"{a} & {b}", f"{a} | {b}", f"({a}) + ({b})", f"({a}) - ({b})", f"({a}) << {by}",
            f"({a}) >> {by}", f"({self.chance.choice(TYPES)})({a})", f"BOTH({a}, {b})",
            f"unlikely({a})", f"WARN_ON_ONCE({a})", f"({a}, {b})",
        )  # fmt: skip
        return self.chance.choice(odd if self.often(self.oddness) else plain)
