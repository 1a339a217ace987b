"""``vmxsim.where_in_the_kernel``: from a function retold here to the kernel's own, by release."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import frozen

from vmxsim.designs import find_design
from vmxsim.designs.history import changed_last, history, reached
from vmxsim.errors import InputError, printable, unknown
from vmxsim.kernel.kvm import Kvm, name_of, release_of

#: VMX's code: a tree has the one or the other. In which release it moved was not looked up.
VMX = ("arch/x86/kvm/vmx/vmx.c", "arch/x86/kvm/vmx.c")
_MAIN, _X86, _EMULATE = "virt/kvm/kvm_main.c", "arch/x86/kvm/x86.c", "arch/x86/kvm/emulate.c"
_SCHED = "kernel/sched/core.c"

#: Where the common code around the designs is, function by function; what is not here is in VMX's code, or
#: the facts do not give it.
_COMMON: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("vcpu_load", "vcpu_put"), (_MAIN, _X86)),
    **dict.fromkeys(("kvm_arch_vcpu_ioctl_run", "vcpu_enter_guest"), (_X86,)),
    **dict.fromkeys(("em_rdmsr", "em_wrmsr", "em_rsm"), (_EMULATE, _X86)),
    **dict.fromkeys(("kvm_set_msr", "set_efer", "enter_smm"), (_X86,)),
    "preempt_schedule_irq": (_SCHED,),
    **dict.fromkeys(("kvm_sched_out", "kvm_sched_in"), (_MAIN,)),
}
#: Names of ours: the kernel does this somewhere, under a name that the facts do not give.
_OURS = (
    "kvm_vcpu_ioctl_get_msrs",
    "kvm_vcpu_ioctl_set_msrs",
    "kvm_vcpu_ioctl_set_sregs",
    "prepare_task_switch",
    "finish_task_switch",
    "exit_to_user_mode",
)


@frozen
class Place:
    """A function of the kernel as of one design. ``function`` and ``files`` are None where the facts give
    nothing; of several ``files``, look in the one that your tree has. ``release`` is the first one that has
    it so, None for code that is the same in all designs."""

    python: str
    function: str | None
    files: tuple[str, ...] | None
    design: str | None = None
    release: str | None = None
    commit: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields by name."""
        files = None if self.files is None else list(self.files)
        return {
            "python": self.python, "function": self.function, "files": files,
            "design": self.design, "release": self.release, "commit": self.commit,
        }  # fmt: skip


@frozen
class Places:
    """Places as a table, in a notebook and as text."""

    rows: tuple[Place, ...]

    def __iter__(self) -> Iterator[Place]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return self._repr_markdown_()

    def _repr_markdown_(self) -> str:
        lines = ["| here | in the kernel | file | as of | release | commit |", "|---" * 6 + "|"]
        for place in self.rows:
            cells = (
                f"`{place.python}()`",
                f"`{place.function}()`" if place.function else "not given by the facts",
                " or ".join(f"`{file}`" for file in place.files) if place.files else "not given by the facts",
                place.design or "all designs",
                place.release or "",
                place.commit or "",
            )
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)


def where_in_the_kernel(function: str | None = None, design: str | type[Kvm] | None = None) -> Places:
    """The kernel's function and file behind a function retold here, so that you can open the real source.

    ``function`` is a name that ``vmxsim show`` or a player shows: its versions, oldest first, each with the
    first release that has it so; one that was renamed is followed. With ``design`` (an id, a commit or a
    subclass) as that design has it. ``design`` alone: all functions that run in that design. Neither: those
    of the newest.

    A table of :class:`Place`. Raises InputError for an unknown function or design.
    """
    if function is not None and not isinstance(function, str):
        raise InputError(f"expected a function's name, not {printable(repr(function))}", "function")
    name = None if function is None else function.removesuffix("()")
    if design is None and name is not None:
        return Places(tuple(place_of(version.design, version.function.name) for version in history(name)))
    chosen = find_design("shared-accessors" if design is None else design)
    functions = chosen.functions()
    if name is None:
        return Places(tuple(place_of(chosen, one) for one in functions if one in reached(chosen)))
    if name not in functions:
        raise unknown("function", name, functions, name_of(chosen))
    return Places((place_of(chosen, name),))


def place_of(design: type[Kvm], name: str) -> Place:
    """Where the function is, as the design has it."""
    origin = changed_last(design, name)
    ours = name in _OURS or (origin is not Kvm and not origin.id)
    common = origin is Kvm
    return Place(
        name,
        None if ours else name,
        None if ours else _COMMON.get(name, VMX),
        None if common else name_of(origin),
        None if common else release_of(origin),
        None if common else origin.commit,
    )
