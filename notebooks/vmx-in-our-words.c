// SPDX-License-Identifier: GPL-2.0-only
/*
 * How KVM on Intel VMX switches MSR_KERNEL_GS_BASE, in the manner of Linux 5.3 to 5.8.
 *
 * This is not kernel source, and it cannot be compiled. The authors of vmxsim wrote it for notebook 10, for
 * readers who have no kernel tree at hand. The functions bear the names that Linux gives them; what they do is
 * told in our own words, and most of what the real ones do is missing.
 *
 *   enter    vmx_prepare_switch_to_guest()   before VM entry, unless guest state is loaded
 *   leave    vmx_prepare_switch_to_host()    when the vCPU's thread gives up the CPU or returns to user space
 *   read     vmx_get_msr()                   KVM_GET_MSRS, and KVM's emulator of RDMSR
 *   write    vmx_set_msr()                   KVM_SET_MSRS, and KVM's emulator of WRMSR
 *   mode     vmx_set_efer(), vmx_set_cr0()   the guest enters and leaves long mode
 */

/* Selectors that the host has while KVM has its own use for the segments. */
struct host_selectors {
	u16 fs_sel, gs_sel, ldt_sel, ds_sel, es_sel;
};

struct vcpu_vmx {
	struct kvm_vcpu vcpu;
	struct host_selectors host_state;

	u64 msr_guest_kernel_gs_base;	/* g: the guest's value, while the register is the host's */
	u64 msr_host_kernel_gs_base;	/* h: the host's value, while the register is the guest's */
	bool guest_state_loaded;	/* L: enter has run, and leave has not */

	u64 spec_ctrl;
	u64 tsc_aux;
	bool debug_store;
};

static inline struct vcpu_vmx *to_vmx(struct kvm_vcpu *vcpu)
{
	return container_of(vcpu, struct vcpu_vmx, vcpu);
}

/* The guest uses these without an exit: whatever it writes is in the register, and KVM is not told. */
static void pass_bases_through(struct vcpu_vmx *vmx)
{
	vmx_disable_intercept_for_msr(vmx, MSR_FS_BASE, MSR_TYPE_RW);
	vmx_disable_intercept_for_msr(vmx, MSR_GS_BASE, MSR_TYPE_RW);
	vmx_disable_intercept_for_msr(vmx, MSR_KERNEL_GS_BASE, MSR_TYPE_RW);
}

static int vmx_create_vcpu(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmx->spec_ctrl = 0;
	pass_bases_through(vmx);
	return 0;
}

/* The host's user GS base: the thread has it, or else, for a 32-bit process, the register itself. */
static u64 user_gs_base(struct vcpu_vmx *vmx)
{
	u64 base;

	if (is_64bit_mm(current->mm)) {
		save_fsgs_for_kvm();
		vmx->host_state.fs_sel = current->thread.fsindex;
		vmx->host_state.gs_sel = current->thread.gsindex;
		return current->thread.gsbase;
	}
	savesegment(fs, vmx->host_state.fs_sel);
	savesegment(gs, vmx->host_state.gs_sel);
	rdmsrl(MSR_KERNEL_GS_BASE, base);
	return base;
}

/* enter. The caller has disabled preemption. */
static void vmx_prepare_switch_to_guest(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (vmx->guest_state_loaded)
		return;

	savesegment(ds, vmx->host_state.ds_sel);
	savesegment(es, vmx->host_state.es_sel);
	vmx->host_state.ldt_sel = kvm_read_ldt();

	vmx->msr_host_kernel_gs_base = user_gs_base(vmx);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);

	vmcs_write16(HOST_FS_SELECTOR, vmx->host_state.fs_sel);
	vmcs_write16(HOST_GS_SELECTOR, vmx->host_state.gs_sel);
	vmx->guest_state_loaded = true;
}

/* leave. The caller has disabled preemption. */
static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (!vmx->guest_state_loaded)
		return;

	/* Nobody but the register knows what the guest wrote: save it before load_gs_index() can change it. */
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);

	if (vmx->host_state.ldt_sel || (vmx->host_state.gs_sel & 7)) {
		kvm_load_ldt(vmx->host_state.ldt_sel);
		load_gs_index(vmx->host_state.gs_sel);
	}
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);

	invalidate_tss_limit();
	load_fixmap_gdt(smp_processor_id());
	vmx->guest_state_loaded = false;
}

/* Scheduled out, or on the way to user space. */
static void vmx_vcpu_put(struct kvm_vcpu *vcpu)
{
	vmx_prepare_switch_to_host(to_vmx(vcpu));
}

/* Where is the guest's value now? Leave may run at any time while preemption is enabled. */
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

static int vmx_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr_info)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	switch (msr_info->index) {
	case MSR_FS_BASE:
		msr_info->data = vmcs_readl(GUEST_FS_BASE);
		return 0;
	case MSR_GS_BASE:
		msr_info->data = vmcs_readl(GUEST_GS_BASE);
		return 0;
	case MSR_KERNEL_GS_BASE:
		msr_info->data = vmx_read_guest_kernel_gs_base(vmx);
		return 0;
	case MSR_IA32_SPEC_CTRL:
		msr_info->data = vmx->spec_ctrl;
		return 0;
	case MSR_TSC_AUX:
		msr_info->data = vmx->tsc_aux;
		return 0;
	default:
		return kvm_get_msr_common(vcpu, msr_info);
	}
}

static int vmx_set_msr(struct kvm_vcpu *vcpu, struct msr_data *msr_info)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u64 data = msr_info->data;

	switch (msr_info->index) {
	case MSR_FS_BASE:
		vmcs_writel(GUEST_FS_BASE, data);
		return 0;
	case MSR_GS_BASE:
		vmcs_writel(GUEST_GS_BASE, data);
		return 0;
	case MSR_KERNEL_GS_BASE:
		vmx_write_guest_kernel_gs_base(vmx, data);
		return 0;
	case MSR_IA32_SPEC_CTRL:
		vmx->spec_ctrl = data;
		return 0;
	case MSR_TSC_AUX:
		if (data >> 32)
			return 1;
		vmx->tsc_aux = data;
		return 0;
	default:
		return kvm_set_msr_common(vcpu, msr_info);
	}
}

/* The register is the guest's in every mode, so a change of mode moves nothing. */
static void vmx_set_efer(struct kvm_vcpu *vcpu, u64 efer)
{
	vcpu->arch.efer = efer;
	if (efer & EFER_LMA)
		vm_entry_controls_setbit(to_vmx(vcpu), VM_ENTRY_IA32E_MODE);
	else
		vm_entry_controls_clearbit(to_vmx(vcpu), VM_ENTRY_IA32E_MODE);
}

static void enter_lmode(struct kvm_vcpu *vcpu)
{
	vmx_set_efer(vcpu, vcpu->arch.efer | EFER_LMA);
}

static void exit_lmode(struct kvm_vcpu *vcpu)
{
	vmx_set_efer(vcpu, vcpu->arch.efer & ~EFER_LMA);
}

/* Long mode is paging with EFER.LME set. */
static void vmx_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0)
{
	if (vcpu->arch.efer & EFER_LME) {
		if (!is_paging(vcpu) && (cr0 & X86_CR0_PG))
			enter_lmode(vcpu);
		if (is_paging(vcpu) && !(cr0 & X86_CR0_PG))
			exit_lmode(vcpu);
	}
	vmcs_writel(CR0_READ_SHADOW, cr0);
	vmcs_writel(GUEST_CR0, cr0);
	vcpu->arch.cr0 = cr0;
}

static struct kvm_x86_ops vmx_x86_ops = {
	.vcpu_create = vmx_create_vcpu,
	.prepare_guest_switch = vmx_prepare_switch_to_guest,
	.vcpu_put = vmx_vcpu_put,
	.get_msr = vmx_get_msr,
	.set_msr = vmx_set_msr,
	.set_efer = vmx_set_efer,
	.set_cr0 = vmx_set_cr0,
};
