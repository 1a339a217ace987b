// What holds preemption: a design's functions written another way, in our own words. See changing.py.

//// guard(preempt)()
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	guard(preempt)();
	if (vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	return vmx->msr_guest_kernel_gs_base;
}

static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	guard(preempt)();
	if (vmx->guest_state_loaded) {
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	}
	vmx->msr_guest_kernel_gs_base = data;
}

//// scoped_guard (preempt) with braces
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	scoped_guard (preempt) {
		if (vmx->guest_state_loaded)
			rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	return vmx->msr_guest_kernel_gs_base;
}

//// continue leaves scoped_guard (preempt)
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	scoped_guard (preempt) {
		if (!vmx->guest_state_loaded)
			continue;
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	return vmx->msr_guest_kernel_gs_base;
}

//// scoped_guard(preempt) over one statement
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	scoped_guard(preempt)
		if (vmx->guest_state_loaded)
			rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	return vmx->msr_guest_kernel_gs_base;
}

//// interrupts off instead of preemption
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	unsigned long flags;

	local_irq_save(flags);
	if (vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	local_irq_restore(flags);
	return vmx->msr_guest_kernel_gs_base;
}

//// a wrapper of preempt_disable()
static void begin(void)
{
	preempt_disable();
}

static void end(void)
{
	preempt_enable();
}

static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	begin();
	if (vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	end();
	return vmx->msr_guest_kernel_gs_base;
}

//// a macro for preempt_disable()
#define begin_access() preempt_disable()
#define end_access() preempt_enable()
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	begin_access();
	if (vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	end_access();
	return vmx->msr_guest_kernel_gs_base;
}

//// spin_lock_irqsave()
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	unsigned long flags;

	spin_lock_irqsave(&vmx->lock, flags);
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	spin_unlock_irqrestore(&vmx->lock, flags);
	return vmx->msr_guest_kernel_gs_base;
}

//// guard() in a block
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	{
		guard(preempt)();
		if (vmx->guest_state_loaded)
			rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	return vmx->msr_guest_kernel_gs_base;
}

//// scoped_guard(irqsave)
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	scoped_guard(irqsave) {
		if (vmx->guest_state_loaded)
			rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	return vmx->msr_guest_kernel_gs_base;
}

//// CLASS(preempt, ...)
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	CLASS(preempt, guard)();

	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	return vmx->msr_guest_kernel_gs_base;
}

//// a helper that disables preemption and answers
static bool enter_access(struct vcpu_vmx *vmx)
{
	preempt_disable();
	return vmx->guest_state_loaded;
}

static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	if (enter_access(vmx))
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a return under scoped_guard()
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	scoped_guard(preempt) {
		if (!vmx->guest_state_loaded)
			return vmx->msr_guest_kernel_gs_base;
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	return vmx->msr_guest_kernel_gs_base;
}

//// a break under scoped_guard()
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	scoped_guard(preempt) {
		if (!vmx->guest_state_loaded)
			break;
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}
	return vmx->msr_guest_kernel_gs_base;
}

//// a break under scoped_guard() in a case
static int vmx_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr_info)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	switch (msr_info->index) {
	case MSR_KERNEL_GS_BASE:
		scoped_guard(preempt) {
			if (!vmx->guest_state_loaded)
				break;
			rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
		}
		msr_info->data = vmx->msr_guest_kernel_gs_base;
		break;
	default:
		return kvm_get_msr_common(vcpu, msr_info);
	}
	return 0;
}

//// preemption disabled twice
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	preempt_disable();
	preempt_enable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}
