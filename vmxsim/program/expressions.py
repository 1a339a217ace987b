"""Expressions of the kernel language, and what it says about everything else."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

from vmxsim.errors import InputError, nearest
from vmxsim.model import registers
from vmxsim.model.machine import Task
from vmxsim.model.primitive import PRIMITIVES
from vmxsim.model.vcpu import FIELD_NAMES, Vcpu
from vmxsim.program.ir import Callee, Const, Current, Expr, Field, Local, Operation, Primitive, Target

OPERATORS = {
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.Add: "+", ast.Sub: "-", ast.LShift: "<<",
    ast.RShift: ">>", ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">",
    ast.GtE: ">=", ast.Is: "is", ast.IsNot: "is not", ast.And: "and", ast.Or: "or", ast.Not: "not",
    ast.Invert: "~", ast.USub: "-",
}  # fmt: skip

INSTEAD = {
    ast.For: "write a while loop",
    ast.AsyncFor: "write a while loop",
    ast.Try: "kernel code has no exceptions: return an error number",
    ast.Raise: "return an error number",
    ast.With: "call preempt_disable() and preempt_enable() yourself",
    ast.Yield: "write plain statements: every statement is a step already",
    ast.Await: "write plain statements: every statement is a step already",
    ast.Lambda: "write a method and call it through self",
    ast.ListComp: "write a while loop",
    ast.IfExp: "write if and else statements",
    ast.FunctionDef: "write a method of the class",
    ast.Assert: "state it with @requires(...) above the function",
    ast.Break: "let the while condition end the loop",
    ast.Continue: "let if and else choose",
    ast.Subscript: "use a field of the vCPU",
    ast.Global: "keep state in fields of the vCPU",
    ast.Import: "import at the top of the module",
    ast.ImportFrom: "import at the top of the module",
    ast.Delete: "assign None",
    ast.JoinedStr: "use a plain string",
}


class Expressions:
    """The names and expressions of one function: what its statements are made of."""

    def __init__(
        self,
        function: FunctionType,
        node: ast.FunctionDef,
        owner: str,
        is_method: Callable[[str], bool],
    ) -> None:
        self.python, self.node, self.owner, self.is_method = function, node, owner, is_method
        self.file = function.__code__.co_filename
        self.known = {**vars(registers), **function.__globals__, **inspect.getclosurevars(function).nonlocals}
        args = node.args
        if args.vararg or args.kwarg or args.kwonlyargs or args.defaults or args.posonlyargs:
            raise self.error(node, "parameters must be plain names, without defaults")
        names = [a.arg for a in args.args]
        if not names or names[0] != "self":
            raise self.error(node, "the first parameter must be self")
        self.locals = names[1:]
        self.params = len(self.locals)

    # -- errors

    def error(self, node: ast.AST, message: str) -> InputError:
        line = getattr(node, "lineno", self.node.lineno)
        return InputError(message, f"{self.file}:{line}, {self.node.name}")

    def refuse(self, node: ast.AST) -> InputError:
        instead = next((text for kind, text in INSTEAD.items() if isinstance(node, kind)), "")
        what = ast.unparse(node).splitlines()[0]
        hint = f": {instead}" if instead else ""
        return self.error(node, f"'{what}' is outside the Python that kernel functions may use{hint}")

    # -- calls

    def callee(self, e: ast.expr) -> Callee | None:
        match e:
            case ast.Call(ast.Attribute(ast.Name("self"), name)):
                if not self.is_method(name):
                    raise self.error(e, f"no kernel function '{name}' in this design")
                return Callee("self", name)
            case ast.Call(ast.Attribute(ast.Attribute(ast.Name("self"), "kvm_x86_ops"), name)):
                return Callee("ops", name)
            case ast.Call(ast.Attribute(ast.Call(ast.Name("super"), []), name)):
                return Callee("super", name, self.owner)
        return None

    def arguments(self, call: ast.Call) -> tuple[Expr, ...]:
        if call.keywords:
            raise self.error(call, "write the arguments without names")
        return tuple(self.expr(a) for a in call.args)

    # -- expressions

    def local(self, name: str) -> Local:
        if name not in self.locals:
            self.locals.append(name)
        return Local(self.locals.index(name), name)

    def target(self, t: ast.expr) -> Target:
        match t:
            case ast.Name("self" | "current"):
                raise self.error(t, f"'{t.id}' cannot be assigned")
            case ast.Name(name):
                return self.local(name)
            case ast.Attribute():
                found = self.field(t)
                if isinstance(found, Field):
                    return found
        raise self.error(t, "assign to a variable or to a field, one at a time")

    def constant(self, e: ast.expr) -> Any:
        found = self.expr(e)
        if not isinstance(found, Const):
            raise self.error(e, "must be a constant")
        return found.value

    def expr(self, e: ast.expr) -> Expr:
        match e:
            case ast.Constant(value) if value is None or isinstance(value, (bool, int, str)):
                return Const(value)
            case ast.Name("current"):
                return Current()
            case ast.Name(name):
                return self.name(e, name)
            case ast.Attribute():
                return self.field(e)
            case ast.Call(ast.Name(name)) if name in PRIMITIVES:
                return self.primitive(e, name)
            case ast.Call(ast.Name(name)):
                raise self.error(e, f"'{name}' is no primitive of the simulator{nearest(name, PRIMITIVES)}")
            case ast.Call():
                self.callee(e)
                raise self.error(e, "call it in a statement of its own: every call is a step")
            case ast.UnaryOp(op, operand):
                return Operation(self.operator(e, op), (self.expr(operand),))
            case ast.BinOp(left, op, right):
                return Operation(self.operator(e, op), (self.expr(left), self.expr(right)))
            case ast.BoolOp(op, values):
                return Operation(self.operator(e, op), tuple(self.expr(v) for v in values))
            case ast.Compare(left, [op], [right]):
                return Operation(self.operator(e, op), (self.expr(left), self.expr(right)))
        raise self.refuse(e)

    def operator(self, node: ast.AST, op: ast.AST) -> str:
        if type(op) not in OPERATORS:
            raise self.refuse(node)
        return OPERATORS[type(op)]

    def primitive(self, e: ast.Call, name: str) -> Primitive:
        args = self.arguments(e)
        try:
            inspect.signature(PRIMITIVES[name]).bind(None, *args)
        except TypeError:
            takes = ", ".join(list(inspect.signature(PRIMITIVES[name]).parameters)[1:])
            raise self.error(e, f"{name}({takes}) does not take {len(args)} arguments") from None
        return Primitive(name, args)

    def name(self, e: ast.expr, name: str) -> Expr:
        if name in self.locals:
            return self.local(name)
        if isinstance(self.known.get(name), (int, str)):
            return Const(self.known[name])
        constants = [k for k, v in self.known.items() if isinstance(v, (int, str)) and not k.startswith("_")]
        raise self.error(
            e, f"'{name}' is neither a variable nor a constant{nearest(name, [*self.locals, *constants])}"
        )

    def field(self, e: ast.Attribute) -> Expr:
        names: list[str] = []
        base: ast.expr = e
        while isinstance(base, ast.Attribute):
            names.insert(0, base.attr)
            base = base.value
        chain = ".".join(names)
        match base:
            case ast.Name("current"):
                holder: Local | Current = Current()
                fields = [a.name for a in Task.__attrs_attrs__]
            case ast.Name(name) if name in self.locals:
                holder = self.local(name)
                fields = [a.name for a in Vcpu.__attrs_attrs__]
            case _:
                raise self.error(e, f"'{ast.unparse(e)}': fields are read from the vCPU or from current")
        name = FIELD_NAMES.get(chain, chain)
        if name not in fields or name.startswith("true_"):
            known = [*(f for f in fields if not f.startswith("true_")), *FIELD_NAMES]
            raise self.error(e, f"no field '{chain}'{nearest(chain, known)}")
        return Field(holder, name)
