// Changes of a design that break it, in our own words, each with what breaks and where. See changing.py.

//// leave does not save the guest's value: guest-value, any host
static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (!vmx->guest_state_loaded) {
		return;
	}
	++vmx->vcpu.stat.host_state_reload;
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

//// leave does not restore the host's value: host-value, 64-bit host
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
	load_fixmap_gdt(raw_smp_processor_id());
	vmx->guest_state_loaded = false;
	vmx->guest_msrs_ready = false;
}

//// leave restores the guest's value: host-value, any host
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
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	load_fixmap_gdt(raw_smp_processor_id());
	vmx->guest_state_loaded = false;
	vmx->guest_msrs_ready = false;
}

//// enter does not load the guest's value: guest-value, any host
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
	vmx_set_host_fs_gs(&vmx->host_state);
	vmx->guest_state_loaded = true;
}

//// enter loads the host's value: guest-value, any host
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
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
	vmx_set_host_fs_gs(&vmx->host_state);
	vmx->guest_state_loaded = true;
}

//// leave saves after load_gs_index(): guest-value, 32-bit host
static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (!vmx->guest_state_loaded) {
		return;
	}
	++vmx->vcpu.stat.host_state_reload;
	if (vmx->host_state.ldt_sel || (vmx->host_state.gs_sel & 7)) {
		kvm_load_ldt(vmx->host_state.ldt_sel);
		load_gs_index(vmx->host_state.gs_sel);
	}
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	invalidate_tss_limit();
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
	load_fixmap_gdt(raw_smp_processor_id());
	vmx->guest_state_loaded = false;
	vmx->guest_msrs_ready = false;
}

//// leave restores the guest's value after load_gs_index(): host-value, any host
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
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	load_fixmap_gdt(raw_smp_processor_id());
	vmx->guest_state_loaded = false;
	vmx->guest_msrs_ready = false;
}

//// the read does not ask whether the register holds it: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (1) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// the read asks for the opposite: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (!vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// the read never asks the register: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded) {
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// the read returns the host's value: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	preempt_enable();
	return vmx->msr_host_kernel_gs_base;
}

//// the read can be preempted: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	if (vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	return vmx->msr_guest_kernel_gs_base;
}

//// the read is guarded by a lock that can be preempted: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	guard(mutex)(&lock);
	if (vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	return vmx->msr_guest_kernel_gs_base;
}

//// the read is enabled again too early: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	preempt_enable();
	if (vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	return vmx->msr_guest_kernel_gs_base;
}

//// the scoped guard ends too early: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	scoped_guard (preempt) {
		barrier();
	}
	if (vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	return vmx->msr_guest_kernel_gs_base;
}

//// the write asks before it is protected: host-value, any host
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	bool loaded = vmx->guest_state_loaded;

	preempt_disable();
	if (loaded) {
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	}
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// the write does not reach the register: guest-value, any host
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded) {
	}
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// the write reaches the register at any time: host-value, any host
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx) {
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	}
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// the write does not reach the copy: guest-value, any host
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded) {
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	}
	preempt_enable();
}

//// another bit of EFER decides about the read: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->vcpu.arch.efer & EFER_LMA) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// the read's case is left before it reads: guest-value, any host
static int vmx_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr_info)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	switch (msr_info->index) {
#ifdef CONFIG_X86_64
	case MSR_FS_BASE:
		msr_info->data = vmcs_readl(GUEST_FS_BASE);
		break;
	case MSR_KERNEL_GS_BASE:
		msr_info->data = vmx->msr_guest_kernel_gs_base;
		break;
		msr_info->data = vmx_read_guest_kernel_gs_base(vmx);
		break;
#endif
	default:
		return kvm_get_msr_common(vcpu, msr_info);
	}
	return 0;
}

//// leave clears the flag only in long mode: host-value, any host
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
	if (is_long_mode(&vmx->vcpu))
		vmx->guest_state_loaded = false;
	vmx->guest_msrs_ready = false;
}

//// leave is skipped by a goto: host-value, 64-bit host
static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (!vmx->guest_state_loaded) {
		return;
	}
	++vmx->vcpu.stat.host_state_reload;
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	if (!(vmx->host_state.gs_sel & 7))
		goto skip;
	if (vmx->host_state.ldt_sel || (vmx->host_state.gs_sel & 7)) {
		kvm_load_ldt(vmx->host_state.ldt_sel);
		load_gs_index(vmx->host_state.gs_sel);
	}
	invalidate_tss_limit();
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
skip:
	load_fixmap_gdt(raw_smp_processor_id());
	vmx->guest_state_loaded = false;
	vmx->guest_msrs_ready = false;
}

//// the helper saves the other field: guest-value, any host
static void save(u64 *place)
{
	*place = *place;
}

static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (!vmx->guest_state_loaded) {
		return;
	}
	++vmx->vcpu.stat.host_state_reload;
	save(&vmx->msr_guest_kernel_gs_base);
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

//// the warning is believed: host-value, any host
static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (WARN_ON_ONCE(vmx->guest_state_loaded)) {
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

//// the read asks a flag that leave does not clear: guest-value, any host
static void vmx_set_efer(struct kvm_vcpu *vcpu, u64 efer)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vcpu->arch.efer = efer;
	vmx->mode_was_set = true;
}

static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->mode_was_set)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// the flag is kept in a variable that another hides: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	bool loaded = false;

	preempt_disable();
	{
		bool loaded = vmx->guest_state_loaded;

		vmx->spare = loaded;
	}
	if (loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// preemption is enabled after a comma: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable(), preempt_enable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	return vmx->msr_guest_kernel_gs_base;
}

//// the read is preempted where it asks for interrupts only: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	if (vmx->guest_state_loaded && !irqs_disabled())
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	return vmx->msr_guest_kernel_gs_base;
}

//// the guard ends with its block: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	{
		guard(preempt)();
		vmx->spare = 1;
	}
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	return vmx->msr_guest_kernel_gs_base;
}

//// a macro without arguments writes the host's value: guest-value, any host
#define BREAK_IT wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base)

static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	BREAK_IT;
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// the flag as it was at the last read: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	static bool loaded;

	preempt_disable();
	if (loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	loaded = vmx->guest_state_loaded;
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// the read returns with preemption disabled: contract, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (!vmx->guest_state_loaded)
		return vmx->msr_guest_kernel_gs_base;
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a macro is the register's number: guest-value, any host
#define THE_REG 0xc0000102

static void hidden(struct vcpu_vmx *vmx)
{
	wrmsrl(THE_REG, vmx->msr_host_kernel_gs_base);
}

static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
	hidden(vmx);
}

//// the read is left where it would warn: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (WARN_ON(vmx->guest_state_loaded)) {
		preempt_enable();
		return vmx->msr_guest_kernel_gs_base;
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// else belongs to the inner if, and 32-bit guests are not read: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		if (is_long_mode(&vmx->vcpu))
			rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	else
		vmx->msr_guest_kernel_gs_base = vmx->msr_guest_kernel_gs_base;
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// the read is indented under the if and not in it: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		vmx->spare = 1;
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a semicolon ends the if: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded);
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// an assignment for a comparison: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded = true)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// ~ for !: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (~vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// ! binds before ==: guest-value, any host
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (!vmx->guest_state_loaded == true)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}
