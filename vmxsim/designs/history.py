"""How a function came to be what it is: the design that changed it last, and its versions over the years."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from vmxsim.designs import DESIGNS
from vmxsim.errors import unknown
from vmxsim.kernel.actions import VERBS
from vmxsim.kernel.kvm import Kvm, hook
from vmxsim.kernel.machine import FIELD_NAMES
from vmxsim.kernel.patch import own_functions
from vmxsim.kernel.points import RENAMED
from vmxsim.kernel.program import Callee, Expr, Field, Function, Local, Primitive, parts

#: Kernel functions that the simulator calls by itself.
_ENTRY_POINTS = (
    *dict.fromkeys(verb.function for verb in VERBS.values() if verb.function),
    "preempt_schedule_irq",
)


def changed_last(design: type[Kvm], name: str) -> type[Kvm]:
    """The design that defines or mixes in a function of this one; :class:`Kvm` for common code."""
    last = design
    for cls in design.__mro__:
        last = cls if issubclass(cls, Kvm) else last
        if name in design.functions_of(cls):
            return last
    return design  # a function of the module


def reached(design: type[Kvm]) -> dict[str, Function]:
    """The functions that a run of the design can call, by name, callers first."""
    found: dict[str, Function] = {}
    waiting = [Callee("self", name) for name in _ENTRY_POINTS]
    if hook(design, "exit_to_user_mode"):
        waiting.append(Callee("self", "exit_to_user_mode"))
    while waiting:
        function = design.link(waiting.pop(0))
        if (
            found.setdefault(function.name, function) is function
            or function.owner != found[function.name].owner
        ):
            callees = [i.callee for i in function.instructions if i.callee]
            waiting += [c for c in callees if c.kind == "super" or design.link(c).name not in found]
    return found


def never_called(design: type[Kvm]) -> list[str]:
    """A sentence for each function that a reader's design defines and that no run of it can call."""
    written = [f for f in design.functions().values() if f.scope]  # C is followed from its entry points
    own = [f for f in written if not f.scope.owner.__module__.startswith("vmxsim.")]
    if not own:
        return []
    used = list(reached(design).values())
    for function in used:  # what is overridden is called, too, where super() asks for it
        links = [design.link(i.callee) for i in function.instructions if i.callee]
        used += [callee for callee in links if callee not in used]
    names = {function.name for function in used}
    through = [name for name in RENAMED if name in names]
    enters = f"this design enters and leaves through {' and '.join(f'{name}()' for name in through)}"
    return [
        f"your {f.name}() is never called: "
        + (
            enters
            if f.name in RENAMED
            else "nothing that user space, the guest or the scheduler does reaches it"
        )
        for f in own
        if f not in used
    ]


def touched_by_patches(design: type[Kvm]) -> list[str]:
    """The design's functions that some design of the history changed: what a patch would touch."""
    changed = {name for one in DESIGNS.values() for name in own_functions(one)}
    return [name for name in reached(design) if name in changed]


def expressions(function: Function) -> Iterator[Expr]:
    """Every expression of a function, subexpressions included."""
    for i in function.instructions:
        for e in (i.expr, i.target, *i.args):
            if e is not None:
                yield from parts(e)


def primitives(function: Function) -> list[str]:
    """The primitives that a function calls, in order."""
    return list(dict.fromkeys(e.name for e in expressions(function) if isinstance(e, Primitive)))


def vcpu_fields(design: type[Kvm]) -> dict[str, list[str]]:
    """The vCPU's fields that the design's functions use, and what its source calls each."""
    found: dict[str, list[str]] = {}
    for function in reached(design).values():
        text = "\n".join(function.source)
        for e in expressions(function):
            if isinstance(e, Field) and isinstance(e.base, Local):
                names = [
                    long for long, short in FIELD_NAMES.items() if short == e.name and f".{long}" in text
                ]
                found.setdefault(e.name, []).extend(names or [e.name])
    return {field: list(dict.fromkeys(names)) for field, names in found.items()}


def own_fields(design: type[Kvm]) -> dict[str, dict[str, str]]:
    """The fields that the design declares in ``fields`` and ``cpu_fields``, and what each holds at first."""
    return {
        kind: {name: repr(first) for name, first in design.own_fields(kind).items()}
        for kind in ("fields", "cpu_fields")
    }


@frozen
class Version:
    """A function as one design left it."""

    design: type[Kvm]
    function: Function


def history(name: str) -> list[Version]:
    """The versions of a function, oldest first; a renamed function is followed under its new name.

    Raises InputError for a name that no design has.
    """
    names = {name, RENAMED.get(name, name)}
    known = {known for design in DESIGNS.values() for known in design.functions()}
    if name not in known:
        raise unknown("function", name, sorted(known))
    found: list[Version] = []
    for design in DESIGNS.values():
        here = [design.functions()[one] for one in names if one in design.functions()]
        # a design that renamed a function still inherits the old one
        here.sort(key=lambda function: design.__mro__.index(changed_last(design, function.name)))
        if here and (not found or found[-1].function is not here[0]):
            found.append(Version(design, here[0]))
    return found


def source_lines(function: Function) -> list[str]:
    """A function's source, its contract included."""
    contract = ", ".join(f'"{condition}"' for condition in function.requires)
    marks = ["@interrupt"] * function.interrupt + ([f"@requires({contract})"] if contract else [])
    return [*marks, *function.source]
