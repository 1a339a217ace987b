"""The explorer's collapsible "Check every schedule" panel."""

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
    """The panel, empty until the button ``fold``, which stands elsewhere, opens it and, the first time,
    imports the checker.

    ``designs()`` returns the current choice of designs. ``load`` takes a result, one of its
    counterexamples, the step to show and the design's number; it returns a function from steps to
    positions in the player.
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
        self.fold.add_class("vmxsim-check-fold")
        self.message = Message()
        self.fold.on_click(lambda _: self.message.guard(self._turn))
        super().__init__([])
        self.add_class("vmxsim-check")

    @property
    def unfolded(self) -> bool:
        """Whether the panel is open."""
        return bool(self.children)

    def designs_changed(self) -> None:
        """Update the form after a new choice of designs."""
        if self.form is not None:
            self.form.designs_changed()

    def _turn(self) -> None:
        self.children = [] if self.unfolded else [self.message, self._content()]
        self.fold.description = f"▾ {_TITLE}: fold away" if self.unfolded else f"▸ {_TITLE}"

    def _content(self) -> CheckForm:
        if self.form is None:
            from vmxsim.widgets.check_form import CheckForm  # deferred: it imports the checker

            self.form = CheckForm(self._designs, self._load)
        return self.form
