"""Where a widget says what is wrong: no traceback, nothing lost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from html import escape

import ipywidgets as w

from vmxsim.errors import InputError

_log = logging.getLogger(__name__)

_STYLE = (
    "padding:6px 10px;border-left:4px solid var(--jp-error-color1,#a3230a);"
    "line-height:1.45;overflow-wrap:anywhere;"
    "background:var(--jp-layout-color2,transparent);color:var(--jp-ui-font-color1,inherit)"
)


class Message(w.HTML):
    """An alert; empty while nothing is wrong. What it says is text, never markup."""

    def say(self, text: str) -> None:
        """Show a message; '' takes the last one away."""
        lines = "<br>".join(escape(line) for line in text.splitlines())
        self.value = f'<div role="alert" style="{_STYLE}"><strong>✖ </strong>{lines}</div>' if text else ""

    def guard(self, action: Callable[[], object]) -> None:
        """Do what the reader asked for; say what was wrong with it, if anything was."""
        try:
            action()
        except InputError as error:
            self.say(str(error))
        except Exception as error:  # a defect of ours must not end as a traceback in someone's lesson
            _log.debug("a widget's callback", exc_info=True)
            self.say(f"vmxsim itself failed ({type(error).__name__}: {error}); what was shown before stays")
        else:
            self.say("")
