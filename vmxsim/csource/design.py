"""A design out of a kernel tree: the reader's own C under the model's kernel."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any, cast

from attrs import define, frozen

from vmxsim.csource import interface as api
from vmxsim.csource.fields import Fields
from vmxsim.csource.grounds import Facts, Report, dropped_lines, facts_of, make_report
from vmxsim.csource.in_short import rests_on
from vmxsim.csource.lowering import Lowering
from vmxsim.csource.parser import Unit, read_files
from vmxsim.csource.resolve import Resolver
from vmxsim.csource.resolved import Spec, reachable, statements
from vmxsim.csource.roles import Roles, find_roles
from vmxsim.csource.slicing import Slice
from vmxsim.csource.syntax import is_narrow
from vmxsim.csource.tree import Tree
from vmxsim.designs.host_from_thread import HostFromThread
from vmxsim.errors import InputError, NotUnderstoodError
from vmxsim.kernel.attributes import u64
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.patch import own_functions
from vmxsim.kernel.program import Function
from vmxsim.simulation.run import run

#: Common code: only to see whether it checks the value; its functions are the model's.
_COMMON = ("x86.c", "x86.h", "msrs.c", "process_64.c")
#: The files that have the last word where several define a function, in this order.
_FIRST = ("vmx.c", "main.c", "common.h", "vmx.h")


@define
class Carried:
    """A design made from C, and what was done to make it.

    ``unit`` is what was read; ``roots`` are the entry points by the model's name; ``cut`` what was kept;
    ``report`` what the design rests on.
    """

    tree: Tree
    design: type[Kvm]
    unit: Unit
    roots: dict[str, Spec]
    roles: Roles
    cut: Slice
    report: Report

    def kept_lines(self) -> dict[str, list[int]]:
        """The lines that are kept of each function, by the numbers in its file."""
        found: dict[str, set[int]] = {}
        for spec in self.cut.specs:
            lines = {s.line for s in statements(spec.body) if id(s) in self.cut.kept}
            if lines:
                found.setdefault(spec.name, set()).update(lines)
        return {name: sorted(lines) for name, lines in found.items()}


def from_tree(tree: Tree, title: str = "", hint: Roles | None = None) -> Carried:
    """The design of a tree. ``title`` is what to call it, ``hint`` the roles of the same tree before a patch.

    Raises NotUnderstoodError (file, line, function, reason) for C that cannot be followed, InputError for a
    file that is no text.
    """
    unit = read_files(_followed(tree))
    common = read_files(
        {path: text for path, text in tree.files.items() if PurePosixPath(path).name in _COMMON},
        naming=api.REGISTER,
    )
    return _Carrier(tree, unit, facts_of(tree, unit, common), title or tree.name, hint).carry()


def _followed(tree: Tree) -> dict[str, str]:
    """The files whose functions are followed; those with the last word first."""

    def rank(path: str) -> tuple[int, str]:
        name = PurePosixPath(path).name
        return (_FIRST.index(name) if name in _FIRST else len(_FIRST), path)

    mine = [path for path in tree.files if PurePosixPath(path).name not in _COMMON]
    return {path: tree.files[path] for path in sorted(mine, key=rank)}


@frozen
class _Designed:
    """A design, and what is left of making it."""

    design: type[Kvm]
    roots: dict[str, Spec]
    cut: Slice
    names: dict[int, str]
    own_fields: dict[str, str]
    touching: set[str]


@define
class _Carrier:
    tree: Tree
    unit: Unit
    facts: Facts
    title: str
    hint: Roles | None

    def carry(self) -> Carried:
        """The design, and what it rests on."""
        made, made_one_way = self._followed_both_ways()
        report = make_report(
            self.tree, self.unit, self.facts, made.cut, made.roots, made.names, made.own_fields, made.touching
        )
        carried = Carried(self.tree, made.design, self.unit, made.roots, made.cut.roles, made.cut, report)
        made.design._carried = carried
        made.design._rests_on = rests_on(report)
        made.design._only_as_assumed = {
            f"if '{one.text}' is {'false' if one.holds else 'true'}, {one.site}": str(made_one_way[one.site])
            for one in report.assumptions
            if one.site in made_one_way and not one.absent
        }
        return carried

    def _followed_both_ways(self) -> tuple[_Designed, dict[str, NotUnderstoodError]]:
        """The design with each unknown condition able to come out either way, and the sites at which one
        cannot, because what follows then is not understood."""
        try:
            return self._designed(frozenset()), {}
        except NotUnderstoodError as error:
            one_way = self._designed(None)
            sites = {one.site for one in one_way.cut.taken.values()}
            refused = {}
            for site in sites:
                try:
                    self._designed(frozenset(sites - {site}))
                except NotUnderstoodError as its:
                    refused[site] = its
            if refused:
                with suppress(NotUnderstoodError):
                    return self._designed(frozenset(refused)), refused
            return one_way, dict.fromkeys(sites, error)

    def _designed(self, pinned: frozenset[str] | None) -> _Designed:
        """The design, with the unknown conditions at the sites ``pinned`` (None: at all) going one way."""
        resolver = Resolver(self.unit)
        while True:
            roots = {role: resolver.root(self._entry(role), passes) for role, passes in self._passes()}
            efer = resolver.root(self._entry("set_msr"), (), "MSR_EFER")
            try:
                roles = find_roles(
                    roots["prepare_guest_switch"],
                    roots["vcpu_put"],
                    roots["get_msr"],
                    roots["set_msr"],
                    self.hint,
                )
            except NotUnderstoodError:  # perhaps the flag hides in a function that only returns it
                ways = reachable([roots["prepare_guest_switch"], roots["vcpu_put"]])
                if not resolver.widen(resolver.returned_fields(ways), set()):
                    raise
                continue
            named = {p.key[-1] for p in (roles.g, roles.h, roles.loaded)}
            if resolver.widen(named, named):
                continue
            self._refuse_narrow(roles)
            cut = Slice([*roots.values(), efer], roles, pinned)
            cut.run()
            if not resolver.widen(named, named | {key[-1] for key in cut.needed_places | cut.asked_places}):
                break
        names = _names(cut, roots, efer)
        name = _class_name(self.title)
        fields = Fields(cut)
        functions = self._lowered(cut, fields, names, roots, efer, name)
        design = self._design(
            name, functions, roles, fields, {role: names[id(spec)] for role, spec in roots.items()}
        )
        design._fields_at_start = _at_start(design)
        return _Designed(design, roots, cut, names, fields.names(), resolver.touching)

    def _refuse_narrow(self, roles: Roles) -> None:
        """Refuse copies that are declared too narrow for a value."""
        for place in (roles.g, roles.h):
            kinds = self.unit.members.get(place.key[-1], set())
            if kinds and all(map(is_narrow, kinds)):
                raise NotUnderstoodError(
                    f"{place} is declared {' or '.join(kinds)}, which cuts a value of 64 bits"
                )

    def _passes(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The entry points, each with what common code passes. vcpu_load() loads no guest state: a tree may
        come without it."""
        for role, (_, passes) in api.ROOTS.items():
            if role != "vcpu_load" or self._find_entry(role) in self.unit.functions:
                yield role, passes

    def _find_entry(self, role: str) -> str:
        """The function that common code calls for a role, '' if none is there."""
        for entry in api.ROOTS[role][0]:
            if entry in self.unit.ops:
                name = self.unit.ops[entry]
                plain = "vmx_" + name.partition("_")[2]
                return plain if name not in self.unit.functions and plain in self.unit.functions else name
        known = (*self.unit.functions, *self.unit.broken)
        return next((name for name in api.CUSTOMARY[role] if name in known), "")

    def _entry(self, role: str) -> str:
        """The same. Raises NotUnderstoodError if none is there."""
        found = self._find_entry(role)
        if not found:
            raise NotUnderstoodError(
                f"no function for kvm_x86_ops.{api.ROOTS[role][0][0]}: neither an operations table nor"
                f" {' or '.join(api.CUSTOMARY[role])}",
                self.tree.name,
            )
        return found

    def _lowered(
        self,
        cut: Slice,
        fields: Fields,
        names: dict[int, str],
        roots: dict[str, Spec],
        efer: Spec,
        owner: str,
    ) -> dict[str, Function]:
        found: dict[str, Function] = {}
        contracts = {id(roots[role]): requires for role, requires in api.CONTRACTS.items()}
        for spec in [*roots.values(), *cut.specs]:
            name = names[id(spec)]
            wanted = spec in roots.values() or id(spec) in cut.relevant
            if name not in found and wanted:
                lowering = Lowering(spec, cut, fields, names, contracts.get(id(spec), ()), owner)
                found[name] = lowering.function(dropped_lines(spec, cut))
        return found

    def _design(
        self, name: str, functions: dict[str, Function], roles: Roles, fields: Fields, ops: dict[str, str]
    ) -> type[Kvm]:
        if self.facts.canonical_check:
            functions = {**functions, "kvm_set_msr": own_functions(HostFromThread)["kvm_set_msr"]}
        attributes = {
            "__doc__": f"{self.title}: the C of a kernel tree.",
            "__module__": __name__,
            "title": self.title,
            "interception": self.facts.interception,
            "fsgsbase": bool(self.facts.fsgsbase),
            "labels": {"g": str(roles.g), "h": str(roles.h), "loaded": str(roles.loaded)},
            "fields": dict(fields.own),
            "kvm_x86_ops": {**Kvm.kvm_x86_ops, **ops},
            "_in_register": staticmethod(_in_register(roles)),
            "_lowered": functions,
        }
        return _made(name, attributes)


def _made(name: str, attributes: dict[str, Any]) -> type[Kvm]:
    return cast(type[Kvm], type(Kvm)(name, (Kvm,), attributes))  # type: ignore[misc]


def _in_register(roles: Roles) -> Any:
    if roles.h.path[0] == "host_msrs":
        return lambda vcpu: vcpu.loaded and vcpu.lists_kernel_gs_base
    if roles.in_long_mode_only:
        return lambda vcpu: vcpu.loaded and vcpu.long_mode
    return lambda vcpu: vcpu.loaded


def _at_start(design: type[Kvm]) -> dict[bool, dict[str, Any]]:
    """What the C's own fields hold when a scenario starts, outside long mode and in it: user space has set
    EFER and CR0 of a new vCPU by KVM_SET_SREGS."""
    flags = [name for name, first in design.own_fields("fields").items() if first is not u64]
    found: dict[bool, dict[str, Any]] = {}
    if flags:
        with suppress(InputError):
            for long_mode, actions in ((True, ["on"]), (False, ["on", "off"])):
                trace = run([f"set-efer long-mode {how}" for how in actions], design, long_mode=False)
                vcpu = trace.machine(len(trace.steps)).vcpus[0]
                found[long_mode] = {name: getattr(vcpu, name) for name in flags}
    return found


def _class_name(title: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", title).strip("-") or "C"


def _names(cut: Slice, roots: dict[str, Spec], efer: Spec) -> dict[int, str]:
    """What the model calls each specialised function. ``set_efer`` is common code's way into vmx_set_msr()
    with MSR_EFER."""
    names = {id(efer): "set_efer"}
    taken = {"set_efer"}
    for spec in _once([*roots.values(), *cut.specs]):
        if id(spec) not in names:
            name = spec.name
            while name in taken:
                name += "'"
            taken.add(name)
            names[id(spec)] = name
    return names


def _once(specs: Iterable[Spec]) -> list[Spec]:
    return list({id(spec): spec for spec in specs}.values())
