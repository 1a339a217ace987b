/* What the kernel gives the design, for a compiler: registers, preemption, one tick. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;
typedef long long s64;

#define MSR_KERNEL_GS_BASE 0xc0000102
#define EFER_SCE 0x1
#define EFER_LME 0x100
#define EFER_LMA 0x400
#define EFER_NX 0x800
#define X86_CR0_PG 0x80000000UL
#define VM_ENTRY_IA32E_MODE 0x200
#define MSR_TYPE_RW 3
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define READ_ONCE(x) (x)
#define WRITE_ONCE(x, to) ((x) = (to))
#define WARN_ON_ONCE(x) (!!(x))
#define fallthrough do {} while (0)

struct kvm_vcpu { struct { u64 efer; unsigned long cr0; } arch; };
struct msr_data { u32 index; u64 data; };
struct thread { u64 gsbase; };
static struct task { struct thread thread; } thread_task, *current = &thread_task;

static u64 registers[2];
static int cpu, preempt_count, irqs_off, need_resched;
static const char *tick_before, *tick_in;
static void tick_point(const char *before, const char *in);
static void preempt_schedule(void);

static u64 do_rdmsr(void) { return registers[cpu]; }
static void do_wrmsr(u64 value) { registers[cpu] = value; }
#define rdmsrl(msr, into) do { tick_point("rdmsr", __func__); (into) = do_rdmsr(); } while (0)
#define wrmsrl(msr, value) do { tick_point("wrmsr", __func__); do_wrmsr(value); } while (0)
#define preempt_disable() do { tick_point("preempt_disable", __func__); preempt_count++; } while (0)
#define preempt_enable() do { tick_point("preempt_enable", __func__); \
	if (--preempt_count == 0 && need_resched) preempt_schedule(); } while (0)
#define is_long_mode(vcpu) (!!((vcpu)->arch.efer & EFER_LMA))
#define is_paging(vcpu) (!!((vcpu)->arch.cr0 & X86_CR0_PG))
#define save_fsgs_for_kvm() do {} while (0)
#define vmx_disable_intercept_for_msr(vmx, msr, type) do {} while (0)
#define vm_entry_controls_setbit(vmx, bit) do {} while (0)
#define vm_entry_controls_clearbit(vmx, bit) do {} while (0)
