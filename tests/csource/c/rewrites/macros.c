// Macros, comments and what the compiler sees through: a design's functions written another way, in our own words. See changing.py.

//// a macro for the access
#define read_guests(v) rdmsrl(MSR_KERNEL_GS_BASE, (v)->msr_guest_kernel_gs_base)
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded) {
		read_guests(vmx);
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a macro for the flag
#define LOADED(v) ((v)->guest_state_loaded)
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (LOADED(vmx)) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a macro for the MSR
#define THE_MSR MSR_KERNEL_GS_BASE
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded) {
		rdmsrl(THE_MSR, vmx->msr_guest_kernel_gs_base);
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// no braces around one statement
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// braces on lines of their own, and comments
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable(); /* a comment with preempt_enable(); */
	if (vmx->guest_state_loaded) /* in the register? */
	{ // yes
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a comment that holds code
/*
 * rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
 }
 */
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// code that is not compiled
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
#ifdef CONFIG_NOBODY
	wrmsrl(MSR_KERNEL_GS_BASE, 0);
#else
	preempt_disable();
#endif
	if (vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// READ_ONCE and WRITE_ONCE
static void vmx_prepare_switch_to_guest(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long fs_base;
	int i;

	if (!vmx->guest_msrs_ready) {
		vmx->guest_msrs_ready = true;
		for (i = 0; i < vmx->save_nmsrs; ++i)
			kvm_set_shared_msr(i, vmx->guest_msrs[i].data, vmx->guest_msrs[i].mask);
	}
	if (vmx->guest_state_loaded) {
		return;
	}
	vmx->host_state.ldt_sel = kvm_read_ldt();
	savesegment(ds, vmx->host_state.ds_sel);
	savesegment(es, vmx->host_state.es_sel);
	if (likely(is_64bit_mm(current->mm))) {
		save_fsgs_for_kvm();
		vmx->host_state.gs_sel = current->thread.gsindex;
		vmx->msr_host_kernel_gs_base = current->thread.gsbase;
	} else {
		savesegment(fs, vmx->host_state.fs_sel);
		savesegment(gs, vmx->host_state.gs_sel);
		rdmsrl(MSR_FS_BASE, fs_base);
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
	}
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	vmx_set_host_fs_gs(&vmx->host_state);
	WRITE_ONCE(vmx->guest_state_loaded, true);
}

static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
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
	WRITE_ONCE(vmx->guest_state_loaded, false);
	vmx->guest_msrs_ready = false;
}

static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (READ_ONCE(vmx->guest_state_loaded)) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// likely, unlikely and a warning
static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (unlikely(!vmx->guest_state_loaded)) {
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

static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	WARN_ON_ONCE(!vmx);
	if (vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a macro without arguments for the access
#define SAVE_IT rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base)

static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		SAVE_IT;
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// another name for the accessor
#define rd_it rdmsrl

static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		rd_it(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}
