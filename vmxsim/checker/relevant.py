"""What of a vCPU the code of a design depends on: which fields, and which bits of EFER and CR0."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from attrs import define, field

from vmxsim.checker.symbolic import TASK_FIELDS, VCPU_FIELDS
from vmxsim.errors import SimulationError
from vmxsim.kernel.actions import VERBS
from vmxsim.kernel.attributes import U64
from vmxsim.kernel.instructions import COST_ONLY, is_long_mode
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.machine import EFER_LMA, EFER_LME, X86_CR0_PG
from vmxsim.kernel.program import (
    Callee,
    Const,
    Current,
    Expr,
    Field,
    Function,
    Local,
    Operation,
    Primitive,
)

#: Fields that guest, user space and invariants read.
_ALWAYS = {"efer", "cr0", "smm", "loaded", "exit_reason"}
_SLOTS = {"g", "h", "gs_base", "msr_data"}


def relevant_vcpu_fields(design: type[Kvm], interception: str) -> tuple[str, ...]:
    """The fields of a vCPU that belong to the state, in a fixed order.

    A field matters if a condition, a call, a primitive with an effect, or an assignment to
    another field that matters reads it. The rest is left out: ``save_nmsrs``, for example,
    only says how many MSRs a line costs. Raises SimulationError for a design that reads what
    the checker does not follow.
    """
    needs: dict[str, set[str]] = {}
    found = set(_ALWAYS)
    if interception == "bitmap":
        found.add("bitmap_passes")
    for function in design.code():
        for i in function.instructions:
            reads = {name for e in (i.expr, *i.args) for name in fields_read(e, function)}
            if i.kind == "do" and isinstance(i.target, Field):
                needs.setdefault(i.target.name, set()).update(reads)
            else:
                found |= reads
    while more := {name for target in found for name in needs.get(target, ())} - found:
        found |= more
    own = [name for name, first in design.own_fields("fields").items() if not isinstance(first, U64)]
    return tuple(name for name in (*VCPU_FIELDS, *own) if name in found)


def fields_read(e: Expr | None, function: Function) -> Iterator[str]:
    """The fields that an expression reads, other than to count a cost."""
    match e:
        case Field(_, name, own=True):
            yield name
        case Field(base, name):
            known = TASK_FIELDS if isinstance(base, Current) else VCPU_FIELDS
            if name not in known and name not in _SLOTS:
                raise SimulationError(
                    f"{function.name}() reads '{name}': the checker treats all CPUs and vCPUs alike and"
                    " does not record what was returned",
                    function.owner,
                )
            yield name
        case Primitive(name, _) if name in COST_ONLY:
            return
        case Primitive(_, args) | Operation(_, args):
            for arg in args:
                yield from fields_read(arg, function)


#: Fields of which single bits may matter, and the bits that guest, user space and the scheduler look at.
_WORDS = {"efer": EFER_LME | EFER_LMA, "cr0": X86_CR0_PG, "smram_efer": 0, "smram_cr0": 0}
_EVERY = -1
#: Operators that take each bit of their result from the same bit of their operands.
_BITWISE = {"|", "^", "~"}


def relevant_bits(design: type[Kvm]) -> dict[str, int]:
    """For EFER, CR0 and their copies in SMRAM: the bits on which the design's code may depend, as a mask. Two
    states that differ in other bits only go on alike for ever."""
    demand = _Demand(design)
    while demand.grew:
        demand.grew = False
        for function in design.code():
            demand.of_function(function)
        demand.of_user_space()
    return {name: demand.bits[name] for name in _WORDS}


@define(eq=False)
class _Demand:
    """The bits that matter of fields (by name), locals (by function and index) and of what functions return
    (by function): those of which a later test, call or store needs to know."""

    design: type[Kvm]
    bits: dict[Hashable, int] = field(factory=lambda: dict(_WORDS))
    grew: bool = True

    def of_function(self, function: Function) -> None:
        """Take up what the instructions of a function need, given what is known of others."""
        for i in function.instructions:
            if i.kind in ("branch", "switch"):
                self._need(function, i.expr, _EVERY)
            elif i.kind in ("return", "end"):
                self._need(function, i.expr, self.bits.get(function, 0))
            elif i.kind == "do":
                self._need(function, i.expr, self._wanted(function, i.target))
            else:
                assert i.callee is not None
                callee = self.design.link(i.callee)
                self._more(callee, self._wanted(function, i.target))
                for n, arg in enumerate(i.args):
                    self._need(function, arg, self.bits.get((callee, n), 0))

    def of_user_space(self) -> None:
        """KVM_SET_SREGS passes EFER and CR0 as they are, but for the bits that switch long mode."""
        function = self.design.link(Callee("self", VERBS["set-efer long-mode on"].function))
        for n, name in enumerate(("efer", "cr0"), 1):
            self._more(name, self.bits.get((function, n), 0))

    def _wanted(self, function: Function, target: Local | Field | None) -> int:
        """The bits that matter of what is stored in ``target``."""
        if isinstance(target, Local):
            return self.bits.get((function, target.index), 0)
        return self.bits.get(target.name, _EVERY) if target else 0

    def _more(self, of: Hashable, bits: int) -> None:
        was = self.bits.get(of, 0)
        if was | bits != was:
            self.bits[of], self.grew = was | bits, True

    def _need(self, function: Function, e: Expr | None, bits: int) -> None:
        """Note that ``bits`` of the value of an expression matter."""
        match e:
            case Local(index, _):
                self._more((function, index), bits)
            case Field(_, name) if name in _WORDS:
                self._more(name, bits)
            case Operation("&", (one, other)):
                self._need(function, one, bits & _may_be_set(other))
                self._need(function, other, bits & _may_be_set(one))
            case Operation(op, args):
                for arg in args:
                    self._need(function, arg, bits if op in _BITWISE else _EVERY)
            case Primitive(name, _) if name == is_long_mode.__name__:
                self._more("efer", EFER_LMA)
            case Primitive(name, args) if name not in COST_ONLY:
                for arg in args:
                    self._need(function, arg, _EVERY)


def _may_be_set(e: Expr) -> int:
    """The bits that may be set in the value of an expression."""
    match e:
        case Const(int(number)):
            return number
        case Operation("~", (Const(int(number)),)):
            return ~number
    return _EVERY
