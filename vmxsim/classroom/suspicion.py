"""Code that could fool a test which runs beside it: a teacher is told to look, nothing more."""

from __future__ import annotations

import ast
from collections.abc import Iterable

#: Names that the tests use.
_TESTS_USE = {"vmxsim", "ex"}
#: Calls that an answer has no use for.
_CALLS = {"setattr", "delattr", "exec", "eval", "__import__", "globals", "locals", "vars"}


def suspicious(sources: Iterable[str]) -> list[str]:
    """What in a student's cells is worth a look, a remark each."""
    told: dict[str, None] = {}
    for source in sources:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # it does not run either
        for node in ast.walk(tree):
            if found := _found(node):
                told[f"look at the answer: it {found}"] = None
    return list(told)


def _found(node: ast.AST) -> str:
    if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, (ast.Store, ast.Del)):
        root = _root(node)
        if root in _TESTS_USE:
            return f"changes {ast.unparse(node)}, which the tests use"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
        return f"calls {node.func.id}()"
    if isinstance(node, ast.Attribute) and node.attr == "modules" and _root(node) == "sys":
        return "uses sys.modules"
    return ""


def _root(node: ast.expr) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
