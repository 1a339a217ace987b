/* KVM's common code, as far as scenarios use it: one action after the other. */
static struct vcpu_vmx the_vcpu;
static u64 returned;
static bool has_returned;

static void preempt_schedule(void)
{
	preempt_count++;
	need_resched = 0;
	vmx_vcpu_put(&the_vcpu.vcpu);
	registers[cpu] = OTHER_BASE;
	cpu = 1;
	registers[cpu] = THREAD_BASE;
	preempt_count--;
}

static void tick_point(const char *before, const char *in)
{
	if (!tick_before || strcmp(before, tick_before) || strcmp(in, tick_in))
		return;
	tick_before = NULL;
	if (preempt_count || irqs_off)
		need_resched = 1;
	else
		preempt_schedule();
}

static void vcpu_put(void)
{
	preempt_count++;
	vmx_vcpu_put(&the_vcpu.vcpu);
	preempt_count--;
	need_resched = 0;
}

static void enter(void)
{
	do {
		preempt_count++;
		vmx_prepare_switch_to_guest(&the_vcpu.vcpu);
		preempt_count--;
		if (!need_resched)
			break;
		preempt_schedule();
	} while (1);
}

static void get(void)
{
	struct msr_data info = { MSR_KERNEL_GS_BASE, 0 };

	vmx_get_msr(&the_vcpu.vcpu, &info);
	returned = info.data;
	has_returned = true;
}

static void set(u64 data)
{
	struct msr_data info = { MSR_KERNEL_GS_BASE, data };

	vmx_set_msr(&the_vcpu.vcpu, &info);
}

/* User space sets the mode of a new vCPU. */
static void set_sregs(bool long_mode)
{
	vmx_set_efer(&the_vcpu.vcpu, EFER_SCE | EFER_LME | EFER_NX | (long_mode ? EFER_LMA : 0));
	vmx_set_cr0(&the_vcpu.vcpu, long_mode ? X86_CR0_PG : 0);
	vcpu_put();
}

int main(int argc, char **argv)
{
	set_sregs(true);
	set_sregs(false);
	the_vcpu.msr_guest_kernel_gs_base = the_vcpu.msr_host_kernel_gs_base = 0;
	registers[0] = thread_task.thread.gsbase = THREAD_BASE;
	registers[1] = OTHER_BASE;
	for (int n = 1; n + 3 < argc; n += 4) {
		const char *action = argv[n];
		u64 value = strtoull(argv[n + 1], NULL, 0);

		has_returned = false;
		tick_before = *argv[n + 2] ? argv[n + 2] : NULL;
		tick_in = argv[n + 3];
		if (!strcmp(action, "run")) {
			enter();
		} else if (!strcmp(action, "guest wrmsr")) {
			registers[cpu] = value;
		} else if (!strcmp(action, "guest rdmsr")) {
			returned = registers[cpu];
			has_returned = true;
		} else if (!strcmp(action, "emulate rdmsr")) {
			get();
			enter();
		} else if (!strcmp(action, "emulate wrmsr")) {
			set(value);
			enter();
		} else if (!strcmp(action, "guest long-mode")) {
			vmx_set_cr0(&the_vcpu.vcpu, the_vcpu.vcpu.arch.cr0 ^ X86_CR0_PG);
			enter();
		} else if (!strcmp(action, "exit")) {
			vcpu_put();
		} else if (!strcmp(action, "get-msr")) {
			get();
			vcpu_put();
		} else if (!strcmp(action, "set-msr")) {
			set(value);
			vcpu_put();
		} else {
			return 2;
		}
		if (tick_before)
			return 0;
		printf("%d %llx %llx %d ", cpu, registers[cpu], the_vcpu.msr_guest_kernel_gs_base,
		       the_vcpu.guest_state_loaded);
		printf(has_returned ? "%llx\n" : "-\n", returned);
	}
	return 0;
}
