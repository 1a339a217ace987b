"""Goal: a path costs no more than so many operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen

from vmxsim.costs import PATHS, count
from vmxsim.errors import InputError, nearest, printable
from vmxsim.exercises.answer import Answer
from vmxsim.exercises.fields import as_tuple
from vmxsim.exercises.goals.goal import Judgement, several
from vmxsim.scenario import HOSTS
from vmxsim.simulation import run

#: Operations that a goal may limit, and how a sentence says them: one, several.
OPERATIONS = {
    "rdmsr_kernel_gs_base": ("RDMSR of KERNEL_GS_BASE", "RDMSRs of KERNEL_GS_BASE"),
    "wrmsr_kernel_gs_base": ("WRMSR of KERNEL_GS_BASE", "WRMSRs of KERNEL_GS_BASE"),
    "full_host_reload": ("full host reload", "full host reloads"),
}


@frozen
class CostAtMost:
    """``path`` (as in ``vmxsim.cost``) costs at most so many operations of each name in
    ``most``, on each of the ``hosts``, in the modes ``long_modes``."""

    path: str
    most: Mapping[str, int]
    long_modes: tuple[bool, ...] = field(default=(False, True), converter=as_tuple)
    hosts: tuple[str, ...] = field(default=HOSTS[:1], converter=as_tuple)

    def __attrs_post_init__(self) -> None:
        _known(self.path, PATHS, "path")
        for name in self.most:
            _known(name, OPERATIONS, "most")

    @property
    def words(self) -> str:
        """For the checklist."""
        limits = several(
            f"{'at most ' * (number > 0)}{_counted(number, name)}" for name, number in self.most.items()
        )
        where = ""
        if len(self.long_modes) == 1:
            where = " in long mode" if self.long_modes[0] else " outside long mode"
        host = f" on a {self.hosts[0]} host" if self.hosts != HOSTS else ""
        return f"'{self.path}'{where}{host} costs {limits}"

    def judge(self, answer: Answer) -> Judgement:
        """Count what the path executes."""
        told = []
        for host in self.hosts:
            for long_mode in self.long_modes:
                row = count(answer.design, host, long_mode, self.path)
                found = {**row.operations, "full_host_reload": row.full_host_reloads}
                where = f"{'in' if long_mode else 'outside'} long mode"
                counted = several(_counted(found.get(name, 0), name) for name in self.most)
                told.append(f"{where} {counted}")
                if any(found.get(name, 0) > most for name, most in self.most.items()):
                    before, action = PATHS[self.path]
                    actions = ["run", "exit", *before, action]
                    title = f"'{self.path}' {where}, counted after one run and exit"
                    trace = run(actions, answer.design, host=host, long_mode=long_mode, title=title)
                    return Judgement(False, f"it costs {counted}, {where} on a {host} host", trace)
        return Judgement(True, f"it costs {'; '.join(dict.fromkeys(told))}")


def _known(name: str, names: Iterable[str], field: str) -> None:
    if name not in names:
        raise InputError(
            f"'{printable(name)}' is none; choose {', '.join(names)}{nearest(name, names)}", field
        )


def _counted(number: int, name: str) -> str:
    one, many = OPERATIONS[name]
    return f"{number or 'no'} {one if number in (0, 1) else many}"
