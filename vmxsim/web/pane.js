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

/** What is broken at a frame, then what would be if the guest or user space ran now: [kind, title, words] each. */
function wrongs(frame) {
  const broken = new Set(frame.violations.map(([invariant]) => invariant));
  return [
    ...frame.violations.map(([invariant, words]) => ["vp-violation", `✖ broken: ${invariant} `, words]),
    ...frame.dangers.filter(([invariant]) => !broken.has(invariant)).map(([invariant, words]) => ["vp-danger", `not checked yet: ${invariant} `, words]),
  ];
}

/** The longest three of what `of(frame)` makes, some texts, each as one with a line for each text: which of them is the tallest
    depends on the width. */
function longest(film, of) {
  const all = [...new Set(film.frames.map((frame) => of(frame).join("\n")))];
  const room = (text) => text.length + 45 * text.split("\n").length; // a line's end takes room, too
  return all.sort((a, b) => room(b) - room(a)).slice(0, 3);
}

const NOTHING_YET = "nothing has run yet";
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
    // a sentence has as much room as the longest one of the run needs
    const sentence = (area, title, longest, ...children) => {
      const found = part(area, title, ...children);
      found.replaceChildren(make("div", { class: "vp-said" }, ...found.childNodes),
        ...longest.map((text) => make("div", { class: "vp-room", "data-longest": `${TITLES[area]}: ${text}` })));
      return found;
    };
    const fold = (key, title, ...children) => {
      const details = make("details", { class: `vp-fold-${key}`, open: open.has(key), toggle: () => {
        if (details.open) open.add(key); else open.delete(key);
      } }, make("summary", {}, title), ...children);
      return details;
    };
    this.root = make("section", { class: "vp-pane", role: "group", "aria-label": `${film.title} ${film.subtitle}` },
      name ? make("header", { class: "vp-title" }, make("p", {}, film.subtitle), this.own) : "",
      this.timeline.root,
      this.stage = make("div", { class: "vp-stage" },
        this.right = make("div", { class: "vp-side right" }, aside ?? "", this.source.root),
        this.left = make("div", { class: "vp-side left" }, this.picture.root,
          this.said = sentence("step", "This step", longest(film, (frame) => [frame.brief, ...frame.notes]), this.step, this.notes),
          sentence("wrong", "Wrong now, or if it ran now", longest(film, (frame) => wrongs(frame).map(([, title, words]) => title + words)), this.wrong))),
      make("div", { class: "vp-folds" }, ...folds.map((more) => fold(...more)),
        fold("details", "What changed, live and stale", make("div", { class: "vp-both" },
          part("changed", "What changed", make("table", {}, this.changes)),
          part("now", "Live and stale", this.now))),
        fold("signs", "Signs", this.legend(film))));
  }

  /** The height that the longest sentence of the run needs, with its padding. */
  needs(area) {
    const part = this.root.querySelector(`.vp-part.${area}`);
    const padding = parseFloat(getComputedStyle(part).paddingTop) * 2;
    return part.offsetParent ? Math.max(...[...part.querySelectorAll(".vp-room")].map((room) => room.offsetHeight)) + padding : 0;
  }

  /** Take no more height than `room`, in pixels, has if that can be: the picture shrinks to its natural size, and the
      step's sentence moves below the source if it does not fit below the picture, or if `across` is true. */
  fit(room, across) {
    const [said, below] = ["step", "wrong"].map((area) => { const height = this.needs(area); return height && height + 6; }); // the gap above it
    const away = across || this.picture.tall + below + said > room;
    if (away !== (this.said.parentElement === this.right)) {
      if (away) this.right.append(this.said);
      else this.picture.root.after(this.said);
    }
    this.stage.style.setProperty("--vp-room", `${Math.floor(room)}px`);
    this.stage.style.setProperty("--vp-least", `${this.picture.tall + below + (away ? 0 : said)}px`);
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
    setText(this.step, blind || hides.has("next") ? frame.source || frame.fn || NOTHING_YET : frame.brief);
    this.root.classList.toggle("blind", blind);
    setText(this.now, blind ? "Hidden until you have marked a step." : frame.now);
    this.notes.replaceChildren(...frame.notes.map((note) => make("p", { class: "vp-dim" }, note)));
    // while a question is open, what is broken is named, but neither the values nor how the access goes
    const asks = hides.size > 0;
    const wrong = blind ? [] : wrongs(frame).map(([kind, title, words]) =>
      make("p", { class: kind, title: kind === "vp-danger" ? NOT_YET : "" }, make("strong", {}, title), make("span", {}, asks ? promise : words)));
    this.wrong.replaceChildren(...(wrong.length ? wrong : [make("p", { class: "vp-dim" }, blind ? "hidden until you have marked a step" : index ? "nothing is broken so far" : NOTHING_YET)]));
    const rows = frame.changes.map(([label, before, after]) => make("tr", {},
      make("th", { scope: "row" }, label), make("td", {}, before), make("td", { "aria-hidden": "true" }, "→"),
      make("td", {}, after)));
    const words = make("tr", {}, make("th", { colspan: "4" }, blind ? "" : frame.words));
    this.changes.replaceChildren(words, ...rows);
  }
}
