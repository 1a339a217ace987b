// A pane: everything about one film. The explorer has one, a comparison two.

class Pane {
  constructor(film, slots, slotOf, goToSlot, extraMarks) {
    this.film = film;
    this.picture = new Picture(film);
    this.source = new Source(film, (frame) => goToSlot(slotOf(frame)));
    this.timeline = new Timeline(film, slots, slotOf, goToSlot, extraMarks);
    this.step = make("p");
    this.notes = make("div", { class: "vp-notes" });
    this.now = make("p");
    this.dangers = make("ul", { class: "vp-dangers" });
    this.changes = make("tbody");
    const part = (title, ...children) =>
      make("section", { class: "vp-part", tabindex: "0", "aria-label": title }, make("h4", {}, title), ...children);
    this.root = make("section", { class: "vp-pane", "aria-label": `${film.title} ${film.subtitle}` },
      make("header", { class: "vp-title" }, make("h3", {}, film.title), make("p", {}, film.subtitle)),
      this.timeline.root,
      make("div", { class: "vp-stage" }, this.picture.root, this.source.root),
      make("div", { class: "vp-telling" },
        part("This step", this.step, this.notes),
        part("What is live, what is stale", this.now, this.dangers),
        part("What changed", make("table", {}, this.changes))));
  }

  show(index, slot, differing, animate) {
    const frame = this.film.frames[index];
    this.picture.show(frame, differing, animate);
    this.source.show(frame, index);
    this.timeline.show(slot);
    setText(this.step, frame.words);
    setText(this.now, frame.now);
    const sentences = (pairs, kind, mark) => pairs.map(([invariant, words]) =>
      make("p", { class: kind }, make("strong", {}, `${mark} ${invariant} `), words));
    this.notes.replaceChildren(...sentences(frame.violations, "vp-violation", "✖"),
      ...frame.notes.map((note) => make("p", { class: "vp-dim" }, note)));
    this.dangers.replaceChildren(...frame.dangers.map(([invariant, words]) =>
      make("li", {}, make("strong", {}, `${invariant}: `), words)));
    const rows = frame.changes.map(([label, before, after]) => make("tr", {},
      make("th", { scope: "row" }, label), make("td", {}, before), make("td", { "aria-hidden": "true" }, "→"),
      make("td", {}, after)));
    this.changes.replaceChildren(...(rows.length ? rows : [make("tr", {}, make("td", { class: "vp-dim" }, "nothing"))]));
  }
}
