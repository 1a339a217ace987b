"""An answer, read from its text. Nothing of it is executed.

The text is parsed, and each statement is one that an answer may have: an assignment of plain values, a
helper, a class of kernel functions. Everything else is refused, with its line and what to write instead.
Functions become code objects, which the compiler for kernel functions lowers and nobody calls; the class is
put together here. So the process that judges has nothing of the learner's in it but steps of the kernel
language.
"""

from __future__ import annotations

import ast
import linecache
import re
import warnings
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any

from vmxsim.errors import InputError, printable
from vmxsim.kernel import language
from vmxsim.kernel.attributes import u64
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.program import requires
from vmxsim.teaching.exercises.specification import Exercise

#: What an answer's text is called in messages.
FILE = "your answer"
#: The longest text that is read, in characters; its largest number; the items of a schedule, nested ones too.
MOST_TEXT, MOST_NUMBER, MOST_ITEMS = 20_000, (1 << 64) - 1, 2_000

#: Names that an answer uses and does not define.
GIVEN = {"vmxsim", "ex", "current", "self", "super", *language.__all__}
#: What a class may say besides its functions.
_FIELDS = ("fields", "cpu_fields")
_CLASS = "write 'class Mine(ex.start): ...'"
_LIST = "write 'schedule = [\"run\", ...]'"


def read_answer(text: str, exercise: Exercise) -> Any:
    """The class or the schedule that a text defines, for :meth:`Exercise.grade`.

    Raises InputError, with the line, for everything that an answer cannot have.
    """
    tree = _parsed(text)
    lines = [f"{line}\n" for line in text.split("\n")]  # as Python counts them
    linecache.cache[FILE] = (len(text), None, lines, FILE)
    reader = _Reader(exercise)
    for statement in tree.body:
        reader.statement(statement)
    return reader.answer()


def same_code(text: str, other: str) -> bool:
    """Whether two texts differ in nothing but comments, blank lines and line breaks."""
    if text.split() == other.split():
        return True
    try:
        return ast.dump(_parsed(text)) == ast.dump(_parsed(other))
    except InputError:
        return False


def _parsed(text: str) -> ast.Module:
    if len(text) > MOST_TEXT:
        raise InputError(f"has {len(text):,} characters; an answer has {MOST_TEXT:,} at most", FILE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.parse(text)
    except SyntaxError as error:
        line = (text.split("\n") * 2)[(error.lineno or 1) - 1]
        magic = line.lstrip().startswith(("%", "!"))
        why = "an answer has no magic and no shell command: delete this line" if magic else str(error.msg)
        raise InputError(why, f"line {error.lineno or 1} of {FILE}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"cannot be read ({printable(error)}): is it nested too deeply?", FILE) from None


def _refused(node: ast.AST, why: str) -> InputError:
    return InputError(why, f"line {getattr(node, 'lineno', 1)} of {FILE}")


def _shown(node: ast.AST) -> str:
    """The first line of a statement or expression."""
    return printable(ast.unparse(node).partition("\n")[0])


class _Reader:
    """Reads statement after statement. ``names`` is what they have defined: values, helpers and classes."""

    def __init__(self, exercise: Exercise) -> None:
        self.exercise = exercise
        self.names: dict[str, Any] = {}
        #: What kernel functions see, helpers and constants included.
        self.globals: dict[str, Any] = {"__name__": "answer", "__builtins__": {}}
        self.globals |= {name: getattr(language, name) for name in language.__all__}

    def answer(self) -> Any:
        """What was asked for, by its usual name or as the only one of its kind."""
        if self.exercise.schedule:
            return self._only("schedule", (list, str), _LIST)
        return self._only("Mine", type, _CLASS)

    def _only(self, name: str, kind: Any, write: str) -> Any:
        found = {n: value for n, value in self.names.items() if isinstance(value, kind)}
        if name in found:
            return found[name]
        if name in self.names:
            raise InputError(f"'{name}' is something else: {write}", FILE)
        if len(found) == 1:
            return next(iter(found.values()))
        several = f"defines {', '.join(map(printable, found))}, and not '{name}'" if found else "is missing"
        raise InputError(f"{several}: {write}", FILE)

    # -- statements

    def statement(self, s: ast.stmt) -> None:
        """Take a statement in, or refuse it."""
        match s:
            case ast.Pass() | ast.Expr(ast.Constant() | ast.Name()):
                pass
            case ast.Expr(value) if _asks(value):
                pass  # ex.submit(Mine): what it shows is for the learner
            case ast.Import([ast.alias("vmxsim", None)]):
                pass
            case ast.ImportFrom("vmxsim.kernel.language", names, 0) if not any(a.asname for a in names):
                pass
            case ast.Import() | ast.ImportFrom():
                raise _refused(s, f"'{_shown(s)}': an answer imports nothing; delete this line")
            case ast.Assign([ast.Name("ex")], value) if self._is_exercise(value):
                pass
            case ast.Assign(targets, value) if all(isinstance(t, ast.Name) for t in targets):
                found = self.value(value)
                for target in targets:
                    assert isinstance(target, ast.Name)
                    self.define(s, target.id, found)
            case ast.AnnAssign(ast.Name(name), annotation, ast.expr() as value, 1):
                _check_annotation(annotation)
                self.define(s, name, self.value(value))
            case ast.AugAssign(ast.Name(name) as target, ast.Add(), value):
                sum_ = ast.BinOp(ast.Name(name, ast.Load()), ast.Add(), value)
                self.define(s, target.id, self.value(ast.copy_location(ast.fix_missing_locations(sum_), s)))
            case ast.FunctionDef():
                self.define(s, s.name, self.function(s))
            case ast.ClassDef():
                self.define(s, s.name, self.design(s))
            case _:
                raise _refused(s, f"'{_shown(s)}' is no part of an answer: {self._write()}")

    def _write(self) -> str:
        if self.exercise.schedule:
            return f"{_LIST}, with its actions as plain text"
        return f"{_CLASS} with kernel functions in it"

    def _is_exercise(self, e: ast.expr) -> bool:
        match e:
            case ast.Call(ast.Attribute(ast.Name("vmxsim"), "exercise"), [ast.Constant(id_)], keywords):
                return id_ == self.exercise.id and all(isinstance(k.value, ast.Constant) for k in keywords)
        return False

    def define(self, node: ast.stmt, name: str, value: Any) -> None:
        """Give something a name that is the answer's to give."""
        if name in GIVEN or name.startswith("__"):
            raise _refused(node, f"'{printable(name)}' is given: take another name")
        self.names[name] = self.globals[name] = value

    # -- values

    def value(self, e: ast.expr) -> Any:
        """A plain value: a text, a number, True, False, None, a list or dictionary of these."""
        found = self._value(e)
        if sum(1 for _ in _items(found)) > MOST_ITEMS:
            raise _refused(e, f"this holds more than {MOST_ITEMS:,} items")
        return found

    def _value(self, e: ast.expr) -> Any:
        match e:
            case ast.Constant(value) if value is None or isinstance(value, (bool, int, float, str)):
                _check_constant(e)
                return value
            case ast.UnaryOp(ast.USub(), ast.Constant(int() as number)):
                return -number
            case ast.List(items) | ast.Tuple(items):
                return [found for item in items for found in self._item(item)]
            case ast.Dict(keys, values):
                return self._dictionary(keys, values)
            case ast.BinOp(left, ast.Add(), right):
                one, other = self.value(left), self.value(right)
                if type(one) is type(other) and isinstance(one, (list, str)):
                    return one + other
            case ast.Name("u64"):
                return u64
            case ast.Name(name) if name in self.names:
                found = self.names[name]
                if not isinstance(found, (type, FunctionType)):
                    return found
            case ast.Name(name) if isinstance(getattr(language, name, None), int) and name in GIVEN:
                return getattr(language, name)
            case ast.Name(name):
                raise _refused(
                    e, f"'{printable(name)}' is not defined here: define all of the answer in its own cell"
                )
        hint = self._write()
        if isinstance(e, ast.JoinedStr):
            hint = "write the text out"
        elif isinstance(e, (ast.ListComp, ast.Call, ast.BinOp, ast.Subscript)):
            hint = f"an answer is read, not run; {self._write()}"
        raise _refused(e, f"'{_shown(e)}' is no plain value: {hint}")

    def _item(self, item: ast.expr) -> list[Any]:
        if not isinstance(item, ast.Starred):
            return [self.value(item)]
        found = self.value(item.value)
        if not isinstance(found, list):
            raise _refused(item, f"'{_shown(item)}' is no list")
        return found

    def _dictionary(self, keys: list[ast.expr | None], values: list[ast.expr]) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for key, item in zip(keys, values, strict=True):
            found = self.value(item)
            if key is None:
                if not isinstance(found, dict):
                    raise _refused(item, f"'{_shown(item)}' is no dictionary")
                made |= found
                continue
            name = self.value(key)
            if isinstance(name, (list, dict)):
                raise _refused(key, "a key is a text")
            made[name] = found
        return made

    # -- kernel functions and classes of them

    def function(self, node: ast.FunctionDef) -> FunctionType:
        """A function object for the compiler to lower. Its code is kernel code and is never called."""
        args = node.args
        for default in (*args.defaults, *(d for d in args.kw_defaults if d)):
            raise _refused(default, f"'{_shown(default)}': a parameter of a kernel function has no default")
        if args.vararg or args.kwarg or args.kwonlyargs or args.posonlyargs:
            raise _refused(node, "parameters must be plain names, without defaults")
        for annotation in (*(a.annotation for a in args.args), node.returns):
            if annotation is not None:
                _check_annotation(annotation)
        for inner in ast.walk(node):
            if isinstance(inner, ast.Constant):
                _check_constant(inner)
            elif isinstance(inner, ast.AnnAssign):
                _check_annotation(inner.annotation)
        if type_params := getattr(node, "type_params", None):
            raise _refused(type_params[0], "a kernel function has no type parameters")
        plain = ast.arguments([], [ast.arg(a.arg) for a in args.args], None, [], [], None, [])
        parts = {**dict(ast.iter_fields(node)), "args": plain, "decorator_list": [], "returns": None}
        bare = ast.FunctionDef(**parts)
        module = ast.fix_missing_locations(ast.Module([ast.copy_location(bare, node)], []))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)
                made = compile(module, FILE, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise _refused(node, f"{node.name}() cannot be compiled: {printable(error)}") from None
        code = next(c for c in made.co_consts if isinstance(c, CodeType))
        first = node.decorator_list[0] if node.decorator_list else node
        function = FunctionType(code.replace(co_firstlineno=first.lineno), self.globals, node.name)
        for decorator in node.decorator_list:
            function = self._decorated(function, decorator)
        return function

    @staticmethod
    def _decorated(function: FunctionType, decorator: ast.expr) -> FunctionType:
        match decorator:
            case ast.Call(ast.Name("requires"), conditions, []):
                words = [c.value for c in conditions if isinstance(c, ast.Constant)]
                if len(words) == len(conditions) and all(isinstance(word, str) for word in words):
                    return requires(*map(str, words))(function)
        raise _refused(
            decorator, f"'@{_shown(decorator)}': the only decorator that an answer has is @requires(\"...\")"
        )

    def design(self, node: ast.ClassDef) -> type:
        """A class of kernel functions on top of the exercise's start, or of a class above it."""
        for decorator in node.decorator_list:
            raise _refused(decorator, f"'@{_shown(decorator)}': a class has no decorator here; {_CLASS}")
        for keyword in node.keywords:
            raise _refused(node, f"'{printable(keyword.arg)}=': a class has its base and no more; {_CLASS}")
        if type_params := getattr(node, "type_params", None):
            raise _refused(type_params[0], f"a class has no type parameters here; {_CLASS}")
        bases = tuple(self._base(base) for base in node.bases)
        if not bases:
            raise _refused(node, f"'class {printable(node.name)}:' changes no design: {_CLASS}")
        made: dict[str, Any] = {"__module__": "answer", "__qualname__": node.name}
        for s in node.body:
            match s:
                case ast.Pass() | ast.Expr(ast.Constant()):
                    pass
                case ast.FunctionDef(name):
                    _check_name(s, name)
                    made[name] = self.function(s)
                case ast.Assign([ast.Name(name)], value) if name in _FIELDS:
                    made[name] = self.value(value)
                case ast.AnnAssign(ast.Name(name), annotation, ast.expr() as value, 1) if name in _FIELDS:
                    _check_annotation(annotation)
                    made[name] = self.value(value)
                case _:
                    raise _refused(
                        s,
                        f"'{_shown(s)}': a class has kernel functions here, and {' and '.join(_FIELDS)},"
                        " nothing else",
                    )
        patch: Any = type(bases[0])
        try:
            return patch(node.name, bases, made)
        except InputError as error:
            place = re.fullmatch(rf"{FILE}:(\d+), (.*)", error.where)
            line, name = (place[1], place[2]) if place else (node.lineno, node.name)
            raise InputError(error.message, f"line {line} of {FILE}, {name}") from None
        except TypeError as error:  # bases in an order that Python refuses
            raise _refused(node, f"{printable(error)}: {_CLASS}") from None

    def _base(self, base: ast.expr) -> type[Kvm]:
        match base:
            case ast.Attribute(ast.Name("ex"), "start"):
                return self.exercise.start
            case ast.Attribute(inner, "start") if self._is_exercise(inner):
                return self.exercise.start
            case ast.Name(name) if isinstance(found := self.names.get(name), type):
                return found
        raise _refused(base, f"'{_shown(base)}' is not the design to start from: {_CLASS}")


def _items(value: Any) -> Iterator[Any]:
    """A value and all in it, up to one more than are allowed."""
    waiting, seen = [value], 0
    while waiting and seen <= MOST_ITEMS:
        found = waiting.pop()
        seen += 1 + (len(found) // 100 if isinstance(found, str) else 0)
        yield found
        if isinstance(found, dict):
            waiting += [*found, *found.values()]
        elif isinstance(found, list):
            waiting += found


def _check_constant(node: ast.Constant) -> None:
    if isinstance(node.value, int) and not isinstance(node.value, bool) and node.value > MOST_NUMBER:
        raise _refused(node, "a number of more than 64 bits")


def _check_annotation(annotation: ast.expr) -> None:
    """An annotation is never evaluated; one that would do something is no annotation."""
    plain = (ast.Name, ast.Constant, ast.Attribute, ast.Subscript, ast.Tuple, ast.BinOp, ast.BitOr, ast.Load)
    for node in ast.walk(annotation):
        if not isinstance(node, plain):
            raise _refused(annotation, f"'{_shown(annotation)}' is no annotation: leave it out")


def _check_name(node: ast.stmt, name: str) -> None:
    """Names of kernel functions; the others mean something to Python or to the simulator."""
    dunder = name.startswith("__") and name.endswith("__")
    if dunder or (name.startswith("_") and not name.startswith("__")):
        raise _refused(node, f"'{printable(name)}' is no name of a kernel function: take it out")


#: Calls that show the learner something and define nothing.
_SHOWN = {"submit", "check", "grade", "run", "explore", "why", "cost", "compare", "exercise", "only", "print"}


def _asks(e: ast.expr) -> bool:
    """Whether an expression only shows something: ``vmxsim.cost([ex.start, Mine]).only("run")``."""
    match e:
        case ast.Call(ast.Name("print"), args, keywords):
            pass
        case ast.Call(ast.Attribute(base, name), args, keywords) if name in _SHOWN:
            if not (isinstance(base, ast.Name) and base.id in ("ex", "vmxsim")) and not _asks(base):
                return False
        case _:
            return False
    return all(map(_plain, args)) and all(_plain(k.value) for k in keywords)


def _plain(e: ast.expr) -> bool:
    match e:
        case ast.Constant() | ast.Name() | ast.Attribute(ast.Name("ex"), "start"):
            return True
        case ast.List(items) | ast.Tuple(items):
            return all(map(_plain, items))
        case ast.Dict(keys, values):
            return all(key is not None and _plain(key) for key in keys) and all(map(_plain, values))
    return False


#: Calls that an answer has no use for.
_CALLS = {
    "setattr", "delattr", "getattr", "exec", "eval", "compile", "open", "__import__", "globals", "locals",
    "vars", "type", "input", "breakpoint", "object", "property",
}  # fmt: skip
#: Modules that have no part in an exercise.
_MODULES = {
    "os", "sys", "subprocess", "threading", "multiprocessing", "ctypes", "pickle", "marshal", "builtins",
    "importlib", "inspect", "gc", "pathlib", "shutil", "socket", "signal", "asyncio", "tempfile", "unittest",
    "linecache", "runpy", "io",
}  # fmt: skip


def suspicious(sources: Iterable[str]) -> list[str]:
    """What in a student's cells looks like an attempt to fool the grading, a flag each."""
    told: dict[str, None] = {}
    for source in sources:
        try:
            tree = _parsed(source)
        except InputError:
            continue
        for node in ast.walk(tree):
            if found := _found(node):
                told[f"a cell {found}"] = None
    return list(told)


def _found(node: ast.AST) -> str:
    match node:
        case ast.Name(name, ast.Store() | ast.Del()) if name in ("vmxsim", "super"):
            return f"changes {name}"
        case ast.Attribute(_, name, ast.Store() | ast.Del()) if _root(node) in ("vmxsim", "ex"):
            return f"changes {_shown(node)}"
        case ast.Attribute(_, name) if name.startswith("_") and _root(node) != "self":
            return f"uses {_shown(node)}"
        case ast.Attribute(_, "modules") if _root(node) == "sys":
            return "uses sys.modules"
        case ast.Call(ast.Name(name)) if name in _CALLS:
            return f"calls {name}()"
        case ast.Import(names):
            found = [a.name for a in names if a.name.partition(".")[0] in _MODULES or "." in a.name]
            return f"imports {printable(found[0])}" if found else ""
        case ast.ImportFrom(module) if module and module != "vmxsim.kernel.language":
            parts = module.split(".")
            return f"imports from {printable(module)}" if parts[0] in _MODULES or parts[0] == "vmxsim" else ""
        case ast.Constant(str() as text) if "labs/source" in text or "BEGIN SOLUTION" in text:
            return "names the labs' sources"
    return ""


def _root(node: ast.expr) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
