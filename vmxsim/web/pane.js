// A pane shows one film. The explorer has one pane, a comparison two.

class Pane {
  /** `name` distinguishes two panes; '' for a single one. */
  constructor(film, name, slots, slotOf, goToSlot, redrawn, extraMarks, meanings) {
    this.film = film;
    this.picture = new Picture(film);
    this.source = new Source(film, (frame) => goToSlot(slotOf(frame)));
    this.timeline = new Timeline(film, slots, slotOf, goToSlot, extraMarks);
    this.step = make("p");
    this.own = make("p", { class: "vp-own" }); // in a comparison, each run counts its own steps
    this.name = name;
    this.notes = make("div", { class: "vp-notes" });
    this.now = make("p");
    this.wrong = make("div");
    this.changes = make("tbody");
    const part = (area, title, ...children) =>
      make("section", { class: `vp-part ${area}`, role: "group", tabindex: "0", "aria-label": title }, make("h4", {}, title, name && ` · ${name}`), ...children);
    this.root = make("section", { class: "vp-pane", role: "group", "aria-label": `${film.title} ${film.subtitle}` },
      make("header", { class: "vp-title" }, make("h3", {}, film.title), make("p", {}, film.subtitle), name ? this.own : ""),
      this.timeline.root,
      make("div", { class: "vp-stage" }, this.picture.root, this.source.root,
        part("step", "This step", this.step, this.notes),
        part("changed", "What changed", make("table", {}, this.changes)),
        part("now", "Live and stale", this.now),
        part("wrong", "Wrong now, or if it ran now", this.wrong)),
      this.legend(film, meanings));
  }

  legend(film, meanings) {
    const entries = film.legend.map(([kind, key, word]) => kind === "owner"
      ? make("span", { class: `vp-span ${ownerClass(key)}` }, word)
      : make("span", {}, make("strong", {}, word), `: ${meanings[key] ?? ""}`));
    if (Object.keys(film.sources ?? {}).length) {
      entries.push(make("span", {}, make("strong", {}, "– dimmed"), ": a line of C that was left out; its tooltip says why"));
    }
    return make("details", { class: "vp-legend" }, make("summary", {}, "Legend"), make("div", {}, ...entries));
  }

  /** Show frame `index`. `upTo` is the last frame that may be seen; `hides` is what a question hides. */
  show(index, slot, differing, animate, upTo, hides) {
    const frame = this.film.frames[index];
    this.picture.show(frame, differing, animate, hides);
    this.source.show(frame, index, upTo, hides.has("next"));
    this.timeline.show(slot);
    if (this.name) setText(this.own, `its own step ${index}`);
    const blind = hides.has("worth");
    setText(this.step, blind ? frame.source || frame.fn : frame.brief); // the sentence says what is foreign
    this.root.classList.toggle("blind", blind);
    setText(this.now, blind ? "Hidden until you have marked a step." : frame.now);
    this.notes.replaceChildren(...frame.notes.map((note) => make("p", { class: "vp-dim" }, note)));
    const sentences = (pairs, kind, mark) => pairs.map(([invariant, words]) =>
      make("p", { class: kind }, make("strong", {}, `${mark}${invariant} `), words));
    const wrong = [...blind ? [] : sentences(frame.violations, "vp-violation", "✖ broken: "), ...blind ? [] : sentences(frame.dangers, "vp-danger", "not wrong yet: ")];
    this.wrong.replaceChildren(...(wrong.length ? wrong : [make("p", { class: "vp-dim" }, blind ? "hidden until you have marked a step" : "nothing")]));
    const rows = frame.changes.map(([label, before, after]) => make("tr", {},
      make("th", { scope: "row" }, label), make("td", {}, before), make("td", { "aria-hidden": "true" }, "→"),
      make("td", {}, after)));
    const words = make("tr", {}, make("th", { colspan: "4" }, blind ? "" : frame.words));
    this.changes.replaceChildren(words, ...rows);
  }
}
