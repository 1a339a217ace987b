// A pane shows one film. The explorer has one pane, a comparison two. The picture and the source stand side by side,
// the step's sentence below them; the rest is folded away.

/** The class of a sign that is no drawing, by its group and kind. */
const SIGN_LOOKS = {
  place: () => "vp-place",
  timeline: (kind) => (kind === "veil" ? "vp-hatched" : kind.startsWith("mode-") ? `vp-span ${kind}` : `vp-badge ${kind}`),
  source: () => "vp-arrow",
};

/** What stands before the sentences that are always shown; their labels say more. */
const TITLES = { step: "This step", wrong: "Verdict" };

const NOT_YET = "If the guest or user space ran at this moment, it would find this. It is a mistake only if nothing puts it right before they run.";

class Pane {
  /** `name` distinguishes two panes; '' for a single one. `aside` stands beside the picture, below the source.
      `folds` are [key, title, element] of further folds, `open` holds the names of the folds that the reader has opened. */
  constructor(film, name, slots, slotOf, goToSlot, extraMarks, { aside, folds, open }) {
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
      make("section", { class: `vp-part ${area}`, role: "group", tabindex: "0", "aria-label": title },
        make("h4", {}, TITLES[area] ?? title, make("span", { class: "vp-hidden" }, name && ` · ${name}`)), ...children);
    const fold = (key, title, ...children) => {
      const details = make("details", { class: `vp-fold-${key}`, open: open.has(key), toggle: () => {
        if (details.open) open.add(key); else open.delete(key);
      } }, make("summary", {}, title), ...children);
      return details;
    };
    this.root = make("section", { class: "vp-pane", role: "group", "aria-label": `${film.title} ${film.subtitle}` },
      name ? make("header", { class: "vp-title" }, make("p", {}, film.subtitle), this.own) : "",
      this.timeline.root,
      make("div", { class: "vp-stage" }, aside ?? "", this.picture.root, this.source.root,
        part("step", "This step", this.step, this.notes),
        part("wrong", "Wrong now, or if it ran now", this.wrong)),
      make("div", { class: "vp-folds" }, ...folds.map((more) => fold(...more)),
        fold("details", "What changed, live and stale", make("div", { class: "vp-both" },
          part("changed", "What changed", make("table", {}, this.changes)),
          part("now", "Live and stale", this.now))),
        fold("signs", "Signs", this.legend(film))));
  }

  /** The owners, then every sign of picture, timeline and source as `film.signs` has them. */
  legend(film) {
    const owners = film.legend.filter(([kind]) => kind === "owner")
      .map(([, key, word]) => make("span", { class: `vp-span ${ownerClass(key)}` }, word));
    const signs = film.signs.map(({ group, kind, sign, name, words, svg }) => {
      const drawn = make("span", { class: svg ? "vp-drawn" : SIGN_LOOKS[group](kind), "aria-hidden": "true" }, svg ? "" : sign);
      if (svg) drawn.innerHTML = svg; // the views' own, without any text from outside
      return make("span", {}, drawn, name && make("strong", {}, ` ${name}`), `${name && ":"} ${words}`);
    });
    signs.push(make("span", {}, make("strong", {}, "not checked yet"), `: ${NOT_YET[0].toLowerCase()}${NOT_YET.slice(1, -1)}`));
    if (Object.keys(film.sources ?? {}).length) {
      signs.push(make("span", {}, make("strong", {}, "– dimmed"), ": a line of C that was left out; its tooltip says why"));
    }
    return make("div", { class: "vp-signs" }, ...owners, ...signs);
  }

  /** Show frame `index`. `upTo` is the last frame that may be seen; `hides` is what a question hides,
      `promise` stands in place of words that wait for its answer. */
  show(index, slot, differing, animate, upTo, hides, promise) {
    const frame = this.film.frames[index];
    // a true value that this very step sets is in its sentence anyway
    const before = this.film.frames[index - 1]?.facts;
    const told = before && Object.keys(frame.facts).some((name) => name.endsWith(".true value") && frame.facts[name] !== before[name]);
    this.picture.show(frame, differing, animate, told ? new Set([...hides].filter((name) => name !== "true value")) : hides);
    this.source.show(frame, index, upTo, hides.has("next"));
    this.timeline.show(slot);
    if (this.name) setText(this.own, `its own step ${index}`);
    const blind = hides.has("worth");
    // the sentence says what is foreign, and which line runs next
    setText(this.step, blind || hides.has("next") ? frame.source || frame.fn : frame.brief);
    this.root.classList.toggle("blind", blind);
    setText(this.now, blind ? "Hidden until you have marked a step." : frame.now);
    this.notes.replaceChildren(...frame.notes.map((note) => make("p", { class: "vp-dim" }, note)));
    // while a question is open, what is broken is named, but neither the values nor how the access goes
    const asks = hides.size > 0;
    const sentences = (pairs, kind, mark) => pairs.map(([invariant, words]) =>
      make("p", { class: kind, title: kind === "vp-danger" ? NOT_YET : "" }, make("strong", {}, `${mark}${invariant} `), make("span", {}, asks ? promise : words)));
    const broken = new Set(frame.violations.map(([invariant]) => invariant));
    const dangers = frame.dangers.filter(([invariant]) => !broken.has(invariant));
    const wrong = blind ? [] : [...sentences(frame.violations, "vp-violation", "✖ broken: "), ...sentences(dangers, "vp-danger", "not checked yet: ")];
    this.wrong.replaceChildren(...(wrong.length ? wrong : [make("p", { class: "vp-dim" }, blind ? "hidden until you have marked a step" : "nothing is wrong")]));
    const rows = frame.changes.map(([label, before, after]) => make("tr", {},
      make("th", { scope: "row" }, label), make("td", {}, before), make("td", { "aria-hidden": "true" }, "→"),
      make("td", {}, after)));
    const words = make("tr", {}, make("th", { colspan: "4" }, blind ? "" : frame.words));
    this.changes.replaceChildren(words, ...rows);
  }
}
