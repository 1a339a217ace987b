"""Where conditions come out either way, the bits of EFER and CR0 that no code looks at are not part of the
state: what is found does not depend on it."""

import pytest

from vmxsim.checker import transition_table
from vmxsim.checker.assumptions import Restriction
from vmxsim.checker.check import kept_table
from vmxsim.checker.footprints import BROKEN
from vmxsim.checker.reach import reachable
from vmxsim.checker.relevant import relevant_bits
from vmxsim.checker.search import reached, shortest_path
from vmxsim.checker.transition_table import AS_ASSUMED, EITHER_WAY, TransitionTable
from vmxsim.designs import NeverTrap, find_design
from vmxsim.kernel.language import *
from vmxsim.kernel.machine import Host


def found(design, unknowns):
    """How long the shortest schedule that breaks the host's value is, None if there is none, and which
    situations a whole search covers."""
    table = kept_table(design, Host(64), Restriction(), unknowns=unknowns)
    search = reachable(table)
    if not search.broken & BROKEN["host-value"]:
        return None, reached(table, search.taken)
    path = shortest_path(table, "host-value")
    return (path.actions, len(path.transitions)), None


# Each of these keeps the guest's value in the register, which breaks the host's, once EFER.NX is clear. That
# takes an SMI: a search that takes the bit to be clear from the start finds a shorter schedule.


class Tests(NeverTrap):
    def vmx_prepare_switch_to_host(self, vmx):
        if vmx.efer & EFER_NX:
            super().vmx_prepare_switch_to_host(vmx)


class ThroughLocals(NeverTrap):
    def vmx_prepare_switch_to_host(self, vmx):
        found = vmx.efer | EFER_LME
        kept = found & ~EFER_LMA
        if kept & (EFER_NX | EFER_LMA):
            super().vmx_prepare_switch_to_host(vmx)


class Compares(NeverTrap):
    def vmx_prepare_switch_to_host(self, vmx):
        if vmx.efer | EFER_LMA | EFER_LME | EFER_SCE != EFER_LMA | EFER_LME | EFER_SCE:
            super().vmx_prepare_switch_to_host(vmx)


class Shifts(NeverTrap):
    def vmx_prepare_switch_to_host(self, vmx):
        high = vmx.efer >> 11
        if high & 1:
            super().vmx_prepare_switch_to_host(vmx)


class Returned(NeverTrap):
    def features(self, vmx):
        return vmx.efer ^ EFER_SCE

    def vmx_prepare_switch_to_host(self, vmx):
        features = self.features(vmx)
        if features & EFER_NX:
            super().vmx_prepare_switch_to_host(vmx)


class Passed(NeverTrap):
    def leave(self, vmx, efer):
        if efer & EFER_NX:
            super().vmx_prepare_switch_to_host(vmx)

    def vmx_prepare_switch_to_host(self, vmx):
        self.leave(vmx, vmx.efer)


class InAField(NeverTrap):
    fields = {"has_nx": True}

    def vmx_set_efer(self, vmx, efer):
        super().vmx_set_efer(vmx, efer)
        vmx.has_nx = efer & EFER_NX

    def vmx_prepare_switch_to_host(self, vmx):
        if vmx.has_nx:
            super().vmx_prepare_switch_to_host(vmx)


class InASelector(NeverTrap):
    def vmx_set_efer(self, vmx, efer):
        super().vmx_set_efer(vmx, efer)
        vmx.host_state.ldt_sel = efer & EFER_NX

    def vmx_prepare_switch_to_guest(self, vmx):
        if vmx.loaded_cpu_state:
            return
        vmx.loaded_cpu_state = True
        vmx.msr_host_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)
        wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)

    def vmx_prepare_switch_to_host(self, vmx):
        if vmx.host_state.ldt_sel or not vmx.smm:
            super().vmx_prepare_switch_to_host(vmx)


class InSmram(NeverTrap):
    """Here EFER.NX is set at the end, and clear in SMRAM while the vCPU is not in SMM."""

    def vmx_prepare_switch_to_host(self, vmx):
        if not (vmx.smm and vmx.smram_efer & EFER_NX):
            super().vmx_prepare_switch_to_host(vmx)


@pytest.mark.parametrize(
    "design",
    [Tests, ThroughLocals, Compares, Shifts, Returned, Passed, InAField, InASelector, InSmram],
    ids=lambda d: d.__name__,
)
def test_a_bit_that_the_code_looks_at_is_part_of_the_state(design):
    assert relevant_bits(design)["efer"] & EFER_NX
    path = found(design, EITHER_WAY)
    assert path[0] and path == found(design, AS_ASSUMED)


def test_bits_that_no_code_looks_at_make_no_states():
    assert relevant_bits(NeverTrap) == {
        "efer": EFER_LME | EFER_LMA, "cr0": X86_CR0_PG, "smram_efer": EFER_LME, "smram_cr0": X86_CR0_PG,
    }  # fmt: skip


class MayHaveNoEfer(NeverTrap):
    def vmx_set_efer(self, vmx, efer):
        if not_modeled("there is an EFER", True):
            super().vmx_set_efer(vmx, efer)


def test_states_that_differ_in_such_bits_only_are_one(monkeypatch):
    fewer = TransitionTable(MayHaveNoEfer, Host(64), unknowns=EITHER_WAY)
    monkeypatch.setattr(transition_table, "relevant_bits", lambda design: {})
    table = TransitionTable(MayHaveNoEfer, Host(64), unknowns=EITHER_WAY)
    assert 2 * len(fewer.states) < len(table.states)
    assert 2 * reachable(fewer).states < reachable(table).states
    for one in (fewer, table):
        assert not reachable(one).broken
    assert reached(fewer, reachable(fewer).taken) == reached(table, reachable(table).taken)


class FromUserSpace(NeverTrap):
    """User space never passes EFER.NX clear: this is safe."""

    def kvm_vcpu_ioctl_set_sregs(self, vcpu, efer, cr0):
        self.vcpu_load(vcpu)
        if efer & EFER_NX:
            self.kvm_x86_ops.set_efer(vcpu, efer)
            self.kvm_x86_ops.set_cr0(vcpu, cr0)
        else:
            wrmsr(MSR_KERNEL_GS_BASE, vcpu.msr_guest_kernel_gs_base)
        self.vcpu_put(vcpu)


@pytest.mark.parametrize(
    "design", [FromUserSpace, "lma-fix", "load-gs-index", "host-from-thread", "never-trap", "vcpu-vt"]
)
def test_a_search_without_them_finds_and_covers_the_same(design):
    assert found(find_design(design), EITHER_WAY) == found(find_design(design), AS_ASSUMED)
