// C that has no verdict, in our own words: each is refused at the line that says so. See changing.py.

//// rdmsr() with two halves
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	u32 lo, hi;

	preempt_disable();
	if (vmx->guest_state_loaded) {
		rdmsr(MSR_KERNEL_GS_BASE, lo, hi); /* refused */
		vmx->msr_guest_kernel_gs_base = lo | (u64)hi << 32;
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// continue in a switch in do { } while (0)
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	do { /* refused */
		switch (vmx->guest_state_loaded) {
		case false:
			continue;
		}
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	} while (0);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// a write with two halves
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		native_write_msr(MSR_KERNEL_GS_BASE, (u32)data, data >> 32); /* refused */
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// a write on another CPU
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	if (vmx->guest_state_loaded)
		wrmsrl_on_cpu(vmx->vcpu.cpu, MSR_KERNEL_GS_BASE, data); /* refused */
	vmx->msr_guest_kernel_gs_base = data;
}

//// a function that is not known and is given the register
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsr_later(MSR_KERNEL_GS_BASE, data); /* refused */
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// a function pointer that is given the register
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		vmx->vcpu.arch.ops->write(MSR_KERNEL_GS_BASE, data); /* refused */
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// inline assembly that names the register
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	u32 lo, hi;

	preempt_disable();
	asm volatile("rdmsr" : "=a" (lo), "=d" (hi) : "c" (MSR_KERNEL_GS_BASE)); /* refused */
	preempt_enable();
	return lo | (u64)hi << 32;
}

//// a statement expression with messages around the access
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	(void)({ pr_debug("before\n"); rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base); pr_debug("after\n"); }); /* refused */
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// inline assembly that exchanges the bases
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	asm volatile("swapgs"); /* refused */
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// inline assembly that writes to the copy
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	asm volatile("movq $0, %0" : "=m" (vmx->msr_guest_kernel_gs_base)); /* refused */
	return vmx->msr_guest_kernel_gs_base;
}

//// a helper of inline assembly
static void set_base(u32 msr, u64 value)
{
	asm volatile("wrmsr" : : "c" (msr), "a" ((u32)value), "d" (value >> 32)); /* refused */
}

static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		set_base(MSR_KERNEL_GS_BASE, data);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// swapgs as a function
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	native_swapgs(); /* refused */
	return vmx->msr_guest_kernel_gs_base;
}

//// g handed to a function that is not known
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	sanitize_base(&vmx->msr_guest_kernel_gs_base); /* refused */
	return vmx->msr_guest_kernel_gs_base;
}

//// the flag handed to a function that is not known
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	test_and_clear_bit(0, &vmx->guest_state_loaded); /* refused */
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// h handed on through a local pointer
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	u64 *place = &vmx->msr_host_kernel_gs_base;

	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	reset_base(place); /* refused */
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// the whole vCPU is overwritten
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	memset(vmx, 0, sizeof(*vmx)); /* refused */
	return vmx->msr_guest_kernel_gs_base;
}

//// the whole vCPU is assigned
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	*vmx = *vmx->twin; /* refused */
	return vmx->msr_guest_kernel_gs_base;
}

//// a macro that names the register and is more than one call
#define SAVE_BASE(v) rdmsrl(MSR_KERNEL_GS_BASE, (v)->msr_guest_kernel_gs_base); (v)->saved = 1

static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded) {
		SAVE_BASE(vmx); /* refused */
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a macro that disables preemption and does more
#define BEGIN() preempt_disable(); trace_begin(1)

static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	BEGIN(); /* refused */
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a loop of which the condition is not known
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	while (retry_needed()) /* refused */
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	vmx->msr_guest_kernel_gs_base = data;
}

//// a loop that a macro makes
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	for_each_base(vmx) { /* refused */
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	}
	vmx->msr_guest_kernel_gs_base = data;
}

//// a switch of which the value is not known
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	switch (vmx->vcpu.arch.kind_of_guest) { /* refused */
	case 1:
		wrmsrl(MSR_KERNEL_GS_BASE, data);
		break;
	default:
		vmx->msr_guest_kernel_gs_base = data;
	}
}

//// a value that is not known for g
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
	if (data)
		vmx->msr_guest_kernel_gs_base = default_base(vmx); /* refused */
}

//// a value that is not known for the register
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, base_of(vmx)); /* refused */
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// a value that is not known for the flag
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	vmx->guest_state_loaded = still_loaded(vmx); /* refused */
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// two flags
static void vmx_prepare_switch_to_host(struct vcpu_vmx *vmx)
{
	if (!vmx->guest_state_loaded || !vmx->guest_msrs_ready)
		return;
	if (!vmx->guest_msrs_ready)
		return;
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_host_kernel_gs_base);
}

static void vmx_prepare_switch_to_guest(struct kvm_vcpu *vcpu) /* refused */
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (vmx->guest_state_loaded)
		return;
	vmx->msr_host_kernel_gs_base = read_msr(MSR_KERNEL_GS_BASE);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
}

//// two fields for the guest's value
static void vmx_prepare_switch_to_guest(struct kvm_vcpu *vcpu) /* refused */
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (vmx->guest_state_loaded)
		return;
	vmx->msr_host_kernel_gs_base = read_msr(MSR_KERNEL_GS_BASE);
	if (is_long_mode(vcpu))
		wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	else
		wrmsrl(MSR_KERNEL_GS_BASE, vmx->second_copy);
	vmx->guest_state_loaded = true;
}

//// a brace too many
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	}} /* refused */
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a statement that is no C
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded then) /* refused */
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// goto to a label that is not there
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (!vmx->guest_state_loaded)
		goto out;
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
} /* refused */

//// a computed goto
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	static void *where[] = { &&loaded, &&out };

	preempt_disable();
	goto *where[!vmx->guest_state_loaded]; /* refused */
loaded:
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
out:
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a statement expression
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	vmx->msr_guest_kernel_gs_base = ({ u64 v; rdmsrl(MSR_KERNEL_GS_BASE, v); v; }); /* refused */
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a value computed with
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data | 1; /* refused */
}

//// half of a value
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = (u32)data; /* refused */
}

//// preemption that a function switches by its argument
static void protect(bool on)
{
	if (on)
		preempt_disable();
	else
		preempt_enable();
}

static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	protect(vmx->vcpu.arch.careful); /* refused */
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	protect(!vmx->vcpu.arch.careful);
	return vmx->msr_guest_kernel_gs_base;
}

//// a struct that names the register
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	struct msr_data m = { .index = MSR_KERNEL_GS_BASE, .data = data }; /* refused */

	preempt_disable();
	if (vmx->guest_state_loaded)
		write_it(&m);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
}

//// an access in a condition
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	u64 value;

	preempt_disable();
	if (vmx->guest_state_loaded && !rdmsrl_safe(MSR_KERNEL_GS_BASE, &value)) /* refused */
		vmx->msr_guest_kernel_gs_base = value;
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a pointer to g or to h
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	u64 *g = &vmx->msr_guest_kernel_gs_base;

	preempt_disable();
	if (is_long_mode(&vmx->vcpu))
		g = &vmx->msr_host_kernel_gs_base;
	if (vmx->guest_state_loaded)
		*g = read_msr(MSR_KERNEL_GS_BASE); /* refused */
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// g and h exchanged by a macro
static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
	swap(vmx->msr_guest_kernel_gs_base, vmx->msr_host_kernel_gs_base); /* refused */
}

//// the flag counted in a condition
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded--) /* refused */
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a macro that pastes the register's name together
#define BREAK(r) wrmsrl(MSR_##r, 0)

static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	BREAK(KERNEL_GS_BASE); /* refused */
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a switch on the flag
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	switch (vmx->guest_state_loaded) { /* refused */
	case true:
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
		break;
	}
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
}

//// a helper with a macro that pastes the register's name together
#define BREAK(r) wrmsrl(MSR_##r, 0)

static void forget(void)
{
	BREAK(KERNEL_GS_BASE); /* refused */
}

static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
	forget();
}

//// a brace missing
static u64 vmx_read_guest_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->guest_state_loaded) {
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	preempt_enable();
	return vmx->msr_guest_kernel_gs_base;
} /* refused */

//// a number written to the register by its number
static void hidden(void)
{
	wrmsrl(0xC0000102u, 0x1234); /* refused */
}

static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
	hidden();
}

//// a helper that is no C
static void hidden(void)
{
	wrmsrl(MSR_KERNEL_GS_BASE, 0;;) { /* refused */
}

static void vmx_write_guest_kernel_gs_base(struct vcpu_vmx *vmx, u64 data)
{
	preempt_disable();
	if (vmx->guest_state_loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, data);
	preempt_enable();
	vmx->msr_guest_kernel_gs_base = data;
	hidden();
}

//// a value that is not known for h
static void vmx_prepare_switch_to_guest(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (vmx->guest_state_loaded)
		return;
	savesegment(gs, vmx->host_state.gs_sel);
	vmx->msr_host_kernel_gs_base = cpu_kernelmode_gs_base(raw_smp_processor_id()); /* refused */
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	vmx->guest_state_loaded = true;
}

//// the guest's read in a function of its own
static int __vmx_get_msr(struct kvm_vcpu *vcpu, struct msr_data *m)
{
	switch (m->index) {
	case MSR_KERNEL_GS_BASE:
		m->data = vmx_read_guest_kernel_gs_base(to_vmx(vcpu)); /* refused */
		return 0;
	}
	return 1;
}

static int vmx_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr_info)
{
	int err = __vmx_get_msr(vcpu, msr_info);

	return err ? kvm_get_msr_common(vcpu, msr_info) : 0;
}
