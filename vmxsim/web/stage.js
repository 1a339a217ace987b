// The stage: what a deck adds for an audience. Full screen, words on or off, and a forward key that goes from one
// telling step to the next; the down arrow still goes line by line. A countdown for votes, and the presenter's notes
// in a window of their own, which stays on the presenter's screen.

/** Seconds for a question if nothing else is said. */
const COUNTDOWN = 60;

class Stage {
  constructor(model, root) {
    this.model = model;
    this.root = root;
    this.on = Boolean(model.get("presenting"));
    root.classList.toggle("presenting", this.on);
    this.full = make("button", { type: "button", class: "vp-full", click: () => this.toggleFull() }, "Full screen (F)");
    this.words = make("button", { type: "button", class: "vp-words", click: () => this.toggleWords() }, "Words (W)");
    this.clock = make("button", { type: "button", class: "vp-clock", click: () => this.toggleClock() });
    this.paper = make("button", { type: "button", class: "vp-paper", click: () => this.toggleNotes() }, "Notes (P)");
    const keys = make("span", { class: "vp-keys" }, "→ next · ↓ line · 1–9 answer · V votes · R reveal");
    this.controls = this.on ? [keys, this.clock, this.paper, this.words, this.full] : [];
    this.paintClock();
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

  // -- the countdown

  toggleClock() {
    if (this.ticking) this.stopClock();
    else {
      this.ends = Date.now() + 1000 * (this.model.get("countdown") || COUNTDOWN);
      this.ticking = setInterval(() => this.paintClock(), 250);
      this.paintClock();
    }
  }

  stopClock() {
    clearInterval(this.ticking);
    this.ticking = this.ends = null;
    this.paintClock();
  }

  paintClock() {
    const left = this.ends ? Math.max(0, Math.ceil((this.ends - Date.now()) / 1000)) : this.model.get("countdown") || COUNTDOWN;
    const time = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    setText(this.clock, this.ends && !left ? "Time is up (T)" : `${time} (T)`);
    this.clock.setAttribute("aria-label", this.ends ? `Countdown: ${left} seconds left. Press to stop it` : `Start a countdown of ${left} seconds`);
    this.clock.classList.toggle("runs", Boolean(this.ends));
    this.clock.classList.toggle("up", Boolean(this.ends) && !left);
    if (!left) clearInterval(this.ticking);
  }

  // -- the presenter's notes

  toggleNotes() {
    if (this.sheet && !this.sheet.closed) { this.sheet.close(); this.sheet = null; return; }
    this.sheet = window.open("", "vmxsim-notes", "width=620,height=760");
    if (!this.sheet) { setText(this.paper, "Notes: the browser blocks the window"); return; }
    this.sheet.document.title = "Notes · vmxsim";
    const style = make("style", {}, "body { font: 17px/1.5 system-ui, sans-serif; margin: 1.2em; color-scheme: light dark } h2 { font-size: 1em; margin: 1.2em 0 0.2em } p { margin: 0.2em 0 }");
    this.sheet.document.head.replaceChildren(style);
    this.writeNotes();
    this.root.focus({ preventScroll: true });
  }

  /** `tell()` gives the notes on what the deck shows, as [heading, paragraphs]; asked only while they are open. */
  show(tell) {
    this.tell = tell;
    this.writeNotes();
  }

  writeNotes() {
    if (!this.sheet || this.sheet.closed || !this.tell) return;
    const parts = this.tell().filter(([, texts]) => texts.length);
    this.sheet.document.body.replaceChildren(...parts.flatMap(([title, texts]) =>
      [make("h2", {}, title), ...texts.map((text) => make("p", {}, text))]));
  }

  /** The film or the page is gone: nothing runs on. */
  close() {
    this.stopClock();
    this.sheet?.close();
    this.sheet = null;
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
    else if (event.key.toLowerCase() === "t") this.toggleClock();
    else if (event.key.toLowerCase() === "p") this.toggleNotes();
    else if (event.key === "]" || event.key === "[") this.model.send({ kind: "slide", by: event.key === "]" ? 1 : -1 });
    else return undefined;
    return true;
  }
}
