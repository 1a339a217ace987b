"""Kernel code as classes: each method is lowered once, each class linked once.

A subclass is a patch: it overrides the functions that a commit changed and inherits
the rest. Links are looked up per class, so an inherited caller finds the patched callee.
"""

from __future__ import annotations

from difflib import get_close_matches
from types import FunctionType
from typing import Any, ClassVar

from vmxsim.errors import InputError, nearest
from vmxsim.program.ir import Callee, Function
from vmxsim.program.lower import lower


class KernelSource:
    """Base of everything written in the simulator's kernel language.

    Subclassing lowers the class's own functions and raises InputError for what is
    outside the subset, with file, line and what to write instead. Methods whose
    name starts with one underscore are ordinary Python and are left alone.
    """

    #: Entry points that common code calls by the names of struct kvm_x86_ops.
    kvm_x86_ops: ClassVar[dict[str, str]] = {}
    _own: ClassVar[dict[str, Function]] = {}
    _links: ClassVar[dict[Callee, Function]] = {}

    def __init_subclass__(cls, part: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # a leading double underscore is part of a kernel name, so names come from the functions
        written = [
            f for f in vars(cls).values() if isinstance(f, FunctionType) and _is_kernel_name(f.__name__)
        ]
        cls._links = {}
        known = {f.__name__ for f in written} | {
            name for base in cls.__mro__ for name in vars(base).get("_own", {})
        }
        # a part of the kernel may call functions of other parts: those calls are looked up when linked
        exists = (lambda name: True) if part else known.__contains__
        if not isinstance(cls.kvm_x86_ops, dict):
            raise InputError("kvm_x86_ops is a dictionary of function names by entry point", cls.__name__)
        cls._own = {f.__name__: lower(f, cls.__name__, exists) for f in written}
        if not part:
            cls._refuse_misspelt()

    @classmethod
    def _refuse_misspelt(cls) -> None:
        """A function that overrides nothing, that nothing calls, and whose name is nearly another's."""
        called = {i.callee.name for f in cls._own.values() for i in f.instructions if i.callee}
        called |= set(cls.kvm_x86_ops.values())
        inherited = {name for base in cls.__mro__[1:] for name in vars(base).get("_own", {})}
        for name in cls._own:
            near = get_close_matches(name, inherited, n=1, cutoff=0.85)
            if near and name not in inherited and name not in called:
                raise InputError(
                    f"'{name}' overrides nothing and nothing calls it; did you mean '{near[0]}'?",
                    cls.__name__,
                )

    @classmethod
    def functions(cls) -> dict[str, Function]:
        """All kernel functions of this class by name, inherited ones included."""
        found: dict[str, Function] = {}
        for base in cls.__mro__:
            for name, function in vars(base).get("_own", {}).items():
                found.setdefault(name, function)
        return found

    @classmethod
    def link(cls, callee: Callee) -> Function:
        """The function that a call means in this class.

        Raises InputError where there is none.
        """
        found = cls._links.get(callee)
        if found is None:
            found = cls._links[callee] = cls._find(callee)
        return found

    @classmethod
    def _find(cls, callee: Callee) -> Function:
        name = callee.name
        bases = list(cls.__mro__)
        if callee.kind == "ops":
            if name not in cls.kvm_x86_ops:
                raise InputError(f"kvm_x86_ops has no '{name}'{nearest(name, cls.kvm_x86_ops)}", cls.__name__)
            name = cls.kvm_x86_ops[name]
        elif callee.kind == "super":
            bases = bases[[b.__name__ for b in bases].index(callee.owner) + 1 :]
        for base in bases:
            if name in vars(base).get("_own", {}):
                return vars(base)["_own"][name]
        raise InputError(f"no kernel function '{name}'{nearest(name, cls.functions())}", cls.__name__)


def _is_kernel_name(name: str) -> bool:
    dunder = name.startswith("__") and name.endswith("__")
    return not dunder and (name.startswith("__") or not name.startswith("_"))
