"""The values that can reach the register of one guest and its host thread, numbered.

The kernel moves these values and never computes with them, so that three bits are enough
for each place that holds one (*slot*).
"""

from __future__ import annotations

from vmxsim.kernel.system import GUEST_GS_BASE, PLAIN_GS_BASE, USER_GS_BASE
from vmxsim.model.value import Value

#: What the guest and user space write: two values, so that one can be told from the other.
GUEST_VALUES = (0xA000, 0xB000)
#: The second of them where non-canonical addresses are asked for (invariant ``no-host-fault``).
NON_CANONICAL = 0x8000_0000_0000_0000

BITS = 3
RESET, FIRST, SECOND, GUEST_BASE, HOST, PLAIN, DESCRIPTOR, UNKNOWN = range(8)

#: The slots of a thread, in the order in which they are packed; the locals of its stack follow.
SLOTS = (
    "kernel_gs_base",  # the register, on the CPU where the thread runs
    "g",
    "h",
    "gs_base",
    "true_guest_value",
    "true_gs_base",
    "msr_data",
    "user_gs_base",  # thread.gsbase
)
REGISTER, G, H, GS_BASE, TRUE, TRUE_BASE, MSR_DATA, USER = range(len(SLOTS))


def numbered_values(second: int = GUEST_VALUES[1]) -> tuple[Value, ...]:
    """The values by number, for vCPU 0 and its thread."""
    guest = "vcpu0"
    return (
        Value(0, guest),
        Value(GUEST_VALUES[0], guest),
        Value(second, guest),
        Value(GUEST_GS_BASE[0], guest),
        Value(USER_GS_BASE[0], "thread0"),
        Value(PLAIN_GS_BASE, "plain"),
        Value(0, "descriptor"),
        Value(0, "unknown"),
    )
