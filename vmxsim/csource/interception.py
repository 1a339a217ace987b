"""When the guest's access of the register exits, and whether its value is checked: from the calls that say
so."""

from __future__ import annotations

from typing import Any

from vmxsim.csource.interface import REGISTER
from vmxsim.csource.parser import Unit
from vmxsim.csource.syntax import (
    Call,
    Case,
    CFunction,
    Jump,
    Name,
    Return,
    Switch,
    expressions_of,
    parts,
    show,
    statements,
)


def interception_of(unit: Unit) -> tuple[str, tuple[str, ...]]:
    """When the guest's access exits (``always``, ``outside long mode`` or ``never``), from the calls that
    set the MSR bitmap and from the array of MSRs that may be passed through; and the lines that show it."""
    plain: list[str] = []
    by_mode: list[str] = []
    for f in unit.functions.values():
        if REGISTER not in f.words:
            continue
        for line, e in f.expressions:
            match e:
                case Call(Name(name), args) if "intercept" in name and Name(REGISTER) in args:
                    if "enable_intercept" in name or name.startswith("nested"):
                        continue
                    by = _depends_on_mode(unit.find(name, f.file), args)
                    (by_mode if by else plain).append(f"{f.file}:{line} {show(e)}")
    if by_mode:
        return "outside long mode", tuple(by_mode)
    return ("never", tuple(plain)) if plain else ("always", ("no call opens the MSR bitmap for it",))


def _depends_on_mode(callee: CFunction | None, args: tuple[Any, ...]) -> bool:
    """Whether the call opens the bitmap in long mode only: its last argument says so."""
    last = args[-1]
    named = callee.params[-1][0] if callee and len(callee.params) == len(args) else ""
    if "longmode" in named:
        return bool(last == Name("true"))
    return any(isinstance(e, Name) and ("_LM" in e.name or "long_mode" in e.name) for e in parts(last))


def canonical_check(unit: Unit) -> str:
    """Where common code refuses a non-canonical value for the register: ``x86.c:1234 kvm_set_msr()``; '' if
    nowhere."""
    for f in unit.functions.values():
        if REGISTER not in f.words or not any("canonical" in word for word in f.words):
            continue
        for s in f.statements:
            if isinstance(s, Switch):
                line = _check_in(s.body)
                if line:
                    return f"{f.file}:{line} {f.name}()"
    return ""


def _check_in(body: tuple[Any, ...]) -> int:
    """The line in a switch on which the register's case checks its value, 0 if none does."""
    ours = False
    for s in body:
        if isinstance(s, Case):
            ours = ours or Name(REGISTER) in s.values
            continue
        if ours:
            for inner in statements((s,)):
                for e in expressions_of(inner):
                    if (
                        isinstance(e, Call)
                        and isinstance(e.function, Name)
                        and "canonical" in e.function.name
                    ):
                        return int(inner.line)
        if isinstance(s, (Jump, Return)):
            ours = False
    return 0
