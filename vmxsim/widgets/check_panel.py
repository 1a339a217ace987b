"""The explorer's panel "Check every schedule": folded until it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from vmxsim.kernel.kvm import Kvm
from vmxsim.widgets.message import Message

if TYPE_CHECKING:
    from vmxsim.widgets.check_form import CheckForm


_TITLE = "Check every schedule"


class CheckPanel(w.VBox):
    """A button that opens the panel. The checker is loaded when that is done first, so that an
    explorer opens as quickly as without it.

    ``designs`` says which designs are chosen now; ``load`` takes a result, one of its
    counterexamples, the step to show and which of the designs it is of, and returns where
    in the stepper a step is.
    """

    def __init__(
        self,
        designs: Callable[[], Sequence[str | type[Kvm]]],
        load: Callable[[Any, Any, int, int], Callable[[int], int]],
    ) -> None:
        self._designs, self._load = designs, load
        self.form: CheckForm | None = None
        self.fold = w.Button(
            description=f"▸ {_TITLE}",
            tooltip="Explore every schedule of this design and say whether the invariants hold",
            layout={"width": "auto"},
        )
        self.message = Message()
        self.fold.on_click(lambda _: self.message.guard(self._turn))
        self._head = w.Box([self.fold])
        super().__init__([self._head])
        self.add_class("vmxsim-check")

    @property
    def unfolded(self) -> bool:
        """Whether the panel's content is shown."""
        return len(tuple(self.children)) > 1

    def designs_changed(self) -> None:
        """Other designs were chosen."""
        if self.form is not None:
            self.form.designs_changed()

    def _turn(self) -> None:
        self.children = [self._head] if self.unfolded else [self._head, self.message, self._content()]
        self.fold.description = f"▾ {_TITLE}: fold away" if self.unfolded else f"▸ {_TITLE}"

    def _content(self) -> CheckForm:
        if self.form is None:
            from vmxsim.widgets.check_form import CheckForm

            self.form = CheckForm(self._designs, self._load)
        return self.form
