// The deck: buttons, slider, keys, playback, "preempt here". It shows the same position, a slot, in every pane.
// A slot is a step of a film; in a comparison, it is a pair of steps, one per film, so that both films go
// through the same schedule together.

/** Height in pixels from which on two pictures leave little space below them. */
const TALL = 280;
/** Heights in pixels of a source beside another: enough for its call stack and four lines, too little for the stack, and one line. */
const [CODE, LOW, ONE_LINE] = [92, 66, 33];
/** Ratio of height to width from which on a single picture needs all the height of the stage. */
const STEEP = 0.55;

const SPEEDS = [["slow", 2400], ["normal", 1200], ["fast", 500]];

class Deck {
  /** `board` is a game's, whose parts stand among the deck's own. */
  constructor(model, el, board = null) {
    this.model = model;
    this.el = el;
    this.board = board;
    this.announced = make("p", { class: "vp-hidden", "aria-live": "polite" });
    this.buildTransport();
    this.buildPreempt();
    this.buildHead();
    this.lost = make("p", { class: "vp-lost", role: "status", hidden: true });
    this.opened = new Set(); // folds of a pane that the reader has opened
    this.questions = make("div");
    this.stage = make("div", { class: "vp-panes" });
    this.root = make("div", {
      class: board ? "vmxsim-player vmxsim-scheduler" : "vmxsim-player", tabindex: "0", role: "group", "data-lm-suppress-shortcuts": "true",
      "aria-label": board?.label ?? "Run of the simulator. The left and right arrow keys step, Home and End jump, space plays,"
        + " Page Up and Page Down go from action to action, P preempts, and a digit answers a question.",
      keydown: (event) => this.onKey(event),
    }, this.lost, board?.head ?? "", this.transport, board?.message ?? this.head, this.divergence, this.questions, this.stage, this.announced);
    this.stageCraft = new Stage(model, this.root);
    this.transport.append(...(board ? [board.commands] : [this.preempt, this.speed, this.skip]), ...this.stageCraft.controls);
    if (board) this.root.append(board.live);
    el.replaceChildren(this.root);
  }

  buildTransport() {
    const go = (where) => () => { this.stop(); this.jump(where); };
    this.playButton = iconButton("play", "Play (space)", () => this.togglePlay());
    this.slider = make("input", {
      type: "range", min: "0", "aria-label": "Step",
      input: () => { this.stop(); this.goTo(Number(this.slider.value)); },
    });
    this.counter = make("output", { class: "vp-counter", "aria-hidden": "true", title: "The step of the run; if quiet steps are skipped, then how many of those shown have run" });
    this.speed = make("select", { "aria-label": "Speed", change: () => { if (this.timer) { this.stop(); this.play(); } } },
      ...SPEEDS.map(([name]) => make("option", { value: name, selected: name === "normal" }, name)));
    this.coarse = make("input", { type: "checkbox", change: () => {
      this.model.set("skip_quiet", this.coarse.checked);
      this.model.save_changes();
    } });
    this.transport = make("div", { class: "vp-transport", role: "toolbar", "aria-label": "Playback" },
      iconButton("start", "To the start (Home)", go("first")),
      iconButton("back", "One step back (left arrow)", go("back")),
      this.playButton,
      iconButton("forward", "One step forward (right arrow)", go("forward")),
      iconButton("end", "To the end (End)", go("last")),
      this.slider, this.counter);
    this.skip = make("label", { class: "vp-label", title: "Skip steps that change nothing and do not access the register" },
      this.coarse, " skip quiet steps");
  }

  buildPreempt() {
    this.tick = make("button", { type: "button", class: "vp-tick", click: () => this.sendTick() }, "Preempt here");
    this.cpu = make("select", { "aria-label": "CPU that the thread runs on next" });
    this.preempt = make("div", { class: "vp-preempt" }, this.tick, make("label", { class: "vp-label" }, "next on ", this.cpu));
  }

  /** One line: what is shown, and whether the thread can be preempted here. A divergence unfolds below it. */
  buildHead() {
    this.title = make("h3");
    this.subtitle = make("p");
    this.why = make("p", { class: "vp-why" });
    this.head = make("header", { class: "vp-title" }, this.title, this.subtitle, this.why);
    this.splitHead = make("summary");
    this.splitText = make("p");
    this.different = make("p", { class: "vp-different vp-dim" });
    this.toSplit = make("button", { type: "button", click: () => { this.stop(); this.goTo(this.split.slot); } }, "Go to it");
    this.divergence = make("div", { class: "vp-divergence" },
      make("details", {}, this.splitHead, this.splitText), this.toSplit, this.different);
  }

  /** Load the model's films: redraw everything and go to the start position. */
  load() {
    this.stop();
    const focused = this.root.contains(document.activeElement) ? document.activeElement : null;
    const films = this.model.get("films");
    const pairs = this.model.get("pairs");
    this.pairs = pairs.length ? pairs : (films[0]?.frames ?? []).map((_, i) => [i]);
    const last = this.pairs.length - 1;
    const [run, slot] = this.model.get("shown");
    this.position = Math.max(0, Math.min(run === this.model.get("run") ? slot : this.model.get("start"), last));
    const split = this.model.get("divergence");
    const slotsOf = films.map((film, which) => {
      const slots = new Array(film.frames.length + 1).fill(this.pairs.length);
      for (let slot = last; slot >= 0; slot--) slots[this.pairs[slot][which]] = slot;
      return slots;
    });
    this.gates = new Gates(this.model, {
      slotOf: (frame, which) => slotsOf[which][frame],
      lastBefore: (frame, which) => this.pairs.findLastIndex((pair) => pair[which] <= frame),
      goTo: (slot) => { this.stop(); this.goTo(slot); },
      proceed: () => { this.stop(); this.jump("forward"); this.root.focus({ preventScroll: true }); },
      last,
      changed: () => this.show(false),
      focus: () => this.root.focus({ preventScroll: true }),
    });
    this.panes = films.map((film, which) => {
      const slots = slotsOf[which];
      const marks = split.words ? [{ frame: this.pairs[split.slot][which], cpu: -1, kind: "divergence", label: split.words }] : [];
      const name = films.length > 1 ? film.name : "";
      return new Pane(film, name, this.pairs.length, (frame) => slots[Math.min(frame, film.frames.length)],
        (slot) => { this.stop(); this.goTo(slot); }, marks,
        { aside: films.length > 1 ? null : this.board?.aside ?? this.gates.root,
          folds: this.board?.folds ?? [], open: this.opened });
    });
    this.stops = this.stageCraft.stops((frame, which) => slotsOf[which][frame], last);
    this.questions.replaceChildren(...(films.length > 1 ? [this.gates.root] : []));
    this.gates.paintAll();
    this.position = Math.min(this.position, this.gates.limit());
    this.slider.max = String(Math.max(0, last));
    this.stage.replaceChildren(...this.panes.map((pane) => pane.root));
    this.stage.classList.toggle("two", films.length > 1);
    this.stage.classList.toggle("one", films.length === 1 && !this.board && !this.stageCraft.on); // fits the screen
    this.stage.classList.toggle("whole", !this.board && !this.stageCraft.on); // no sentence is cut
    this.stage.classList.toggle("asks", films.length === 1 && Boolean(this.board || this.gates.gates.length));
    // what stands in a pane has moved into the new one, and lost the focus on the way
    if (focused && document.activeElement !== focused) (focused.isConnected ? focused : this.root).focus({ preventScroll: true });
    setText(this.title, films[0]?.title ?? "");
    setText(this.subtitle, films.length === 1 ? films[0].subtitle : "");
    this.why.hidden = !this.model.get("can_preempt");
    this.showDivergence(split);
    const cpus = films[0]?.timeline.cpus ?? [];
    const chosen = this.cpu.value || "1";
    this.cpu.replaceChildren(...cpus.map(({ cpu }) => make("option", { value: cpu, selected: String(cpu) === chosen }, `CPU ${cpu}`)));
    this.preempt.hidden = !this.model.get("can_preempt");
    this.options();
    this.redrawn();
    if (this.board) clearTimeout(this.announcing); // the board tells what a move did
  }

  /** Follow the model. Returns a function that lets go of it. */
  follow() {
    const listeners = {
      "change:run": () => this.load(),
      "change:skip_quiet": () => this.options(),
      "change:words": () => this.options(),
      "change:answers": () => this.gates.load(),
      "change:state": () => this.board?.show(),
      comm_live_update: () => this.lose(), // said only when it ends
      "msg:custom": (message) => { if (message.kind === "look") this.look(); },
    };
    for (const [event, listener] of Object.entries(listeners)) this.model.on(event, listener);
    const unwatch = this.watchKernel();
    const sizes = new ResizeObserver(() => this.fit());
    sizes.observe(this.root);
    const resized = () => this.fit();
    window.addEventListener("resize", resized);
    this.board?.show();
    this.load();
    this.invite();
    return () => {
      this.stop();
      this.stageCraft.close();
      unwatch();
      sizes.disconnect();
      window.removeEventListener("resize", resized);
      for (const [event, listener] of Object.entries(listeners)) this.model.off(event, listener);
    };
  }

  /** Give both pictures the same height and show the position again. */
  redrawn() {
    const ratio = Math.max(...this.panes.map((pane) => pane.picture.ratio));
    const tall = Math.max(...this.panes.map((pane) => pane.picture.tall));
    for (const pane of this.panes) pane.picture.shape(ratio, tall);
    this.stage.classList.toggle("tall", this.panes.length > 1 ? tall > TALL : ratio > STEEP);
    this.fit();
    this.show(false);
  }

  /** The pictures, sources, sentences and questions fill the height that the screen leaves them below what stands above
      them in this cell: measured when the films are loaded and when the width or the screen's height changes, never while
      the reader steps. */
  fit() {
    if (!this.stage.classList.contains("whole") || !this.root.offsetWidth) return;
    const [pane] = this.panes;
    const tall = this.root.closest(".jp-WindowedPanel-outer")?.clientHeight ?? window.innerHeight;
    const output = this.root.closest(".jp-Cell-outputWrapper") ?? this.root;
    const [around, frame, stage] = [output, this.root, pane.stage].map((e) => e.getBoundingClientRect());
    const size = `${frame.width} ${tall}`;
    if (this.size !== size) [this.size, this.above] = [size, frame.top - around.top]; // controls that unfold later change nothing
    const room = tall - this.above - (stage.top - frame.top);
    const folds = 22 + 12; // closed, and the frame
    if (this.panes.length > 1) this.fitTwo(room, folds);
    else pane.fit(room - folds, !this.stage.classList.contains("asks"));
  }

  /** Two films side by side give each sentence the same height; their sources share what is left, without the folds if
      that is little. Where not even a line is left, a long sentence scrolls. A question above them leaves nothing. */
  fitTwo(room, folds) {
    this.stage.classList.remove("fitted"); // what is measured takes its room
    const [step, wrong] = ["step", "wrong"].map((area) => Math.max(...this.panes.map((pane) => pane.needs(area))));
    const gaps = 2 + 3 * 4;
    const left = room - gaps - this.panes[0].picture.root.offsetHeight - wrong - step;
    const code = this.gates.gates.length ? CODE : Math.max(Math.min(left - folds, 2 * CODE), Math.min(left - 4, CODE), ONE_LINE);
    const under = this.gates.gates.length ? 0 : Math.max(0, ONE_LINE - left - wrong); // the verdict may be below the window
    this.stage.classList.toggle("low", code < LOW);
    this.stage.classList.add("fitted");
    for (const [name, height] of Object.entries({ step: step - under, broken: wrong, code }))
      this.stage.style.setProperty(`--vp-${name}`, `${Math.floor(height)}px`);
  }

  showDivergence(split) {
    this.divergence.hidden = !split.text;
    this.split = split;
    this.toSplit.hidden = !split.words;
  }

  options() {
    this.coarse.checked = this.model.get("skip_quiet");
    this.stageCraft.paint();
    // position n of the steps that are not quiet, for each slot
    let number = 0;
    this.numbers = this.pairs.map((_, slot) => (slot && !this.quiet(slot) ? ++number : number));
    if (this.panes.length) this.show(false);
  }

  /** Where a slot is: its step, and how far that is among the steps that are shown. */
  count(slot) {
    const last = this.pairs.length - 1;
    if (!this.coarse.checked || this.stops || !last) return `step ${slot} of ${last}`;
    return `step ${slot} · ${this.numbers[slot]} of ${this.numbers[last]}`;
  }

  /** What a presenter reads beside the stage: [heading, paragraphs]. */
  notes(slot) {
    const frame = this.frame(slot, this.panes.length - 1);
    const next = this.stops && [...this.stops].sort((a, b) => a - b).find((stop) => stop > slot);
    const names = this.panes.map((pane, which) => (pane.name ? `${pane.name}: ` : "") + this.frame(slot, which).words);
    const wrong = this.panes.flatMap((_, which) => this.frame(slot, which).violations.map(([invariant, words]) => `${invariant}: ${words}`));
    return [
      ["To say", [(this.model.get("notes") ?? [])[frame.action]].filter(Boolean)],
      ["Question", this.gates.notes(slot)],
      ["This step", names],
      ["Broken", wrong],
      ["Next", next === undefined || next === null ? [] : this.panes.map((_, which) => this.frame(next, which).words)],
    ];
  }

  goTo(slot) {
    const limit = this.gates.limit();
    const to = Math.max(0, Math.min(slot, this.pairs.length - 1, limit));
    if (slot > limit && !this.gates.moveOn(this.position)) this.gates.nudge();
    if (to === this.position) { this.slider.value = String(to); return; }
    this.position = to;
    this.show();
    clearTimeout(this.saving);
    this.saving = setTimeout(() => {
      this.model.set("shown", [this.model.get("run"), this.position]);
      this.model.save_changes();
    }, 150);
  }

  frame(slot, which = 0) { return this.panes[which].film.frames[this.pairs[slot][which]]; }

  /** Whether the step to this slot does nothing that matters, in any pane. */
  quiet(slot) {
    return this.panes.every((_, which) => {
      const waits = slot > 0 && this.pairs[slot - 1][which] === this.pairs[slot][which];
      return waits || this.frame(slot, which).quiet;
    });
  }

  /** The slot that `where` leads to; the current one at either end. */
  target(where) {
    const at = this.position;
    const last = this.pairs.length - 1;
    if (where === "first") return 0;
    if (where === "last") return last;
    const way = where.endsWith("forward") || where === "next action" ? 1 : -1;
    const wanted = where.endsWith("action")
      ? (slot) => slot === 0 || this.frame(slot).action !== this.frame(slot - 1).action
      : where.startsWith("line")
        ? () => true
        : this.stops
          ? (slot) => this.stops.has(slot)
          : (slot) => !this.coarse.checked || !this.quiet(slot);
    let slot = at + way;
    const limit = at < this.gates.limit() ? Math.min(last, this.gates.limit()) : last;
    while (slot > 0 && slot < limit && !wanted(slot)) slot += way;
    return Math.max(0, Math.min(slot, last));
  }

  jump(where) { this.goTo(this.target(where)); }

  togglePlay() { if (this.timer) this.stop(); else this.play(); }

  play() {
    if (this.position === this.pairs.length - 1) this.jump("first");
    setIcon(this.playButton, "pause", "Pause (space)");
    const [, pause] = SPEEDS.find(([name]) => name === this.speed.value);
    this.timer = setInterval(() => {
      this.jump("forward");
      if (this.position >= Math.min(this.pairs.length - 1, this.gates.limit())) this.stop();
    }, pause);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    setIcon(this.playButton, "play", "Play (space)");
  }

  /** Scroll into view and take the focus: Python asks for the reader's attention. */
  look() {
    this.root.scrollIntoView({ block: "start", behavior: motionAllowed() ? "smooth" : "auto" });
    this.root.focus({ preventScroll: true });
  }

  sendTick() {
    this.stop();
    if (!this.lost.hidden) return;
    this.model.send({ kind: "tick", step: this.pairs[this.position][0], cpu: Number(this.cpu.value) });
  }

  /** Leave for the cell that this stands in or, with `on`, for the next one. True if there is one. */
  leave(on) {
    const cells = [...this.root.closest(".jp-Notebook")?.querySelectorAll(".jp-Cell") ?? []];
    const here = cells.indexOf(this.root.closest(".jp-Cell"));
    const cell = cells[Math.min(here + (on ? 1 : 0), cells.length - 1)];
    cell?.focus();
    return Boolean(cell);
  }

  /** The reader has just run this cell and wants to answer or to play, by keys that are commands of the notebook if the
      focus is on a cell: take the focus from this cell or the one after it, unless
      something is written there. Run All ends at the last cell, and leaves the focus where it is. */
  invite(tries = 40) {
    if (!(this.board || this.gates.gates.length) || this.model.get("presenting") || !(Date.now() / 1000 - this.model.get("made") < 30)) return;
    if (!this.root.isConnected) { if (tries) setTimeout(() => this.invite(tries - 1), 50); return; }
    const cells = [...this.root.closest(".jp-Notebook")?.querySelectorAll(".jp-Cell") ?? []];
    const [here, active] = [this.root.closest(".jp-Cell"), cells.find((cell) => cell.classList.contains("jp-mod-active"))];
    const number = (cell) => { const prompt = cell?.querySelector(".jp-InputPrompt")?.textContent ?? ""; return prompt.includes("*") ? Infinity : Number(prompt.replace(/\D/g, "")); };
    const goesOn = active !== here && number(active) > number(here); // Run All
    const ran = active && !goesOn && [0, 1].includes(cells.indexOf(active) - cells.indexOf(here));
    const at = document.activeElement;
    const writes = at?.closest(".cm-editor, input, textarea") && (at.value ?? at.textContent).trim();
    if (!ran || writes || !(at === document.body || active.contains(at))) return;
    this.root.scrollIntoView({ block: "nearest" });
    this.root.focus({ preventScroll: true });
  }

  /** The kernel is gone, and with it all that could change the picture. */
  lose() {
    if (!this.lost.hidden) return;
    this.stop();
    this.lost.hidden = false;
    setText(this.lost, "The kernel is gone: this is the last picture. You can still step through it; run this cell again to change it.");
    this.tick.disabled = this.cpu.disabled = true;
    if (this.board) this.board.lost = true;
    const output = this.root.closest(".jp-OutputArea-output");
    output?.classList.add("vmxsim-gone");
    for (const control of output?.querySelectorAll("input, select, textarea, button") ?? [])
      if (!control.closest(".vmxsim-player")) control.disabled = true;
  }

  /** Call `lose` once the kernel is gone. Returns a function that stops watching. */
  watchKernel() {
    const session = this.model.widget_manager?.context?.sessionContext; // JupyterLab's
    const status = (_, now) => { if (["restarting", "autorestarting", "terminating", "dead"].includes(now)) this.lose(); };
    const changed = () => this.lose();
    session?.statusChanged?.connect(status);
    session?.kernelChanged?.connect(changed);
    return () => {
      session?.statusChanged?.disconnect(status);
      session?.kernelChanged?.disconnect(changed);
    };
  }

  onKey(event) {
    const out = event.key === "Enter" && event.shiftKey;
    if ((out || (event.key === "Escape" && !this.stageCraft.isFull())) && this.leave(out)) {
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    const tag = event.target.tagName;
    if (event.ctrlKey || event.metaKey || event.altKey || tag === "SELECT") return;
    if (event.key === " " && (tag === "BUTTON" || event.target.type === "checkbox")) return;
    const keys = {
      ArrowRight: "forward", ArrowLeft: "back", Home: "first", End: "last",
      PageDown: "next action", PageUp: "previous action",
    };
    const staged = this.stageCraft.key(event);
    if (this.board?.key(event)) this.stop();
    else if (this.gates.key(event, this.position)) this.stop();
    else if (staged) { if (staged !== true) { this.stop(); this.jump(staged); } }
    else if (event.key in keys) { this.stop(); this.jump(keys[event.key]); }
    else if (event.key === " ") this.togglePlay();
    else if (event.key.toLowerCase() === "p" && !this.preempt.hidden) this.sendTick();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Places with different values in the two films at this slot. */
  differing(slot) {
    if (this.panes.length < 2) return new Set();
    const [a, b] = this.panes.map((_, which) => this.frame(slot, which).cells);
    return new Set(Object.keys(a).filter((place) => place in b && a[place][0] !== b[place][0]));
  }

  /** vCPU facts that differ between the two films. If a design renames a fact, it keeps its index. */
  differingFacts(slot) {
    const [a, b] = this.panes.map((_, which) =>
      Object.entries(this.frame(slot, which).facts).filter(([key]) => key.startsWith("vcpu")));
    const other = new Map(b);
    return a.filter(([key, value], rank) => {
      const same = other.has(key) ? other.get(key) : a.length === b.length ? b[rank][1] : value;
      return same !== value;
    }).map(([key]) => key.slice(key.indexOf(".") + 1));
  }

  show(animate = motionAllowed()) {
    if (!this.panes.length) return;
    const slot = this.position;
    const differing = this.differing(slot);
    const hides = this.gates.hides(slot);
    const limit = Math.min(this.gates.limit(), this.pairs.length - 1);
    this.panes.forEach((pane, which) => {
      pane.show(this.pairs[slot][which], slot, differing, animate, this.pairs[limit][which], hides, this.gates.promise());
      pane.timeline.veil(limit + 1);
    });
    this.gates.show(slot);
    const about = this.gates.about(slot);
    if (about) this.panes[about[0]].source.lookAt(about[1]);
    const frame = this.frame(slot);
    this.slider.value = String(slot);
    const counted = this.count(slot);
    this.slider.setAttribute("aria-valuetext", counted);
    setText(this.counter, counted);
    this.root.dataset.step = String(slot);
    this.stageCraft.show(() => this.notes(slot));
    if (this.panes.length > 1) {
      const names = [...[...differing].map((place) => this.panes.map((pane) => pane.picture.labels.get(place)).find(Boolean) ?? place), ...this.differingFacts(slot)];
      const covered = this.split.words && this.split.slot > limit; // it would give away an answer
      setText(this.splitHead, covered ? "≠ hidden until the question is answered" : this.split.words ? `≠ First divergence: ${this.count(this.split.slot)}` : "≠ No divergence");
      setText(this.splitText, covered ? "The first difference is hidden until the question is answered." : this.split.text);
      setText(this.different, names.length ? `Different now: ${names.join(", ")}.` : `Nothing differs now. ${this.stageCraft.on ? "" : this.title.textContent}`);
      this.different.title = this.different.textContent;
    }
    if (!this.preempt.hidden) {
      setText(this.tick, frame.preemptible ? "Preempt here" : "Send a tick here");
      setText(this.why, frame.preemptible
        ? frame.facts[`${frame.thread}.mode`] === "in the guest"
          ? "The guest is running: a tick makes it exit, and the scheduler acts at the next preempt_enable()."
          : "Preemption is enabled after this step: the scheduler may act."
        : `Not here: ${frame.why_not || "preemption is disabled: a tick stays pending"}.`);
      this.tick.title = this.why.textContent;
    }
    const acted = frame.action === this.acted ? "" : `Action ${frame.action + 1}, ${this.panes[0].film.actions[frame.action] ?? ""}. `;
    clearTimeout(this.announcing);
    this.announcing = setTimeout(() => {
      this.acted = frame.action;
      setText(this.announced, `${counted[0].toUpperCase()}${counted.slice(1)}. ${acted}${this.panes.map((pane) => pane.step.textContent).join(" ")}`);
    }, 250);
  }
}
