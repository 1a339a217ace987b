// The source: the current function, the line that ran, the line that runs next, and the call stack. A recording
// has no source, so the events around the current one are shown instead.

const KEYWORDS = /(#.*$)|("[^"]*"|'[^']*')|\b(def|if|else|elif|while|return|not|and|or|is|None|True|False|pass)\b|\b(rdmsr|wrmsr|swapgs|load_gs_index|preempt_disable|preempt_enable)\b/g;
const TOKEN_CLASSES = ["comment", "string", "keyword", "primitive"];

/** A line of Python as text nodes and spans. */
function highlighted(text) {
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(KEYWORDS)) {
    const kind = TOKEN_CLASSES.find((_, group) => match[group + 1] !== undefined);
    parts.push(text.slice(from, match.index), make("span", { class: `vp-${kind}` }, match[0]));
    from = match.index + match[0].length;
  }
  return [...parts, text.slice(from)];
}

class Source {
  /** `goTo(frame)` is called when the reader picks a line. */
  constructor(film, goTo) {
    this.film = film;
    this.goTo = goTo;
    this.stack = make("div", { class: "vp-stack", role: "group", "aria-label": "Call stack, outermost first" });
    this.listing = make("div", {
      class: "vp-listing", tabindex: "0", role: "listbox", keydown: (event) => this.onKey(event),
      "aria-label": "Source. Up and down choose a line, Enter goes to the next step that runs it.",
      click: (event) => this.pick(event.target.closest("[data-line]")),
    });
    this.root = make("section", { class: "vp-source", role: "group", "aria-label": "Source" }, this.stack, this.listing);
    this.lines = new Map();
    this.runs = new Map();
    // rows have no position until the widget is on the page, and move when its width changes
    this.watch = new ResizeObserver(() => this.settle());
    this.watch.observe(this.listing);
    film.frames.forEach((frame, index) => {
      const key = `${frame.fn}:${frame.line}`;
      if (!this.runs.has(key)) this.runs.set(key, []);
      this.runs.get(key).push(index);
    });
  }

  /** Show `frame`, number `index`. `upTo` is the last frame that may be seen; `hideNext` hides the next line. */
  show(shown, index, upTo, hideNext) {
    const frame = hideNext ? { ...shown, next: null } : shown;
    this.index = index;
    if (this.upTo !== upTo) this.fn = null; // other lines can be selected now
    this.upTo = upTo;
    this.cursor?.classList.remove("cursor");
    this.cursor = null;
    const known = (fn) => this.film.listings[fn]?.length > 0;
    const fn = known(frame.fn) ? frame.fn : frame.next && known(frame.next[0]) ? frame.next[0] : "";
    const stack = frame.stack.length ? frame.stack : frame.next ? [frame.next] : [];
    this.showStack(stack, fn);
    if (fn) this.showFunction(fn, frame);
    else this.showEvents(index);
  }

  showStack(stack, fn) {
    const key = JSON.stringify([stack, fn]);
    if (this.stackKey === key) return;
    this.stackKey = key;
    this.stack.replaceChildren(...stack.flatMap(([name, line], depth) => {
      const label = line ? `${name}:${line}` : name;
      const level = this.film.listings[name]?.length
        ? make("button", { type: "button", click: () => this.peek(name, line), title: `Show ${name}` }, label)
        : make("span", {}, label);
      if (depth === stack.length - 1) level.setAttribute("aria-current", "true");
      return depth ? ["› ", level] : [level];
    }));
    if (!stack.length) this.stack.append(make("span", { class: "vp-dim" }, "not in the kernel"));
    this.settleSoon();
  }

  /** Show a caller of the current function with its call marked, until the next step. */
  peek(fn, line) {
    this.fill(fn);
    this.mark(this.lines.get(line), "ran");
  }

  showFunction(fn, frame) {
    this.fill(fn);
    const next = frame.next && frame.next[0] === fn ? this.lines.get(frame.next[1]) : null;
    this.mark(next, "next");
    this.mark(frame.fn === fn ? this.lines.get(frame.line) : null, "ran");
  }

  fill(fn) {
    if (this.fn !== fn) {
      this.fn = fn;
      this.lines = new Map();
      const rows = this.film.listings[fn].map((text, i) => this.row(i + 1, text, this.runs.get(`${fn}:${i + 1}`)?.[0] <= this.upTo));
      this.listing.replaceChildren(...rows);
    }
    this.mark(null, "ran");
    this.mark(null, "next");
  }

  /** The events of a recording around the current one. */
  showEvents(index) {
    this.fn = null;
    this.lines = new Map();
    const from = Math.max(1, index - 12);
    const around = this.film.frames.slice(from, Math.min(index + 13, this.upTo + 1));
    this.listing.replaceChildren(...around.map((frame, i) =>
      this.row(from + i, frame.source || frame.words, true, from + i)));
    this.mark(null, "next");
    this.mark(this.lines.get(index), "ran");
  }

  row(number, text, reached, frame = "") {
    const indent = text.search(/\S|$/);
    const hang = `padding-left:${indent + 4}ch;text-indent:-4ch`; // a hanging indent for long lines
    const row = make("div", {
      class: "vp-line", role: "option", "data-line": reached && number, "data-frame": frame,
      "aria-selected": "false", title: reached && "Go to the next step that runs this line",
    }, make("span", { class: "vp-mark", "aria-hidden": "true" }), make("span", { class: "vp-number" }, String(number)),
      make("code", { style: hang }, ...highlighted(text.trim())));
    this.lines.set(number, row);
    return row;
  }

  mark(row, kind) {
    const name = `marked-${kind}`;
    if (this[name] === row && row) return;
    this[name]?.classList.remove(kind);
    this[name]?.setAttribute("aria-selected", "false");
    this[name] = row;
    if (!row) return;
    row.classList.add(kind);
    if (kind === "ran") row.setAttribute("aria-selected", "true");
    this.settleSoon();
  }

  /** Scroll once for all that changes before the page is painted: each look at a position costs a layout. */
  settleSoon() { this.settling ??= requestAnimationFrame(() => this.settle()); }

  settle() {
    this.settling = null;
    this.reveal(this["marked-next"]);
    this.reveal(this["marked-ran"]);
    this.stack.scrollLeft = this.stack.scrollWidth;
  }

  /** Scroll the listing, never the page. */
  reveal(row) {
    if (!row) return;
    const top = row.offsetTop - this.listing.clientHeight / 2;
    if (row.offsetTop < this.listing.scrollTop + 20
        || row.offsetTop + row.offsetHeight > this.listing.scrollTop + this.listing.clientHeight - 20) {
      this.listing.scrollTop = top;
    }
  }

  pick(row) {
    if (!row) return;
    if (row.dataset.frame) return this.goTo(Number(row.dataset.frame));
    const steps = this.runs.get(`${this.fn}:${row.dataset.line}`);
    this.goTo(steps.find((step) => step > this.index) ?? steps[0]);
  }

  onKey(event) {
    const rows = [...this.listing.querySelectorAll("[data-line]")];
    if (event.key === "Enter" && this.cursor) this.pick(this.cursor);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const at = rows.indexOf(this.cursor ?? this["marked-ran"] ?? this["marked-next"]);
      const to = Math.min(rows.length - 1, Math.max(0, at + (event.key === "ArrowDown" ? 1 : -1)));
      this.cursor?.classList.remove("cursor");
      this.cursor = rows[to];
      this.cursor?.classList.add("cursor");
      if (this.cursor) this.reveal(this.cursor);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
