"""Compiles kernel functions, written as ordinary Python functions, to steps.

The subset of Python: assignment to a variable or a field, also with ``|=`` and the like, and of several at
once; if/elif/else, while, ``for`` over a tuple of constants, match on constants, return; ``x if c else y``;
and calls to primitives by name, to kernel functions through ``self``, ``super()`` or
``self.kvm_x86_ops``, and to helpers, which are functions of the module, by name. Each statement is one step;
a call is one step plus those of the callee. Anything else is refused, with the line and what to write
instead.

A class may declare fields of its own. ``fields = {"dirty": False}`` adds ``vmx.dirty`` to the vCPU;
``cpu_fields = {"owner": u64}`` adds a field to each CPU, and kernel code writes ``this_cpu_read("owner")``
and ``this_cpu_write("owner", value)``. A field holds True or False, a number from 0 to 255, or a value of the
register (``u64``).
"""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from types import FunctionType
from typing import Any

from attrs import evolve, frozen

from vmxsim.errors import InputError, nearest
from vmxsim.kernel import machine as registers
from vmxsim.kernel.instructions import PRIMITIVES
from vmxsim.kernel.machine import FIELD_NAMES, Task, Vcpu
from vmxsim.kernel.program import (
    MOST,
    Callee,
    Const,
    Current,
    Expr,
    Field,
    Function,
    Instruction,
    Local,
    Operation,
    Primitive,
    Target,
    ThisCpu,
    emit,
)

OPERATORS = {
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.Add: "+", ast.Sub: "-", ast.LShift: "<<",
    ast.RShift: ">>", ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">",
    ast.GtE: ">=", ast.Is: "is", ast.IsNot: "is not", ast.And: "and", ast.Or: "or", ast.Not: "not",
    ast.Invert: "~", ast.USub: "-",
}  # fmt: skip

#: The fields of the current task that kernel code may assign, as save_fsgs() does.
ASSIGNABLE = frozenset({"gs_base"})

#: The most steps that a function can have.
MOST_STEPS = 1000

INSTEAD = {
    ast.For: "write a while loop, or loop over a tuple of constants",
    ast.AsyncFor: "write a while loop",
    ast.Try: "kernel code has no exceptions: return an error number",
    ast.Raise: "return an error number",
    ast.With: "call preempt_disable() and preempt_enable() yourself",
    ast.Yield: "write plain statements: every statement is a step already",
    ast.Await: "write plain statements: every statement is a step already",
    ast.Lambda: "write a method and call it through self",
    ast.ListComp: "write a while loop",
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


@cache
def _signature(primitive: str) -> inspect.Signature:
    return inspect.signature(PRIMITIVES[primitive])


@lru_cache(maxsize=256)
def syntax_tree(lines: tuple[str, ...]) -> ast.Module:
    """The syntax tree of a source text; an empty one if it is not valid Python."""
    try:
        return ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        return ast.Module([], [])


@lru_cache(maxsize=256)
def _functions(lines: tuple[str, ...]) -> dict[int, ast.FunctionDef]:
    return {
        (node.decorator_list[0] if node.decorator_list else node).lineno: node
        for node in ast.walk(syntax_tree(lines))
        if isinstance(node, ast.FunctionDef)
    }


@frozen
class Scope:
    """Where a kernel function stands: in class ``owner`` (of None: in no class), with ``receiver`` as its
    first parameter (``self``; '' for a function without one). ``is_method(name)`` says whether the design
    has a kernel function of that name; ``fields`` and ``cpu_fields`` are those that it declares."""

    owner: type
    receiver: str
    is_method: Callable[[str], bool]
    fields: dict[str, Any]
    cpu_fields: dict[str, Any]

    @property
    def owner_name(self) -> str:
        """What to call the class."""
        return "module" if self.owner is type(None) else self.owner.__name__


def lower(function: FunctionType, name: str, scope: Scope) -> Function:
    """Lower one kernel function, called ``name`` in its class.

    Raises InputError (file:line, construct, what to write instead) for anything outside the subset.
    """
    code = function.__code__
    lines = tuple(linecache.getlines(code.co_filename, function.__globals__))
    if not lines:
        raise InputError("source code not available: define the function in a file or a notebook cell", name)
    node = _functions(lines).get(code.co_firstlineno)
    if node is None or node.name != function.__name__:
        raise InputError(
            "not an ordinary function: write 'def name(self, vmx): ...'",
            f"{code.co_filename}:{code.co_firstlineno}, {name}",
        )
    return _Lowering(function, name, node, lines, scope).function()


def lower_text(function: Function, source: Sequence[str], is_method: Callable[[str], bool]) -> Function:
    """Lower ``source``, from its ``def`` on, in place of ``function``'s lines, with the names that it sees.

    Raises InputError for anything outside the subset.
    """
    lines = tuple(f"{line}\n" for line in source)
    try:
        (node,) = ast.parse("".join(lines)).body
    except (SyntaxError, ValueError) as error:
        raise InputError(f"not a function: {error}", function.name) from None
    assert isinstance(node, ast.FunctionDef) and function.python is not None
    scope = evolve(function.scope, is_method=is_method)
    return _Lowering(function.python, function.name, node, lines, scope).function()


class _Lowering:
    """Lowers one function. Statements become instructions, names and expressions their operands."""

    def __init__(
        self, function: FunctionType, name: str, node: ast.FunctionDef, lines: tuple[str, ...], scope: Scope
    ) -> None:
        self.python, self.called, self.node, self.scope = function, name, node, scope
        self.file = function.__code__.co_filename
        self.known = {**vars(registers), **function.__globals__, **inspect.getclosurevars(function).nonlocals}
        args = node.args
        if args.vararg or args.kwarg or args.kwonlyargs or args.defaults or args.posonlyargs:
            raise self.error(node, "parameters must be plain names, without defaults")
        names = [a.arg for a in args.args]
        if scope.receiver:
            if names[:1] != [scope.receiver]:
                raise self.error(node, f"the first parameter must be {scope.receiver}")
            del names[0]
        elif names[:1] == ["self"]:
            raise self.error(node, "a static method has no self: remove @staticmethod")
        self.locals = names
        self.params = len(self.locals)
        self.source = self._dedent(lines[node.lineno - 1 : node.end_lineno])
        #: Variables of ``for`` loops, which are unrolled: the constant that each stands for.
        self.loops: dict[str, Const] = {}
        self.uses: dict[str, Any] = {}
        self.out: list[Instruction] = []
        #: Forward jumps (instruction, field, case) that wait for the next instruction.
        self.dangling: list[tuple[int, str, int]] = []

    @staticmethod
    def _dedent(lines: tuple[str, ...]) -> tuple[str, ...]:
        margin = len(lines[0]) - len(lines[0].lstrip())
        return tuple(line[margin:].rstrip() if not line[:margin].strip() else line.strip() for line in lines)

    def function(self) -> Function:
        self.block(self.node.body)
        self.add(Instruction("end", len(self.source)))
        result = Function(
            self.called, self.scope.owner_name, self.source, self.params, tuple(self.locals), self.out,
            getattr(self.python, "__requires__", ()), getattr(self.python, "__interrupt__", False),
            self.scope, self.python, self.uses,
        )  # fmt: skip
        emit(result)
        return result

    # -- control flow

    def add(self, instruction: Instruction) -> int:
        index = len(self.out)
        if index == MOST_STEPS:
            raise self.error(self.node, f"has more than {MOST_STEPS} steps: a for loop is unrolled")
        self.patch(index)
        self.out.append(instruction)
        return index

    def patch(self, index: int) -> None:
        for number, name, case in self.dangling:
            instruction = self.out[number]
            if name == "case":
                cases = list(instruction.cases)
                cases[case] = (cases[case][0], index)
                instruction.cases = tuple(cases)
            else:
                setattr(instruction, name, index)
        self.dangling = []

    def step(self, instruction: Instruction) -> None:
        self.dangling = [(self.add(instruction), "next", 0)]

    def block(self, body: list[ast.stmt]) -> None:
        for number, statement in enumerate(body):
            is_docstring = (
                number == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            )
            if not is_docstring and not isinstance(statement, ast.Pass):
                self.statement(statement)

    def statement(self, s: ast.stmt) -> None:
        line = s.lineno - self.node.lineno + 1
        match s:
            case ast.Expr(ast.Call(ast.Name("this_cpu_write"), args) as call) if self.is_plain(call, 2):
                self.do(line, args[1], self.cpu_field(args[0]))
            case ast.Expr(value):
                self.do(line, value, None)
            case ast.Assign([ast.Tuple(targets)], ast.Tuple(values)) if len(targets) == len(values):
                self.assign_together(line, targets, values)
            case ast.Assign([target], value):
                self.do(line, value, self.target(target))
            case ast.AugAssign(target, op, value):
                before = ast.copy_location(ast.parse(ast.unparse(target), mode="eval").body, target)
                for node in ast.walk(before):
                    ast.copy_location(node, target)
                self.do(line, ast.copy_location(ast.BinOp(before, op, value), s), self.target(target))
            case ast.AnnAssign(target, _, value) if value is not None:
                self.do(line, value, self.target(target))
            case ast.Return(None):
                self.add(Instruction("return", line, Const(None)))
                self.dangling = []
            case ast.Return(value) if value is not None:
                # returning what a call returned is not a step by itself
                kind = "end" if self.callee(value) else "return"
                self.add(Instruction(kind, line, self.value(line, value)))
                self.dangling = []
            case ast.If(test, body, orelse):
                branch = self.branch(line, test)
                self.block(body)
                after = self.dangling
                self.dangling = [(branch, "other", 0)]
                self.block(orelse)
                self.dangling = after + self.dangling
            case ast.While(test, body, []):
                head = len(self.out)
                branch = self.branch(line, test)
                self.block(body)
                self.patch(head)
                self.dangling = [(branch, "other", 0)]
            case ast.For(ast.Name(name), ast.Tuple(values) | ast.List(values), body, []):
                self.unroll(line, name, values, body)
            case ast.Match(subject, cases):
                self.switch(line, subject, cases)
            case _:
                raise self.refuse(s)

    def unroll(self, line: int, name: str, values: list[ast.expr], body: list[ast.stmt]) -> None:
        """A loop over constants: a step for each, and the body after it."""
        if name in self.locals:
            raise self.error(self.node, f"the loop's '{name}' is a variable already: take another name")
        for value in values:
            constant = Const(self.constant(value))
            self.step(Instruction("do", line, constant))
            self.loops[name] = constant
            self.block(body)

    def assign_together(self, line: int, targets: list[ast.expr], values: list[ast.expr]) -> None:
        """``a, b = x, y``: a step for each. If a value depends on what is assigned before it, all values are
        read first."""
        if any(isinstance(v, ast.Starred) for v in (*targets, *values)):
            raise self.error(targets[0], "assign to as many variables or fields as there are values")
        goals = [self.target(target) for target in targets]
        found = [self.expr(value) for value in values]
        if any(reads(e, goal) for n, e in enumerate(found) for goal in goals[:n]):
            kept: list[Expr] = [self.local(f"value {n + 1} of line {line}") for n in range(len(found))]
            for variable, e in zip(kept, found, strict=True):
                assert isinstance(variable, Local)
                self.step(Instruction("do", line, e, variable))
            found = kept
        for goal, e, value in zip(goals, found, values, strict=True):
            self.step(Instruction("do", line, self.fitting(value, e, goal), goal))

    def branch(self, line: int, test: ast.expr) -> int:
        condition = self.value(line, test)
        index = self.add(Instruction("branch", line, condition))
        self.dangling = [(index, "next", 0)]
        return index

    def switch(self, line: int, subject: ast.expr, cases: list[ast.match_case]) -> None:
        value = self.value(line, subject)
        index = self.add(Instruction("switch", line, value))
        after: list[tuple[int, str, int]] = []
        default = False
        for case in cases:
            match case.pattern:
                case ast.MatchValue(constant) if not default:
                    number = len(self.out[index].cases)
                    self.out[index].cases += ((self.constant(constant), -1),)
                    self.dangling = [(index, "case", number)]
                case ast.MatchAs(None, None) if not default:
                    default = True
                    self.dangling = [(index, "other", 0)]
                case _:
                    raise self.error(case.pattern, "a case must be a constant, or '_' at the end")
            if case.guard:
                raise self.error(case.guard, "a case takes no 'if': write the if inside it")
            self.block(case.body)
            after += self.dangling
        self.dangling = after if default else [*after, (index, "other", 0)]

    # -- statements that store or call

    def do(self, line: int, value: ast.expr, target: Target) -> None:
        callee = self.callee(value)
        if callee and isinstance(target, Field) and target.own:  # what the call returns must fit the field
            result = self.value(line, value)
            self.step(Instruction("do", line, self.fitting(value, result, target), target))
        elif callee:
            assert isinstance(value, ast.Call)
            self.step(Instruction("call", line, target=target, callee=callee, args=self.arguments(value)))
        elif isinstance(value, tuple(INSTEAD)):
            raise self.refuse(value)
        elif target is None and not isinstance(value, ast.Call):
            raise self.error(value, f"'{ast.unparse(value)}' does nothing: write an assignment or a call")
        else:
            self.step(Instruction("do", line, self.fitting(value, self.expr(value), target), target))

    def fitting(self, node: ast.expr, e: Expr, target: Target) -> Expr:
        """An expression made to fit the field of the design's own that it is stored in."""
        if not isinstance(target, Field) or not target.own:
            return e
        first = {**self.scope.fields, **self.scope.cpu_fields}[target.name]
        if isinstance(first, bool):
            return e if e in (Const(False), Const(True)) else Operation("bool", (e,))
        if isinstance(first, int):
            if isinstance(e, Const) and not (type(e.value) is int and 0 <= e.value <= MOST):
                raise self.error(node, f"'{target.name}' holds a number from 0 to {MOST}")
            return e if isinstance(e, Const) else Operation("u8", (e,))
        if isinstance(e, Const):
            raise self.error(
                node, f"'{target.name}' holds a value of the register: take one from a field or from rdmsr()"
            )
        return e

    def value(self, line: int, e: ast.expr) -> Expr:
        """An expression that may be a call or the negation of one: the call becomes a step before it."""
        if isinstance(e, ast.UnaryOp) and isinstance(e.op, ast.Not) and self.callee(e.operand):
            return Operation("not", (self.value(line, e.operand),))
        callee = self.callee(e)
        if not callee:
            return self.expr(e)
        assert isinstance(e, ast.Call)
        result = self.local(f"result of {callee.name}()")
        self.step(Instruction("call", line, target=result, callee=callee, args=self.arguments(e)))
        return result

    # -- errors

    def error(self, node: ast.AST, message: str) -> InputError:
        line = getattr(node, "lineno", self.node.lineno)
        return InputError(message, f"{self.file}:{line}, {self.called}")

    def refuse(self, node: ast.AST) -> InputError:
        instead = next((text for kind, text in INSTEAD.items() if isinstance(node, kind)), "")
        what = ast.unparse(node).splitlines()[0]
        hint = f": {instead}" if instead else ""
        return self.error(node, f"kernel functions cannot use '{what}'{hint}")

    # -- calls

    def callee(self, e: ast.expr) -> Callee | None:
        receiver = self.scope.receiver
        match e:
            case ast.Call(ast.Attribute(ast.Name(base), name)) if base == receiver:
                if not self.scope.is_method(name):
                    raise self.error(e, f"no kernel function '{name}' in this design")
                return Callee("self", name)
            case ast.Call(ast.Attribute(ast.Attribute(ast.Name(base), "kvm_x86_ops"), name)) if (
                base == receiver
            ):
                return Callee("ops", name)
            case ast.Call(ast.Attribute(ast.Call(ast.Name("super"), []), name)) if receiver:
                return Callee("super", name, self.scope.owner)
            case ast.Call(ast.Name(name)) if name not in PRIMITIVES and self.is_helper(self.known.get(name)):
                self.uses[name] = self.known[name]
                return Callee("helper", name, self.known[name])
            case ast.Call(ast.Attribute(ast.Name(base), name)) if isinstance(self.known.get(base), type):
                raise self.error(e, f"call the function that is overridden with super().{name}(...)")
        return None

    @staticmethod
    def is_helper(found: Any) -> bool:
        """Whether it is a function outside all classes, other than the simulator's own."""
        return isinstance(found, FunctionType) and not found.__module__.startswith("vmxsim.kernel.")

    def is_plain(self, call: ast.Call, takes: int) -> bool:
        """True. Raises InputError unless a call has so many arguments."""
        if call.keywords or len(call.args) != takes:
            raise self.error(call, f"'{ast.unparse(call.func)}' takes {takes} arguments")
        return True

    def cpu_field(self, name: ast.expr) -> Field:
        """A field of the CPU, by the name that this_cpu_read() or this_cpu_write() gets."""
        known = self.scope.cpu_fields
        if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
            raise self.error(name, "name the field of the CPU in quotes")
        if name.value not in known:
            declared = f"; cpu_fields declares {', '.join(known)}" if known else ": declare it in cpu_fields"
            raise self.error(name, f"a CPU has no field '{name.value}'{declared}{nearest(name.value, known)}")
        return Field(ThisCpu(), name.value, own=True)

    def arguments(self, call: ast.Call) -> tuple[Expr, ...]:
        if call.keywords:
            raise self.error(call, "pass arguments by position, without names")
        return tuple(self.expr(a) for a in call.args)

    # -- expressions

    def local(self, name: str) -> Local:
        if name not in self.locals:
            self.locals.append(name)
        return Local(self.locals.index(name), name)

    def target(self, t: ast.expr) -> Target:
        match t:
            case ast.Name("self" | "cls" | "current"):
                raise self.error(t, f"'{t.id}' cannot be assigned")
            case ast.Name(name):
                if name in self.loops:
                    raise self.error(t, f"'{name}' is the variable of a for loop and cannot be assigned")
                return self.local(name)
            case ast.Attribute():
                found = self.field(t)
                if isinstance(found, Field):
                    self.check_assignable(t, found)
                    return found
        raise self.error(t, "assign to a variable or to a field, or one by one: 'a, b = x, y'")

    def check_assignable(self, t: ast.Attribute, target: Field) -> None:
        """Refuse what only the scheduler, user space or the simulator changes."""
        if isinstance(target.base, Current) and target.name not in ASSIGNABLE:
            raise self.error(
                t, f"kernel code cannot assign '{ast.unparse(t)}': of current, only thread.gsbase (thread.gs)"
            )
        if isinstance(target.base, Local) and target.name == "id":
            raise self.error(
                t,
                f"kernel code cannot assign '{ast.unparse(t)}': a vCPU keeps its id; its other fields can be",
            )

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
            case ast.Call(ast.Name("this_cpu_read"), args) if self.is_plain(e, 1):
                return self.cpu_field(args[0])
            case ast.Call(ast.Name("this_cpu_write")):
                raise self.error(e, "make this_cpu_write() a statement by itself")
            case ast.Call(ast.Name(name)) if name not in PRIMITIVES and self.callee(e):
                raise self.error(e, "make the call a statement by itself: every call is a step")
            case ast.Call(ast.Name(name)) if name in PRIMITIVES:
                return self.primitive(e, name)
            case ast.Call(ast.Name(name)):
                near = nearest(name, PRIMITIVES) or "; a helper stands above the class"
                raise self.error(e, f"unknown primitive '{name}'{near}")
            case ast.Call():
                self.callee(e)
                raise self.error(e, "make the call a statement by itself: every call is a step")
            case ast.IfExp(test, body, orelse):
                return Operation("if", (self.expr(test), self.expr(body), self.expr(orelse)))
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
            _signature(name).bind(None, *args)
        except TypeError:
            takes = ", ".join(list(_signature(name).parameters)[1:])
            raise self.error(e, f"{name}({takes}) does not take {len(args)} arguments") from None
        return Primitive(name, args)

    def name(self, e: ast.expr, name: str) -> Expr:
        if name in self.loops:
            return self.loops[name]
        if name in self.locals:
            return self.local(name)
        if isinstance(self.known.get(name), (int, str)):
            self.uses[name] = self.known[name]
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
                raise self.error(e, f"'{ast.unparse(e)}': only the vCPU and current have fields")
        if isinstance(holder, Local) and chain in self.scope.fields:
            return Field(holder, chain, own=True)
        name = FIELD_NAMES.get(chain, chain)
        if name not in fields or name.startswith("true_"):
            plain = [f for f in fields if not f.startswith("true_")]
            known = [*plain, *(long for long, short in FIELD_NAMES.items() if short in plain)]
            if isinstance(holder, Local):
                known += self.scope.fields
            raise self.error(
                e,
                f"no field '{chain}'{nearest(chain, known)}; the fields of"
                f" {'current' if isinstance(holder, Current) else 'a vCPU'} are {', '.join(known)}"
                + (", and those in 'fields'" * isinstance(holder, Local)),
            )
        return Field(holder, name)


def reads(e: Expr, target: Target) -> bool:
    """Whether the value of an expression may depend on a variable or field."""
    if isinstance(e, Primitive):
        return isinstance(target, Field) or any(reads(arg, target) for arg in e.args)
    if isinstance(e, Operation):
        return any(reads(arg, target) for arg in e.args)
    if isinstance(e, Field) and isinstance(target, Field):
        return e.name == target.name
    return e == target or (isinstance(e, Field) and e.base == target)
