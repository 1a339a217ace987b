// Helper functions, pointers, and other ways to reach the register: a design's functions written another way, in our own words. See changing.py.

//// a helper function
static void save_the_guests(struct vcpu_vmx *vmx)
{
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
}

static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (!vmx->guest_state_loaded) {
		return;
	}
	++vmx->vcpu.stat.host_state_reload;
	save_the_guests(vmx);
	if (vmx->host_state.ldt_sel || (vmx->host_state.gs_sel & 7)) {
		kvm_load_ldt(vmx->host_state.ldt_sel);
		load_gs_index(vmx->host_state.gs_sel);
	}
	invalidate_tss_limit();
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
	load_fixmap_gdt(raw_smp_processor_id());
	vmx->guest_state_loaded = false;
	vmx->guest_msrs_ready = false;
}

//// a helper that returns the value
static u64 guests(void)
{
	return read_msr(MSR_KERNEL_GS_BASE);
}

static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (!vmx->guest_state_loaded) {
		return;
	}
	++vmx->vcpu.stat.host_state_reload;
	vmx->msr_guest_kernel_gs_base = guests();
	if (vmx->host_state.ldt_sel || (vmx->host_state.gs_sel & 7)) {
		kvm_load_ldt(vmx->host_state.ldt_sel);
		load_gs_index(vmx->host_state.gs_sel);
	}
	invalidate_tss_limit();
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
	load_fixmap_gdt(raw_smp_processor_id());
	vmx->guest_state_loaded = false;
	vmx->guest_msrs_ready = false;
}

//// a helper in a header of the directory
static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (!vmx->guest_state_loaded) {
		return;
	}
	++vmx->vcpu.stat.host_state_reload;
	save_the_guests(vmx);
	if (vmx->host_state.ldt_sel || (vmx->host_state.gs_sel & 7)) {
		kvm_load_ldt(vmx->host_state.ldt_sel);
		load_gs_index(vmx->host_state.gs_sel);
	}
	invalidate_tss_limit();
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
	load_fixmap_gdt(raw_smp_processor_id());
	vmx->guest_state_loaded = false;
	vmx->guest_msrs_ready = false;
}

/// in helpers.h
static inline void save_the_guests(struct vcpu_vmx *vmx)
{
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
}

//// a helper in another file of the directory
static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (!vmx->guest_state_loaded) {
		return;
	}
	++vmx->vcpu.stat.host_state_reload;
	save_the_guests(vmx);
	if (vmx->host_state.ldt_sel || (vmx->host_state.gs_sel & 7)) {
		kvm_load_ldt(vmx->host_state.ldt_sel);
		load_gs_index(vmx->host_state.gs_sel);
	}
	invalidate_tss_limit();
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
	load_fixmap_gdt(raw_smp_processor_id());
	vmx->guest_state_loaded = false;
	vmx->guest_msrs_ready = false;
}

/// in helpers.c
void save_the_guests(struct vcpu_vmx *vmx)
{
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
}

//// a helper that is handed the place of the copy
static void save_to(u64 *place)
{
	rdmsrl(MSR_KERNEL_GS_BASE, *place);
}

static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (!vmx->guest_state_loaded) {
		return;
	}
	++vmx->vcpu.stat.host_state_reload;
	save_to(&vmx->msr_guest_kernel_gs_base);
	if (vmx->host_state.ldt_sel || (vmx->host_state.gs_sel & 7)) {
		kvm_load_ldt(vmx->host_state.ldt_sel);
		load_gs_index(vmx->host_state.gs_sel);
	}
	invalidate_tss_limit();
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
	load_fixmap_gdt(raw_smp_processor_id());
	vmx->guest_state_loaded = false;
	vmx->guest_msrs_ready = false;
}

//// a helper that is handed the MSR
static u64 value_of(u32 msr)
{
	return read_msr(msr);
}

static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (!vmx->guest_state_loaded) {
		return;
	}
	++vmx->vcpu.stat.host_state_reload;
	vmx->msr_guest_kernel_gs_base = value_of(MSR_KERNEL_GS_BASE);
	if (vmx->host_state.ldt_sel || (vmx->host_state.gs_sel & 7)) {
		kvm_load_ldt(vmx->host_state.ldt_sel);
		load_gs_index(vmx->host_state.gs_sel);
	}
	invalidate_tss_limit();
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
	load_fixmap_gdt(raw_smp_processor_id());
	vmx->guest_state_loaded = false;
	vmx->guest_msrs_ready = false;
}

//// a helper that says whether state is loaded
static bool is_loaded(struct vcpu_vmx *vmx)
{
	return vmx->guest_state_loaded;
}

static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (is_loaded(vmx)) {
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	}
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// a local pointer to the host's state
static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	struct vmcs_host_state *host = &vmx->host_state;

	if (!vmx->guest_state_loaded) {
		return;
	}
	++vmx->vcpu.stat.host_state_reload;
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	if (host->ldt_sel || (host->gs_sel & 7)) {
		kvm_load_ldt(vmx->host_state.ldt_sel);
		load_gs_index(host->gs_sel);
	}
	invalidate_tss_limit();
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
	load_fixmap_gdt(raw_smp_processor_id());
	vmx->guest_state_loaded = false;
	vmx->guest_msrs_ready = false;
}

//// the accessors written into the cases
static int vmx_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr_info)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	switch (msr_info->index) {
#ifdef CONFIG_X86_64
	case MSR_FS_BASE:
		msr_info->data = vmcs_readl(GUEST_FS_BASE);
		break;
	case MSR_KERNEL_GS_BASE:
		preempt_disable();
		if (vmx->guest_state_loaded)
			rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
		preempt_enable();
		msr_info->data = vmx->msr_guest_kernel_gs_base;
		break;
#endif
	default:
		return kvm_get_msr_common(vcpu, msr_info);
	}
	return 0;
}

//// the kernel's own access of the inactive base
static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (!vmx->guest_state_loaded) {
		return;
	}
	++vmx->vcpu.stat.host_state_reload;
	vmx->msr_guest_kernel_gs_base = x86_gsbase_read_cpu_inactive();
	if (vmx->host_state.ldt_sel || (vmx->host_state.gs_sel & 7)) {
		kvm_load_ldt(vmx->host_state.ldt_sel);
		load_gs_index(vmx->host_state.gs_sel);
	}
	invalidate_tss_limit();
	x86_gsbase_write_cpu_inactive(vmx->msr_host_kernel_gs_base);
	load_fixmap_gdt(raw_smp_processor_id());
	vmx->guest_state_loaded = false;
	vmx->guest_msrs_ready = false;
}

//// rdmsrl_safe
static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (!vmx->guest_state_loaded) {
		return;
	}
	++vmx->vcpu.stat.host_state_reload;
	rdmsrl_safe(MSR_KERNEL_GS_BASE, &vmx->msr_guest_kernel_gs_base);
	if (vmx->host_state.ldt_sel || (vmx->host_state.gs_sel & 7)) {
		kvm_load_ldt(vmx->host_state.ldt_sel);
		load_gs_index(vmx->host_state.gs_sel);
	}
	invalidate_tss_limit();
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
	load_fixmap_gdt(raw_smp_processor_id());
	vmx->guest_state_loaded = false;
	vmx->guest_msrs_ready = false;
}

//// leave takes the vCPU
static void vmx_prepare_switch_to_host(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (!vmx->guest_state_loaded) {
		return;
	}
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
}

static void vmx_vcpu_put(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmx_prepare_switch_to_host(vcpu);
}

//// noinline
static noinline u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// __always_inline
static __always_inline u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// the type on a line of its own
static u64
vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// what sparse is told of the locks
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
	__must_hold(&vmx->vcpu.mutex)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a helper tests the flag in enter and leave
static bool is_loaded(struct vcpu_vmx *vmx)
{
	return vmx->guest_state_loaded;
}

static void vmx_prepare_switch_to_guest(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (is_loaded(vmx))
		return;
	savesegment(gs, vmx->host_state.gs_sel);
	vmx->msr_host_kernel_gs_base = read_msr(MSR_KERNEL_GS_BASE);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	vmx->guest_state_loaded = true;
}

static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (!is_loaded(vmx))
		return;
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	if (vmx->host_state.gs_sel & 7)
		load_gs_index(vmx->host_state.gs_sel);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
	vmx->guest_state_loaded = false;
}

//// a pointer chosen by the MSR
static void vmx_write_guest_msr(struct vcpu_vmx *vmx, u32 msr, u64 data)
{
	u64 *cache;

	switch (msr) {
	case MSR_KERNEL_GS_BASE:
		cache = &vmx->msr_guest_kernel_gs_base;
		break;
	case MSR_IA32_FRED_RSP0:
		cache = &vmx->rsp0;
		break;
	default:
		return;
	}
	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsrl(msr, data);
	preempt_enable();
	*cache = data;
}

static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	vmx_write_guest_msr(vmx, MSR_KERNEL_GS_BASE, data);
}
