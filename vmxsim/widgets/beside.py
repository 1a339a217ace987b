"""The kernel's own C in a notebook: what was followed of it, and a function beside its retelling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from inspect import getsource
from pathlib import Path
from textwrap import dedent
from typing import Any

from attrs import frozen

from vmxsim.csource.at_hand import own_tree
from vmxsim.csource.design import Carried
from vmxsim.csource.from_source import from_source
from vmxsim.csource.in_full import Rows, in_full, sections
from vmxsim.csource.interface import CUSTOMARY
from vmxsim.csource.tree import Tree
from vmxsim.errors import InputError, counted, printable
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.kernel.program import Function
from vmxsim.views.listing import folds
from vmxsim.web.assets import style

#: The sections of a report that are shown at once: the functions, the three roles, interception.
_AT_ONCE = 5


@frozen(slots=False, repr=False)
class Followed:
    """What a design made from C rests on. In a notebook, what is left out and assumed unfolds."""

    design: type[Kvm]
    sections: tuple[tuple[str, Rows], ...]

    def __repr__(self) -> str:
        return "\n".join(
            line
            for title, rows in self.sections
            for line in (title, *(f"  {'  '.join(row)}" for row in rows))
        )

    def _repr_html_(self) -> str:
        told, more = (
            "".join(map(_section, part)) for part in (self.sections[:_AT_ONCE], self.sections[_AT_ONCE:])
        )
        summary = "What is assumed, left out and not covered"
        return _page(
            f'<div class="vs-facts">{told}</div><details><summary>{summary}</summary>{more}</details>'
        )


def followed(design: type[Kvm]) -> Followed:
    """What was followed of the C that a design is made from: functions, roles with their evidence, and all
    that a verdict on it rests on.

    Raises InputError for a design that is not made from C.
    """
    if design._carried is None:
        raise InputError(f"{name_of(design)} is not made from C; vmxsim.from_source() makes such a design")
    return Followed(design, tuple(sections(design._carried.report)))


@frozen(slots=False, repr=False)
class Beside:
    """A function of a design, retold in Python, and the C that it retells. ``note`` says which C that is, or
    why there is none."""

    name: str
    retelling: str
    c: Function | None
    note: str

    def __repr__(self) -> str:
        if self.c is None:
            return self.note
        lines = [f"{number:>6}  {text.expandtabs(8)}" for number, text, _ in _lines(self.c)]
        return "\n".join([self.note, "", self.retelling, f"{self.c.file}: {self.c.name}()", *lines])

    def _repr_html_(self) -> str:
        note = f'<p class="vs-note">{escape(self.note)}</p>'
        if self.c is None:
            return _page(note)
        left = "".join(f"<span>{escape(line)}</span>\n" for line in self.retelling.splitlines())
        last = self.c.first + len(self.c.source) - 1
        right = "".join(_line(*line, len(str(last))) for line in _lines(self.c))
        where = f"{self.c.file}:{self.c.first}-{last}"
        sides = _side("Retold", left) + _side(f"{where}, {self.c.name}()", right)
        return _page(f'{note}<div class="vs-sides">{sides}</div>')


def beside(function: Callable[..., Any], tree: str | Path | Tree | None = None) -> Beside:
    """A design's function beside the C that it retells: of ``tree``, or of the tree that ``VMXSIM_KERNEL``
    names or that is in a usual place. Without one it says so.

    A function with the same name is taken, or else the one in its place in ``struct kvm_x86_ops``. Raises
    InputError for a ``tree`` that cannot be used.
    """
    name = function.__name__
    carried, note = (from_source(tree)._carried, "") if tree is not None else own_tree()
    c = _counterpart(carried, name) if carried else None
    if carried and not c:
        note += f" Nothing is followed there under the name {name}()."
    elif c and c.dropped:
        note += " Lines in italics do not matter to this register."
    return Beside(name, dedent(getsource(function)), c, note.strip())


def _counterpart(carried: Carried, name: str) -> Function | None:
    """The C function of that name, or the one that is called for the same purpose."""
    if name in carried.design.functions() and carried.design.functions()[name].file:
        return in_full(carried.design, name)
    role = next((role for role, names in CUSTOMARY.items() if name in names), "")
    return in_full(carried.design, carried.roots[role].name) if role in carried.roots else None


# -- HTML


def _page(inside: str) -> str:
    return f'<div class="vmxsim-source"><style>{style(("beside",), ".vmxsim-source")}</style>{inside}</div>'


def _section(part: tuple[str, Rows]) -> str:
    title, rows = part
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(printable(cell, 400))}</td>' for cell in row)}</tr>" for row in rows
    )
    return (
        f"<p>{escape(title)}</p><table><tbody>{body}</tbody></table>" if rows else f"<p>{escape(title)}</p>"
    )


def _side(name: str, listing: str) -> str:
    return (
        f'<div class="vs-side"><p class="vs-name">{escape(name)}</p>'
        f'<pre tabindex="0" role="region" aria-label="{escape(name)}">{listing}</pre></div>'
    )


def _line(number: int, text: str, left_out: bool, width: int) -> str:
    kind = ' class="vs-left"' if left_out else ""
    return (
        f'<span class="vs-number">{number:>{width}}  </span><span{kind}>{escape(text.expandtabs(4))}</span>\n'
    )


def _lines(function: Function) -> Iterator[tuple[int, str, bool]]:
    """(number in the file, text, whether it was left out) of each line; a long stretch that was left out is
    one line."""
    hidden: Sequence[tuple[int, int]] = folds(function)
    for line, text in enumerate(function.source, 1):
        fold = next((fold for fold in hidden if fold[0] <= line <= fold[1]), None)
        number = function.first + line - 1
        if fold is None:
            yield number, text, line in function.dropped
        elif fold[0] == line:
            yield number, f"\t… {counted(fold[1] - fold[0] + 1, 'line')} left out", True
