/* A design's fields and helpers, for tests/csource/generated.py. */
#define ONCE 1
#define BOTH(a, b) ((a) && (b))
#define LOADED(vmx) ((vmx)->guest_state_loaded)
#define LM EFER_LMA
#define UNSAFE_SUM(a, b) a | b

struct vcpu_vmx {
	struct kvm_vcpu vcpu;
	u64 msr_guest_kernel_gs_base;
	u64 msr_host_kernel_gs_base;
	bool guest_state_loaded;
	bool flag;
	u8 small;
	u16 medium;
	int number;
	u32 word;
	u64 wide;
	unsigned int bit : 1;
};

static inline struct vcpu_vmx *to_vmx(struct kvm_vcpu *vcpu)
{
	return (struct vcpu_vmx *)vcpu;
}

static int vmx_create_vcpu(struct kvm_vcpu *vcpu)
{
	vmx_disable_intercept_for_msr(to_vmx(vcpu), MSR_KERNEL_GS_BASE, MSR_TYPE_RW);
	return 0;
}

static bool in_long_mode(struct vcpu_vmx *vmx)
{
	return vmx->vcpu.arch.efer & EFER_LMA;
}

static u8 narrow(int n)
{
	return n;
}

static bool holds(u8 n)
{
	return n;
}

static int twice(bool on)
{
	if (on)
		return 2;
	return on;
}

static void note(struct vcpu_vmx *vmx, bool on)
{
	vmx->flag = on;
}

static int marked(struct vcpu_vmx *vmx)
{
	vmx->number = 1;
	return 1;
}

static int which(struct vcpu_vmx *vmx)
{
	if (!vmx->guest_state_loaded)
		return in_long_mode(vmx) ? 2 : 0;
	return in_long_mode(vmx) + 1;
}
