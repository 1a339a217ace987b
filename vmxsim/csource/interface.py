"""What the kernel's own words mean to the model: by interface, never by version.

What is neither here nor defined in the files read is *unknown*: it is left out where nothing that matters
depends on it, and told.
"""

from __future__ import annotations

import re

#: The register, by its name and by its number.
REGISTER = "MSR_KERNEL_GS_BASE"
_NUMBER = re.compile(r"\b0x0*c0000102[ul]*\b", re.I)
_WORD = re.compile(r"[A-Za-z_]\w*")


def words_in(text: str) -> set[str]:
    """The names in a text; the register's for its number, too."""
    found = set(_WORD.findall(text))
    return found | {REGISTER} if _NUMBER.search(text) else found


# -- accessors of MSRs: (msr, lvalue), (msr, pointer), (msr) -> value, (msr, value)
READ_INTO = frozenset({"rdmsrl", "rdmsrq"})
READ_INTO_POINTER = frozenset({"rdmsrl_safe", "rdmsrq_safe"})
READ = frozenset({"read_msr", "native_read_msr", "__rdmsr", "native_rdmsrq", "native_rdmsrl"})
WRITE = frozenset(
    {"wrmsrl", "wrmsrq", "wrmsrl_safe", "wrmsrq_safe", "native_wrmsrl", "native_wrmsrq", "__wrmsrq"}
)  # fmt: skip
WRITE_UNSERIALIZED = frozenset({"wrmsrns"})
#: All that access the MSR of which they are given the number.
ACCESSORS = READ_INTO | READ_INTO_POINTER | READ | WRITE | WRITE_UNSERIALIZED
#: Others of which the first argument is an MSR: with the register as argument they are not understood.
OTHER_MSR = frozenset(
    {
        "rdmsr", "wrmsr", "rdmsr_safe", "wrmsr_safe", "native_write_msr",
        "kvm_set_user_return_msr", "kvm_set_shared_msr",
        "wrmsr_on_cpu", "wrmsrl_on_cpu", "wrmsrq_on_cpu", "rdmsr_on_cpu", "rdmsrl_on_cpu", "rdmsrq_on_cpu",
        "add_atomic_switch_msr", "kvm_add_user_return_msr", "kvm_find_user_return_msr",
    }
)  # fmt: skip
#: The inactive GS base of this CPU is the register: without an argument, and with the value.
READ_INACTIVE = frozenset({"x86_gsbase_read_cpu_inactive", "__rdgsbase_inactive"})
WRITE_INACTIVE = frozenset({"x86_gsbase_write_cpu_inactive", "__wrgsbase_inactive"})
#: They leave the descriptor's base in the register.
LOAD_GS = frozenset({"load_gs_index", "native_load_gs_index", "native_lkgs"})
#: They refresh thread.gsbase from the register, which has to hold the thread's own.
SAVE_FSGS = frozenset({"save_fsgs_for_kvm", "current_save_fsgs", "save_fsgs"})
#: Not in the model: where one stands in a function that is followed, the C is refused.
SWAPS = frozenset({"swapgs", "native_swapgs", "SWAPGS"})
#: Every name by which code reaches the register.
REACHES = frozenset({REGISTER}) | LOAD_GS | SWAPS | READ_INACTIVE | WRITE_INACTIVE

#: They overwrite what their first argument points to.
OVERWRITES = frozenset({"memset", "memcpy", "memmove", "memzero_explicit", "copy_from_user", "memset_after"})
#: Macros that change what they are given by name.
MODIFIES = frozenset(
    {"swap", "get_user", "__get_user", "do_div", "rdmsr", "rdtscll", "rdpmcl", "savesegment"}
)
#: They ask whether a CONFIG name is on.
ENABLED = frozenset({"IS_ENABLED", "IS_BUILTIN", "IS_REACHABLE"})
#: Wrappers of a value, and of an assertion, which gives 0 or 1.
TRANSPARENT = frozenset({"READ_ONCE", "ACCESS_ONCE", "__force", "smp_load_acquire"})
#: They say whether a value is not 0.
TRUTHS = frozenset({"likely", "unlikely"})
ASSERTS = frozenset(
    {
        "WARN_ON", "WARN_ON_ONCE", "WARN", "WARN_ONCE", "KVM_BUG_ON", "KVM_BUG", "BUG_ON", "VM_WARN_ON_ONCE",
        "KVM_WARN_ON", "lockdep_assert_preemption_disabled", "lockdep_assert_irqs_disabled",
    }
)  # fmt: skip
#: From one struct of the vCPU to another: kvm_vcpu, vcpu_vmx and vcpu_vt are one object here.
SAME_VCPU = frozenset({"to_vmx", "to_vt", "vt_to_vcpu"})
EMBEDDED = frozenset({"vcpu", "vt", "common"})
#: A name on a path that says nothing.
NOISE = frozenset({"arch"})
EFER_FIELDS, CR0_FIELDS = frozenset({"efer", "shadow_efer"}), frozenset({"cr0"})
#: Selectors that enter saves; the model's vCPU has them.
SELECTORS = frozenset({"ldt_sel", "gs_sel"})
#: The task's fields.
THREAD_FIELDS = {"gsbase": "gs_base", "gs": "gs_base", "gsindex": "gs_sel"}

#: The model's names of what disables and enables preemption and interrupts.
TOGGLES = {
    "preempt_disable": "preempt_disable", "preempt_disable_notrace": "preempt_disable",
    "get_cpu": "preempt_disable",
    "preempt_enable": "preempt_enable", "preempt_enable_notrace": "preempt_enable",
    "put_cpu": "preempt_enable", "preempt_enable_no_resched": "preempt_enable",
    "local_irq_disable": "local_irq_disable", "local_irq_save": "local_irq_disable",
    "local_irq_enable": "local_irq_enable", "local_irq_restore": "local_irq_enable",
    "spin_lock_irqsave": "local_irq_disable", "raw_spin_lock_irqsave": "local_irq_disable",
    "spin_lock_irq": "local_irq_disable", "raw_spin_lock_irq": "local_irq_disable",
    "spin_unlock_irqrestore": "local_irq_enable", "raw_spin_unlock_irqrestore": "local_irq_enable",
    "spin_unlock_irq": "local_irq_enable", "raw_spin_unlock_irq": "local_irq_enable",
    "spin_lock": "preempt_disable", "raw_spin_lock": "preempt_disable", "local_bh_disable": "preempt_disable",
    "spin_unlock": "preempt_enable", "raw_spin_unlock": "preempt_enable", "local_bh_enable": "preempt_enable",
}  # fmt: skip
GUARDS = {
    "preempt": ("preempt_disable", "preempt_enable"),
    "preempt_notrace": ("preempt_disable", "preempt_enable"),
    "irq": ("local_irq_disable", "local_irq_enable"), "irqsave": ("local_irq_disable", "local_irq_enable"),
    "raw_spinlock": ("preempt_disable", "preempt_enable"), "spinlock": ("preempt_disable", "preempt_enable"),
    "migrate": ("", ""), "mutex": ("", ""), "rcu": ("", ""), "srcu": ("", ""),
}  # fmt: skip
#: Conditions of other features, which the model does not have: what is taken for granted of each, always.
ABSENT = {
    "is_guest_mode": "nested virtualization", "nested": "nested virtualization",
    "is_td_vcpu": "TDX", "is_td": "TDX",
    "emulate_invalid_guest_state": "emulation of invalid guest state",
}  # fmt: skip

#: Entry points of struct kvm_x86_ops by the model's name: the names that each has had, and what common code
#: passes besides the vCPU.
ROOTS = {
    "prepare_guest_switch": (("prepare_switch_to_guest", "prepare_guest_switch"), ()),
    "vcpu_load": (("vcpu_load",), ()),
    "vcpu_put": (("vcpu_put",), ()),
    "get_msr": (("get_msr",), ()),
    "set_msr": (("set_msr",), ("data",)),
    "set_efer": (("set_efer",), ("efer",)),
    "set_cr0": (("set_cr0",), ("cr0",)),
}
#: Their customary names, for files without an operations table.
CUSTOMARY = {
    "prepare_guest_switch": ("vmx_prepare_switch_to_guest", "vmx_save_host_state"),
    "vcpu_load": ("vmx_vcpu_load",), "vcpu_put": ("vmx_vcpu_put",), "get_msr": ("vmx_get_msr",),
    "set_msr": ("vmx_set_msr",), "set_efer": ("vmx_set_efer",), "set_cr0": ("vmx_set_cr0",),
}  # fmt: skip
CONTRACTS = {
    "prepare_guest_switch": ("preemption disabled", "vCPU loaded"),
    "vcpu_put": ("preemption disabled",),
}
#: Numbers that the code tests (Intel SDM volume 3, section 2.5, and volume 4).
CONSTANTS = {
    "EFER_SCE": 1, "EFER_LME": 1 << 8, "EFER_LMA": 1 << 10, "EFER_NX": 1 << 11, "X86_CR0_PG": 1 << 31,
    "true": 1, "false": 0, "NULL": 0, REGISTER: 0xC0000102,
}  # fmt: skip
