// Ways through a function: a design's functions written another way, in our own words. See changing.py.

//// goto out
static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (!vmx->guest_state_loaded)
		goto out;
	++vmx->vcpu.stat.host_state_reload;
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	if (vmx->host_state.ldt_sel || (vmx->host_state.gs_sel & 7)) {
		kvm_load_ldt(vmx->host_state.ldt_sel);
		load_gs_index(vmx->host_state.gs_sel);
	}
	invalidate_tss_limit();
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
	load_fixmap_gdt(raw_smp_processor_id());
	vmx->guest_state_loaded = false;
	vmx->guest_msrs_ready = false;
out:
	return;
}

//// goto the unlock
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (!vmx->guest_state_loaded)
		goto unlock;
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
unlock:
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// an early return from a pair of accessors
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (!vmx->guest_state_loaded) {
		vmx->msr_guest_kernel_gs_base = data;
		preempt_enable();
		return;
	} else {
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	}
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// a macro for the access in do { } while (0)
#define read_guests(v) do { rdmsrl(MSR_KERNEL_GS_BASE, (v)->msr_guest_kernel_gs_base); } while (0)
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded) {
		read_guests(vmx);
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// do { } while (0)
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	do {
		preempt_disable();
		if (vmx->guest_state_loaded)
			rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
		preempt_enable();
	} while (0);
	return vmx->msr_guest_kernel_gs_base;
}

//// break out of do { } while (0)
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	do {
		if (!vmx->guest_state_loaded)
			break;
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	} while (0);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// continue in do { } while (0)
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	do {
		if (!vmx->guest_state_loaded) {
			continue;
		}
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	} while (0);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// a range of cases
#define MSR_KERNEL_GS_BASE 0xc0000102
static int vmx_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr_info)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	switch (msr_info->index) {
#ifdef CONFIG_X86_64
	case MSR_FS_BASE:
		msr_info->data = vmcs_readl(GUEST_FS_BASE);
		break;
	case 0xc0000102 ... 0xc0000103:
		msr_info->data = vmx_read_guest_kernel_gs_base(vmx);
		break;
#endif
	default:
		return kvm_get_msr_common(vcpu, msr_info);
	}
	return 0;
}

//// a case that falls through
static int vmx_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr_info)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	switch (msr_info->index) {
#ifdef CONFIG_X86_64
	case MSR_FS_BASE:
		msr_info->data = vmcs_readl(GUEST_FS_BASE);
		break;
	case MSR_NOBODY:
		msr_info->data = 0;
		fallthrough;
	case MSR_KERNEL_GS_BASE:
		msr_info->data = vmx_read_guest_kernel_gs_base(vmx);
		break;
#endif
	default:
		return kvm_get_msr_common(vcpu, msr_info);
	}
	return 0;
}

//// if in place of switch
static int vmx_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr_info)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (msr_info->index == MSR_KERNEL_GS_BASE) {
		msr_info->data = vmx_read_guest_kernel_gs_base(vmx);
		return 0;
	}
	switch (msr_info->index) {
#ifdef CONFIG_X86_64
	case MSR_FS_BASE:
		msr_info->data = vmcs_readl(GUEST_FS_BASE);
		break;
#endif
	default:
		return kvm_get_msr_common(vcpu, msr_info);
	}
	return 0;
}

//// a return in the case
static int vmx_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr_info)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	switch (msr_info->index) {
#ifdef CONFIG_X86_64
	case MSR_FS_BASE:
		msr_info->data = vmcs_readl(GUEST_FS_BASE);
		break;
	case MSR_KERNEL_GS_BASE:
		msr_info->data = vmx_read_guest_kernel_gs_base(vmx);
		return 0;
#endif
	default:
		return kvm_get_msr_common(vcpu, msr_info);
	}
	return 0;
}

//// the store in both branches
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded) {
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	}
	vmx->msr_guest_kernel_gs_base = data;
	preempt_enable();
}

//// a loop that runs once
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	int i;

	preempt_disable();
	for (i = 0; i < 1; i++)
		if (vmx->guest_state_loaded)
			rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a goto backward
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	bool again = true;

retry:
	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	if (again) {
		again = false;
		goto retry;
	}
	return vmx->msr_guest_kernel_gs_base;
}

//// commas
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable(), vmx->spare = 1;
	if (vmx->guest_state_loaded)
		vmx->spare = 1, rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// while with a break
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	while (vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
		break;
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// leave without an early return
static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
		if (vmx->host_state.ldt_sel || (vmx->host_state.gs_sel & 7))
			load_gs_index(vmx->host_state.gs_sel);
		wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
		vmx->guest_state_loaded = false;
		vmx->guest_msrs_ready = false;
	}
}

//// the caller of leave tests the flag
static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	if (vmx->host_state.ldt_sel || (vmx->host_state.gs_sel & 7))
		load_gs_index(vmx->host_state.gs_sel);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
	vmx->guest_state_loaded = false;
}

static void vmx_vcpu_put(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (vmx->guest_state_loaded)
		vmx_prepare_switch_to_host(vmx);
}

//// a warning before leave
static void vmx_vcpu_put(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (WARN_ON_ONCE(!vmx->guest_state_loaded))
		return;
	vmx_prepare_switch_to_host(vmx);
}

//// the guest's state is switched in at vcpu_load, too
static void vmx_vcpu_load(struct kvm_vcpu *vcpu, int cpu)
{
	vmx_prepare_switch_to_guest(vcpu);
}

//// else if
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (!vmx->guest_state_loaded)
		vmx->spare = 1;
	else if (is_long_mode(&vmx->vcpu))
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	else
		vmx->msr_guest_kernel_gs_base = read_msr(MSR_KERNEL_GS_BASE);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}
