"""From a key press to the changed picture, drawn, in real JupyterLab (target 20 ms median)."""

from __future__ import annotations

from in_browser import measure

_MEASURE = """async () => {
  const player = document.querySelector('.vmxsim-player');
  const key = (name) => player.dispatchEvent(new KeyboardEvent('keydown', { key: name, bubbles: true }));
  const taken = [];
  for (let i = 0; i < 60; i++) {
    if (i % 15 === 0) key('Home');  // the quiet steps are skipped: there are about twenty others
    await new Promise((resolve) => setTimeout(resolve, 50));
    const before = player.dataset.step, start = performance.now();
    key('ArrowRight');
    if (player.dataset.step === before) throw new Error('the step did not change');
    // the next frame is about to be drawn; a message after it comes when it has been
    await new Promise((resolve) => requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = resolve;
      channel.port2.postMessage(0);
    }));
    taken.push(performance.now() - start);
  }
  return taken;
}"""


if __name__ == "__main__":
    measure("step to changed picture", _MEASURE, 20)
