"""The line in which a widget reports an error instead of a traceback."""

from __future__ import annotations

import logging
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as w

from vmxsim.errors import InputError
from vmxsim.progress import shown_by


class Answer(InputError):
    """What the user asked for does not exist, which is an answer and not an error."""


_log = logging.getLogger(__name__)

#: JupyterLab says "model not found" of a widget without a kernel; the first of these then takes its place.
_AGAIN = """\
<style>
.jp-OutputArea-child:has(.vmxsim-again){display:none}
.jp-OutputArea-child:has(.vmxsim-again):has(+.jp-OutputArea-child>.jp-OutputArea-output.jupyter-widgets){display:flex}
.jp-OutputArea-child:has(.vmxsim-again)+.jp-OutputArea-child>.jp-OutputArea-output.jupyter-widgets{display:none}
</style>
<p class="vmxsim-again">What stood here needs a running kernel. Run this cell again to see it.</p>"""


class Again:
    """A widget that says, where there is no kernel for it, what it showed and to run its cell again. Its
    ``repr`` is what it showed, in words."""

    def _ipython_display_(self) -> None:
        from IPython.display import publish_display_data as show

        show({"text/html": _AGAIN, "text/plain": ""})  # type: ignore[no-untyped-call]
        data, metadata = self._repr_mimebundle_()
        show(data, metadata)  # type: ignore[no-untyped-call]

    def _repr_mimebundle_(self, **how: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        shown: Any = super()._repr_mimebundle_(**how)  # type: ignore[misc]
        data, metadata = shown if isinstance(shown, tuple) else (shown, {})
        return {**data, "text/plain": f"{self!r}\nTo see it, run this cell in Jupyter."}, metadata


_STYLE = (
    "padding:6px 10px;line-height:1.45;overflow-wrap:anywhere;"
    "background:var(--jp-layout-color2,transparent);color:var(--jp-ui-font-color1,inherit)"
)


class Message(w.HTML):
    """An alert, empty while all is well. Its ``text`` is escaped."""

    text = ""

    def say(self, text: str) -> None:
        """Show an error; '' clears the last one."""
        self._show(text, "alert", "--jp-error-color1,#a3230a", "<strong>✖ </strong>")

    def note(self, text: str) -> None:
        """Show an answer that is not an error."""
        self._show(text, "status", "--jp-brand-color1,#0072b2")

    def _show(self, text: str, role: str, color: str, mark: str = "") -> None:
        self.text = text
        lines = "<br>".join(escape(line) for line in text.splitlines())
        style = f"border-left:4px solid var({color});{_STYLE}"
        self.value = f'<div role="{role}" style="{style}">{mark}{lines}</div>' if text else ""

    def report(self, error: InputError) -> None:
        """Show an error, or an answer as what it is."""
        (self.note if isinstance(error, Answer) else self.say)(str(error))

    def guard(self, action: Callable[[], object]) -> None:
        """Run ``action``, meanwhile show how far it has come, and then any error it raises."""
        try:
            with shown_by(self.note):
                action()
        except InputError as error:
            self.report(error)
        except Exception as error:  # a bug in vmxsim must not put a traceback into a lesson
            _log.debug("a widget's callback", exc_info=True)
            self.say(
                f"vmxsim itself failed ({type(error).__name__}: {error}); the previous state is still shown"
            )
        else:
            self.say("")
