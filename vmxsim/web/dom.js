// Helpers that build elements. Text from a film always becomes a text node, never markup. The only exception
// is the film's SVG, in which the views have escaped all text.

/** Create an element with attributes and children. A function is a listener, true an empty attribute. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const ICONS = {
  start: "M17 6l-7 6 7 6M7 6v12",
  back: "M15 6l-7 6 7 6",
  play: "M9 6l9 6-9 6z",
  pause: "M9 6v12M15 6v12",
  forward: "M9 6l7 6-7 6",
  end: "M7 6l7 6-7 6M17 6v12",
};

/** A button with one of the icons above; `label` is its name and its tooltip. */
function iconButton(icon, label, onClick) {
  const button = make("button", { type: "button", class: "vp-icon", click: onClick });
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "path"));
  button.append(svg);
  setIcon(button, icon, label);
  return button;
}

function setIcon(button, icon, label) {
  if (button.dataset.icon === icon) return;
  button.dataset.icon = icon;
  button.querySelector("path").setAttribute("d", ICONS[icon]);
  button.setAttribute("aria-label", label);
  button.title = label;
}

/** Set a text only if it differs, which avoids a new layout. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A model that keeps quiet once its kernel is gone: what cannot be sent is not. */
function calm(model) {
  const tried = (name) => (...what) => { try { model[name](...what); } catch { /* the deck says that the kernel is gone */ } };
  return Object.assign(Object.create(model), { send: tried("send"), save_changes: tried("save_changes") });
}

/** The CSS class of an owner, spelled as in vmxsim.views.style. */
const ownerClass = (owner) => "owner-" + (owner || "none").replace(/[^A-Za-z0-9]/g, "-");

const motionAllowed = () => !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
