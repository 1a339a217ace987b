"""Which field of the model's vCPU a field of the C is: a role, a selector, or one of the C's own."""

from __future__ import annotations

from collections.abc import Set
from keyword import iskeyword
from typing import Any

from vmxsim.csource.interface import SELECTORS
from vmxsim.csource.resolved import (
    TRUTH,
    Const,
    Do,
    Invoke,
    Key,
    Leave,
    Op,
    Place,
    Prim,
    Spec,
    Thread,
    Variable,
    accesses_register,
    parts,
    statements,
)
from vmxsim.csource.slicing import Slice
from vmxsim.errors import NotUnderstoodError
from vmxsim.kernel.attributes import TAKEN, u64
from vmxsim.kernel.program import MOST, Expr, Field, Local, Operation
from vmxsim.kernel.program import Const as IrConst

_FLAG, _NUMBER, _VALUE = "flag", "number", "value"
_ROLE_VALUES = ("g", "h")
#: What is cut to so many bits, without a sign, is a number that a field has room for.
_BYTES = [[Const(bits), Const(0)] for bits in range(1, 9)]


class Fields:
    """The fields that the slice needs. ``own`` are those of the C's own, as a design declares them."""

    def __init__(self, cut: Slice) -> None:
        self.cut = cut
        self.own: dict[str, Any] = {}
        self._names: dict[Key, str] = {}
        self._kinds: dict[Key, str] = {}

    def field(self, vcpu: Local, place: Place) -> Field:
        """The model's field for a place."""
        role = self.cut.roles.of(place)
        last = place.key[-1]
        if role or last in SELECTORS:
            return Field(vcpu, role or last)
        if last == "save_nmsrs":  # whether the first so many entries of the list hold the register
            return Field(vcpu, "lists_kernel_gs_base")
        if place.key not in self._names:
            self._declare(place)
        return Field(vcpu, self._names[place.key], own=True)

    def fitting(self, target: Field, place: Place, e: Expr) -> Expr:
        """An expression made to fit the field that it is stored in."""
        if target.name == "loaded" or (target.own and self._kinds[place.key] == _FLAG):
            return IrConst(bool(e.value)) if isinstance(e, IrConst) else Operation("bool", (e,))
        if target.own and self._kinds[place.key] == _NUMBER:
            return e if isinstance(e, IrConst) else Operation("u8", (e,))
        return e

    def names(self) -> dict[str, str]:
        """The C's own fields: by the model's name, what the C calls each."""
        return {name: ".".join(key) for key, name in self._names.items()}

    def _declare(self, place: Place) -> None:
        name = place.key[-1]
        while name in TAKEN or name in self.own or iskeyword(name) or name.startswith("_"):
            name = f"c_{name}"
        kind = self._kind_of(place)
        self._names[place.key], self._kinds[place.key] = name, kind
        self.own[name] = {_FLAG: False, _NUMBER: 0, _VALUE: u64}[kind]

    def _kind_of(self, place: Place, seen: Set[Any] = frozenset()) -> str:
        """What a field holds, from what is stored in it; ``seen`` are fields and variables whose contents are
        being asked for. Raises NotUnderstoodError if that is too much."""
        kinds: set[str] = set()
        seen = {*seen, place.key}
        for spec in self.cut.specs:
            for s in statements(spec.body):
                if isinstance(s, Do) and isinstance(s.target, Place) and s.target.key == place.key:
                    kind = self._kind(spec, s.value, seen)
                    if kind is None:
                        raise NotUnderstoodError(
                            f"{place} decides about the register and holds more than a flag, a number"
                            f" up to {MOST} or a value of the register",
                            spec.where(s.line),
                        )
                    kinds.add(kind)
        if _VALUE in kinds and len(kinds) > 1:
            raise NotUnderstoodError(
                f"{place} holds a value of the register at one time and a number at another"
            )
        return next((kind for kind in (_VALUE, _NUMBER) if kind in kinds), _FLAG)

    def _kind(self, spec: Spec, e: Any, seen: Set[Any]) -> str | None:
        """What an expression is worth: a kind, '' if that depends on itself only, None if it is too much."""
        match e:
            case Const(value, _):
                if value is None or not 0 <= value <= MOST:
                    return None
                return _FLAG if value in (0, 1) else _NUMBER
            case Prim("is_long_mode", _):
                return _FLAG
            case Prim("sldt" | "savesegment", _) | Thread("gs_sel" | "bits"):
                return _NUMBER
            case Op(op, _) if op in TRUTH:
                return _FLAG
            case Op("&", args) if any(isinstance(a, Const) and 0 <= (a.value or 0) <= MOST for a in args):
                return _NUMBER
            case Op("cut", (inner, *to)):
                kind = self._kind(spec, inner, seen)
                return _NUMBER if kind is None and to in _BYTES else kind
            case Op("|" | "&" | "^", args):
                return self._joined(spec, args, seen)
            case Place():
                role = self.cut.roles.of(e)
                if role in _ROLE_VALUES:
                    return _VALUE
                if role or e.key in seen:
                    return _FLAG if role == "loaded" or not role else None
                return self._kind_of(e, seen)
            case Thread("gs_base"):
                return _VALUE
            case Variable(name):
                return self._variable(spec, name, seen)
            case Invoke(callee, _):
                values = [
                    s.value for s in statements(callee.body) if isinstance(s, Leave) and s.value is not None
                ]
                return self._joined(callee, values, seen)
        return _VALUE if any(map(accesses_register, parts(e))) else None

    def _variable(self, spec: Spec, name: str, seen: Set[Any]) -> str | None:
        key = (id(spec), name)
        if key in seen:
            return _FLAG
        seen = {*seen, key}
        mine = [s.value for s in statements(spec.body) if isinstance(s, Do) and s.target == Variable(name)]
        if name not in spec.params:
            return self._joined(spec, mine, seen)
        kinds = [self._joined(spec, mine, seen)] if mine else []
        for caller in self.cut.specs:
            for s in statements(caller.body):
                for p in parts(getattr(s, "value", None) or getattr(s, "test", None)):
                    if isinstance(p, Invoke) and p.spec is spec:
                        kinds.append(self._kind(caller, p.args[spec.params.index(name)], seen))
        if spec in self.cut.roots:  # what common code passes: data are a value, EFER and CR0 too much
            kinds.append(_VALUE if "data" in name else None)
        return _most(kinds)

    def _joined(self, spec: Spec, values: Any, seen: Set[Any]) -> str | None:
        return _most([self._kind(spec, value, seen) for value in values])


def _most(kinds: list[str | None]) -> str | None:
    if None in kinds:
        return None
    return next((kind for kind in (_VALUE, _NUMBER) if kind in kinds), _FLAG)
