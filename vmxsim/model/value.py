"""Values of the register, and who owns them."""

from typing import Any

from attrs import frozen

U64 = (1 << 64) - 1


@frozen(slots=True)
class Value:
    """A 64-bit number with an owner.

    The number is what the processor sees and what every verdict compares. The owner
    gives a value its colour and its name in pictures and words; it travels with the
    number through registers and memory.

    Owners: ``vcpu0``, ``vcpu1`` (a guest's value), ``thread0``, ``thread1`` (the user GS
    base of a vCPU thread), ``plain`` (the user GS base of the plain task),
    ``descriptor`` (the base that ``load_gs_index()`` leaves behind), ``unknown``.
    """

    number: int
    owner: str

    def __str__(self) -> str:
        return hex(self.number)

    def look(self) -> int:
        """The number, for kernel code that compares it or computes with it. A value whose number
        is left open (the model checker's) hears of it here."""
        return self.number


def number_of(x: Any) -> Any:
    """What an expression of kernel code sees of a value: its number. Owners are for people."""
    return x.look() if isinstance(x, Value) else x


def owner_words(owner: str) -> str:
    """The owner's name in a sentence: ``guest 0``, ``vCPU thread 0``, ``plain task``."""
    if owner.startswith("vcpu"):
        return f"guest {owner[4:]}"
    if owner.startswith("thread"):
        return f"vCPU thread {owner[6:]}"
    return {"plain": "plain task", "descriptor": "descriptor"}.get(owner, "unknown owner")


def no_owner(number: int) -> str:
    """What to say of a number that kernel code wants to store as a value of the register."""
    return (
        f"a number of its own ({hex(number)}) belongs to no guest and no task: take a value from a field,"
        " from rdmsr() or from the function's argument"
    )
