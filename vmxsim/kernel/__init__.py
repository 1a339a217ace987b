"""The simulator, to be read in this order:

``machine``       CPUs, tasks, vCPUs, and values of the register with their owners
``instructions``  what one step can do: RDMSR, WRMSR, load_gs_index(), preempt_disable(), ...
``program``       a kernel function as a list of instructions, one per step
``compiler``      how a Python function becomes such a list
``attributes``    what a class can say about itself besides its functions
``patch``         a class of kernel functions; a subclass is a patch
``thread``        running one step; a continuation is a plain tuple
``kvm``           KVM's common code: ioctls, the KVM_RUN loop, preemption, SMI and RSM
``actions``       the table of what user space, the guest and the scheduler can do
``points``        how a scenario names a point in kernel code
``simulator``     the class that performs actions, one after another, on a machine that runs a design
``invariants``    what must always be true, and the sentence for each violation

``language`` gathers the names that kernel functions may use. The designs themselves are next door, in
:mod:`vmxsim.designs`.
"""
