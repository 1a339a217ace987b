"""C in our own words for :mod:`tests.csource.retell`: what stands around a design's functions."""

HEAD = """\
// A design of vmxsim's, told again as C. This is no kernel source.
#include <linux/kvm_host.h>
#include <asm/msr.h>
#include "x86.h"
#include "vmx.h"

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
"""

LIST = """\
static void load_msrs(struct kvm_msr_entry *e, int n)
{
	int i;

	for (i = 0; i < n; ++i)
		wrmsrl(e[i].index, e[i].data);
}

static void save_msrs(struct kvm_msr_entry *e, int n)
{
	int i;

	for (i = 0; i < n; ++i)
		rdmsrl(e[i].index, e[i].data);
}

static int __find_msr_index(struct vcpu_vmx *vmx, u32 msr)
{
	int i;

	for (i = 0; i < vmx->nmsrs; ++i)
		if (vmx->guest_msrs[i].index == msr)
			return i;
	return -1;
}

static struct kvm_msr_entry *find_msr_entry(struct vcpu_vmx *vmx, u32 msr)
{
	int i = __find_msr_index(vmx, msr);

	return i < 0 ? NULL : &vmx->guest_msrs[i];
}

static void move_msr_up(struct vcpu_vmx *vmx, int from, int to)
{
	struct kvm_msr_entry tmp = vmx->guest_msrs[to];

	vmx->guest_msrs[to] = vmx->guest_msrs[from];
	vmx->guest_msrs[from] = tmp;
}
"""

SEGMENTS = """\
static void vmx_set_host_fs_gs(struct vmcs_host_state *host)
{
	vmcs_write16(HOST_FS_SELECTOR, host->fs_sel & 7 ? 0 : host->fs_sel);
	vmcs_write16(HOST_GS_SELECTOR, host->gs_sel & 7 ? 0 : host->gs_sel);
}
"""

NEVER = """\
static struct kvm_vcpu *vmx_create_vcpu(struct kvm *kvm, unsigned int id)
{
	struct vcpu_vmx *vmx = kmem_cache_zalloc(kvm_vcpu_cache, GFP_KERNEL);

	vmx_disable_intercept_for_msr(vmx, MSR_IA32_TSC, MSR_TYPE_R);
#ifdef CONFIG_X86_64
	vmx_disable_intercept_for_msr(vmx, MSR_FS_BASE, MSR_TYPE_RW);
	vmx_disable_intercept_for_msr(vmx, MSR_KERNEL_GS_BASE, MSR_TYPE_RW);
#endif
	return &vmx->vcpu;
}
"""

BY_MODE = """\
static void vmx_update_msr_bitmap(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u8 mode = is_long_mode(vcpu) ? MSR_BITMAP_MODE_LM : 0;

	vmx_set_intercept_for_msr(vmx->vmcs01.msr_bitmap, MSR_KERNEL_GS_BASE, MSR_TYPE_RW,
				  !(mode & MSR_BITMAP_MODE_LM));
	vmx->msr_bitmap_mode = mode;
}
"""

BY_BITMAP = """\
static void vmx_update_msr_bitmap(struct kvm_vcpu *vcpu)
{
	vmcs_write64(MSR_BITMAP, __pa(is_long_mode(vcpu) ? bitmap_longmode : bitmap_legacy));
}

static void vmx_disable_intercept_for_msr(u32 msr, bool longmode_only)
{
	if (!longmode_only)
		__clear_bit(msr & 0x1fff, bitmap_legacy);
	__clear_bit(msr & 0x1fff, bitmap_longmode);
}

static int hardware_setup(void)
{
	vmx_disable_intercept_for_msr(MSR_FS_BASE, false);
	vmx_disable_intercept_for_msr(MSR_KERNEL_GS_BASE, true);
	return alloc_kvm_area();
}
"""

VT = """\
// A design of vmxsim's, told again as C. This is no kernel source.
struct vcpu_vt {
	u32 exit_intr_info;
	bool guest_state_loaded;
	u64 msr_host_kernel_gs_base;
};

static inline struct vcpu_vt *to_vt(struct kvm_vcpu *vcpu)
{
	return &container_of(vcpu, struct vcpu_vmx, vcpu)->vt;
}
"""

TDX = """\
// A design of vmxsim's, told again as C. This is no kernel source.
#include "vmx.h"
#include "tdx.h"

#ifdef CONFIG_KVM_INTEL_TDX
static int vt_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr_info)
{
	if (unlikely(is_td_vcpu(vcpu)))
		return tdx_get_msr(vcpu, msr_info);
	return vmx_get_msr(vcpu, msr_info);
}

#define vt_op(name) vt_##name
#else
#define vt_op(name) vmx_##name
#endif
"""

CANONICAL = """\
// A design of vmxsim's, told again as C. This is no kernel source.
int kvm_set_msr(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	switch (msr->index) {
	case MSR_FS_BASE:
	case MSR_KERNEL_GS_BASE:
		if (is_noncanonical_address(msr->data, vcpu))
			return 1;
		break;
	default:
		break;
	}
	return kvm_x86_ops->set_msr(vcpu, msr);
}
"""

UNCHECKED = """\
// A design of vmxsim's, told again as C. This is no kernel source.
int kvm_set_msr(struct kvm_vcpu *vcpu, u32 msr_index, u64 data)
{
	return kvm_x86_ops->set_msr(vcpu, msr_index, data);
}
"""
