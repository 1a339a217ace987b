"""From a toggle to the first picture of the new run, in real JupyterLab (target 100 ms median)."""

from __future__ import annotations

from in_browser import measure

TOGGLE = """async () => {
  const box = [...document.querySelectorAll('.vmxsim-explorer .widget-checkbox input')][0];
  const panes = document.querySelector('.vmxsim-explorer .vp-panes');
  const taken = [];
  for (let i = 0; i < 21; i++) {
    await new Promise((resolve) => setTimeout(resolve, 400));
    const start = performance.now();
    await new Promise((resolve) => {
      const watch = new MutationObserver(() => {
        watch.disconnect();
        requestAnimationFrame(() => setTimeout(resolve));
      });
      watch.observe(panes, { childList: true });
      box.click();
    });
    taken.push(performance.now() - start);
  }
  return taken;
}"""


if __name__ == "__main__":
    measure("toggle to first new picture", TOGGLE, 100)
