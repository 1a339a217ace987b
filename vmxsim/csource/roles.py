"""Which fields of the vCPU hold the guest's value (g), the host's (h), and whether guest state is loaded (L):
from the data flow, never from a name or a version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from attrs import frozen

from vmxsim.csource.interface import CR0_FIELDS, EFER_FIELDS
from vmxsim.csource.resolved import (
    Const,
    Do,
    Go,
    Invoke,
    Key,
    Leave,
    Op,
    Place,
    Prim,
    Spec,
    Thread,
    Variable,
    When,
    accesses_register,
    expression_of,
    parts,
    reachable,
    reads_register,
    statements,
    writes_register,
)
from vmxsim.errors import NotUnderstoodError


@frozen
class Roles:
    """``evidence`` says for each role on which lines it shows, in words. ``in_long_mode_only``: the guest's
    value is switched in only under a condition on long mode."""

    g: Place
    h: Place
    loaded: Place
    in_long_mode_only: bool
    evidence: dict[str, tuple[str, ...]]

    def of(self, place: Place) -> str:
        """The role of a place: ``g``, ``h``, ``loaded``, ``efer``, ``cr0``, or '' if it has none."""
        for name in ("g", "h", "loaded"):
            if getattr(self, name).key == place.key:
                return name
        if place.key[-1] in EFER_FIELDS and len(place.path) == 1:
            return "efer"
        return "cr0" if len(place.path) == 1 and place.path[0] in CR0_FIELDS else ""

    def inside(self, place: Place) -> str:
        """The role of a field of the struct at ``place``, or of that place itself; '' if there is none."""
        for name in ("g", "h", "loaded"):
            role = getattr(self, name)
            if role.key == place.key or role.path[-2:-1] == place.path[-1:]:
                return name
        return ""


class Flow:
    """Where values come from: through variables, parameters and results, whatever the order."""

    def __init__(self, specs: Iterable[Spec]) -> None:
        self._into: dict[tuple[int, str], list[tuple[Spec, Any]]] = {}
        self._results: dict[int, list[tuple[Spec, Any]]] = {}
        for spec in specs:
            for s in statements(spec.body):
                if isinstance(s, Do) and isinstance(s.target, Variable):
                    self._into.setdefault((id(spec), s.target.name), []).append((spec, s.value))
                if isinstance(s, Leave) and s.value is not None:
                    self._results.setdefault(id(spec), []).append((spec, s.value))
                for p in parts(expression_of(s)):
                    if isinstance(p, Invoke):
                        for name, arg in zip(p.spec.params, p.args, strict=True):
                            self._into.setdefault((id(p.spec), name), []).append((spec, arg))

    def sources(self, spec: Spec, e: Any, seen: set[Any] | None = None) -> Iterator[Any]:
        """Places, fields of the thread, parameters and reads of the register that a value may come from."""
        seen = set() if seen is None else seen
        if isinstance(e, (Place, Thread)) or accesses_register(e):
            yield e
        elif isinstance(e, Variable) and (id(spec), e.name) not in seen:
            seen.add((id(spec), e.name))
            for where, value in self._into.get((id(spec), e.name), ()):
                yield from self.sources(where, value, seen)
            if e.name in spec.params or e.name == spec.result:
                yield e
        elif isinstance(e, Op) and (inner := _as_it_was(e)) is not e:
            yield from self.sources(spec, inner, seen)
        elif isinstance(e, Invoke) and id(e.spec) not in seen:
            seen.add(id(e.spec))
            for where, value in self._results.get(id(e.spec), ()):
                yield from self.sources(where, value, seen)


#: Candidates for a role: by key, the place and what shows it.
Candidates = dict[Key, list[tuple[Place, str]]]


def find_roles(enter: Spec, put: Spec, get: Spec, put_value: Spec, hint: Roles | None = None) -> Roles:
    """The roles. The guest's copy is what enter writes to the register, what the way out saves it in, what
    the guest's read returns and the guest's write stores to; the host's is what enter saves the register or
    the thread's base in, and what the way out writes back; the flag is tested by an early return in both.

    ``hint``: roles that hold before a patch, which help where those after it are not clear. Raises
    NotUnderstoodError where they are not.
    """
    entering, leaving = reachable([enter]), reachable([put])
    reading, writing = reachable([get]), reachable([put_value])
    flow = Flow({id(s): s for s in (*entering, *leaving, *reading, *writing)}.values())
    g: Candidates = {}
    h: Candidates = {}

    def note(found: Candidates, place: Any, spec: Spec, line: int, what: str) -> None:
        if isinstance(place, Place):
            where = f"{spec.function.file}:{line} {spec.name}()"
            found.setdefault(place.key, []).append((place, f"{what}, {where}"))

    for specs, written, stored, way in ((entering, g, h, "in"), (leaving, h, g, "out")):
        for spec in specs:
            for s in (s for s in statements(spec.body) if isinstance(s, Do)):
                if writes_register(s.value):
                    for source in flow.sources(spec, s.value.args[1]):
                        note(written, source, spec, s.line, f"written to the register on the way {way}")
                elif isinstance(s.target, Place):
                    for source in flow.sources(spec, s.value):
                        if reads_register(source) or (source == Thread("gs_base") and way == "in"):
                            note(stored, s.target, spec, s.line, f"stored on the way {way}")
    for s in statements(get.body):
        if isinstance(s, Do) and s.target == Variable(get.result):
            for source in flow.sources(get, s.value):
                note(g, source, get, s.line, "read for the guest")
    for spec in writing:
        for s in statements(spec.body):
            if isinstance(s, Do) and isinstance(s.target, Place):
                if any(isinstance(x, Variable) for x in flow.sources(spec, s.value)):
                    note(g, s.target, spec, s.line, "written for the guest")
    if hint is not None:
        g, h = _narrowed(g, hint.g), _narrowed(h, hint.h)
    if len(g) != 1 or len(h) != 1 or set(g) & set(h):
        raise NotUnderstoodError(
            "which fields hold the guest's and the host's value is not clear: the guest's may be"
            f" {_told(g)}; the host's {_told(h)}",
            enter.where(enter.function.first),
        )
    loaded = _flag(enter, entering, leaving, set(g) | set(h), hint, flow)
    only = any(_under_long_mode(spec.body) for spec in entering)
    (seen_g,), (seen_h,) = g.values(), h.values()
    evidence = {
        "g": tuple(dict.fromkeys(why for _, why in seen_g)),
        "h": tuple(dict.fromkeys(why for _, why in seen_h)),
        "loaded": tuple(why for _, why in loaded),
    }
    return Roles(seen_g[0][0], seen_h[0][0], loaded[0][0], only, evidence)


def _narrowed(found: Candidates, hint: Place) -> Candidates:
    return {hint.key: found[hint.key]} if len(found) > 1 and hint.key in found else found


def _told(found: Candidates) -> str:
    return "; ".join(f"{seen[0][0]} ({seen[0][1]})" for seen in found.values()) or "no field at all"


def _flag(
    enter: Spec, entering: list[Spec], leaving: list[Spec], taken: set[Key], hint: Roles | None, flow: Flow
) -> list[tuple[Place, str]]:
    """The flag, with what shows it."""
    for around in (False, True):
        first = _guards([enter], around, flow)
        if not set(first) - taken:
            first = _guards(entering, around, flow)
        second = _guards(leaving, around, flow)
        common = (set(first) & set(second)) - taken
        if common:
            break
    if hint is not None and hint.loaded.key in common:
        common = {hint.loaded.key}
    if len(common) != 1:
        what = " or ".join(sorted(str(first[key][0][0]) for key in common)) or "no field is tested by both"
        raise NotUnderstoodError(
            f"which field says that guest state is loaded is not clear: {what}",
            enter.where(enter.function.first),
        )
    (key,) = common
    return first[key] + second[key]


def _guards(specs: list[Spec], around: bool, flow: Flow) -> dict[Key, list[tuple[Place, str]]]:
    """Fields of which a test leaves the function and does nothing else, or, if ``around``, stands around an
    access of the register."""
    found: dict[Key, list[tuple[Place, str]]] = {}
    for spec in specs:
        for s in spec.body:
            if not isinstance(s, When):
                continue
            guards = not s.no and len(s.yes) == 1 and isinstance(s.yes[0], (Leave, Go))
            if around:
                guards = guards or any(map(_accesses, statements([*s.yes, *s.no])))
            place = _tested(spec, s.test, flow) if guards else None
            if place is not None:
                where = f"tested, {spec.function.file}:{s.line} {spec.name}()"
                found.setdefault(place.key, []).append((place, where))
    return found


def _tested(spec: Spec, e: Any, flow: Flow) -> Place | None:
    """The one field that an expression tests for being 0 or not, also through a variable or a function."""
    match e:
        case Op("not", (inner,)) | Op("==" | "!=", (inner, Const())) | Op("==" | "!=", (Const(), inner)):
            return _tested(spec, inner, flow)
    places = {source.key: source for source in flow.sources(spec, e) if isinstance(source, Place)}
    return next(iter(places.values())) if len(places) == 1 else None


def _as_it_was(e: Op) -> Any:
    """What a narrow variable, or one that is true or false, was set to."""
    match e:
        case Op("cut", (inner, *_)) | Op("not", (Op("not", (inner,)),)):
            return inner
    return e


def _accesses(s: Any) -> bool:
    """Whether a statement accesses the register, or calls a function that does."""
    if not isinstance(s, Do):
        return False
    called = [p.spec for p in parts(s.value) if isinstance(p, Invoke)]
    inner = [t for spec in reachable(called) for t in statements(spec.body) if isinstance(t, Do)]
    return any(accesses_register(t.value) for t in [s, *inner])


def _under_long_mode(body: list[Any]) -> bool:
    """Whether a condition on long mode stands around a write of the register."""
    for s in statements(body):
        if isinstance(s, When) and any(
            p == Prim("is_long_mode") or p == Place(("save_nmsrs",)) for p in parts(s.test)
        ):
            if any(isinstance(d, Do) and writes_register(d.value) for d in statements(s.yes)):
                return True
    return False
