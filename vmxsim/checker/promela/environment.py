"""What guest, user space and scheduler may do in an exported model."""

from __future__ import annotations

from attrs import frozen

from vmxsim.checker.assumptions import ASSUMPTIONS, Restriction
from vmxsim.errors import InputError

#: Assumptions that are more than forbidden actions.
_KNOWN = {
    "no-preemption", "no-kernel-preemption", "no-migration", "one-value", "starts-in-long-mode",
    "starts-outside-long-mode", "guest-wrote-first",
}  # fmt: skip


@frozen
class Environment:
    """What happens around the kernel; by default everything can.

    ``forbid`` are actions that never come (``guest swapgs``, ``guest smi``, ...). A tick comes
    ``preemption``: ``everywhere``, ``at rest`` (in the guest and in user space only) or
    ``never``. Without ``migration`` a thread goes on on the CPU where it was preempted. With
    ``one_value`` guest and user space write only the first of the two values. With
    ``guest_wrote_first`` nothing is broken before the guest wrote a value with WRMSR in long
    mode: what would break something earlier does not happen.
    """

    forbid: frozenset[str] = frozenset()
    preemption: str = "everywhere"
    migration: bool = True
    one_value: bool = False
    guest_wrote_first: bool = False


def restricted(restriction: Restriction) -> Environment:
    """The environment that the checker's assumptions leave, ``long_modes`` of them aside.

    Raises InputError for an assumption that the model does not express.
    """
    names = set(restriction.names)
    if unknown := [name for name in restriction.names if name not in _KNOWN and not ASSUMPTIONS[name].verbs]:
        raise InputError(f"the Promela model does not know '{unknown[0]}'", "assume")
    preemption = "at rest" if "no-kernel-preemption" in names else "everywhere"
    return Environment(
        forbid=restriction.verbs,
        preemption="never" if "no-preemption" in names else preemption,
        migration="no-migration" not in names,
        one_value="one-value" in names,
        guest_wrote_first="guest-wrote-first" in names,
    )
