"""Which fields can matter: what no decision depends on is left out of the state.

``save_nmsrs`` only says how many MSRs a line costs; ``returned`` is for who asked. A field
matters if it is read by a condition, a call, a primitive with an effect, or on the way to
another field that matters.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmxsim.checker.tracing import TASK_FIELDS, VCPU_FIELDS
from vmxsim.errors import SimulationError
from vmxsim.kernel.kvm import Kvm
from vmxsim.model.primitive import COST_ONLY
from vmxsim.program.ir import Current, Expr, Field, Function, Operation, Primitive

#: Fields that guest, user space and invariants read.
_ALWAYS = {"efer", "cr0", "smm", "loaded", "exit_reason"}
_SLOTS = {"g", "h", "gs_base", "msr_data"}


def relevant_vcpu_fields(design: type[Kvm], interception: str) -> tuple[str, ...]:
    """The fields of a vCPU that belong to the state, in a fixed order.

    Raises SimulationError for a design that reads what the checker does not follow.
    """
    needs: dict[str, set[str]] = {}
    found = set(_ALWAYS)
    if interception == "bitmap":
        found.add("bitmap_passes")
    for function in design.functions().values():
        for i in function.instructions:
            reads = {name for e in (i.expr, *i.args) for name in fields_read(e, function)}
            if i.kind == "do" and isinstance(i.target, Field):
                needs.setdefault(i.target.name, set()).update(reads)
            else:
                found |= reads
    while more := {name for target in found for name in needs.get(target, ())} - found:
        found |= more
    return tuple(name for name in VCPU_FIELDS if name in found)


def fields_read(e: Expr | None, function: Function) -> Iterator[str]:
    """The fields that an expression reads for more than their cost."""
    match e:
        case Field(base, name):
            known = TASK_FIELDS if isinstance(base, Current) else VCPU_FIELDS
            if name not in known and name not in _SLOTS:
                raise SimulationError(
                    f"{function.name}() reads '{name}': the checker takes all CPUs and vCPUs for alike and"
                    " keeps no record of what was returned",
                    function.owner,
                )
            yield name
        case Primitive(name, _) if name in COST_ONLY:
            return
        case Primitive(_, args) | Operation(_, args):
            for arg in args:
                yield from fields_read(arg, function)
