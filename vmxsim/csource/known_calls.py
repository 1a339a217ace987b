"""Calls of the kernel's that the model knows: accesses of the register, modes, selectors."""

from __future__ import annotations

from typing import Any

from vmxsim.csource import interface as api
from vmxsim.csource.resolved import Address, Const, Op, Place, Prim, Thread, VcpuPointer, fold
from vmxsim.csource.shapes import is_efer


def known_call(name: str, args: tuple[Any, ...]) -> Any:
    """A call of the kernel's that the model knows, None for any other."""
    register = Const(api.CONSTANTS[api.REGISTER], api.REGISTER)
    if name in api.READ_INACTIVE:
        return Prim("rdmsr", (register,))
    if name in api.WRITE_INACTIVE and len(args) == 1:
        return Prim("wrmsr", (register, args[0]))
    if args and isinstance(args[0], VcpuPointer):
        found = _of_the_vcpu(name, args)
        if found is not None:
            return found
    if name in api.READ and len(args) == 1:
        return Prim("rdmsr", args)
    if name in api.WRITE and len(args) == 2:
        return Prim("wrmsr", args)
    if name in api.WRITE_UNSERIALIZED and len(args) == 2:
        return Prim("wrmsrns", args)
    if name in api.LOAD_GS and args:
        return Prim("load_gs_index", args[:1])
    if name == "is_64bit_mm":
        return Op("==", (Thread("bits"), Const(64)))
    if name == "test_thread_flag" and args and args[0] == Const(None, "TIF_IA32"):
        return Op("==", (Thread("bits"), Const(32)))
    if name == "kvm_read_ldt":
        return Prim("sldt")
    if name in ("kvm_read_gs", "kvm_read_fs"):
        return Prim("savesegment", (Const(None, name[-2:]),))
    return None


def _of_the_vcpu(name: str, args: tuple[Any, ...]) -> Any:
    """A call of the kernel's that takes the vCPU first, None if the model does not know it."""
    match name:
        case "is_long_mode":
            return Prim("is_long_mode")
        case "is_paging":
            return Op("&", (Place(("cr0",)), Const(api.CONSTANTS["X86_CR0_PG"])))
        case "kvm_read_cr0":
            return Place(("cr0",))
        case "kvm_read_cr0_bits" | "kvm_is_cr0_bit_set" if len(args) == 2:
            return fold("&", (Place(("cr0",)), args[1]))
        case "find_msr_entry" if len(args) == 2 and getattr(args[1], "name", "") == api.REGISTER:
            return Address(Place(("guest_msrs", "kernel_gs_base")))
        case "kvm_set_msr_common" if any(is_efer(a) for a in args):
            return Prim("back to set_efer")
    return None
