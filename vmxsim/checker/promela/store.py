"""The variables of a thread: which values each can take, and so how many bits it needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vmxsim.checker.promela.encoding import Encoding
from vmxsim.errors import InputError

#: More values than this are taken for a counter, which no finite model holds.
MOST_VALUES = 64
#: Variables that the hand-written part of the model names.
ALWAYS = {"efer", "cr0", "smm", "exit_reason", "script", "preempt_count"}


class Store:
    """Variables by name, each with the values that were found to reach it so far.

    A variable that only ever has one value is a constant and no part of the state.
    """

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self.domains: dict[str, set[Any]] = {}
        #: Of a function's locals: the values stored in them, without the None they start with.
        self.given: dict[str, set[Any]] = {}
        self.grown = False

    def grow(self, name: str, values: Iterable[Any], where: str = "") -> None:
        """More values that the variable can take.

        Raises InputError for values that a variable of the model cannot hold.
        """
        values = list(values)
        for x in values:
            self.encoding.text(x)  # words are numbered in the order of the text, not of a set
        domain = self.domains.setdefault(name, set())
        before = len(domain)
        domain.update(values)
        if len(domain) == before:
            return
        self.grown = True
        if len(domain) > MOST_VALUES:
            raise InputError(
                f"'{name}' takes more than {MOST_VALUES} values: more state than the Promela model holds",
                where,
            )
        self.encoding.distinct(domain, where)

    def give(self, name: str, values: Iterable[Any], where: str = "") -> None:
        """The same for a local, which has some of the values from its start on."""
        values = set(values)
        self.given.setdefault(name, set()).update(values)
        self.grow(name, values, where)

    def kept(self, name: str) -> bool:
        """Whether the variable is part of the state."""
        return len(self.domains.get(name, ())) > 1 or name in ALWAYS

    def none(self) -> int:
        """A number for None that no variable has otherwise."""
        codes = {self.encoding.code(x) for domain in self.domains.values() for x in domain}
        return next(n for n in range(8, 1 << 20) if n not in codes)

    def declaration(self, name: str) -> str:
        """The declaration of a variable, as narrow as its values allow."""
        none = self.none()
        codes = [self.encoding.code(x, none) for x in self.domains[name]]
        if min(codes) < 0 or max(codes) >= 1 << 16:
            return f"int {name}"
        return f"unsigned {name} : {max(1, max(codes).bit_length())}"
