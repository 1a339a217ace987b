"""Preprocessor conditionals, decided line by line, so that every line keeps its number.

Only ``#if``, ``#ifdef``, ``#ifndef``, ``#elif``, ``#else`` and ``#endif`` are obeyed, and ``#define`` is
noted. A line that is not compiled, and every directive, becomes an empty line.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

#: What is taken for granted of the configuration: a 64-bit kernel that can be preempted. Whatever is not
#: named here or defined in the file is off.
CONFIG = frozenset(
    {
        "CONFIG_X86_64", "CONFIG_64BIT", "CONFIG_SMP", "CONFIG_PREEMPT", "CONFIG_PREEMPTION",
        "CONFIG_PREEMPT_NOTIFIERS", "CONFIG_KVM", "CONFIG_KVM_INTEL",
    }
)  # fmt: skip

_DIRECTIVE = re.compile(r"\s*#\s*(if|ifdef|ifndef|elif|else|endif|define|undef)\b(.*)", re.S)
_OTHER_DIRECTIVE = re.compile(r"\s*#\s*(include|error|pragma|warning|line)\b")
_DEFINED = re.compile(r"\bdefined\s*(?:\(\s*(\w+)\s*\)|(\w+))")
_ENABLED = re.compile(r"\bIS_(?:ENABLED|BUILTIN|MODULE|REACHABLE)\s*\(\s*(\w+)\s*\)")
_CALL = re.compile(r"\b[A-Za-z_]\w*\s*\([^()]*\)")
_NAME = re.compile(r"\b[A-Za-z_]\w*")
_COMMENT = re.compile(r"/\*.*?\*/|//.*", re.S)
_MACRO = re.compile(r"\s*(\w+)(\([^)]*\))?\s*(.*)", re.S)

#: What an ``#if`` may compute with, and no more: the text comes from outside.
_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Eq: operator.eq,
    ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Not: operator.not_, ast.USub: operator.neg,
}  # fmt: skip


class Conditionals:
    """A file's text with what is not compiled blanked out.

    ``asked`` are the names that decided something, with the lines on which they did; ``skipped`` are
    the lines of text that are not compiled; ``defines`` the macros that the compiled part defines: ``NAME``
    or ``NAME(a, b)``, and what each stands for.
    """

    def __init__(self, text: str) -> None:
        self.asked: dict[str, list[int]] = {}
        self.skipped: set[int] = set()
        self.defines: dict[str, str] = {}
        self._on = set(CONFIG)
        #: For each open #if: is this branch compiled, was one compiled before, is the whole compiled?
        self._open: list[list[bool]] = []
        self.text = "\n".join(self._lines(text.split("\n")))

    def _lines(self, lines: list[str]) -> list[str]:
        out: list[str] = []
        n = 0
        while n < len(lines):
            first, whole = n, lines[n]
            found = _DIRECTIVE.match(whole)
            if not found:
                kept = self._compiled and not _OTHER_DIRECTIVE.match(whole)
                if not self._compiled and whole.strip():
                    self.skipped.add(n + 1)
                out.append(whole if kept else "")
                n += 1
                continue
            while whole.rstrip().endswith("\\") and n + 1 < len(lines):
                n += 1
                whole = whole.rstrip()[:-1] + " " + lines[n]
            n += 1
            out += [""] * (n - first)
            match = _DIRECTIVE.match(whole)
            assert match is not None
            self._obey(found[1], match[2], first + 1)
        return out

    @property
    def _compiled(self) -> bool:
        return all(here for here, _, _ in self._open)

    def _obey(self, kind: str, rest: str, line: int) -> None:
        match kind:
            case "if" | "ifdef" | "ifndef":
                around = self._compiled
                holds = around and self._holds(kind, rest, line)
                self._open.append([holds, holds, around])
            case "elif" if self._open:
                top = self._open[-1]
                top[0] = top[2] and not top[1] and self._holds("if", rest, line)
                top[1] = top[1] or top[0]
            case "else" if self._open:
                top = self._open[-1]
                top[0], top[1] = top[2] and not top[1], True
            case "endif" if self._open:
                self._open.pop()
            case "define" if self._compiled:
                if found := _MACRO.match(rest):
                    self.defines[found[1] + (found[2] or "").replace(" ", "")] = _COMMENT.sub(
                        " ", found[3]
                    ).strip()
                    if not found[2]:
                        self._on.add(found[1])
            case "undef" if self._compiled:
                self._on.discard("".join(rest.split()[:1]))

    def _holds(self, kind: str, rest: str, line: int) -> bool:
        if kind == "if":
            return self._value_of(rest, line)
        return self._ask("".join(_NAME.findall(rest)[:1]), line) != (kind == "ifndef")

    def _ask(self, name: str, line: int) -> bool:
        self.asked.setdefault(name, []).append(line)
        return name in self._on

    def _value_of(self, expression: str, line: int) -> bool:
        """Whether an ``#if`` holds; False where it cannot be computed."""
        text = _COMMENT.sub(" ", expression)
        text = _DEFINED.sub(lambda m: str(int(self._ask(m[1] or m[2], line))), text)
        text = _ENABLED.sub(lambda m: str(int(self._ask(m[1], line))), text)
        text = _CALL.sub("0", text)
        text = _NAME.sub(lambda m: str(int(self._ask(m[0], line))), text)
        text = re.sub(r"(?<=[0-9a-fA-F])[uUlL]+\b", "", text)
        text = text.replace("&&", " and ").replace("||", " or ")
        text = re.sub(r"!(?!=)", " not ", text)
        try:
            return bool(_compute(ast.parse(text.strip(), mode="eval").body))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False


def _compute(e: ast.expr) -> Any:
    match e:
        case ast.Constant(int() as value):
            return value
        case ast.BoolOp(op, values):
            found = [bool(_compute(value)) for value in values]
            return all(found) if isinstance(op, ast.And) else any(found)
        case ast.UnaryOp(op, operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_compute(operand))
        case ast.BinOp(left, op, right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_compute(left), _compute(right))
        case ast.Compare(left, [op], [right]) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_compute(left), _compute(right))
    raise ValueError("not a number")
