// Values and flags on their way: a design's functions written another way, in our own words. See changing.py.

//// declarations in another order
static void vmx_prepare_switch_to_guest(struct kvm_vcpu *vcpu)
{
	int i;
	unsigned long fs_base;
	struct vcpu_vmx *vmx;

	vmx = to_vmx(vcpu);

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
	vmx->guest_state_loaded = true;
}

//// the value through a local variable
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	u64 value = data;

	preempt_disable();
	if (vmx->guest_state_loaded) {
		wrmsrl(MSR_KERNEL_GS_BASE, value);
	}
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = value;
}

//// the host's value through a local variable
static void vmx_prepare_switch_to_guest(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long fs_base, base;
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
		base = current->thread.gsbase;
	} else {
		savesegment(fs, vmx->host_state.fs_sel);
		savesegment(gs, vmx->host_state.gs_sel);
		rdmsrl(MSR_FS_BASE, fs_base);
		base = read_msr(MSR_KERNEL_GS_BASE);
	}
	vmx->msr_host_kernel_gs_base = base;
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	vmx_set_host_fs_gs(&vmx->host_state);
	vmx->guest_state_loaded = true;
}

//// ? : for the value
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	vmx->msr_guest_kernel_gs_base = vmx->guest_state_loaded ?
		read_msr(MSR_KERNEL_GS_BASE) : vmx->msr_guest_kernel_gs_base;
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// the flag compared
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded == true) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded != false) {
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	}
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// !!flag
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (!!vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// the flag kept in a local variable
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	bool loaded;

	preempt_disable();
	loaded = vmx->guest_state_loaded;
	if (loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// IS_ENABLED()
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	if (!IS_ENABLED(CONFIG_X86_64))
		return 0;
	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// variables that are not used
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	struct kvm_vcpu *vcpu __maybe_unused = &vmx->vcpu;
	const bool debug = false;

	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// the result of wrmsrl_safe()
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	int err = 0;

	preempt_disable();
	if (vmx->guest_state_loaded)
		err = wrmsrl_safe(MSR_KERNEL_GS_BASE, data);
	preempt_enable();
	if (err)
		return;
	vmx->msr_guest_kernel_gs_base = data;
}

//// a pointer to g
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	u64 *g = &vmx->msr_guest_kernel_gs_base;

	preempt_disable();
	if (vmx->guest_state_loaded)
		*g = read_msr(MSR_KERNEL_GS_BASE);
	preempt_enable();
	return *g;
}

//// the value straight from the register
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	guard(preempt)();
	return vmx->guest_state_loaded ? read_msr(MSR_KERNEL_GS_BASE) : vmx->msr_guest_kernel_gs_base;
}

//// a write to one place only
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	else
		vmx->msr_guest_kernel_gs_base = data;
	preempt_enable();
}

//// a variable that hides the value
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded) {
		u64 value = data;
		{
			u64 data = vmx->msr_host_kernel_gs_base;

			vmx->spare = data;
		}
		wrmsrl(MSR_KERNEL_GS_BASE, value);
	}
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// an assignment in a condition
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	bool loaded;

	preempt_disable();
	if ((loaded = vmx->guest_state_loaded))
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// enter and leave keep the flag in a variable
static void vmx_prepare_switch_to_guest(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	bool loaded = vmx->guest_state_loaded;

	if (loaded)
		return;
	savesegment(gs, vmx->host_state.gs_sel);
	vmx->msr_host_kernel_gs_base = read_msr(MSR_KERNEL_GS_BASE);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	vmx->guest_state_loaded = true;
}

static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	bool loaded = vmx->guest_state_loaded;

	if (!loaded)
		return;
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	if (vmx->host_state.gs_sel & 7)
		load_gs_index(vmx->host_state.gs_sel);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
	vmx->guest_state_loaded = false;
}

//// enter and leave compare the flag
static void vmx_prepare_switch_to_guest(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (vmx->guest_state_loaded == true)
		return;
	savesegment(gs, vmx->host_state.gs_sel);
	vmx->msr_host_kernel_gs_base = read_msr(MSR_KERNEL_GS_BASE);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	vmx->guest_state_loaded = true;
}

static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (vmx->guest_state_loaded == false)
		return;
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	if (vmx->host_state.gs_sel & 7)
		load_gs_index(vmx->host_state.gs_sel);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
	vmx->guest_state_loaded = false;
}

//// casts that cut nothing
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, (unsigned long)data);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = (u64)data;
}

//// the MSR in a variable
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	const u32 msr = MSR_KERNEL_GS_BASE;

	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsrl(msr, data);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// the MSR as a number
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsrl(0xc0000102, data);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// the value in a trace
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	trace_kvm_base(vmx->vcpu.vcpu_id, vmx->msr_guest_kernel_gs_base);
	pr_debug("%llx\n", vmx->msr_guest_kernel_gs_base);
	return vmx->msr_guest_kernel_gs_base;
}
