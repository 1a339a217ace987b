"""What C says, a C compiler knows: designs are compiled and run beside what vmxsim makes of the same text."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

import vmxsim
from tests.csource.compiled import COMPILER, Action, compiled, ran, shown_by
from tests.csource.generated import EFFECTS, HEAD, TAIL, Design
from vmxsim.csource.design import from_tree
from vmxsim.csource.tree import Tree
from vmxsim.errors import InputError

pytestmark = pytest.mark.skipif(COMPILER is None, reason="neither tcc nor gcc is installed")

#: How many designs are made up, and schedules run of each.
DESIGNS, SCHEDULES = 80, 3


def read(text):
    """The design in a text; None if it is refused, or if its verdict rests on what C does not say there."""
    try:
        found = from_tree(Tree("made up", {"vmx.c": text}))
    except InputError:
        return None
    return None if found.report.assumptions else found.design


def schedule(chance, functions):
    """Actions that follow on each other, with ticks in those of the functions that access the register. Each
    value is written once."""
    actions, value, in_guest = [Action("set-msr", 0xA000)], 0xB000, False
    for _ in range(chance.randrange(4, 9)):
        verb = chance.choice(
            ("guest wrmsr", "guest rdmsr", "emulate rdmsr", "emulate wrmsr", "guest long-mode", "exit")
            if in_guest
            else ("run", "run", "run", "get-msr", "set-msr")
        )
        tick = None
        if verb.startswith("emulate") and chance.random() < 0.4:
            access = "rdmsr" if verb == "emulate rdmsr" else "wrmsr"
            within = f"vmx_{'read' if access == 'rdmsr' else 'write'}_guest_kernel_gs_base"
            tick = (access, within) if within in functions else None
        written = value if verb in ("guest wrmsr", "emulate wrmsr", "set-msr") else None
        value += 0x1000 if written else 0
        actions.append(Action(verb, written, tick))
        in_guest = verb == "run" or (in_guest and verb != "exit")
    return actions


def compare(design, program, actions):
    """Run both. A tick for which the C never gets to its place ends the comparison."""
    expected = ran(program, actions)
    found = shown_by(vmxsim.run(Action.items(actions), design, long_mode=False, host="64-bit"))
    assert found[: len(expected)] == expected


@pytest.mark.parametrize("part", range(4))
def test_a_design_made_up_at_random_does_what_its_compiled_c_does(part, tmp_path):
    runs = Counter()
    for seed in range(part, DESIGNS, 4):
        chance = Random(seed)
        text = Design(chance).text()
        design = read(text)
        if design is None:
            continue
        program = compiled(text, tmp_path)
        for _ in range(SCHEDULES):
            compare(design, program, schedule(chance, design.functions()))
            runs[seed] += 1
    assert len(runs) >= DESIGNS / 4 / 8, "enough of them are followed"


#: What C's rules decide: lines at the start of enter, and a condition around its write of the register.
CONDITIONS = {
    "|| gives 1": ("", "((vmx->vcpu.arch.efer & EFER_LMA) || 0) ^ is_long_mode(vcpu)"),
    "&& gives 1": ("int v = 3 && vmx->guest_state_loaded;", "v == 1"),
    "a comma gives its right side": ("", "(1, !vmx->guest_state_loaded)"),
    "a byte is cut": ("u8 v = vmx->vcpu.arch.efer & EFER_LMA;", "v"),
    "a byte that a number is cut to": ("u8 v = 256;", "!v"),
    "a byte with a sign": ("signed char v = 200;", "v < 0"),
    "a bool is 1": ("bool v = vmx->vcpu.arch.efer & EFER_LMA;", "v == 1"),
    "an int is not cut": ("int v = vmx->vcpu.arch.efer & EFER_LMA;", "v == EFER_LMA"),
    "a cast cuts": ("", "(u8)(vmx->vcpu.arch.efer & EFER_LMA)"),
    "a cast to bool does not": ("", "(bool)(vmx->vcpu.arch.efer & EFER_LMA)"),
    "a bit-field is cut": ("vmx->bit = 2;", "vmx->bit"),
    "a flag is 1": ("vmx->flag = 2;", "vmx->flag == 1"),
    "a field's byte is cut": ("vmx->small = 0x102;", "vmx->small == 2"),
    "a parameter cuts": ("", "holds(vmx->vcpu.arch.efer & EFER_LMA)"),
    "a result is cut": ("", "narrow(vmx->vcpu.arch.efer & EFER_LMA)"),
    "precedence of == and &": ("", "vmx->vcpu.arch.efer & EFER_LMA == EFER_LMA"),
    "what a macro takes in": ("int v = 0;", "(UNSAFE_SUM(v && v, !vmx->guest_state_loaded))"),
    "what is around a macro": ("", "UNSAFE_SUM(1, vmx->guest_state_loaded) && 0"),
    "a macro in parentheses": ("", "BOTH(!vmx->guest_state_loaded, 1 || 0)"),
    "-1 and what has no sign": ("u32 v = vmx->guest_state_loaded;", "v - 2 > 0"),
    "below 0, in 64 bits": ("u64 v = vmx->guest_state_loaded - 2;", "v > 3"),
    "~ and a shift": ("u32 v = vmx->guest_state_loaded;", "~v >> 31 == 1"),
    "a shift out of a byte": ("u8 v = 0x80; v <<= 1;", "!v"),
    "below 0, in a byte": ("u8 v = vmx->guest_state_loaded; v -= 2;", "v == 255"),
    "an inner variable of the same name": ("int v = 1; { int v = 0; vmx->flag = v; }", "v"),
    "likely() gives 1": ("int v = 2;", "likely(v) == 1"),
    "WARN_ON_ONCE() gives 1": ("int v = 2;", "!(WARN_ON_ONCE(v) ^ 1)"),
    "an assignment in a condition": ("int v;", "(v = vmx->guest_state_loaded) == 1"),
    "&& inside arithmetic": ("", "(((is_long_mode(vcpu) && marked(vmx)) << 3) | 1) && !vmx->number"),
    "two calls of one function": ("", "gave(vmx, 1) == gave(vmx, 0)"),
    "fields that go in a circle": ("vmx->flag = vmx->bit; vmx->bit = vmx->flag;", "!vmx->flag"),
}
#: What vmxsim says that it does not follow, rather than guess.
NOT_FOLLOWED = {
    "-1 and what has no sign", "~ and a shift", "a shift out of a byte", "a parameter cuts",
    "a result is cut", "what a macro takes in", "what is around a macro",
}  # fmt: skip


def design_with(lines, condition):
    """A design whose enter has these lines, and the condition around its write of the register."""
    g, h, loaded = (f"vmx->{name}" for name in (
        "msr_guest_kernel_gs_base", "msr_host_kernel_gs_base", "guest_state_loaded"
    ))  # fmt: skip
    return f"""{HEAD}{EFFECTS}
static void vmx_prepare_switch_to_guest(struct kvm_vcpu *vcpu)
{{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	{lines}

	if ({loaded})
		return;
	save_fsgs_for_kvm();
	{h} = current->thread.gsbase;
	if ({condition})
		wrmsrl(MSR_KERNEL_GS_BASE, {g});
	{loaded} = true;
}}

static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{{
	if (!{loaded})
		return;
	rdmsrl(MSR_KERNEL_GS_BASE, {g});
	wrmsrl(MSR_KERNEL_GS_BASE, {h});
	{loaded} = false;
}}

static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{{
	if ({loaded})
		rdmsrl(MSR_KERNEL_GS_BASE, {g});
	return {g};
}}

static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{{
	if ({loaded})
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	{g} = data;
}}

static void vmx_set_efer(struct kvm_vcpu *vcpu, u64 efer)
{{
	vcpu->arch.efer = efer;
}}
{TAIL}"""


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_comes_out_as_in_c_or_is_said_not_to_be_followed(name, tmp_path):
    text = design_with(*CONDITIONS[name])
    design = read(text)
    assert (design is None) == (name in NOT_FOLLOWED)
    if design:
        there = [
            "set-msr",
            "run",
            "guest rdmsr",
            "guest long-mode",
            "exit",
            "run",
            "guest rdmsr",
            "exit",
            "get-msr",
        ]
        actions = [Action(verb, 0xA000 if verb == "set-msr" else None) for verb in there]
        compare(design, compiled(text, tmp_path), actions)
