"""What an exercise says of an answer that was typed into its form: it is judged, and not handed in."""

from __future__ import annotations

from html import escape

NOT_YET = 'Not handed in yet: copy it into the cell "Your answer".'


def handing_in(cell: str) -> str:
    """The reminder as HTML, with the text of the ``cell`` to copy: a click selects all of it."""
    label = "The text for the cell Your answer"
    return (
        f'<p class="not-yet"><b>{escape(NOT_YET)}</b> A click on the text selects it.</p>'
        f'<pre class="to-copy" tabindex="0" role="region" aria-label="{label}">{escape(cell.rstrip())}</pre>'
    )
