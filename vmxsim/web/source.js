// The source: the current function, the line that ran, the line that runs next, and the call stack. A recording
// has no source, so the events around the current one are shown instead. A function of C has the numbers of its
// file; lines that were left out are dimmed, and long stretches of them folded.

const KEYWORDS = /(#.*$)|("[^"]*"|'[^']*')|\b(def|if|else|elif|while|return|not|and|or|is|None|True|False|pass)\b|\b(rdmsr|wrmsr|swapgs|load_gs_index|preempt_disable|preempt_enable)\b/g;
const TOKEN_CLASSES = ["comment", "string", "keyword", "primitive"];

const C_KEYWORDS = /(\/\*.*?(?:\*\/|$)|\/\/.*$)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|\b(if|else|while|for|do|switch|case|default|return|goto|break|continue|static|inline|const|struct|void|bool|int|unsigned|long|u8|u16|u32|u64|true|false|NULL)\b|\b(rdmsr[lq]?|wrmsr(?:[lq]|ns[lq]?)?|load_gs_index|preempt_disable|preempt_enable|local_irq_disable|local_irq_enable)\b/g;

/** For each line of C, whether it begins inside a comment. */
function insideComments(lines) {
  let inside = false;
  return lines.map((text) => {
    const began = inside;
    const [open, close] = [text.lastIndexOf("/*"), text.lastIndexOf("*/")];
    if (open !== close) inside = open > close;
    return began;
  });
}

/** The columns by which a line is indented; C at half the width of its tabs, since a pane is narrow. */
function indentation(text, ofC) {
  const space = text.match(/^\s*/)[0];
  if (!ofC) return space.length;
  let columns = 0;
  for (const c of space) columns = c === "\t" ? columns - columns % 8 + 8 : columns + 1;
  return Math.ceil(columns / 2);
}

/** A line of Python or C as text nodes and spans. */
function highlighted(text, words = KEYWORDS) {
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(words)) {
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
    const of = Object.keys(film.listings).length || film.frames.length === 1 ? "Code" : "Events"; // one: nothing has run yet
    this.of = of;
    this.stack = make("div", { class: "vp-stack", role: "group", "aria-label": "Call stack, outermost first" });
    this.spacer = make("span", { class: "vp-spacer", "aria-hidden": "true" });
    this.listing = make("div", {
      class: "vp-listing", tabindex: "0", role: "listbox", keydown: (event) => this.onKey(event),
      "aria-label": "Source. Up and down choose a line, Enter goes to the next step that runs it.",
      click: (event) => this.pick(event.target.closest("[data-line], [data-fold]")),
    });
    this.root = make("section", { class: "vp-source", role: "group", "aria-label": "Source" }, this.stack, this.listing);
    this.lines = new Map();
    this.runs = new Map();
    this.opened = new Set(); // folds that the reader has opened
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
    this.shown = [shown, index, upTo, hideNext];
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
    this.settledFor = null;
    this.stack.dataset.of = this.of;
    this.stack.replaceChildren(...stack.flatMap(([name, line], depth) => {
      const c = this.film.sources?.[name];
      const label = !line ? name : c ? `${name} ${c.file}:${c.first + line - 1}` : `${name}:${line}`;
      const level = this.film.listings[name]?.length
        ? make("button", { type: "button", click: () => this.peek(name, line), title: `Show ${name}` }, label)
        : make("span", {}, label);
      if (depth === stack.length - 1) level.setAttribute("aria-current", "true");
      return depth ? ["› ", level] : [level];
    }));
    if (!stack.length) this.stack.append(make("span", { class: "vp-dim" }, "not in the kernel"));
    this.stack.append(this.spacer);
    this.settleSoon();
  }

  /** Show a caller of the current function with its call marked, until the next step. */
  peek(fn, line) {
    this.fill(fn);
    this.mark(this.lines.get(line), "ran");
  }

  /** Show a function that is about to run, from its first line, until the next step. */
  lookAt(fn) {
    if (this.fn === fn || !this.film.listings[fn]?.length) return;
    this.fill(fn);
    this.listing.scrollTop = 0;
    this.stackKey = null; // the code is not where the run stands: say so
    this.stack.dataset.of = "Code, coming";
    this.stack.replaceChildren(make("span", { "aria-current": "true" }, fn), this.spacer);
    this.settleSoon();
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
      const lines = this.film.listings[fn];
      const c = this.film.sources?.[fn];
      const inside = c ? insideComments(lines) : [];
      const rows = lines.map((text, i) =>
        this.row(i + 1, text, this.runs.get(`${fn}:${i + 1}`)?.[0] <= this.upTo, "", c, inside[i]));
      this.listing.style.setProperty("--vp-digits", c ? String(c.first + lines.length - 1).length : 1);
      this.listing.replaceChildren(...(c ? this.folded(fn, c, rows) : rows));
    }
    this.mark(null, "ran");
    this.mark(null, "next");
  }

  /** Rows of C with a row before each fold; a closed one stands for its lines. */
  folded(fn, c, rows) {
    const shown = [];
    let from = 1;
    for (const [first, last] of c.folds) {
      shown.push(...rows.slice(from - 1, first - 1));
      const key = `${fn}:${first}`;
      const open = this.opened.has(key);
      const [begins, ends] = [c.first + first - 1, c.first + last - 1];
      shown.push(make("div", {
        class: "vp-line vp-fold", role: "option", "aria-selected": "false", "data-fold": key,
        title: `Lines ${begins} to ${ends} of ${c.file} do not matter to the register. ${open ? "Hide" : "Show"} them`,
      }, make("span", { class: "vp-mark", "aria-hidden": "true" }, open ? "▾" : "▸"), make("span", { class: "vp-number" }, "⋯"),
        make("span", {}, `${last - first + 1} lines left out${open ? ":" : ""}`)));
      if (open) shown.push(...rows.slice(first - 1, last));
      from = last + 1;
    }
    return [...shown, ...rows.slice(from - 1)];
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

  /** `c` describes the function of C that the line belongs to; `inside`: it begins inside a comment. */
  row(number, text, reached, frame = "", c = null, inside = false) {
    const hang = `padding-left:${indentation(text, c) + 4}ch;text-indent:-4ch`; // a hanging indent for long lines
    const why = c?.dropped[number];
    const words = text.trim();
    const end = inside ? (words.includes("*/") ? words.indexOf("*/") + 2 : words.length) : 0;
    const row = make("div", {
      class: why ? "vp-line vp-dropped" : "vp-line", role: "option", "data-line": reached && number, "data-frame": frame,
      "aria-selected": "false", title: reached ? "Go to the next step that runs this line" : why && `Left out: ${why}`,
    }, make("span", { class: "vp-mark", "aria-hidden": "true" }, why ? "–" : ""),
      make("span", { class: "vp-number" }, String(number + (c?.first ?? 1) - 1)),
      why ? make("span", { class: "vp-hidden" }, "left out: ") : "",
      make("code", { style: hang }, end ? make("span", { class: "vp-comment" }, words.slice(0, end)) : "",
        ...highlighted(words.slice(end), c ? C_KEYWORDS : KEYWORDS)));
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
    this.settleStack();
  }

  /** Show the innermost levels of the stack that fit, each from its beginning; the outer ones are a scroll away. */
  settleStack() {
    const { stack, spacer } = this;
    const told = `${stack.textContent} ${stack.clientWidth}`;
    if (this.settledFor === told) return;
    this.settledFor = told;
    spacer.style.width = "0";
    stack.classList.remove("cut");
    if (stack.scrollWidth <= stack.clientWidth) return;
    stack.classList.add("cut");
    stack.scrollLeft = 0;
    const levels = [...stack.children].filter((level) => level !== spacer);
    const [label, end] = [levels[0].offsetLeft, stack.scrollWidth - stack.clientWidth];
    const first = levels.find((level) => level.offsetLeft - label >= end) ?? levels.at(-1);
    spacer.style.width = `${Math.max(0, first.offsetLeft - label - end)}px`;
    stack.scrollLeft = first.offsetLeft - label;
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
    if (row.dataset.fold) return this.toggle(row.dataset.fold);
    const steps = this.runs.get(`${this.fn}:${row.dataset.line}`);
    this.goTo(steps.find((step) => step > this.index) ?? steps[0]);
  }

  /** Open or close a fold, and stay where the reader is. */
  toggle(key) {
    if (!this.opened.delete(key)) this.opened.add(key);
    const top = this.listing.scrollTop;
    this.fn = null;
    this.show(...this.shown);
    this.listing.scrollTop = top;
    this.cursor = this.listing.querySelector(`[data-fold="${CSS.escape(key)}"]`);
    this.cursor.classList.add("cursor");
    cancelAnimationFrame(this.settling);
    this.settling = null;
  }

  onKey(event) {
    const rows = [...this.listing.querySelectorAll("[data-line], [data-fold]")];
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
