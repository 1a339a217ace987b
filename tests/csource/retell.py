"""The built-in designs as C in our own words, for the C front end to read back: none of it is the kernel's.

    python -m tests.csource.retell never-trap

A design's functions are printed one by one from their Python, the way kernel code of that time is laid out:
signatures, the operations table, the list of MSRs up to 2.6.31, struct vcpu_vt in a header of its own.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from attrs import frozen

from tests.csource.surroundings import (
    BY_BITMAP,
    BY_MODE,
    CANONICAL,
    HEAD,
    LIST,
    NEVER,
    SEGMENTS,
    TDX,
    UNCHECKED,
    VT,
)
from vmxsim.csource.tree import Tree
from vmxsim.designs import find_design
from vmxsim.designs.guest_state_loaded import GuestStateLoaded
from vmxsim.designs.host_from_thread import HostFromThread
from vmxsim.designs.lazy_long_mode import LazyLongMode
from vmxsim.designs.shared_accessors import SharedAccessors
from vmxsim.designs.vcpu_vt import VcpuVt
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.kernel.program import Function

VMX = "arch/x86/kvm/vmx/vmx.c"
MAIN = "arch/x86/kvm/vmx/main.c"
COMMON = "arch/x86/kvm/vmx/common.h"
X86 = "arch/x86/kvm/x86.c"

#: Functions that the C declares with struct kvm_vcpu besides the entry points; all others have vcpu_vmx.
TAKE_VCPU = frozenset({"enter_lmode", "exit_lmode", "vmx_set_efer", "vmx_set_cr0"})
#: The model's primitives as C. ``{vmx}`` and ``{vcpu}`` are the vCPU as the function at hand has it.
CALLS = {
    "sldt": "kvm_read_ldt()",
    "lldt": "kvm_load_ldt({0})",
    "ltr": "reload_tss()",
    "sgdt": "store_gdt(this_cpu_ptr(&host_gdt))",
    "load_gdt": "load_fixmap_gdt(raw_smp_processor_id())",
    "invalidate_tss_limit": "invalidate_tss_limit()",
    "count_host_state_reload": "++{vcpu_}stat.host_state_reload",
    "vm_entry_controls_setbit": "vm_entry_controls_setbit({vmx}, VM_ENTRY_{0})",
    "vm_entry_controls_clearbit": "vm_entry_controls_clearbit({vmx}, VM_ENTRY_{0})",
    "vmx_set_host_fs_gs": "vmx_set_host_fs_gs(&{vmx}->host_state)",
    "is_long_mode": "is_long_mode({vcpu})",
    "load_gs_index": "load_gs_index({0})",
    "local_irq_disable": "local_irq_disable()",
    "local_irq_enable": "local_irq_enable()",
    "preempt_disable": "preempt_disable()",
    "preempt_enable": "preempt_enable()",
    "save_fsgs_for_kvm": "save_fsgs_for_kvm()",
    "current_save_fsgs": "current_save_fsgs()",
}
SIGNS = {ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.Invert: "~", ast.Not: "!"}


@frozen
class Style:
    """How kernel code of a design's time is written."""

    old: bool  # the guest's MSR as a number and a pointer, not in struct msr_data
    listed: bool  # the register is an entry of the arrays of MSRs
    vt: bool  # the host's value and the flag live in struct vcpu_vt
    shared: bool  # one pair of accessors takes the MSR and the place of its cached value
    pointer: bool  # the flag is a pointer to the loaded VMCS
    suffix: str  # rdmsrl or rdmsrq

    @classmethod
    def of(cls, design: type[Kvm]) -> Style:
        vt = issubclass(design, VcpuVt)
        return cls(
            old=not issubclass(design, HostFromThread),
            listed=not issubclass(design, LazyLongMode),
            vt=vt,
            shared=issubclass(design, SharedAccessors),
            pointer=issubclass(design, HostFromThread) and not issubclass(design, GuestStateLoaded),
            suffix="q" if vt else "l",
        )


class Printer:
    """Prints one function of a design. ``entry`` is what kvm_x86_ops calls it, '' for any other function;
    ``returns`` names the functions that return a value; ``reloads``: vmx_set_msr() reloads the host state
    before EFER changes."""

    def __init__(
        self, function: Function, entry: str, style: Style, returns: frozenset[str], reloads: bool
    ) -> None:
        (self.node,) = (
            s for s in ast.parse("\n".join(function.source)).body if isinstance(s, ast.FunctionDef)
        )
        self.name, self.entry, self.style, self.returns = function.name, entry, style, returns
        self.reloads = reloads
        self.handle, *self.params = (a.arg for a in self.node.args.args[1:])
        self.takes_vcpu = bool(entry) or function.name in TAKE_VCPU
        self.body = "\n".join(function.source)
        #: The one of the pair of accessors that takes the MSR and the place of its cached value.
        self.generic = style.shared and function.name.endswith("guest_host_msr")

    # -- the function

    def text(self) -> str:
        if self.entry in ("get_msr", "set_msr"):
            return "\n".join([*self.head("int"), *self.accessor(), "}", ""])
        kind = "u64" if self.name in self.returns else "void"
        return "\n".join([*self.head(kind), *self.block(self.node.body, 1), "}", ""])

    def head(self, kind: str) -> Iterator[str]:
        yield f"static {kind} {self.name}({', '.join(self.parameters())})"
        yield "{"
        declared = list(self.declarations())
        yield from (f"\t{line};" for line in declared)
        if declared:
            yield ""

    def parameters(self) -> list[str]:
        first = "struct kvm_vcpu *vcpu" if self.takes_vcpu else "struct vcpu_vmx *vmx"
        if self.generic:
            return [first, "u32 msr", *(f"u64 {p}" for p in self.params), "u64 *cache"]
        match self.entry:
            case "get_msr":
                return [
                    first,
                    *(["u32 msr_index", "u64 *pdata"] if self.style.old else ["struct msr_data *msr_info"]),
                ]
            case "set_msr":
                return [
                    first,
                    *(["u32 msr_index", "u64 data"] if self.style.old else ["struct msr_data *msr_info"]),
                ]
            case "vcpu_load":
                return [first, "int cpu"]
            case "set_cr0":
                return [first, "unsigned long cr0"]
        return [first, *(f"u64 {p}" for p in self.params)]

    def declarations(self) -> Iterator[str]:
        if self.takes_vcpu and self.handle == "vmx":
            yield "struct vcpu_vmx *vmx = to_vmx(vcpu)"
        if "vmx.vt." in self.body:
            yield f"struct vcpu_vt *vt = to_vt({self.vcpu})"
        if self.entry == "get_msr" and self.style.old:
            yield "u64 data"
        if self.entry == "set_msr":
            if self.style.old:
                yield "int ret = 0"
            else:
                yield "u32 msr_index = msr_info->index"
                yield "u64 data = msr_info->data"
                yield "int ret = 0"
        if "rdmsr(MSR_FS_BASE)\n" in self.body:
            yield "unsigned long fs_base"
        if "kvm_set_shared_msr" in self.body:
            yield "int i"
        if self.name == "setup_msrs" and self.style.listed:
            yield "int save_nmsrs = 0"
            yield "int index"

    def accessor(self) -> Iterator[str]:
        """The switch of vmx_get_msr() or vmx_set_msr()."""
        get, old = self.entry == "get_msr", self.style.old
        index = "msr_info->index" if get and not old else "msr_index"
        data = "*pdata" if old else "msr_info->data"
        common = f"kvm_{self.entry}_common(vcpu, {'msr_index, pdata' if get else 'msr_index, data'})"
        if not old:
            common = f"kvm_{self.entry}_common(vcpu, msr_info)"
        yield f"\tswitch ({index}) {{"
        if not get:
            yield "\tcase MSR_EFER:"
            if self.reloads:
                yield "\t\tvmx_load_host_state(vmx);"
            yield f"\t\tret = {common};"
            yield "\t\tbreak;"
        yield "#ifdef CONFIG_X86_64"
        yield "\tcase MSR_FS_BASE:"
        yield (
            f"\t\t{'data' if old else data} = vmcs_readl(GUEST_FS_BASE);"
            if get
            else "\t\tvmcs_writel(GUEST_FS_BASE, data);"
        )
        yield "\t\tbreak;"
        yield "\tcase MSR_KERNEL_GS_BASE:"
        yield from self.block(self.node.body, 2)
        yield "\t\tbreak;"
        yield "#endif"
        yield "\tdefault:"
        yield f"\t\treturn {common};" if get else f"\t\tret = {common};"
        yield "\t}"
        if get and old:
            yield "\t*pdata = data;"
        yield "\treturn 0;" if get else "\treturn ret;"

    # -- statements

    def block(self, body: list[ast.stmt], depth: int) -> Iterator[str]:
        tab = "\t" * depth
        for s in body:
            match s:
                case ast.Expr(ast.Constant()) | ast.Pass():
                    continue
                case ast.If(ast.Attribute(_, "lists_kernel_gs_base"), yes, []):
                    yield from self.block(yes, depth)  # the number of entries that are in use says it
                case ast.If(test, yes, no):
                    yield f"{tab}if ({self.e(test)}) {{"
                    yield from self.block(yes, depth + 1)
                    if no:
                        yield f"{tab}}} else {{"
                        yield from self.block(no, depth + 1)
                    yield f"{tab}}}"
                case _:
                    yield from (f"{tab}{line}" for line in self.simple(s))

    def simple(self, s: ast.stmt) -> Iterator[str]:
        match s:
            case ast.Return(None):
                yield "return;"
            case ast.Return(value) if self.entry == "get_msr":
                yield f"{'data' if self.style.old else 'msr_info->data'} = {self.e(value)};"
            case ast.Return(value):
                yield f"return {self.e(value)};"
            case ast.Assign(
                [ast.Attribute(ast.Attribute(_, "host_msrs" | "guest_msrs") as which)],
                ast.Call(ast.Name("rdmsr")),
            ):
                yield self.saved_to_list(which)
            case ast.Assign([ast.Attribute(_, "lists_kernel_gs_base")], _):
                yield from self.list_rebuilt()
            case ast.Assign([ast.Attribute(_, "bitmap_passes")], _):
                yield f"vmx_update_msr_bitmap({self.vcpu});"
            case ast.Assign([target], ast.Call(ast.Name("rdmsr"), [msr])):
                yield f"rdmsr{self.style.suffix}({self.e(msr)}, {self.e(target)});"
            case ast.Assign([target], ast.Call(ast.Name("savesegment"), [ast.Constant(segment)])) if (
                not self.style.old
            ):
                yield f"savesegment({segment}, {self.e(target)});"
            case ast.Assign([target], ast.BinOp(left, op, right)) if ast.unparse(target) == ast.unparse(left):
                yield f"{self.e(target)} {SIGNS[type(op)]}= {self.e(right)};"
            case ast.Assign([ast.Attribute(_, "loaded_cpu_state") as target], ast.Constant(value)):
                yield f"{self.e(target)} = {'vmx->loaded_vmcs' if value else 'NULL'};"
            case ast.Assign([target], value):
                yield f"{self.e(target)} = {self.e(value)};"
            case ast.Expr(ast.Call(ast.Name("rdmsr"), [msr])):
                yield f"rdmsr{self.style.suffix}({self.e(msr)}, fs_base);"
            case ast.Expr(ast.Call(ast.Name("savesegment"), [ast.Constant(segment)])):
                yield f"savesegment({segment}, vmx->host_state.{segment}_sel);"
            case ast.Expr(
                ast.Call(
                    ast.Name("wrmsr"),
                    [_, ast.Attribute(ast.Attribute(_, "host_msrs" | "guest_msrs") as which)],
                )
            ):
                yield f"load_msrs({self.e(which)}, vmx->save_nmsrs);"
            case ast.Expr(ast.Call(ast.Name("load_msrs" | "save_msrs"))):
                return  # the other entries of the list
            case ast.Expr(ast.Call(ast.Name("kvm_set_shared_msr"))):
                yield "for (i = 0; i < vmx->save_nmsrs; ++i)"
                yield "\tkvm_set_shared_msr(i, vmx->guest_msrs[i].data, vmx->guest_msrs[i].mask);"
            case ast.Expr(value):
                yield f"{self.e(value)};"
            case _:
                raise ValueError(f"no C for '{ast.unparse(s)}'")

    def saved_to_list(self, which: ast.Attribute) -> str:
        if which.attr == "host_msrs":
            return "save_msrs(vmx->host_msrs + vmx->msr_offset_kernel_gs_base, 1);"
        return "save_msrs(vmx->guest_msrs, vmx->save_nmsrs);"

    def list_rebuilt(self) -> list[str]:
        """What decides whether the register is among the first entries of the list."""
        return [
            f"if (is_long_mode({self.vcpu})) {{",
            "\tindex = __find_msr_index(vmx, MSR_LSTAR);",
            "\tif (index >= 0)",
            "\t\tmove_msr_up(vmx, index, save_nmsrs++);",
            "\tindex = __find_msr_index(vmx, MSR_KERNEL_GS_BASE);",
            "\tif (index >= 0)",
            "\t\tmove_msr_up(vmx, index, save_nmsrs++);",
            "}",
            "vmx->save_nmsrs = save_nmsrs;",
            "vmx->msr_offset_kernel_gs_base = __find_msr_index(vmx, MSR_KERNEL_GS_BASE);",
        ]

    # -- expressions

    @property
    def vcpu(self) -> str:
        return "vcpu" if self.takes_vcpu else "&vmx->vcpu"

    @property
    def vmx(self) -> str:
        return "to_vmx(vcpu)" if self.handle == "vcpu" else "vmx"

    def e(self, e: ast.expr) -> str:
        member = "vcpu->" if self.takes_vcpu else "vmx->vcpu."
        match e:
            case ast.Attribute(ast.Name("vmx" | "vcpu"), "efer"):
                return f"{member}arch.{'shadow_efer' if self.style.listed else 'efer'}"
            case ast.BinOp(ast.Attribute(ast.Name("vcpu"), "cr0"), ast.BitAnd(), ast.Name("X86_CR0_PG")):
                return "is_paging(vcpu)"
            case ast.Attribute(ast.Name("vmx" | "vcpu"), "cr0"):
                return f"{member}arch.cr0"
            case ast.Attribute(ast.Name("vmx"), "msr_guest_kernel_gs_base") if self.generic:
                return "*cache"
            case ast.Name("MSR_KERNEL_GS_BASE") if self.generic:
                return "msr"
            case ast.Attribute(ast.Attribute(_, "guest_msrs"), "kernel_gs_base"):
                return "find_msr_entry(vmx, MSR_KERNEL_GS_BASE)->data"
            case ast.Attribute(ast.Attribute(ast.Name("vmx"), "vt"), field):
                return f"vt->{field}"
            case ast.Attribute(ast.Name("vmx" | "vcpu" | "current" as name), field):
                return f"{name}->{field}"
            case ast.Attribute(base, field):
                return f"{self.e(base)}.{field}"
            case ast.Compare(ast.Attribute(ast.Name("current"), "bits"), [ast.Eq()], [ast.Constant(64)]):
                return "likely(is_64bit_mm(current->mm))"
            case ast.BoolOp(op, values):
                return (" && " if isinstance(op, ast.And) else " || ").join(map(self.operand, values))
            case ast.UnaryOp(op, arg):
                return f"{SIGNS[type(op)]}{self.operand(arg)}"
            case ast.BinOp(left, op, right):
                return f"{self.operand(left)} {SIGNS[type(op)]} {self.operand(right)}"
            case ast.Constant(bool(value)):
                return str(value).lower()
            case ast.Constant(value):
                return str(value)
            case ast.Name(name):
                return name
            case ast.Call(function, args):
                return self.call(function, args)
        raise ValueError(f"no C for '{ast.unparse(e)}'")

    def operand(self, e: ast.expr) -> str:
        """An expression in parentheses, unless it binds tightly anyway."""
        text = self.e(e)
        return f"({text})" if isinstance(e, (ast.BinOp, ast.BoolOp, ast.Compare)) and " " in text else text

    def call(self, function: ast.expr, args: list[ast.expr]) -> str:
        given = [self.e(a) for a in args]
        match function:
            case ast.Attribute(ast.Name("self"), name):
                handle = self.vcpu if name in TAKE_VCPU else self.vmx
                if self.style.shared and name.endswith("guest_host_msr"):
                    given = [*given[:1], "MSR_KERNEL_GS_BASE", *given[1:], "&vmx->msr_guest_kernel_gs_base"]
                return f"{name}({', '.join([handle, *given[1:]])})"
            case ast.Name("rdmsr"):
                return f"read_msr({given[0]})"
            case ast.Name("wrmsr"):
                return f"wrmsr{self.style.suffix}({', '.join(given)})"
            case ast.Name("wrmsrns"):
                return f"wrmsrns({', '.join(given)})"
            case ast.Name("savesegment"):
                return f"kvm_read_{given[0]}()"
            case ast.Name("loadsegment"):
                return f"kvm_load_{given[0]}({given[1]})"
            case ast.Name("vmcs_write"):
                return f"vmcs_writel({given[0]}, {given[1] if given[1:] else 0})"
            case ast.Name("vmcs_read"):
                return f"vmcs_readl({given[0]})"
            case ast.Name(name) if name in CALLS:
                vcpu_ = "vcpu->" if self.takes_vcpu else "vmx->vcpu."
                return CALLS[name].format(*given, vmx=self.vmx, vcpu=self.vcpu, vcpu_=vcpu_)
        raise ValueError(f"no C for '{ast.unparse(function)}()'")


# -- the files around the functions


def retold(design: str | type[Kvm]) -> Tree:
    """A small kernel tree of a design: ``vmx.c``, ``x86.c``, and what else it had at its time."""
    design = find_design(design) if isinstance(design, str) else design
    style = Style.of(design)
    entries = {function: entry for entry, function in design.kvm_x86_ops.items()}
    functions = _functions(design, entries)
    returns = frozenset(name for name, f in functions.items() if _returns_value(f)) - set(entries)
    reloads = "vmx_load_host_state" in _called(design.functions()["set_efer"])
    printed = [
        Printer(f, entries.get(name, ""), style, returns, reloads).text() for name, f in functions.items()
    ]
    text = "\n".join([HEAD, *_around(design, style), *printed])
    table = _table(style, design.kvm_x86_ops)
    files = {VMX: text, X86: CANONICAL if issubclass(design, HostFromThread) else UNCHECKED}
    if style.vt:
        files |= {COMMON: VT, MAIN: f"{TDX}\n{table}"}
    else:
        files[VMX] = f"{text}\n{table}"
    return Tree(f"{name_of(design)} as C", files)


def _functions(design: type[Kvm], entries: dict[str, str]) -> dict[str, Function]:
    """The design's own functions that the entry points reach, callees first."""
    every = design.functions()
    found: dict[str, Function] = {}

    def visit(name: str) -> None:
        if name in found or name not in every or (every[name].owner == "Kvm" and name not in entries):
            return
        for callee in sorted(_called(every[name])):
            visit(callee)
        found[name] = every[name]

    for name in entries:
        visit(name)
    return found


def _called(function: Function) -> set[str]:
    return {i.callee.name for i in function.instructions if i.callee and i.callee.kind == "self"}


def _returns_value(function: Function) -> bool:
    tree = ast.parse("\n".join(function.source))
    return any(isinstance(s, ast.Return) and s.value is not None for s in ast.walk(tree))


def _around(design: type[Kvm], style: Style) -> Iterator[str]:
    """The struct, and the functions that the design's own call."""
    yield _struct(style)
    if not style.vt:
        yield "static inline struct vcpu_vmx *to_vmx(struct kvm_vcpu *vcpu)\n{"
        yield "\treturn container_of(vcpu, struct vcpu_vmx, vcpu);\n}\n"
    if style.listed:
        yield LIST
    if "vmx_set_host_fs_gs" in str([f.source for f in design.functions().values()]):
        yield SEGMENTS
    match design.interception:
        case "never":
            yield NEVER
        case "outside long mode":
            yield BY_MODE if issubclass(design, HostFromThread) else BY_BITMAP


def _struct(style: Style) -> str:
    lines = ["struct kvm_vcpu vcpu", "struct loaded_vmcs *loaded_vmcs", "int save_nmsrs"]
    if style.listed:
        lines += [
            "struct kvm_msr_entry *guest_msrs",
            "struct kvm_msr_entry *host_msrs",
            "int msr_offset_kernel_gs_base",
        ]
    else:
        lines += ["struct shared_msr_entry guest_msrs[7]", "u64 msr_guest_kernel_gs_base"]
    if not style.listed and not style.vt:
        lines += ["u64 msr_host_kernel_gs_base"]
    if style.vt:
        lines += ["struct vcpu_vt vt"]
    elif style.pointer:
        lines += ["struct loaded_vmcs *loaded_cpu_state"]
    elif not style.old:
        lines += ["bool guest_state_loaded"]
    loaded = ["\t\tint loaded;"] if style.old else []
    host = ["\tstruct {", *loaded, "\t\tu16 fs_sel, gs_sel, ldt_sel;", "\t} host_state;"]
    return "\n".join(["struct vcpu_vmx {", *(f"\t{line};" for line in lines), *host, "};", ""])


def _table(style: Style, ops: dict[str, str]) -> str:
    def entry(name: str, function: str) -> str:
        if name == "prepare_guest_switch" and function == "vmx_prepare_switch_to_guest":
            name = "prepare_switch_to_guest" if style.vt else name
        value = f"vt_op({function.removeprefix('vmx_')})" if style.vt else function
        return f"\t.{name} = {value},"

    entries = [entry(name, function) for name, function in ops.items()]
    return "\n".join(["static struct kvm_x86_ops vmx_x86_ops = {", *entries, "};", ""])


if __name__ == "__main__":
    for path, text in retold(sys.argv[1]).files.items():
        print(f"// ---- {path}\n{text}")
