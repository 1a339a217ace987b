"""C functions, each for one way of being called, with every name resolved to what the model knows.

Pointers to the vCPU are one object, pointers into it are paths, an MSR's number is a constant: so ``switch
(msr)`` is decided here, and an accessor that is handed ``&vmx->msr_guest_kernel_gs_base`` works.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from vmxsim.csource import interface as api
from vmxsim.csource.balance import Balance
from vmxsim.csource.body import Body
from vmxsim.csource.macros import DEEPEST, Macros, pastes
from vmxsim.csource.msr_list import MsrList
from vmxsim.csource.parser import Unit
from vmxsim.csource.resolved import (
    Address,
    Const,
    Invoke,
    MsrInfo,
    Place,
    Spec,
    Unknown,
    Variable,
    VcpuPointer,
    cut_to,
)
from vmxsim.csource.steady import steady_locals
from vmxsim.csource.syntax import (
    Assign,
    Call,
    CFunction,
    Declare,
    Expression,
    Member,
    Name,
    Return,
)
from vmxsim.errors import NotUnderstoodError

#: Names of fields that are too common to say anything by themselves.
COMMON = frozenset({"loaded", "data"})
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
#: Instructions that access an MSR or the inactive base.
_ASM = re.compile(r"\b(rdmsr|wrmsr|wrmsrns|swapgs|lkgs)\b", re.I)


class Resolver:
    """Specialises the functions of the files that could matter."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.specs: dict[Any, Spec] = {}
        self.list = MsrList(unit)
        self.balance = Balance(unit.find)
        self.macros = Macros(unit)
        #: Names that matter wherever they stand, and fields to which a store matters.
        self.tokens: set[str] = set(api.REACHES)
        self.stored: set[str] = set(api.EFER_FIELDS | api.CR0_FIELDS)
        self.touching: set[str] = set()
        self._close()

    def _close(self) -> None:
        """Find the functions that name something that matters, and those that call them."""
        every = self.unit.functions.values()
        mine = self.tokens | self.macros.pasting
        while more := {name for name, words in self.macros.words.items() if words & mine} - mine:
            mine |= more
        found = {f.name for f in every if f.words & mine or _stores(f, self.stored) or _takes_msr(f)}
        while more := {f.name for f in every if f.words & found} - found:
            found |= more
        self.touching = found

    def widen(self, named: set[str], stored: set[str]) -> bool:
        """More names matter: wherever they stand, or where they are stored to. True if that is new."""
        named = named - COMMON
        if named <= self.tokens and stored <= self.stored:
            return False
        self.tokens |= named
        self.stored |= stored
        self._close()
        self.specs.clear()
        return True

    def returned_fields(self, specs: Iterable[Spec]) -> set[str]:
        """The fields that functions return which do no more, of those that ``specs`` call."""
        found: set[str] = set()
        for spec in specs:
            for name in spec.function.words & self.unit.functions.keys():
                match self.unit.functions[name].body if len(self.unit.functions[name].source) <= 6 else ():
                    case (Return(_, Member(_, field)),):
                        found.add(field)
        return found

    def matters(self, text: str) -> bool:
        """Whether a text names something that matters."""
        return not self.tokens.isdisjoint(api.words_in(_STRING.sub("", text)))

    def hides(self, meaning: str) -> bool:
        """Whether a macro stands for what matters, or pastes a name together that could."""
        return self.matters(meaning) or pastes(meaning)

    # -- specialising

    def root(self, name: str, passes: tuple[str, ...], msr: str = api.REGISTER) -> Spec:
        """An entry point as common code calls it: with the vCPU, with ``msr``, and with what it
        ``passes``."""
        f = self.function(name)
        bindings: list[tuple[str, Any]] = []
        params: list[str] = []
        result, given = "", list(passes)
        for p, kind in f.params:
            bare = kind.replace("const ", "")
            if bare in ("struct kvm_vcpu*", "struct vcpu_vmx*"):
                bindings.append((p, VcpuPointer()))
                params.append(p)
            elif bare == "struct msr_data*":
                data = f"{p}->data"
                bindings.append((p, MsrInfo(Const(api.CONSTANTS.get(msr), msr), data)))
                if given:
                    params.append(data)
                    given.pop()
                elif msr == api.REGISTER:
                    result = data
            elif "msr" in p or "index" in p or p == "ecx":
                bindings.append((p, Const(api.CONSTANTS.get(msr), msr)))
            elif bare.endswith("*"):
                result = f"*{p}"
                bindings.append((p, Address(Variable(result))))
            elif given:
                bindings.append((p, Variable(p)))
                params.append(p)
                given.pop()
            else:
                bindings.append((p, Unknown(p)))
        return self.specialised(f, tuple(bindings), tuple(params), result)

    def function(self, name: str) -> CFunction:
        """A function of the files. Raises NotUnderstoodError if there is none."""
        found = self.unit.functions.get(name)
        if found is None:
            if name in self.unit.broken:
                raise NotUnderstoodError(
                    "the C cannot be read from here on", f"{self.unit.broken[name]}, {name}()"
                )
            raise NotUnderstoodError(f"{name}() is not in the files given")
        return found

    def specialised(self, f: CFunction, bindings: Any, params: tuple[str, ...], result: str = "") -> Spec:
        """A function with its parameters bound. Raises NotUnderstoodError for what cannot be followed."""
        key = (f.file, f.name, bindings, params, result)
        found = self.specs.get(key)
        if found is None:
            spec = self.specs[key] = found = Spec(f, bindings, params, result)
            if f.errors:
                raise NotUnderstoodError("the C cannot be read here", spec.where(f.errors[0]))
            for line, asm in f.asm:
                if self.matters(asm) or _ASM.search(asm):
                    raise NotUnderstoodError(
                        f"inline assembly names what matters: {asm.splitlines()[0].strip()}", spec.where(line)
                    )
            spec.body = Body(self, spec).resolve()
            spec.steady = steady_locals(spec, self._takes_values, self.macros.words)
        return found

    def _takes_values(self, name: str) -> bool:
        """Whether a call of this name cannot change the variables that it is handed."""
        return name in api.TRANSPARENT | api.TRUTHS | api.ASSERTS or (
            name in self.unit.functions and name not in self.macros
        )

    def call(self, f: CFunction, args: tuple[Any, ...]) -> Invoke:
        """A call of a function of the files, its arguments resolved."""
        bindings: list[tuple[str, Any]] = []
        params: list[str] = []
        passed: list[Any] = []
        for (p, kind), arg in zip(f.params, args, strict=False):
            match arg:
                case VcpuPointer():
                    bindings.append((p, arg))
                    params.append(p)
                    passed.append(arg)
                case Const(value, name) if name.startswith("MSR_") or (name and value is None):
                    bindings.append((p, arg))
                case Address() | MsrInfo():
                    bindings.append((p, arg))
                case Unknown():
                    bindings.append((p, Unknown(p)))
                case _:
                    bindings.append((p, Variable(p)))
                    params.append(p)
                    passed.append(cut_to(kind, arg))
        into = any(isinstance(b, Address) and isinstance(b.of, Place) for _, b in bindings)
        if into and not any(isinstance(b, VcpuPointer) for _, b in bindings):
            # it works on a part of the vCPU through a pointer: the model hands it the whole
            bindings.append(("(vcpu)", VcpuPointer()))
            params.append("(vcpu)")
            passed.append(VcpuPointer())
        return Invoke(self.specialised(f, tuple(bindings), tuple(params)), tuple(passed))

    def toggles(self, f: CFunction, depth: int = 0) -> list[str] | None:
        """What a function toggles that does nothing else that could matter, None for any other function."""
        found: list[str] = []
        for s in f.body:
            match s:
                case Expression(_, Call(Name(name), _)) if name in api.TOGGLES:
                    found.append(api.TOGGLES[name])
                case Expression(_, Call(Name(name), _)):
                    callee = self.unit.find(name, f.file)
                    inner = self.toggles(callee, depth + 1) if callee and depth < DEEPEST else None
                    found += inner or ()
                case Return(_, None) | Declare():
                    pass
                case _:
                    return None
        return found or None


def _stores(f: CFunction, names: set[str]) -> bool:
    """Whether a function stores to a field of one of these names."""
    return bool(f.words & names) and any(
        isinstance(e, Assign) and isinstance(e.left, Member) and e.left.name in names
        for _, e in f.expressions
    )


def _takes_msr(f: CFunction) -> bool:
    """Whether it accesses an MSR whose number it is given."""
    if any(_ASM.search(asm) for _, asm in f.asm):
        return True
    return not f.words.isdisjoint(api.ACCESSORS) and any(
        isinstance(e, Call)
        and isinstance(e.function, Name)
        and e.function.name in api.ACCESSORS
        and e.args
        and not (isinstance(e.args[0], Name) and e.args[0].name.isupper())
        for _, e in f.expressions
    )
