"""``vmxsim.explore`` and ``vmxsim.compare``: step through one design, or two on the same schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as w
from attrs import evolve

from vmxsim.designs import DESIGNS, find_design
from vmxsim.errors import InputError, checked, one_of
from vmxsim.kernel.kvm import Kvm
from vmxsim.simulation.compare import Pairs, operation_start, parting, run_together
from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.scenario import HOSTS, Scenario, check_host, read_scenarios, scenario_yaml
from vmxsim.views.film import film
from vmxsim.views.layout import NORMAL, SIDE
from vmxsim.views.words import sentence
from vmxsim.widgets.check_panel import CheckPanel
from vmxsim.widgets.controls import (
    FSGSBASE,
    GS_BASES,
    OPERATIONS,
    OWN,
    SHORTEST,
    Choice,
    Controls,
    actions_of,
)
from vmxsim.widgets.message import Again, Answer
from vmxsim.widgets.player import Player

if TYPE_CHECKING:
    from vmxsim.checker.result import CheckResult, Counterexample


@checked
def explore(
    design: str | type[Kvm] = "dedicated-accessors",
    operation: str = "read",
    *,
    scenario: Scenario | str | Path | Sequence[Any] | None = None,
    long_mode: bool = True,
    loaded: bool = True,
    host: str = "64-bit",
    gs_base_from: str | None = None,
    fsgsbase: bool | None = None,
) -> Explorer:
    """An explorer for one design, for a notebook cell to display.

    ``design`` is an id, a commit's hash, a prefix or your own subclass of a design.
    ``operation`` is ``enter``, ``leave``, ``read``, ``write``, ``guest``, ``efer``,
    ``preempt`` or ``smm``; ``long_mode`` and ``loaded`` set the state in which it starts.
    ``host``, ``gs_base_from`` and ``fsgsbase`` are those of :func:`~vmxsim.run`.
    ``scenario`` (a Scenario, a path, YAML text or a list of actions) runs instead; all but
    a list name their own host and the guest's initial mode.

    Raises InputError.
    """
    where = {"host": host, "gs_base_from": gs_base_from, "fsgsbase": fsgsbase}
    return Explorer((design,), operation, scenario, where, long_mode=long_mode, loaded=loaded)


class Explorer(Again, w.VBox):
    """Controls above a player, with the collapsed "check every schedule" panel in between.
    Two designs run side by side on the same schedule.

    Errors after construction appear below the controls, and the last good picture stays.
    """

    def __init__(
        self,
        designs: Sequence[str | type[Kvm]],
        operation: str,
        scenario: Scenario | str | Path | Sequence[Any] | None,
        where: Mapping[str, Any],
        **toggles: bool,
    ) -> None:
        known = [_id(find_design(design)) for design in designs]
        if operation not in (OWN, SHORTEST):
            one_of("operation", operation, OPERATIONS)
        one_of("host", where["host"], HOSTS)
        check_host(where["gs_base_from"], where["fsgsbase"])
        self.player = Player()
        self.player.on_tick(self._on_tick)
        self.panel = CheckPanel(lambda: c.choice.designs, self._load)
        self.controls = c = Controls(known, self._refresh, [self.panel.fold])
        c.set(**toggles, operation=operation, host=where["host"])
        c.set(
            gs_base_from=_entry(GS_BASES, where["gs_base_from"]), fsgsbase=_entry(FSGSBASE, where["fsgsbase"])
        )
        if scenario is not None:
            c.set(operation=OWN, text=scenario_text(scenario, toggles["long_mode"], where))
        self.traces: list[RunTrace] = []
        #: (steps after the operation's start, CPU) of each tick, so a toggle that moves the start keeps them.
        self._ticks: list[tuple[int, int]] = []
        self._start = 0
        c.preemption.observe(self._on_preemption, "value")
        c.step.observe(self._on_tick_control, "value")
        c.cpu.observe(self._on_tick_control, "value")
        c.open_file.on_click(lambda _: c.message.guard(self._open))
        c.file.observe(lambda _: c.message.guard(self._open), "value")
        c.go.on_click(lambda _: self._refresh())
        super().__init__([self.controls, self.panel, self.player])
        self.add_class("vmxsim-explorer")
        try:
            self._run()
        except InputError as error:
            if operation != SHORTEST or scenario is not None:
                raise
            c.set(operation="efer")
            self._run()
            c.message.report(error)

    def __repr__(self) -> str:
        return f"The explorer. {self.player!r}"

    def _refresh(self) -> None:
        """Run the new choice from the start of its operation."""
        self.controls.message.guard(self._run)
        self.panel.designs_changed()

    def _on_tick(self, step: int, cpu: int) -> None:
        """The player's "preempt here"."""
        self.controls.message.guard(lambda: self._preempt(step, cpu))

    def _preempt(self, step: int, cpu: int) -> None:
        """Add a tick. Later ticks go: they belong to a future that no longer comes."""
        if step < 1:
            raise InputError("nothing has run yet: step forward first, then preempt")
        kept = [tick for tick in self._ticks if tick[0] < step - self._start]
        self._try_ticks([*kept, (step - self._start, cpu)], step)

    def _on_preemption(self, _change: Any) -> None:
        if self.controls.quiet:
            return
        if self.controls.preemption.value:
            self.controls.message.guard(lambda: self._preempt(self._first_chance(), self.controls.cpu.value))
        else:
            self.controls.message.guard(lambda: self._try_ticks([], None))

    def _on_tick_control(self, _change: Any) -> None:
        """Move the last tick to where the controls say."""
        if self.controls.quiet or not self._ticks:
            return
        step, cpu = self.controls.step.value, self.controls.cpu.value
        self.controls.message.guard(
            lambda: self._try_ticks([*self._ticks[:-1], (step - self._start, cpu)], step)
        )

    def _first_chance(self) -> int:
        """The first step, from the one shown, at which the thread runs preemptible kernel code."""
        steps = self.traces[0].steps
        shown = self.player.pairs[self.player.position][0] if self.player.pairs else self.player.position
        chances = (
            s.index + 1 for s in steps[max(shown, self._start) :] if s.mode == "kernel" and s.preemptible
        )
        return next(chances, max(1, shown))

    def _open(self) -> None:
        """Load the named file into the text box and run it."""
        name = self.controls.file.value.strip()
        if not name:
            raise InputError("expected the name of a scenario file", "File")
        path = Path(name).expanduser()
        scenarios = read_scenarios(path)
        self.controls.set(text=path.read_text("utf-8-sig"))
        if len(self.controls.designs) == 1 and scenarios[0].design:
            self.controls.designs[0].value = _id(find_design(scenarios[0].design))
        self._run()

    def _load(
        self, result: CheckResult, example: Counterexample, step: int, which: int
    ) -> Callable[[int], int]:
        """Run the check panel's counterexample on the checked design and show it from ``step``.

        Returns a function from a step of that design's run to the player's position.
        """
        c = self.controls
        before, self._ticks = self._ticks, []
        try:
            c.choose_design(which, _id(result.design))
            c.set(operation=OWN, text=scenario_text(example.scenario))
            self._run(step, which)
        except Exception:
            self._ticks = before
            raise
        finally:
            self.panel.designs_changed()
        c.message.say("")
        self.player.look()
        return lambda step: _slot(self.player.pairs, step, which)

    def _try_ticks(self, ticks: list[tuple[int, int]], step: int | None) -> None:
        """Run with new ticks; restore the old ones if that fails."""
        before, self._ticks = self._ticks, ticks
        try:
            self._run(step)
        except Exception:
            self._ticks = before
            self._show_ticks()
            raise

    def _run(self, step: int | None = None, which: int = 0) -> None:
        """Run the current choice; show it from ``step`` of run ``which``, or from the operation's start."""
        choice = self.controls.choice
        scenario, preparation, options = self._scenario(choice)
        focus = OPERATIONS[choice.operation].focus if choice.operation in OPERATIONS else ()
        traces, pairs = run_together(scenario, choice.designs, **options)
        start = operation_start(traces[0], preparation, focus)
        if self._ticks:
            ticks = [(max(1, start + offset), cpu) for offset, cpu in self._ticks]
            traces, pairs = run_together(scenario, choice.designs, ticks, **options)
        self.traces, self._start = traces, start
        self._play(pairs, start if step is None else step, which)
        self._show_ticks()

    def _scenario(self, choice: Choice) -> tuple[Any, int, Mapping[str, Any]]:
        """What to run, how many of its actions are preparation, and the options for ``run``."""
        if choice.operation == OWN:
            if not choice.text.strip():  # start from what is on display
                self.controls.set(text=scenario_text(self.traces[0].scenario))
            return self.controls.text.value + "\n", 0, {}
        if choice.operation == SHORTEST:
            # deferred: the explorer opens without the checker
            from vmxsim.checker.difference import shortest_difference

            both = choice.designs[0], choice.designs[1]
            found = shortest_difference(*both, [choice.host], **choice.asked_of_host)
            if found.scenario is None:  # try the other host width
                found = shortest_difference(*both, **choice.asked_of_host)
            if found.scenario is None:
                raise Answer(sentence(found.reason))
            self.controls.set(host=found.scenario.host)
            return found.scenario, 0, {"title": f"Shortest schedule on which they differ: {found.reason}"}
        operation = OPERATIONS[choice.operation]
        actions, preparation = actions_of(operation, choice.long_mode, choice.loaded)
        options = {"title": operation.title, "host": choice.host, "long_mode": choice.long_mode}
        return actions, preparation, options | choice.asked_of_host

    def _play(self, pairs: Pairs, step: int, which: int = 0) -> None:
        films = [film(trace, face=SIDE if pairs else NORMAL) for trace in self.traces]
        if not pairs:
            self.player.show(films[0], min(step, len(films[0]["frames"]) - 1))
            return
        self.player.show_two(films, pairs, parting(self.traces, pairs), _slot(pairs, step, which))

    def _show_ticks(self) -> None:
        """Show the last tick in the controls."""
        offset, cpu = self._ticks[-1] if self._ticks else (0, self.controls.cpu.value)
        last = len(self.traces[0].steps)
        cpus = [(f"CPU {i}", i) for i in range(len(self.traces[0].machine(0).cpus))]
        given = any(action.preempt for action in self.traces[0].scenario.actions)
        chances = [("in the schedule" if given else "off", False), ("a tick arrives", True)]
        self.controls.quiet = True  # a smaller maximum moves the step, which is not the reader's doing
        self.controls.step.max = max(1, last)
        if list(self.controls.preemption.options) != chances:
            self.controls.preemption.options = chances
        if list(self.controls.cpu.options) != cpus:
            self.controls.cpu.options = cpus
        step = min(max(1, self._start + offset), max(1, last))
        self.controls.set(preemption=bool(self._ticks), step=step, cpu=min(cpu, len(cpus) - 1))


def _slot(pairs: Sequence[Sequence[int]], step: int, which: int = 0) -> int:
    """The player's first position that shows ``step`` of run ``which``; with one run, the step itself."""
    if not pairs:
        return step
    return next((slot for slot, pair in enumerate(pairs) if pair[which] >= step), len(pairs) - 1)


def scenario_text(
    source: Scenario | str | Path | Sequence[Any],
    long_mode: bool = False,
    where: Mapping[str, Any] | None = None,
) -> str:
    """A scenario as editable YAML; ``long_mode`` and ``where`` (of the host) complete a list of actions.

    Raises InputError for a file that is not a scenario.
    """
    if isinstance(source, Path) or (isinstance(source, str) and "\n" not in source):
        read_scenarios(source)
        return Path(source).read_text("utf-8-sig")
    if isinstance(source, str):
        return source
    if isinstance(source, Scenario):
        return scenario_yaml(evolve(source, design=None))
    if isinstance(source, Sequence):
        given = {name: value for name, value in (where or {"host": HOSTS[0]}).items() if value is not None}
        return scenario_yaml(given | {"long_mode": long_mode, "steps": list(source)})
    raise InputError(
        f"expected a path, YAML text or a list of actions, not {type(source).__name__}", "scenario"
    )


def _entry(choices: Mapping[str, Any], value: Any) -> str:
    """The list's entry that stands for ``value``."""
    return next(name for name, meant in choices.items() if meant == value)


def _id(design: type[Kvm]) -> str | type[Kvm]:
    """A shipped design's id; the class itself for one of the user's own."""
    return design.id if DESIGNS.get(design.id) is design else design


@checked
def compare(
    a: str | type[Kvm],
    b: str | type[Kvm],
    scenario: Scenario | str | Path | Sequence[Any] | None = None,
    *,
    operation: str = SHORTEST,
    long_mode: bool = True,
    loaded: bool = True,
    host: str = "64-bit",
    gs_base_from: str | None = None,
    fsgsbase: bool | None = None,
) -> Explorer:
    """Two designs side by side on one schedule, with the first divergence marked.

    By default, the schedule is the shortest on which the guest, user space or a host task can read
    different values. If neither host width has one, the widget says so and shows another operation.
    The arguments are those of ``explore``. Raises InputError.
    """
    where = {"host": host, "gs_base_from": gs_base_from, "fsgsbase": fsgsbase}
    return Explorer((a, b), operation, scenario, where, long_mode=long_mode, loaded=loaded)
