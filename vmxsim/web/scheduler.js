// The board of "be the scheduler": buttons for the moves, each with its key, the schedule so far, score and help. Its
// parts stand in the deck that plays the schedule: `head`, `commands` and `message` above the picture, `aside` beside it.
// Python decides which moves are possible; the board shows `state` and reports what was pressed. Regions have
// fixed heights, and a disabled button keeps its place and the keyboard focus.

const COMMANDS = [
  ["undo", "z", "Undo", "Take back the last move"],
  ["restart", "0", "Start over", "Take back all moves"],
  ["hint", "h", "Hint", "How far it is from here, then who moves, then which move it is"],
  ["possible", "o", "Is it possible?", "Ask the checker whether anything can break this design"],
  ["show", "", "Show the checker's", "Play the checker's shortest schedule; this game then gets no score"],
  ["next", "d", "Next design", "Play on another design"],
];

class Board {
  constructor(model) {
    this.model = model;
    this.buttons = new Map(); // by group and position
    this.keys = new Map();
    this.label = "Be the scheduler. Every move has a key, shown on its button. The left and right arrow keys step"
      + " through the schedule so far, Home and End jump.";
    this.buildHead();
    this.buildMoves();
    this.live = make("p", { class: "vs-hidden", "aria-live": "polite" });
  }

  buildHead() {
    const choose = () => this.send({ kind: "game", design: this.design.value, host: this.host.value });
    this.design = make("select", { "aria-label": "Design to break", change: choose });
    this.host = make("select", { "aria-label": "Host", change: choose });
    this.tally = make("strong", { class: "vs-tally" });
    this.best = make("span", { class: "vs-dim" });
    this.head = make("header", { class: "vs-head" },
      make("h3", {}, "Be the scheduler"), this.design, this.host,
      make("p", { class: "vs-score" }, this.tally, this.best));
    this.commands = make("div", { class: "vs-commands", role: "toolbar", "aria-label": "Game" });
    for (const [kind, key, label, title] of COMMANDS) {
      const button = this.button(this.commands, `command ${kind}`, () => this.send({ kind }));
      this.fill(button, { key, label, words: title, why: "" });
    }
    this.where = make("p", { class: "vs-where" });
    this.line = make("code", { class: "vs-line vs-hidden" }); // the source shows it
    this.tick = make("p", { class: "vs-dim" });
    this.told = make("div", { class: "vs-told", tabindex: "0", role: "region", "aria-label": "Message" });
    this.message = make("div", { class: "vs-message" },
      make("div", { class: "vs-place" }, this.where, this.line, this.tick), this.told);
  }

  buildMoves() {
    this.groups = make("div", { class: "vs-groups" });
    this.lists = new Map();
    for (const name of ["user space", "guest", "emulator", "scheduler"]) {
      const list = { title: make("h4"), buttons: make("div", { class: "vs-buttons" }) };
      list.root = make("section", { class: `vs-group vs-${name.replace(" ", "-")}` }, list.title, list.buttons);
      this.lists.set(name, list);
      this.groups.append(list.root);
    }
    this.free = make("div", { class: "vs-buttons vs-free", role: "group", "aria-label": "Let it run: free" });
    this.lists.get("scheduler").root.append(this.free);
    this.why = make("div", { class: "vs-why", tabindex: "0", role: "region", "aria-label": "Not possible now" });
    this.groups.append(this.why);
    this.outcome = make("section", { class: "vs-outcome", tabindex: "0", role: "region", "aria-label": "Outcome", hidden: true });
    this.aside = make("div", { class: "vp-gates vs-aside" }, this.groups, this.outcome);
    this.schedule = make("ol", { class: "vs-schedule", tabindex: "0", "aria-label": "Your schedule so far" });
    this.assumed = make("div");
    this.folds = [["schedule", "Your schedule", this.schedule], ["rules", "How to play", make("div", { class: "vs-rules" },
      make("p", {}, "Break an invariant in as few moves as the checker: make the guest or a host task see a wrong value, or one of",
        " them see the other's. You are the guest, user space and the scheduler; every action, tick and signal is a move. Inside",
        " the kernel, you only decide when a tick comes (while preemption is disabled, it stays pending), and whether a signal",
        " ends KVM_RUN once an exit is handled. To let the code run, line by line or to the end of the action, is free.",
        " Three stars are for the checker's number. A move more costs a star, and so does trying button after button: taking moves",
        " back is free only so often."),
      this.assumed)]];
  }

  /** The button with this name in a list, created on first use. */
  button(list, name, press) {
    let found = this.buttons.get(name);
    if (!found) {
      const element = make("button", { type: "button", click: () => found.press() });
      found = { element, key: make("kbd"), label: make("span"), press: () => {} };
      element.append(found.key, found.label);
      this.buttons.set(name, found);
    }
    if (found.element.parentNode !== list) list.append(found.element);
    found.press = () => (found.why ? this.notNow(found.why) : press());
    return found;
  }

  fill(button, { key, label, words, why }) {
    button.why = why;
    setText(button.key, key);
    button.key.hidden = !key;
    setText(button.label, label);
    button.element.setAttribute("aria-disabled", String(Boolean(why)));
    button.element.title = why ? `${words}. Not now: ${why}` : words;
    if (!key) return;
    button.element.setAttribute("aria-keyshortcuts", key);
    this.keys.set(key, button);
  }

  show() {
    const state = this.model.get("state");
    if (!state.groups) return;
    this.fillSelect(this.design, state.designs, state.design);
    this.fillSelect(this.host, state.hosts.map((host) => [host, `${host} host`]), state.host);
    setText(this.tally, state.tally);
    setText(this.best, state.best);
    setText(this.where, state.where);
    setText(this.line, state.line || " ");
    setText(this.tick, state.tick || " ");
    for (const group of state.groups) this.showGroup(group);
    this.showButtons(this.free, "free", state.free);
    this.why.replaceChildren(...state.not_now.map(([who, why]) => make("p", {}, make("strong", {}, `${who}: `), `${why}.`)));
    this.showCommands(state);
    this.showSchedule(state.moves);
    this.showTold(state);
    this.head.dataset.count = String(state.count);
    const { title, score } = state.over;
    const parts = [state.alert, title, score, state.said, state.tally, state.where, state.tick];
    setText(this.live, parts.filter(Boolean).map((part) => part.replace(/[.]?$/, ".")).join(" "));
  }

  fillSelect(select, options, value) {
    if (select.options.length !== options.length || [...select.options].some((o, n) => o.value !== options[n][0]))
      select.replaceChildren(...options.map(([key, label]) => make("option", { value: key }, label)));
    select.value = value;
  }

  showGroup(group) {
    const list = this.lists.get(group.name);
    setText(list.title, group.title);
    this.showButtons(list.buttons, group.name, group.buttons);
  }

  showButtons(list, name, options) {
    const used = options.map((option, n) => {
      const button = this.button(list, `${name} ${n}`, () => this.send({ kind: "do", name: option.name }));
      this.fill(button, option);
      button.element.dataset.move = option.name;
      return button.element;
    });
    for (const element of [...list.children]) if (!used.includes(element)) element.remove();
  }

  showCommands(state) {
    const why = { undo: state.undo ? "" : "no moves yet", restart: state.restart ? "" : "no moves yet",
      show: state.solution ? "" : "the checker has no schedule; ask whether it is possible" };
    for (const [kind, key, label, words] of COMMANDS)
      this.fill(this.buttons.get(`command ${kind}`), { key, label, words, why: why[kind] ?? "" });
  }

  showSchedule(moves) {
    const rows = moves.map((move) => make("li", { class: move.tick ? "tick" : "" },
      make("span", {}, move.tick ? (move.pending ? "◔ " : "▼ ") : "", move.text), move.pending ? make("em", {}, " (stays pending)") : ""));
    if (!rows.length) rows.push(make("li", { class: "none" }, "No moves yet. Every action, every tick and every signal is a move; stepping is free."));
    this.schedule.replaceChildren(...rows);
    this.schedule.scrollTop = this.schedule.scrollHeight;
  }

  /** The message; the outcome takes the place of the moves. */
  showTold(state) {
    const { over } = state;
    const parts = [];
    if (state.alert) parts.push(make("p", { class: "vs-alert", role: "alert" }, make("strong", {}, "✖ "), state.alert));
    if (state.said) parts.push(make("p", { class: "vs-said" }, state.said));
    if (!parts.length) {
      parts.push(make("p", {}, over.title ? "Undo to play on from here, or take the next design."
        : `Break an invariant in as few moves as the checker. ${state.start}`));
    }
    this.told.replaceChildren(...parts);
    this.told.scrollTop = 0;
    this.assumed.replaceChildren(...state.granted.map(([name, words]) =>
      make("p", {}, make("strong", {}, `Assumption ${name}: `), words, ".")));
    const lost = over.title && this.groups.contains(document.activeElement);
    this.outcome.hidden = !over.title;
    this.groups.classList.toggle("vs-covered", Boolean(over.title));
    if (!over.title) return this.outcome.replaceChildren();
    const stars = over.stars ? make("span", { class: "vs-stars", role: "img", "aria-label": `${over.stars} of 3 stars` },
      "★".repeat(over.stars) + "☆".repeat(3 - over.stars)) : "";
    this.outcome.replaceChildren(make("p", { class: "vs-verdict" }, stars, make("strong", {}, over.score), make("span", {}, over.title)),
      make("p", {}, over.words), ...(over.scenario ? this.scenario(over.scenario) : []));
    if (lost) this.outcome.focus({ preventScroll: true });
  }

  /** The schedule as text, with a copy button. */
  scenario(text) {
    const done = make("span", { class: "vs-dim", role: "status" });
    const pre = make("pre", { class: "vs-scenario", tabindex: "0", "aria-label": "Your schedule as a scenario" }, text);
    const copy = make("button", { type: "button", click: async () => {
      try {
        await navigator.clipboard.writeText(text);
        setText(done, "copied");
      } catch { // no permission: select the text instead
        getSelection().selectAllChildren(pre);
        setText(done, "selected: press Ctrl+C");
      }
    } }, "Copy the scenario");
    return [make("div", { class: "vs-copy" }, copy, done), pre];
  }

  send(message) {
    if (this.lost) this.notNow("the kernel is gone; run this cell again");
    else this.model.send(message);
  }

  /** Press the move with this key. True if there is one. */
  key(event) {
    const button = this.keys.get(event.key.toLowerCase());
    button?.press();
    return Boolean(button);
  }

  /** Announce why a move is not possible, and show it as the message. */
  notNow(why) {
    setText(this.live, `Not now: ${why}`);
    this.told.replaceChildren(make("p", { class: "vs-not-now" }, make("strong", {}, "Not now: "), `${why}.`));
  }
}
