static void vmx_vcpu_put(struct kvm_vcpu *vcpu)
{
	vmx_prepare_switch_to_host(to_vmx(vcpu));
}

static int vmx_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr_info)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	switch (msr_info->index) {
	case MSR_KERNEL_GS_BASE:
		msr_info->data = vmx_read_guest_kernel_gs_base(vmx);
		return 0;
	}
	return 1;
}

static int vmx_set_msr(struct kvm_vcpu *vcpu, struct msr_data *msr_info)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u64 data = msr_info->data;

	switch (msr_info->index) {
	case MSR_KERNEL_GS_BASE:
		vmx_write_guest_kernel_gs_base(vmx, data);
		return 0;
	}
	return 1;
}

static void vmx_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0)
{
	if (vcpu->arch.efer & EFER_LME) {
		if (!is_paging(vcpu) && (cr0 & X86_CR0_PG))
			vmx_set_efer(vcpu, vcpu->arch.efer | EFER_LMA);
		if (is_paging(vcpu) && !(cr0 & X86_CR0_PG))
			vmx_set_efer(vcpu, vcpu->arch.efer & ~EFER_LMA);
	}
	vcpu->arch.cr0 = cr0;
}
