/* Functions that give a number and access the register. */
static bool took(struct vcpu_vmx *vmx)
{
	if (!vmx->guest_state_loaded)
		return false;
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	return true;
}

static int gave(struct vcpu_vmx *vmx, int how)
{
	if (how == 1 && vmx->guest_state_loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, vmx->msr_guest_kernel_gs_base);
	return how;
}
