"""The mails in which the patches arrive: that of notebook 02, and those of 07 and 07b."""

from __future__ import annotations

from typing import TypeVar

from vmxsim.designs.dedicated_accessors import DedicatedAccessors
from vmxsim.designs.host_from_thread import HostFromThread
from vmxsim.designs.never_trap import NeverTrap
from vmxsim.teaching.reviews import unseen_patches
from vmxsim.teaching.reviews.reviewing import Inbox, Review

R = TypeVar("R", bound=Review)


def seed_mail(kind: type[R]) -> R:
    """The patch of notebook 02."""
    return kind(
        0,
        DedicatedAccessors.commit_title,
        (
            "Getting or setting the guest's MSR_KERNEL_GS_BASE reloads the whole host state, so that the"
            " value in memory is the current one. The next VM entry then has to save the host's state and"
            " load the guest's all over again.",
            "Add two small functions that read and write the value where it is: in the register if the"
            " guest's state is loaded, else in the field. Preemption is disabled while they look, so that"
            " the state stays where it is. vmx_set_efer() needs the current value when the guest leaves long"
            " mode, and gets it the same way.",
        ),
        DedicatedAccessors,
        HostFromThread,
    )


def unseen_mails(kind: type[R]) -> tuple[R, ...]:
    """Patches that nobody has seen before."""
    return (
        kind(
            1,
            "KVM: VMX: get and set the saved MSR_KERNEL_GS_BASE directly",
            (
                "Accesses to this MSR are no longer intercepted. What is left are KVM_GET_MSRS and"
                " KVM_SET_MSRS, and guest state is never loaded in those ioctls. So the saved value is"
                " current whenever an MSR is read or set.",
                "Read and write it directly, and leave preemption alone. The two accessors lose their last"
                " callers; a follow-up removes them.",
            ),
            unseen_patches.SavedValue,
            NeverTrap,
        ),
        kind(
            2,
            "KVM: VMX: don't disable preemption for a register that is not loaded",
            (
                "Both accessors disable and enable preemption around a test that nearly always fails: in"
                " KVM_GET_MSRS and KVM_SET_MSRS guest state is never loaded, and these are the callers that"
                " matter when a VM is saved or migrated.",
                "Look at the flag first. Only if it is set, take the careful path.",
            ),
            unseen_patches.TestFirst,
            NeverTrap,
        ),
        kind(
            3,
            "KVM: VMX: stop reading MSR_KERNEL_GS_BASE back",
            (
                "Leave reads the register on every trip to user space, and each time the thread is scheduled"
                " out, only to find what enter wrote there: a guest's kernel sets this MSR once, early in"
                " boot.",
                "Intercept it again, so that KVM sees every RDMSR and WRMSR of the guest. Then the saved"
                " value is always the guest's: the write accessor keeps it, the read accessor returns it, and"
                " leave need not read the register. That is one RDMSR less for each leave, and a few exits"
                " more for each boot.",
            ),
            unseen_patches.AlwaysKnown,
            NeverTrap,
        ),
        kind(
            4,
            "KVM: VMX: take a 64-bit task's GS base from the thread on the way out, too",
            (
                "Enter copies thread.gsbase of a 64-bit task to msr_host_kernel_gs_base, and leave writes the"
                " copy to the register. The task cannot change its base while it is in KVM_RUN, so the copy"
                " is as good as the original, and the original is as good as the copy.",
                "Write the original. The copy is then needed for 32-bit tasks only, whose base is not in the"
                " thread; a follow-up moves it into their branch of enter.",
            ),
            unseen_patches.AskTheThread,
            NeverTrap,
        ),
        kind(
            5,
            "KVM: VMX: leave the host's GS base to the context switch",
            (
                "Leave writes the host's value back to the register. On the way to user space somebody"
                " has to. When the thread is scheduled out, nobody has to: the context switch follows"
                " kvm_sched_out(), and loads the next task's base. When the thread is scheduled in,"
                " the switch loads the thread's.",
                "Save the guest's value there as before, reload the selectors as before, and drop the WRMSR."
                " Return to user space still restores everything. On a host with more vCPUs than CPUs this"
                " saves a WRMSR at every switch.",
            ),
            unseen_patches.OnTheWayOut,
            NeverTrap,
        ),
        kind(
            6,
            "KVM: VMX: never let the saved value be older than the register",
            (
                "vmx_write_guest_kernel_gs_base() writes the register first and the saved value last, and"
                " enables preemption in between. In that window the saved value is out of date.",
                "Store it first. The register is still written with preemption disabled. If the thread is"
                " scheduled out before that, its state is no longer loaded when it resumes: the function"
                " skips the register, and the next enter loads the new value from where it was stored. No"
                " functional change intended.",
            ),
            unseen_patches.StoreFirst,
            NeverTrap,
        ),
    )


SEED = seed_mail(Review)
Inbox((SEED,)).remember()
