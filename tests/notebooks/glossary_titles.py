"""``python -m tests.notebooks.glossary_titles``: links to the glossary show what their entry means on hover.

The title of a link is the first sentence of the entry, without markup.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "notebooks"
#: A link to an entry: its text, the entry's anchor, the title if it has one.
LINK = re.compile(r"\[([^\]]+)\]\(glossary\.ipynb#([^)\s]+)(?: \"([^\"]*)\")?\)")


def meanings() -> dict[str, str]:
    """The first sentence of each entry, by anchor."""
    found = {}
    for cell in json.loads((FOLDER / "glossary.ipynb").read_text("utf-8"))["cells"][1:]:
        heading, _, text = "".join(cell["source"]).partition("\n\n")
        found[heading.removeprefix("### ").replace(" ", "-")] = _plain(text)
    return found


def _plain(text: str) -> str:
    """The first sentence of a markdown text, as words only."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text.split("\n\n")[0])
    text = " ".join(re.sub(r"[*`]", "", text).split()).replace('"', "'")
    return re.split(r"(?<=[.?!]) (?=[A-Z])", text)[0]


def titled(source: str, known: dict[str, str]) -> str:
    """A cell's text, its links to known entries with their titles."""
    return LINK.sub(
        lambda m: f'[{m[1]}](glossary.ipynb#{m[2]} "{known[m[2]]}")' if m[2] in known else m[0], source
    )


def main() -> None:
    """Write the titles into every notebook but the glossary."""
    known = meanings()
    for path in sorted(FOLDER.glob("*.ipynb")):
        book: dict[str, Any] = json.loads(path.read_text("utf-8"))
        for cell in book["cells"]:
            if cell["cell_type"] == "markdown" and path.name != "glossary.ipynb":
                cell["source"] = titled("".join(cell["source"]), known).splitlines(True)
        path.write_text(json.dumps(book, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
