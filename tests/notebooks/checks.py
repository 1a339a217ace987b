"""What must be true of a notebook that has run, whoever ran it."""

from __future__ import annotations

from typing import Any

#: The longest wait for a notebook, in seconds: generous, for tests share the machine with a browser.
SECONDS = 90


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def nothing_on_standard_error(notebook: Any) -> None:
    told = [o for o in outputs(notebook) if o.output_type == "stream" and o.name == "stderr"]
    assert not told
    assert not [o for o in outputs(notebook) if o.output_type == "error"]


def every_figure_has_words(notebook: Any) -> None:
    """A picture is an image with a title and a description; a widget carries its words."""
    for output in outputs(notebook):
        markup = output.get("data", {}).get("text/html", "") + output.get("data", {}).get("image/svg+xml", "")
        for svg in "".join(markup).split("<svg")[1:]:
            assert 'role="img"' in svg.split(">")[0]
            assert "<title" in svg
            assert "<desc" in svg
