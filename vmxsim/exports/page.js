// The page that stands alone: no kernel answers it, so a plain object stands in for the widget's model.

class PlainModel {
  constructor(traits) {
    this.traits = traits;
    this.listeners = new Map();
  }

  get(name) { return this.traits[name]; }

  set(name, value) {
    this.traits[name] = value;
    for (const listener of [...(this.listeners.get(`change:${name}`) ?? [])]) listener();
  }

  on(event, listener) {
    if (!this.listeners.has(event)) this.listeners.set(event, new Set());
    this.listeners.get(event).add(listener);
  }

  off(event, listener) { this.listeners.get(event)?.delete(listener); }

  save_changes() {} // there is nobody to save them for

  send() {}
}

/** The button that changes the colours says which ones it brings. */
function themeButton(button) {
  const root = document.documentElement;
  const preferred = window.matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : preferred.matches);
  const say = () => setText(button, dark() ? "Light colours" : "Dark colours");
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    say();
  });
  preferred.addEventListener("change", say);
  button.hidden = false;
  say();
}

const traits = JSON.parse(document.getElementById("vx-data").textContent);
themeButton(document.getElementById("vx-theme"));
render({ model: new PlainModel(traits), el: document.getElementById("vx-player") });
document.querySelector(".vmxsim-player").focus({ preventScroll: true });
