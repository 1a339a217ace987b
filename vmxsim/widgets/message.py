"""The line in which a widget reports an error instead of a traceback."""

from __future__ import annotations

import logging
from collections.abc import Callable
from html import escape

import ipywidgets as w

from vmxsim.errors import InputError


class Answer(InputError):
    """What the user asked for does not exist, which is an answer and not an error."""


_log = logging.getLogger(__name__)

_ERROR = "--jp-error-color1,#a3230a"
_STYLE = (
    f"padding:6px 10px;border-left:4px solid var({_ERROR});"
    "line-height:1.45;overflow-wrap:anywhere;"
    "background:var(--jp-layout-color2,transparent);color:var(--jp-ui-font-color1,inherit)"
)


def _told(text: str, role: str, style: str, mark: str = "") -> str:
    lines = "<br>".join(escape(line) for line in text.splitlines())
    return f'<div role="{role}" style="{style}">{mark}{lines}</div>'


class Message(w.HTML):
    """An alert, empty while all is well. Its text is escaped."""

    def say(self, text: str) -> None:
        """Show an error; '' clears the last one."""
        self.value = _told(text, "alert", _STYLE, "<strong>✖ </strong>") if text else ""

    def note(self, text: str) -> None:
        """Show an answer that is not an error."""
        self.value = _told(
            text, "status", _STYLE.replace("--jp-error-color1,#a3230a", "--jp-brand-color1,#0072b2")
        )

    def guard(self, action: Callable[[], object]) -> None:
        """Run ``action`` and show any error it raises."""
        try:
            action()
        except Answer as answer:
            self.note(str(answer))
        except InputError as error:
            self.say(str(error))
        except Exception as error:  # a bug in vmxsim must not put a traceback into a lesson
            _log.debug("a widget's callback", exc_info=True)
            self.say(
                f"vmxsim itself failed ({type(error).__name__}: {error}); the previous state is still shown"
            )
        else:
            self.say("")
