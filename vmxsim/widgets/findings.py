"""A check's result in the panel: the verdict, a choice of counterexamples, and the way into the stepper."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import ipywidgets as w

from vmxsim.checker.result import CheckResult, Counterexample
from vmxsim.errors import InputError
from vmxsim.widgets.check_result import counterexample_html, steps_words, telling_steps, verdict_html
from vmxsim.widgets.message import Message

_NOTHING_YET = (
    '<p class="dim">No check has run yet. <em>Check</em> explores every schedule of the design chosen above'
    " and says whether each invariant holds; a design that breaks one is shown with the shortest schedule"
    " that does it.</p>"
)

#: Shows a counterexample of the result in the stepper, from a step of its run on; says for each step
#: where in the stepper it is.
Load = Callable[[CheckResult, Counterexample, int], Callable[[int], int]]


class Findings(w.VBox):
    """What :meth:`show` was given last."""

    def __init__(self, load: Load) -> None:
        self.result: CheckResult | None = None
        self._load = load
        self._examples: list[Counterexample] = []
        self.verdict = w.HTML(_NOTHING_YET)
        self.choice = w.Dropdown(
            description="Counterexample",
            style={"description_width": "initial"},
            layout={"width": "auto", "max_width": "calc(100% - 4px)"},
        )
        self.button = w.Button(
            description="Load into the stepper",
            tooltip="Run this schedule in the stepper below, at the step that goes wrong",
            button_style="primary",
            layout={"width": "auto"},
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
        labels = [f"{host.host} host: {c.invariant}, {c.actions} actions" for host, c in found]
        self.choice.options = [(label, n) for n, label in enumerate(labels)]
        self.choice.value = 0 if found else None
        self.result = result
        self.verdict.value = verdict_html(result)
        self._choose()
        self.counterexample.layout.display = None if found else "none"

    @property
    def chosen(self) -> Counterexample | None:
        """The counterexample that the reader sees."""
        return None if self.choice.value is None else self._examples[self.choice.value]

    def _choose(self, _change: object = None) -> None:
        if self.result is None:  # the options are being made
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
            raise InputError(f"there is no run to step through, the design fails: {example.failure}")
        lost, breaks = telling_steps(example)
        shown_at = self._load(result, example, lost)
        words = steps_words(example, shown_at(lost), shown_at(breaks))
        self.loaded.value = f'<p role="status">The stepper below shows it: {escape(words)}.</p>'
