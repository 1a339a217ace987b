"""A line that a screen reader says and nobody sees: what has just changed."""

from __future__ import annotations

import anywidget
import traitlets

_ESM = """
export default { render({ model, el }) {
  const line = document.createElement("div");
  line.setAttribute("role", "status");
  line.setAttribute("aria-live", "polite");
  line.className = "vmxsim-said";
  el.append(line);
  const say = () => { line.textContent = model.get("said"); };
  model.on("change:said", say);
  say();
  return () => model.off("change:said", say);
} };
"""

_CSS = """
.vmxsim-said {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
}
"""


class Announcer(anywidget.AnyWidget):
    """Stays where it is and changes its text: replaced elements are often not announced."""

    _esm = _ESM
    _css = _CSS

    said = traitlets.Unicode("").tag(sync=True)

    def say(self, text: str) -> None:
        """Have it said; the same text twice in a row is said twice."""
        self.said = f"{text}\u00a0" if text == self.said else text
