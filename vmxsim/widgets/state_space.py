"""``vmxsim.state_space``: the state space of a small design as a picture."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from itertools import count
from typing import Any

from attrs import frozen

from vmxsim.checker.states_at_rest import MOST, StateSpace, states_at_rest
from vmxsim.errors import checked, write_file
from vmxsim.kernel.kvm import Kvm
from vmxsim.views.layout import GraphvizMissing
from vmxsim.widgets.state_graph import StateDrawing, node_words, summary

#: Keeps the ids of several pictures on one page distinct.
_numbers = count(1)


def _uid() -> str:
    return f"statespace-{next(_numbers)}"


_STYLE = """<style>
.vmxsim-space{display:grid;gap:6px;line-height:1.45}
.vmxsim-space p,.vmxsim-space ol{margin:0}
.vmxsim-space .legend{font-size:.92em;opacity:.8}
.vmxsim-space .picture{overflow:auto;max-height:min(85vh,1000px)}
.vmxsim-space .picture{border:1px solid var(--jp-border-color2,#bbb)}
.vmxsim-space svg{display:block;height:auto;width:min(var(--w),max(100%,.6*var(--w)))}
.vmxsim-space:has(.full:checked) svg{width:var(--w)}
.vmxsim-space :focus-visible{outline:3px solid var(--jp-brand-color1,#0072b2);outline-offset:1px}
</style>"""


@frozen
class StateSpacePicture:
    """A state space as a picture and as text. A notebook shows both, a terminal only the text;
    ``space`` holds the states and edges as plain data."""

    space: StateSpace

    @property
    def svg(self) -> str:
        """The picture as a stand-alone SVG. Raises GraphvizMissing without Graphviz."""
        return StateDrawing(self.space).svg(_uid())

    def save(self, path: Any, overwrite: bool = False) -> None:
        """Write :attr:`svg` to a file. Raises InputError if there is one already, unless ``overwrite``."""
        write_file(path, self.svg, overwrite=overwrite)

    def html(self) -> str:
        """The picture in a scrolling frame, and the same as text."""
        states = "".join(f"<li>{escape(words)}</li>" for words in self._words())
        try:
            drawing = StateDrawing(self.space)
            name = escape(f"State space of {self.space.design}", quote=True)
            shown = (
                '<label><input type="checkbox" class="full"> full size</label>'
                f'<div class="picture" role="region" tabindex="0" aria-label="{name}"'
                f' style="--w:{drawing.width:g}px">{drawing.svg(_uid())}</div>'
            )
            words = f'<details><summary>As text</summary><ol class="words">{states}</ol></details>'
        except GraphvizMissing as error:
            shown, words = f'<p role="alert">{escape(str(error))}</p>', f'<ol class="words">{states}</ol>'
        head = f"<p><strong>{escape(self._title())}</strong>: {escape(summary(self.space))} {_LEFT_OUT}</p>"
        head += f'<p class="legend">{_LEGEND}</p>'
        return (
            f'{_STYLE}<div class="vmxsim-space" data-lm-suppress-shortcuts="true">{head}{shown}{words}</div>'
        )

    def _title(self) -> str:
        return f"{self.space.design}, {self.space.where}"

    def _words(self) -> list[str]:
        return [node_words(self.space, node) for node in self.space.nodes]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": str(self)}

    def __str__(self) -> str:
        return "\n".join([f"{self._title()}: {summary(self.space)} {_LEFT_OUT}", *self._words()])

    __repr__ = __str__


_LEGEND = (
    "Double frame: a start. Round, bold frame: in the guest. g: the guest's saved copy; true: what the guest"
    " should read. ↻: actions that change nothing. Dashed arrow to ✕: an invariant breaks."
    " Dashed frame: a read would be wrong."
)
_LEFT_OUT = "Ticks inside the kernel are not shown, nor is what only they break."


@checked
def state_space(
    design: str | type[Kvm],
    host: str = "64-bit",
    assume: str | Iterable[str] = (),
    most: int = MOST,
    gs_base_from: str | None = None,
    fsgsbase: bool | None = None,
) -> StateSpacePicture:
    """Draw a small design's states at rest and the actions that lead from one to another.

    ``design`` is an id, a commit's hash, a prefix or your own subclass; ``gs_base_from``, ``fsgsbase`` and
    ``assume`` are those of ``vmxsim.check``. Most assumptions shrink the space. Raises InputError for more
    than ``most`` states and suggests assumptions that reduce them.
    """
    return StateSpacePicture(states_at_rest(design, host, assume, most, gs_base_from, fsgsbase))
