"""A class of kernel functions. A subclass is a patch: what it changes is honoured, or refused where it is
written.

A function may be changed in any way that Python knows, as long as it is plain kernel code in the end: a
method, a ``@staticmethod`` or ``@classmethod``, a function assigned to the class, a mixin.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import count
from types import FrameType, FunctionType
from typing import Any, ClassVar

from vmxsim.errors import InputError, nearest
from vmxsim.kernel.attributes import ATTRIBUTES, why_wrong
from vmxsim.kernel.compiler import Scope, lower, syntax_tree
from vmxsim.kernel.program import Callee, Function

_revisions = count(1)


class Patch(type):
    """The type of classes of kernel functions: a function assigned to a finished class is compiled, too."""

    def __setattr__(cls, name: str, value: Any) -> None:
        cls._refuse_in_history(name)
        before = vars(cls).get(name, _MISSING)
        super().__setattr__(name, value)
        cls._changed(name, before)

    def __delattr__(cls, name: str) -> None:
        cls._refuse_in_history(name)
        before = vars(cls).get(name, _MISSING)
        super().__delattr__(name)
        cls._changed(name, before)

    def _counts(cls, name: str) -> bool:
        """Whether the attribute means something; not while the class is still being made."""
        return "_own" in vars(cls) and _is_kernel_name(_unmangled(cls, name))

    def _refuse_in_history(cls, name: str) -> None:
        """Every reader of a shipped design relies on what it is."""
        if cls._counts(name) and cls.__module__.startswith(("vmxsim.designs.", "vmxsim.kernel.")):
            frame = _caller()
            where = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else ""
            raise InputError(
                f"{cls.__name__} is a design of the history and does not change: write a subclass,"
                f" 'class Mine({cls.__name__}): ...'",
                where,
            )

    def _changed(cls, name: str, before: Any) -> None:
        """Compile the class and its subclasses again. What cannot be honoured is undone and refused."""
        assert issubclass(cls, KernelSource)
        if not cls._counts(name):
            return
        family = [cls, *_descendants(cls)]
        try:
            for one in family:
                one._compile(_caller())
        except InputError:
            if before is _MISSING:
                super().__delattr__(name)
            else:
                super().__setattr__(name, before)
            for one in family:
                one._compile(None)
            raise


_MISSING: Any = object()


def _descendants(cls: type[KernelSource]) -> Iterator[type[KernelSource]]:
    for child in cls.__subclasses__():
        yield child
        yield from _descendants(child)


class KernelSource(metaclass=Patch):
    """Base of all classes of kernel functions.

    Each method is compiled once and each class linked once. A subclass is a patch: it overrides the
    functions that a commit changed and inherits the rest. Links are looked up per class, so an
    inherited caller finds the patched callee.

    Subclassing lowers the class's own functions, and those of plain classes mixed in, and raises InputError
    for anything outside the subset and for attributes that mean nothing, with file, line and what to write
    instead. Methods whose name starts with one underscore are ordinary Python and are left alone.
    ``abstract`` names functions that the class calls and only its subclasses define.
    """

    #: Fields of the design's own, in the vCPU and on each CPU: by name, what they hold at first, which is
    #: False, True, a number from 0 to 255, or ``u64`` for a value of the register. A subclass adds to them.
    fields: ClassVar[dict[str, Any]] = {}
    cpu_fields: ClassVar[dict[str, Any]] = {}
    #: What fields of the vCPU hold when a scenario starts outside long mode (False) or in it, where that is
    #: not what they hold at first.
    _fields_at_start: ClassVar[dict[bool, dict[str, Any]]] = {}
    #: Functions by the names of struct kvm_x86_ops, through which common code calls them.
    kvm_x86_ops: ClassVar[dict[str, str]] = {}
    _abstract: ClassVar[tuple[str, ...]] = ()
    _own: ClassVar[dict[str, Function]] = {}
    #: The names that can be called through ``self``.
    _known: ClassVar[frozenset[str]] = frozenset()
    #: Functions that were lowered from another language before the class was made.
    _lowered: ClassVar[dict[str, Function]] = {}
    #: Functions of plain classes that are mixed in.
    _mixed: ClassVar[dict[type, dict[str, Function]]] = {}
    #: Functions outside all classes that kernel code calls by name.
    _helpers: ClassVar[dict[FunctionType, Function]] = {}
    _links: ClassVar[dict[Callee, Function]] = {}
    #: Changes whenever the class is compiled: what was found out before holds no longer.
    _revision: ClassVar[int] = 0

    def __init_subclass__(cls, abstract: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._abstract = abstract
        cls._compile(_caller())

    @classmethod
    def _compile(cls, frame: FrameType | None) -> None:
        """Lower and link everything. ``frame`` is the code that makes or changes the class."""
        _check_values(cls, frame, [name for name in ATTRIBUTES if name != "kvm_x86_ops"])
        plain = [base for base in cls.__mro__[1:-1] if not issubclass(base, KernelSource)]
        written = {one: dict(_written(cls, one, frame)) for one in (cls, *plain)}
        cls._known = frozenset(cls._abstract).union(
            cls._made(), *written.values(), *(vars(base).get("_abstract", ()) for base in cls.__mro__[1:]),
            *(own_functions(base) for base in cls.__mro__[1:]),
        )  # fmt: skip
        lowered = {
            one: {
                name: lower(python, name, cls._scope(one, receiver))
                for name, (python, receiver) in functions.items()
            }
            for one, functions in written.items()
        }
        cls._own, cls._links, cls._revision = {**cls._made(), **lowered.pop(cls)}, {}, next(_revisions)
        cls._mixed = {base: functions for base, functions in lowered.items() if functions}
        cls._helpers = {}
        cls.code()  # lowers the helpers
        _refuse_unknown(cls, frame)
        _check_values(cls, frame, ["kvm_x86_ops"])
        _refuse_misspelt(cls)

    @classmethod
    def _made(cls) -> dict[str, Function]:
        """Functions that the class brings ready-made, from another language."""
        found: dict[str, Function] = vars(cls).get("_lowered", {})
        return found

    @classmethod
    def _scope(cls, owner: type, receiver: str) -> Scope:
        fields, cpu_fields = cls.own_fields("fields"), cls.own_fields("cpu_fields")
        return Scope(owner, receiver, cls._known.__contains__, fields, cpu_fields)

    @classmethod
    def _helper(cls, python: FunctionType) -> Function:
        """A function outside all classes, lowered when it is first needed."""
        found = cls._helpers.get(python)
        if found is None:
            found = cls._helpers[python] = lower(python, python.__name__, cls._scope(type(None), ""))
        return found

    @classmethod
    def own_fields(cls, kind: str) -> dict[str, Any]:
        """The fields that the design declares, inherited ones included: ``kind`` is ``fields`` or
        ``cpu_fields``."""
        found: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            declared = vars(base).get(kind)
            found |= declared if isinstance(declared, dict) else {}
        return found

    @classmethod
    def functions(cls) -> dict[str, Function]:
        """All kernel functions of this class by name, inherited ones and helpers included."""
        found: dict[str, Function] = {}
        for base in cls.__mro__:
            for name, function in cls.functions_of(base).items():
                found.setdefault(name, function)
        for function in cls._helpers.values():
            found.setdefault(function.name, function)
        return found

    @classmethod
    def code(cls) -> list[Function]:
        """All functions that a call can reach: those of :meth:`functions`, those that they override and call
        through ``super()``, and helpers."""
        found = list(cls.functions().values())
        for function in found:
            for i in function.instructions:
                if i.callee and i.callee.kind in ("super", "helper"):
                    callee = cls.link(i.callee)
                    if callee not in found:
                        found.append(callee)
        return found

    @classmethod
    def link(cls, callee: Callee) -> Function:
        """The function that a call refers to in this class. Raises InputError if there is none."""
        found = cls._links.get(callee)
        if found is None:
            found = cls._links[callee] = cls._find(callee)
        return found

    @classmethod
    def functions_of(cls, base: type) -> dict[str, Function]:
        """The kernel functions that one of the classes in the MRO defines itself, by name."""
        return cls._mixed.get(base) or own_functions(base)

    @classmethod
    def _find(cls, callee: Callee) -> Function:
        name = callee.name
        bases = list(cls.__mro__)
        if callee.kind == "helper":
            return cls._helper(callee.owner)
        if callee.kind == "ops":
            if name not in cls.kvm_x86_ops:
                raise InputError(f"kvm_x86_ops has no '{name}'{nearest(name, cls.kvm_x86_ops)}", cls.__name__)
            name = cls.kvm_x86_ops[name]
        elif callee.kind == "super":
            bases = bases[bases.index(callee.owner) + 1 :]
        for base in bases:
            if name in cls.functions_of(base):
                return cls.functions_of(base)[name]
        raise InputError(f"no kernel function '{name}'{nearest(name, cls.functions())}", cls.__name__)


def own_functions(cls: type) -> dict[str, Function]:
    """The kernel functions that a class itself defines, by name: what a patch changes."""
    found: dict[str, Function] = vars(cls).get("_own", {})
    return found


def changed_functions(cls: type[KernelSource]) -> dict[str, Function]:
    """The kernel functions by which a class differs from the designs that it is made of: its own, and those
    of plain classes mixed in before the first of them."""
    found: dict[str, Function] = {}
    for base in cls.__mro__:
        if base is not cls and issubclass(base, KernelSource):
            break
        for name, function in cls.functions_of(base).items():
            found.setdefault(name, function)
    return found


def _is_kernel_name(name: str) -> bool:
    dunder = name.startswith("__") and name.endswith("__")
    return not dunder and (name.startswith("__") or not name.startswith("_"))


def _unmangled(cls: type, name: str) -> str:
    """A leading double underscore is part of a kernel name: undo what Python does to it in a class."""
    prefix = f"_{cls.__name__.lstrip('_')}__"
    return name.removeprefix(prefix[:-2]) if name.startswith(prefix) else name


# -- what a class may contain


def _written(
    cls: type[KernelSource], one: type, frame: FrameType | None
) -> Iterator[tuple[str, tuple[FunctionType, str]]]:
    """The functions that ``one``, which is ``cls`` or mixed into it, defines: name, function, and what it
    calls the design ('' if nothing).

    Raises InputError for what stands in place of a function and cannot be compiled.
    """
    inherited: dict[str, Function] = {}
    for base in cls.__mro__[cls.__mro__.index(one) + 1 :]:
        inherited = {**own_functions(base), **inherited}
    for key, value in vars(one).items():
        name = _unmangled(one, key)
        if not _is_kernel_name(name):
            continue
        receiver = "self"
        if isinstance(value, staticmethod):
            value, receiver = value.__func__, ""
        elif isinstance(value, classmethod):
            value, receiver = value.__func__, "cls"
        params = inherited[name].locals[: inherited[name].params] if name in inherited else ("vcpu",)
        write = f"write 'def {name}({', '.join(('self', *params))}): ...' in the class"
        if isinstance(value, FunctionType):
            code = inspect.unwrap(value).__code__
            where = f"{code.co_filename}:{code.co_firstlineno}, {name}"
            if hasattr(value, "__wrapped__"):
                raise InputError(
                    "a decorator runs code of its own around it, which would be ignored: write those lines in"
                    " the function, without the decorator",
                    where,
                )
            if value.__name__ == "<lambda>":
                raise InputError(f"a lambda is no kernel code: {write}", where)
            if hasattr(KernelSource, name):
                raise InputError(f"'{name}' is a name that the simulator uses: take another one", where)
            yield name, (value, receiver)
        elif name in inherited:
            kind = type(value).__name__
            article = "an" if kind[0] in "aeiou" else "a"
            raise InputError(
                f"'{name}' is a kernel function, and this is {article} {kind}: {write}",
                _place(one, name, frame),
            )


def _refuse_unknown(cls: type[KernelSource], frame: FrameType | None) -> None:
    """Refuse attributes that mean nothing."""
    if "_in_register" in vars(cls) and not isinstance(vars(cls)["_in_register"], staticmethod):
        raise InputError(
            "_in_register answers for a vCPU: write '@staticmethod' above 'def _in_register(vcpu): ...'",
            _place(cls, "_in_register", frame),
        )
    for key in vars(cls):
        name = _unmangled(cls, key)
        if _is_kernel_name(name) and name not in (*cls._own, *ATTRIBUTES):
            raise InputError(
                f"a design has no attribute '{name}'{nearest(name, [*ATTRIBUTES, *cls.functions()])}: it has"
                f" {', '.join(ATTRIBUTES)}, and kernel functions; names with a leading underscore are yours",
                _place(cls, name, frame),
            )


def _check_values(cls: type[KernelSource], frame: FrameType | None, names: list[str]) -> None:
    """Refuse values that these attributes cannot have."""
    for name in names:
        if name == "kvm_x86_ops" and cls._abstract:
            continue  # its subclasses define them
        if hasattr(cls, name) and (wrong := why_wrong(name, getattr(cls, name), cls)):
            raise InputError(f"{name}: {wrong}", _place(cls, name, frame))


def _refuse_misspelt(cls: type[KernelSource]) -> None:
    """Refuse a function that overrides nothing, is never called, and almost has another's name."""
    called = {i.callee.name for f in cls._own.values() for i in f.instructions if i.callee}
    called |= set(cls.kvm_x86_ops.values())
    inherited = {name for base in cls.__mro__[1:] for name in cls.functions_of(base)}
    for name in (name for name in cls._own if name not in inherited | called):
        if near := get_close_matches(name, inherited, n=1, cutoff=0.85):
            raise InputError(
                f"'{name}' overrides nothing and nothing calls it; did you mean '{near[0]}'?",
                cls.__name__,
            )


# -- where something was written


def _caller() -> FrameType | None:
    """The code outside the simulator that makes or changes a class."""
    frame: FrameType | None = sys._getframe(1)
    while frame and frame.f_globals.get("__name__") in (__name__, "vmxsim.kernel.kvm"):
        frame = frame.f_back
    return frame


def _place(cls: type, name: str, frame: FrameType | None) -> str:
    """File and line of an attribute: where the class statement sets it, else where ``frame`` is."""
    if frame is None:
        return f"{cls.__name__}.{name}"
    file = frame.f_code.co_filename
    lines = tuple(linecache.getlines(file, frame.f_globals))
    made = [
        node
        for node in ast.walk(syntax_tree(lines))
        if isinstance(node, ast.ClassDef)
        and frame.f_lineno in (node.lineno, *(d.lineno for d in node.decorator_list))
    ]
    line = next((s.lineno for node in made for s in node.body if name in _names(s)), frame.f_lineno)
    return f"{file}:{line}, {cls.__name__}"


def _names(s: ast.stmt) -> list[str]:
    match s:
        case ast.Assign(targets):
            return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
        case ast.AnnAssign(ast.Name(name)) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
    return []
