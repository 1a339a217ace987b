"""What the files' macros stand for: an expression in whose place the call stands, or more than that.

A macro is put in as an expression, not as text. Where that is not the same, for want of parentheses, it is
refused.
"""

from __future__ import annotations

import re
from typing import Any

from vmxsim.csource import interface as api
from vmxsim.csource.parser import Unit, is_closed, read_expression
from vmxsim.csource.syntax import LOOSE, substitute

#: How deep macros may be nested in each other, and calls.
DEEPEST = 8
#: Names that ``##`` makes of parts and that could be the register's, its accessors' or a toggle's.
_PASTES = re.compile(
    r"(MSR_|rdmsr|wrmsr|msr|gs_base|preempt_|irq_)\w*\s*##|##\s*(KERNEL_GS_BASE|gs_base|msr|able)"
)
_DO_ONCE = re.compile(r"^do\s*\{(.*)\}\s*while\s*\(\s*0\s*\)$", re.S)


def pastes(meaning: str) -> bool:
    """Whether a macro pastes a name together that could be one that matters."""
    return bool(_PASTES.search(meaning))


class Macros:
    """The macros of the files. ``words``: the names in what each stands for; ``pasting``: those that paste a
    name together."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.words = {
            macro.partition("(")[0]: frozenset(api.words_in(meaning))
            for macro, meaning in unit.defines.items()
        }
        self.pasting = {macro.partition("(")[0] for macro, meaning in unit.defines.items() if pastes(meaning)}
        self._calls: dict[str, tuple[list[str], str]] = {}
        for macro, meaning in unit.defines.items():
            name, paren, inside = macro.partition("(")
            if paren:
                self._calls[name] = ([p for p in inside.rstrip(")").split(",") if p], meaning)

    def __contains__(self, name: str) -> bool:
        """Whether there is a macro of this name that takes arguments."""
        return name in self._calls

    def meaning(self, name: str) -> str:
        """What a macro that takes arguments stands for, as text."""
        return self._calls[name][1]

    def expression(self, name: str, args: tuple[Any, ...]) -> Any:
        """What a call of a macro stands for, None if it is no macro that stands for one expression."""
        params, meaning = self._calls.get(name, ((), ""))
        if not meaning or len(params) != len(args):
            return None
        e = read_expression(_once(meaning))
        return None if e is None else substitute(e, dict(zip(params, args, strict=True)))

    def is_open(self, name: str, args: tuple[Any, ...], alone: bool) -> bool:
        """Whether operators in a macro and around it (unless it stands ``alone``) may take hold of parts of
        it or of its arguments, for want of parentheses."""
        params, meaning = self._calls.get(name, ((), ""))
        text = _once(meaning)
        if not alone and read_expression(text) is not None and not is_closed(text):
            return True
        given = zip(params, args, strict=False)
        return any(isinstance(arg, LOOSE) and _is_bare(param, text) for param, arg in given)

    def alias(self, name: str) -> str:
        """What a name stands for that a macro makes another name of."""
        for _ in range(DEEPEST):
            meaning = self.unit.defines.get(name, "")
            if not meaning.isidentifier() or name in self.unit.functions:
                break
            name = meaning
        return name


def _once(meaning: str) -> str:
    """What a macro stands for, without do { } while (0)."""
    found = _DO_ONCE.match(meaning)
    return (found[1] if found else meaning).strip()


def _is_bare(param: str, meaning: str) -> bool:
    """Whether a macro's parameter stands beside an operator somewhere, without parentheses."""
    for found in re.finditer(rf"\b{param}\b", meaning):
        before, after = meaning[: found.start()].rstrip()[-1:], meaning[found.end() :].lstrip()[:1]
        if before not in ("", "(", ",") or after not in ("", ")", ",", ";"):
            return True
    return False
