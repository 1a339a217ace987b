// The stage: what a deck adds for an audience. Full screen, words on or off, and a forward key that goes from one
// telling step to the next; the down arrow still goes line by line.

class Stage {
  constructor(model, root) {
    this.model = model;
    this.root = root;
    this.on = Boolean(model.get("presenting"));
    root.classList.toggle("presenting", this.on);
    this.full = make("button", { type: "button", class: "vp-full", click: () => this.toggleFull() }, "Full screen (F)");
    this.words = make("button", { type: "button", class: "vp-words", click: () => this.toggleWords() }, "Words (W)");
    const keys = make("span", { class: "vp-keys" }, "→ next · ↓ line · 1–9 answer · R reveal");
    this.controls = this.on ? [keys, this.words, this.full] : [];
    root.addEventListener("fullscreenchange", () => {
      setText(this.full, this.isFull() ? "Leave full screen (F)" : "Full screen (F)");
      root.focus({ preventScroll: true });
    });
    this.paint();
  }

  /** The slots where the forward key stops; null unless presenting. */
  stops(slotOf, last) {
    if (!this.on) return null;
    const slots = (this.model.get("stops") ?? []).flatMap((frames, which) => frames.map((frame) => slotOf(frame, which)));
    return new Set([0, ...slots, last]);
  }

  isFull() { return document.fullscreenElement === this.root; }

  toggleFull() {
    if (this.isFull()) document.exitFullscreen();
    else this.root.requestFullscreen?.().catch(() => setText(this.full, "Full screen is not allowed here"));
  }

  toggleWords() {
    this.model.set("words", !this.model.get("words"));
    this.model.save_changes();
    this.paint();
  }

  paint() {
    const words = this.model.get("words") !== false;
    this.root.classList.toggle("wordless", this.on && !words);
    this.words.setAttribute("aria-pressed", String(words));
  }

  /** Handle a key: returns where to go, `true` if nothing is left to do, or undefined for other keys. */
  key(event) {
    if (!this.on) return undefined;
    const keys = {
      " ": "forward", Enter: "forward", PageDown: "forward", n: "forward", PageUp: "back", ArrowDown: "line forward", ArrowUp: "line back",
    };
    if (event.target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter")) return undefined;
    if (event.key in keys) return keys[event.key];
    if (event.key.toLowerCase() === "w") this.toggleWords();
    else if (event.key.toLowerCase() === "f") this.toggleFull();
    else return undefined;
    return true;
  }
}
