// The picture: an SVG, laid out once, in which a frame changes only texts and classes. `film.since` says from which
// frame on a part is seen; what it does not name, as in a picture with room for more, is not. One unit of the SVG is a pixel,
// and its smallest text has 11: it may be enlarged.

class Picture {
  constructor(film) {
    this.film = film;
    this.index = new Map(film.frames.map((frame, index) => [frame, index]));
    this.root = make("div", { class: "vp-picture", role: "group", tabindex: "0", "aria-label": "Picture" }); // scrolls where it is narrow
    this.words = new Map([["owner:", film.nothing], ...film.legend.map(([kind, key, word]) => [`${kind}:${key}`, word])]);
    this.root.innerHTML = film.svg;
    const box = this.root.querySelector("svg")?.viewBox.baseVal;
    this.tall = box?.height ?? 0;
    this.ratio = box ? box.height / box.width : 0;
    this.root.style.setProperty("--vp-natural", `${box?.width ?? 0}px`);
    const byData = (name) =>
      new Map([...this.root.querySelectorAll(`[data-${name}]`)].map((e) => [e.dataset[name], e]));
    this.cells = byData("place");
    this.facts = byData("fact");
    this.moves = byData("move");
    this.boxes = byData("box");
    const rows = [...this.facts].map(([key, fact]) => [key, fact.closest(".fact")]);
    this.parts = film.missing ? [] : [...this.boxes, ...this.cells, ...rows].filter(([, part]) => part)
      .map(([key, part]) => [part, film.since[key] ?? Infinity]);
    this.shown = new Map();
    this.labels = new Map([...this.cells].map(([place, cell]) => {
      const [label, box] = [cell.querySelector(".cell-label"), cell.closest("[data-box]")?.querySelector(".box-title")];
      return [place, label && box ? `${label.textContent} (${box.textContent})` : place];
    }));
  }

  /** Take the space of a picture with this ratio of height to width that is `tall` by nature. */
  shape(ratio, tall) {
    if (!this.ratio) return;
    this.root.querySelector("svg").style.aspectRatio = `1 / ${ratio}`;
    this.root.style.setProperty("--vp-ratio", ratio);
    this.root.style.setProperty("--vp-natural-tall", `${tall}px`);
  }

  /** Show `frame`. `differing` are places where the other design differs, `hides` are facts to
      hide, and `worth`: what each place is worth. */
  show(frame, differing, animate, hides) {
    const [changed, index] = [new Set(frame.changed), this.index.get(frame)];
    for (const [part, since] of this.parts) part.classList.toggle("later", index < since);
    for (const [place, cell] of this.cells) {
      const [value, owner, worth] = frame.cells[place];
      const status = hides.has("worth") ? "hidden" : worth;
      const state = `${value} ${owner} ${status}`;
      if (this.shown.get(place) !== state) {
        this.shown.set(place, state);
        const part = (name) => cell.querySelector(`.cell-${name}`);
        setText(part("value"), value);
        setText(part("owner"), this.words.get(`owner:${owner}`) ?? "");
        setText(part("status"), this.words.get(`status:${status}`) ?? "");
        for (const name of [...cell.classList]) if (/^(owner|status)-/.test(name)) cell.classList.remove(name);
        cell.classList.add(ownerClass(owner), `status-${status}`);
      }
      cell.classList.toggle("changed", changed.has(place));
      cell.classList.toggle("differs", differing.has(place));
      if (animate && changed.has(place)) cell.animate([{ opacity: 0.25 }, { opacity: 1 }], 160);
    }
    const hidden = (name) => hides.has(name) || (hides.has("true value") && name.endsWith(".true value"));
    for (const [name, fact] of this.facts) if (name in frame.facts) setText(fact, hidden(name) ? "?" : frame.facts[name]);
    const moving = new Map(frame.moves);
    for (const [key, move] of this.moves) {
      move.classList.toggle("on", moving.has(key));
      if (!moving.has(key)) continue;
      const text = move.querySelector(".move-text");
      if (text) setText(text, moving.get(key));
      if (animate) move.animate([{ opacity: 0 }, { opacity: 1 }], 180);
    }
    for (const [id, box] of this.boxes) box.classList.toggle("here", id === `cpu${frame.cpu}` || id === frame.thread);
  }
}
