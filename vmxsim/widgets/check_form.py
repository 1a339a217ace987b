"""The panel's content: what to check and what to assume, the search while it goes on, its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files

import ipywidgets as w

from vmxsim.checker.assumptions import ASSUMPTIONS
from vmxsim.checker.result import CheckResult, Counterexample
from vmxsim.checker.verdict import check
from vmxsim.designs import find_design
from vmxsim.kernel.kvm import Kvm
from vmxsim.scenario import HOSTS
from vmxsim.views.style import theme_css
from vmxsim.widgets.background import Background, Progress
from vmxsim.widgets.findings import Findings
from vmxsim.widgets.message import Message
from vmxsim.widgets.space_part import SpacePart

_NATURAL = {"description_width": "initial"}
_FITS = {"width": "auto", "max_width": "calc(100% - 4px)"}
#: CPUs to choose from; more make no difference to one vCPU, and little to two.
_CPUS = (1, 2, 3, 4)

Design = str | type[Kvm]
#: Shows a counterexample of design number ``which`` (0, or 1 in a comparison) in the stepper, from a step
#: of its run on; says for each step where in the stepper it is.
LoadOf = Callable[[CheckResult, Counterexample, int, int], Callable[[int], int]]


class CheckForm(w.VBox):
    """``designs`` says which designs are chosen now; ``load`` shows a counterexample."""

    def __init__(self, designs: Callable[[], Sequence[Design]], load: LoadOf) -> None:
        self._designs, self._load = designs, load
        self._checked = 0
        self.background = Background()
        self.which = _dropdown("Design to check", [("design", 0)], 0)
        self.host = _dropdown("Host width", ["both", *HOSTS], "both")
        self.cpus = _dropdown("CPUs", list(_CPUS), 2)
        self.vcpus = _dropdown("vCPUs", [1, 2], 1)
        self.assumptions = {
            name: w.Checkbox(description=f"{name}: {assumption.words}", indent=False, layout=_FITS)
            for name, assumption in ASSUMPTIONS.items()
        }
        self.check = w.Button(description="Check", button_style="primary", layout=_FITS)
        self.stop = w.Button(description="Stop", disabled=True, layout={"width": "110px"})
        self.nothing = w.Button(description="Assume nothing", layout=_FITS)
        self.bar, self.line = w.HTML(_bar(False)), w.HTML()
        self.message = Message()
        self.findings = Findings(self._into_stepper)
        self.space = SpacePart(self._space_of, self.assume)
        grid = w.Box(list(self.assumptions.values())).add_class("vmxsim-check-assume")
        progress = w.VBox([self.bar, self.line]).add_class("vmxsim-check-progress")
        form = w.VBox(
            [
                _row(self.which, self.host, self.cpus, self.vcpus),
                w.HTML("<h4>Assume that</h4>"),
                grid,
                _row(self.check, self.stop, self.nothing),
                progress,
                self.message,
            ]
        ).add_class("vmxsim-check-form")
        self.findings.add_class("vmxsim-check-findings")
        columns = w.Box([form, self.findings]).add_class("vmxsim-check-columns")
        self.check.on_click(lambda _: self._start())
        self.stop.on_click(lambda _: self.background.stop())
        self.which.observe(self._name_check, "value")
        self.nothing.on_click(lambda _: self.assume(()))
        super().__init__([w.HTML(f"<style>{_css()}</style>"), columns, self.space])
        self.designs_changed()

    # what is chosen

    def designs_changed(self) -> None:
        """Offer the designs that are chosen now; a result stays, with its design's name."""
        letters = ("",) if len(self._designs()) == 1 else ("A: ", "B: ")
        names = [find_design(design)._name() for design in self._designs()]
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
        name = find_design(self._designs()[self.which.value])._name()
        self.check.description, self.check.tooltip = f"Check {name}", "Explore every schedule"

    @property
    def assumed(self) -> tuple[str, ...]:
        """The assumptions that are ticked."""
        return tuple(name for name, box in self.assumptions.items() if box.value)

    def assume(self, names: Sequence[str]) -> None:
        """Tick these assumptions and no others."""
        for name, box in self.assumptions.items():
            box.value = name in names

    def _space_of(self) -> tuple[Design, str, tuple[str, ...]]:
        host = HOSTS[0] if self.host.value == "both" else self.host.value
        return self._designs()[self.which.value], host, self.assumed

    # the check

    def _start(self) -> None:
        if self.background.running:
            return
        design = find_design(self._designs()[self.which.value])
        which, host, cpus, vcpus = self.which.value, self.host.value, self.cpus.value, self.vcpus.value
        assumed = self.assumed
        self._busy(True)
        self.message.say("")  # not by guard(): the search may end, and say what was wrong, before this does
        self.line.value = _line(f"Checking {design._name()} …")

        def explore(progress: Progress, stopped: Callable[[], bool]) -> None:
            result = check(
                design, host=host, cpus=cpus, vcpus=vcpus, assume=assumed, progress=progress, stopped=stopped
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
        self.bar.value = _bar(busy)

    def _tell(self, states: int, seconds: float, what: str) -> None:
        rate = f"{states / seconds:,.0f} states a second, " if seconds else ""
        self.line.value = _line(f"{what}: {states:,} states, {rate}{seconds:.1f} s")

    def _into_stepper(self, result: CheckResult, example: Counterexample, step: int) -> Callable[[int], int]:
        return self._load(result, example, step, self._checked)


def _dropdown(label: str, options: Sequence[object], value: object) -> w.Dropdown:
    return w.Dropdown(description=label, options=options, value=value, style=_NATURAL, layout=_FITS)


def _row(*children: w.Widget) -> w.Box:
    return w.Box(children).add_class("vmxsim-check-row")


def _bar(busy: bool) -> str:
    return '<progress aria-label="Exploring every schedule"></progress>' if busy else ""


def _line(text: str) -> str:
    return f"<span>{escape(text)}</span>"


def _css() -> str:
    return theme_css(".vmxsim-check") + files("vmxsim.widgets").joinpath("check.css").read_text("utf-8")
