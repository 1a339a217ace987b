"""The form inside the explorer's check panel: options, progress, counterexamples, state space."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from html import escape
from threading import Event, Thread
from typing import Any

import ipywidgets as w

from vmxsim.checker.assumptions import ASSUMPTIONS
from vmxsim.checker.check import MOST_VCPUS, check
from vmxsim.checker.result import (
    CheckResult,
    Counterexample,
    counterexample_html,
    result_css,
    steps_words,
    telling_steps,
    verdict_html,
)
from vmxsim.checker.states_at_rest import MOST, TooManyStates
from vmxsim.designs import find_design
from vmxsim.errors import InputError, counted, in_browser
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.simulation.scenario import HOSTS
from vmxsim.web.assets import style
from vmxsim.widgets.controls import FITS, FSGSBASE, GS_BASES, dropdown, host_dropdowns, main_button
from vmxsim.widgets.message import Message
from vmxsim.widgets.state_space import state_space

#: Called with (states found, seconds).
Progress = Callable[[int, float], None]
#: A long job; its arguments report progress and ask whether to stop.
Work = Callable[[Progress, Callable[[], bool]], object]

#: Seconds between two progress reports, and those after which a search ends that nobody can stop.
_PAUSE, _ALONE = 0.2, 60.0


class Background:
    """Runs one job at a time in a thread; where none can start, as in a browser, at once."""

    def __init__(self) -> None:
        self._stop = Event()
        self._thread: Thread | None = None

    @property
    def running(self) -> bool:
        """Whether a job is running."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, work: Work, told: Progress) -> None:
        """Start ``work``, which must not raise. ``told`` receives its progress a few times a second."""
        self._stop = stop = Event()
        last = time.perf_counter()

        def tell(states: int, seconds: float) -> None:
            nonlocal last
            now = time.perf_counter()
            if now - last >= _PAUSE:
                last = now
                told(states, seconds)

        # ipywidgets finds the current cell through the context
        target = copy_context().run
        thread = Thread(target=target, args=(work, tell, stop.is_set), name="vmxsim-check", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            work(tell, stop.is_set)
        else:
            self._thread = thread

    def stop(self) -> None:
        """Ask the job to stop."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the job to end."""
        if self._thread is not None:
            self._thread.join(seconds)


_NOTHING_YET = (
    '<p class="dim">No check has run yet. <em>Check</em> explores every schedule of the design chosen above'
    " and says whether each invariant holds; for one that breaks, it shows the shortest schedule that"
    " breaks it.</p>"
)

#: Shows a counterexample in the player from a step of its run; returns a function from steps to positions.
Load = Callable[[CheckResult, Counterexample, int], Callable[[int], int]]


class Findings(w.VBox):
    """A check's verdict and its counterexamples."""

    def __init__(self, load: Load) -> None:
        self.result: CheckResult | None = None
        self._load = load
        self._examples: list[Counterexample] = []
        self.verdict = w.HTML(_NOTHING_YET)
        self.choice = dropdown("Counterexample", [], None)
        self.button = main_button(
            "Load into the stepper", "Run this schedule in the stepper below, at the step that goes wrong"
        )
        self.message = Message()
        self.loaded = w.HTML().add_class("vmxsim-check-loaded")
        self.example = w.HTML()
        self.counterexample = w.VBox(
            [w.HBox([self.choice, self.button]), self.loaded, self.message, self.example]
        )
        self.counterexample.add_class("vmxsim-check-example")
        self.counterexample.layout.display = "none"
        self.choice.observe(self._choose, "value")
        self.button.on_click(lambda _: self.message.guard(self._into_stepper))
        super().__init__([self.verdict, self.counterexample])

    def show(self, result: CheckResult) -> None:
        """Show a result, its shortest counterexample first."""
        self.result = None
        found = [(host, c) for host in result.hosts for c in host.counterexamples.values()]
        found.sort(key=lambda pair: (pair[0] is not result.telling, pair[1].actions, pair[1].steps))
        self._examples = [c for _, c in found]
        labels = [f"{host.host} host: {c.invariant}, {counted(c.actions, 'action')}" for host, c in found]
        self.choice.options = [(label, n) for n, label in enumerate(labels)]
        self.choice.value = 0 if found else None
        self.result = result
        self.verdict.value = verdict_html(result)
        self._choose()
        self.counterexample.layout.display = None if found else "none"

    @property
    def chosen(self) -> Counterexample | None:
        """The counterexample on display."""
        return None if self.choice.value is None else self._examples[self.choice.value]

    def _choose(self, _change: object = None) -> None:
        if self.result is None:  # the options are changing
            return
        self.loaded.value = ""
        self.message.say("")
        example = self.chosen
        self.example.value = counterexample_html(example) if example else ""

    def _into_stepper(self) -> None:
        result, example = self.result, self.chosen
        if result is None or example is None:
            return
        self.loaded.value = ""
        if example.failure:
            raise InputError(f"no run to step through: the design fails: {example.failure}")
        lost, breaks = telling_steps(example)
        shown_at = self._load(result, example, lost)
        words = steps_words(example, shown_at(lost), shown_at(breaks))
        self.loaded.value = f'<p role="status">The stepper below shows it: {escape(words)}.</p>'


_ABOUT = (
    f"Every state of one vCPU in user space and in the guest, and where each action leads; at most {MOST}"
    " states."
)


class SpacePart(w.VBox):
    """Draws the state space with the arguments ``chosen()``; ``assume`` sets the assumptions."""

    def __init__(
        self,
        chosen: Callable[[], dict[str, Any]],
        assume: Callable[[Sequence[str]], None],
    ) -> None:
        self._chosen, self._assume = chosen, assume
        self._suggestion: tuple[str, ...] = ()
        self.draw = w.Button(description="Draw the state space", layout={"width": "auto"})
        self.fewer = w.Button(
            description="Assume these and draw", layout={"width": "auto", "display": "none"}
        )
        self.clear = w.Button(description="Clear", layout={"width": "auto", "display": "none"})
        self.message = Message()
        self.told, self.picture = w.HTML(f'<p class="dim">{escape(_ABOUT)}</p>'), w.HTML()
        self.draw.on_click(lambda _: self.message.guard(self._draw))
        self.fewer.on_click(lambda _: self.message.guard(self._draw_fewer))
        self.clear.on_click(lambda _: self._show(""))
        row = _row(self.draw, self.fewer, self.clear, self.told)
        super().__init__([row, self.message, self.picture])
        self.add_class("vmxsim-check-space")

    def _draw(self) -> None:
        self._suggest((), _ABOUT)
        try:
            found = state_space(**self._chosen())
        except TooManyStates as many:
            self._show("")
            self._suggest(many.suggestion, f"Not drawn: {many}.")
            return
        self._show(found.html())

    def _draw_fewer(self) -> None:
        self._assume(self._suggestion)
        self._draw()

    def _suggest(self, names: tuple[str, ...], words: str) -> None:
        self._suggestion = names
        self.fewer.layout.display = None if names else "none"
        self.told.value = f'<p class="dim" role="status">{escape(words)}</p>'

    def _show(self, html: str) -> None:
        self.picture.value = html
        self.clear.layout.display = None if html else "none"


#: CPUs on offer; more make no difference to one vCPU and little to two.
_CPUS = (1, 2, 3, 4)

Design = str | type[Kvm]
#: Like :data:`Load`, for design number ``which`` (0, or 1 in a comparison) as a fourth argument.
LoadOf = Callable[[CheckResult, Counterexample, int, int], Callable[[int], int]]


class CheckForm(w.VBox):
    """The whole form. ``designs()`` returns the current designs; ``load`` shows a counterexample."""

    def __init__(self, designs: Callable[[], Sequence[Design]], load: LoadOf) -> None:
        self._designs, self._load = designs, load
        self._checked = 0
        self.background = Background()
        self.which = dropdown("Design to check", [("design", 0)], 0)
        self.host = dropdown("Host width", ["both", *HOSTS], "both")
        self.gs_base_from, self.fsgsbase = host_dropdowns()
        self.cpus = dropdown("CPUs", list(_CPUS), 2)
        self.vcpus = dropdown("vCPUs", list(range(1, MOST_VCPUS + 1)), 1)
        self.assumptions = {
            name: w.Checkbox(description=f"{name}: {assumption.words}", indent=False, layout=FITS)
            for name, assumption in ASSUMPTIONS.items()
        }
        self.check = main_button("Check", "Explore every schedule")
        self.stop = w.Button(description="Stop", disabled=True, layout={"width": "110px"})
        # without a thread, nothing is heard before the search has ended
        self.seconds = _ALONE if in_browser() else None
        self.stop.layout.display = "none" if self.seconds else None
        self.nothing = w.Button(description="Assume nothing", layout=FITS)
        self.bar, self.line = w.HTML(), w.HTML()
        self.message = Message()
        self.findings = Findings(self._into_stepper)
        self.space = SpacePart(self._space_of, self.assume)
        form = [
            _row(self.which, self.host, self.gs_base_from, self.fsgsbase, self.cpus, self.vcpus),
            _row(self.check, self.stop),
            w.VBox([self.bar, self.line]).add_class("vmxsim-check-progress"),
            self.message,
            _row(w.HTML("<h4>Assume that</h4>"), self.nothing),
            w.Box(list(self.assumptions.values())).add_class("vmxsim-check-assume"),
        ]
        self.findings.add_class("vmxsim-check-findings").add_class("vmxsim-result")
        columns = w.Box([w.VBox(form).add_class("vmxsim-check-form"), self.findings]).add_class(
            "vmxsim-check-columns"
        )
        self.check.on_click(lambda _: self._start())
        self.stop.on_click(lambda _: self.background.stop())
        self.which.observe(self._name_check, "value")
        self.nothing.on_click(lambda _: self.assume(()))
        css = style(("check",), ".vmxsim-check") + result_css()
        super().__init__([w.HTML(f"<style>{css}</style>"), columns, self.space])
        self.designs_changed()

    def designs_changed(self) -> None:
        """Offer the current designs; a result stays, under its design's name."""
        letters = ("",) if len(self._designs()) == 1 else ("A: ", "B: ")
        names = [name_of(find_design(design)) for design in self._designs()]
        options = [
            (f"{letter}{name}", n) for n, (letter, name) in enumerate(zip(letters, names, strict=True))
        ]
        if list(self.which.options) != options:
            chosen = self.which.value
            self.which.options = options
            self.which.value = chosen
        self.which.layout.display = "none" if len(names) == 1 else None
        self._name_check()

    def _name_check(self, _change: object = None) -> None:
        self.check.description = f"Check {name_of(find_design(self._designs()[self.which.value]))}"

    @property
    def assumed(self) -> tuple[str, ...]:
        """The ticked assumptions."""
        return tuple(name for name, box in self.assumptions.items() if box.value)

    def assume(self, names: Sequence[str]) -> None:
        """Tick exactly these assumptions."""
        for name, box in self.assumptions.items():
            box.value = name in names

    @property
    def asked_of_host(self) -> dict[str, Any]:
        """What was chosen of the host besides its width, as options of ``check``."""
        return {
            "gs_base_from": GS_BASES[self.gs_base_from.value],
            "fsgsbase": FSGSBASE[self.fsgsbase.value],
        }

    def _space_of(self) -> dict[str, Any]:
        host = HOSTS[0] if self.host.value == "both" else self.host.value
        design = self._designs()[self.which.value]
        return {"design": design, "host": host, "assume": self.assumed, **self.asked_of_host}

    def _start(self) -> None:
        if self.background.running:
            return
        design = find_design(self._designs()[self.which.value])
        which, host, cpus, vcpus = self.which.value, self.host.value, self.cpus.value, self.vcpus.value
        assumed, where = self.assumed, self.asked_of_host
        self._busy(True)
        self.message.say("")  # not through guard(): the search may fail before this returns
        self.line.value = _line(f"Checking {name_of(design)} …")

        def explore(progress: Progress, stopped: Callable[[], bool]) -> None:
            result = check(
                design,
                host=host,
                cpus=cpus,
                vcpus=vcpus,
                assume=assumed,
                max_seconds=self.seconds,
                progress=progress,
                stopped=stopped,
                **where,
            )
            self._checked = which
            self.findings.show(result)
            states, seconds = (sum(getattr(h, n) for h in result.hosts) for n in ("states", "seconds"))
            self._tell(states, seconds, "Stopped" if stopped() else "Done")

        def work(progress: Progress, stopped: Callable[[], bool]) -> None:
            self.message.guard(lambda: explore(progress, stopped))
            if self.message.value:
                self.line.value = ""
            self._busy(False)

        self.background.start(work, lambda states, seconds: self._tell(states, seconds, "Searching"))

    def _busy(self, busy: bool) -> None:
        self.check.disabled, self.stop.disabled = busy, not busy
        self.bar.value = '<progress aria-label="Exploring every schedule"></progress>' if busy else ""

    def _tell(self, states: int, seconds: float, what: str) -> None:
        rate = f"{states / seconds:,.0f} states per second, " if seconds else ""
        self.line.value = _line(f"{what}: {states:,} states, {rate}{seconds:.1f} s")

    def _into_stepper(self, result: CheckResult, example: Counterexample, step: int) -> Callable[[int], int]:
        return self._load(result, example, step, self._checked)


def _row(*children: w.Widget) -> w.Box:
    return w.Box(children).add_class("vmxsim-check-row")


def _line(text: str) -> str:
    return f"<span>{escape(text)}</span>"
