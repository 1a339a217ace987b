// Gates: questions that come before a step. The steps after an unanswered question are locked. All cards share
// one grid cell, so the height does not depend on which is shown, or whether it is answered.

/** Characters from which on an option takes a whole row where it is narrow. */
const LONG = 44;

class Gates {
  /** `slotOf(frame, film)` gives a frame's slot; `goTo(slot)` moves the deck, `proceed()` by one step;
      `changed()` is called after each answer; `focus()` gives the deck the keyboard; `last` is the last slot. */
  constructor(model, { slotOf, lastBefore, goTo, proceed, changed, focus, last }) {
    this.model = model;
    this.goTo = goTo;
    this.proceed = proceed;
    this.last = last;
    this.changed = changed;
    this.focus = focus;
    this.root = make("section", { class: "vp-gates", role: "group", "aria-label": "Questions" });
    this.answers = { ...(model.get("answers") ?? {}) };
    this.votes = {};
    this.gates = (model.get("gates") ?? []).map((gate) => ({
      ...gate,
      at: lastBefore(gate.before, gate.film ?? 0),
      opens: slotOf(gate.after, gate.film ?? 0),
      shows: slotOf(gate.telling, gate.film ?? 0),
      // a pair of a comparison may stand still in this film: then several slots show one step
      ranges: gate.options.map(({ steps }) => steps && [slotOf(steps[0], gate.film ?? 0), slotOf(steps[1] + 1, gate.film ?? 0) - 1]),
    }));
    this.root.hidden = !this.gates.length;
    this.waiting = make("div", { class: "vp-gate vp-waits" });
    this.cards = this.gates.map((gate, number) => this.card(gate, number));
    this.root.replaceChildren(this.waiting, ...this.cards);
  }

  answered(gate) { return gate.id in this.answers; }

  /** The first unanswered gate: the steps after it are locked. */
  closed() { return this.gates.find((gate) => !this.answered(gate)); }

  /** The last slot that may be shown; Infinity if nothing is locked. */
  limit() {
    const closed = this.closed();
    return closed ? (closed.marks ? closed.opens : closed.at) : Infinity;
  }

  /** What is hidden at this slot: names of facts, `next`, `worth` (what each place is worth), and while a question
      is open the true values. */
  hides(slot) {
    const closed = this.closed();
    const asks = closed && slot >= closed.at && slot <= this.limit();
    return new Set(asks ? [...closed.hides, "true value"] : []);
  }

  /** What is told once the open question is answered, which is named where there are several. */
  promise() {
    const number = this.gates.indexOf(this.closed()) + 1;
    return `(more once you have answered${this.gates.length > 1 && number ? ` question ${number}` : ""})`;
  }

  /** [film, function] that the open question at this slot is about; null without one. */
  about(slot) {
    const closed = this.closed();
    return closed?.about && slot === closed.at ? [closed.film ?? 0, closed.about] : null;
  }

  /** The gate whose card is shown at this slot: the last one at or before it, or the one that was just
      answered, until the reader moves on. */
  current(slot) {
    if (this.pinned && this.pinned.slot === slot) return this.pinned.gate;
    this.pinned = null;
    const closed = this.closed();
    if (closed?.marks && slot >= closed.at) return this.gates.indexOf(closed); // the next question may wait at its end
    return this.gates.findLastIndex((gate) => gate.at <= slot);
  }

  /** Leave the question that was just answered. True if another one comes at the same slot. */
  moveOn(slot) {
    if (!this.pinned) return false;
    this.pinned = null;
    this.show(slot);
    const gate = this.gates[this.current(slot)];
    return Boolean(gate) && !this.answered(gate);
  }

  card(gate, number) {
    const of = this.gates.length > 1 ? ` ${number + 1} of ${this.gates.length}` : "";
    gate.entry = gate.typed ? this.typing(gate) : gate.marks ? this.marking(gate) : null;
    gate.buttons = gate.options.map((option, i) => this.option(gate, option, i));
    gate.told = make("p", { class: "vp-told", role: "status" });
    gate.reveal = gate.locked && make("button", { type: "button", class: "vp-reveal", click: () => this.reveal(gate) }, "Reveal (R)");
    gate.hands = gate.locked && make("input", {
      type: "text", class: "vp-hands", autocomplete: "off", placeholder: "3 1 0 6", "aria-label": "Votes for each option, in order",
      title: "Votes for each option, in order, such as 3 1 0 6 (V)", keydown: (event) => this.hands(gate, event),
    });
    gate.next = make("button", { type: "button", class: "vp-next", click: () => this.goOn(gate) }, "Go on");
    gate.again = make("button", { type: "button", class: "vp-again", click: () => this.forget(gate) }, "Ask me again");
    return make("div", { class: "vp-gate", role: "group", "aria-label": `Question${of}` },
      make("h4", {}, gate.locked ? `Question${of}: vote` : `Predict${of}`), make("p", { class: "vp-ask", "data-of": `Predict${of}` }, gate.prompt),
      gate.entry ? gate.entry.root : "",
      make("div", { class: gate.options.some(({ text }) => text.length > LONG) ? "vp-options long" : "vp-options" }, ...gate.buttons.map((b) => b.root)),
      make("div", { class: "vp-feedback", role: "group", tabindex: "0", "aria-label": "Feedback" },
        gate.told, ...gate.buttons.map((b) => b.reason)),
      make("div", { class: "vp-foot" }, gate.hands || "", gate.reveal || "", gate.next, gate.again));
  }

  /** Room for an answer that is typed. The last option stands for all that no other one is. */
  typing(gate) {
    const input = make("input", {
      type: "text", class: "vp-typed", placeholder: gate.typed === "value" ? "0x…" : "a number", autocomplete: "off", spellcheck: "false", "aria-label": "Your answer",
      keydown: (event) => this.typed(gate, event),
    });
    const send = make("button", { type: "button", click: () => this.enter(gate) }, "Answer (Enter)");
    return { root: make("div", { class: "vp-entry" }, input, send), input, send };
  }

  typed(gate, event) {
    if (event.key === "Enter" && !event.shiftKey) this.enter(gate);
    else if (event.key === "Escape" || event.key === "Enter") return; // these leave the player
    else { event.stopPropagation(); return; }
    event.preventDefault();
    event.stopPropagation();
  }

  enter(gate) {
    if (this.answered(gate)) return;
    const words = gate.entry.input.value.trim();
    const number = gate.typed === "value" ? (/^(0x)?[0-9a-f]+$/i.test(words) ? BigInt(`0x${words.replace(/^0x/i, "")}`) : null)
      : /^\d+$/.test(words) ? BigInt(words) : null;
    if (number === null) {
      setText(gate.told, gate.typed === "value" ? "Type a hexadecimal number, such as 0x1000." : "Type a number, such as 2.");
      return;
    }
    const known = gate.options.slice(0, -1).findIndex((option) => BigInt(option.text) === number);
    this.settle(gate, known < 0 ? gate.options.length - 1 : known, words);
  }

  /** A button that marks the step on display. An option stands for the steps from its first to its last. */
  marking(gate) {
    const send = make("button", { type: "button", class: "vp-markstep", click: () => this.markStep(gate) }, "Mark this step (M)");
    return { root: make("div", { class: "vp-entry" }, send), send };
  }

  markStep(gate) {
    if (this.answered(gate)) return;
    const i = gate.ranges.findIndex(([from, to]) => from <= this.slot && this.slot <= to);
    if (i < 0) setText(gate.told, "Go to the step first: with →, in the timeline, or with a click on a line of the source.");
    else this.settle(gate, i, `step ${this.slot}`);
  }

  /** Leave this answer: go to the next question, or to what follows the last one. */
  goOn(gate) {
    const next = this.closed();
    this.pinned = null;
    if (!next || this.model.get("presenting")) { this.proceed(); return; }
    this.goTo(next.at);
    this.changed();
    this.focus();
  }

  option(gate, option, i) {
    const mark = make("span", { class: "vp-tick-mark", "aria-hidden": "true" }, String(i + 1));
    const number = gate.entry ? {} : { "data-option": String(i + 1) }; // what is typed or marked has no number to press
    const reason = make("p", { class: "vp-reason", ...number }, make("strong", {}, option.right ? "Right. " : "No. "), option.reason);
    const answer = make("button", { type: "button", class: "vp-option", click: () => this.choose(gate, i) },
      mark, make("span", {}, option.text));
    const count = make("output", { class: "vp-count" }, "0");
    const less = make("button", { type: "button", class: "vp-less", "aria-label": `One vote less for ${option.text}`,
      click: () => this.vote(gate, i, -1) }, "−");
    const bar = make("span", { class: "vp-bar" });
    const votes = gate.locked ? make("div", { class: "vp-votes" }, less, count, bar) : "";
    const root = make("div", { class: `vp-choice${gate.locked ? " voted" : ""}${option.text.length > LONG ? " long" : ""}` }, answer, votes);
    return { root, answer, mark, reason, count, less, bar };
  }

  /** Answer; if the gate is locked, count a vote of the audience. */
  choose(gate, i) {
    if (this.answered(gate)) return;
    if (gate.locked) this.vote(gate, i, 1);
    else this.settle(gate, i);
  }

  vote(gate, i, by) {
    if (this.answered(gate)) return;
    const counts = (this.votes[gate.id] ??= gate.options.map(() => 0));
    counts[i] = Math.max(0, counts[i] + by);
    this.paint(gate);
  }

  /** Votes that are typed as counts, one for each option. */
  hands(gate, event) {
    if (event.key !== "Enter" && event.key !== "Escape") { event.stopPropagation(); return; }
    event.preventDefault();
    event.stopPropagation();
    const words = gate.hands.value.trim();
    if (event.key === "Enter" && words && !this.answered(gate)) {
      const counts = words.split(/[\s,;]+/);
      if (counts.length > gate.options.length || !counts.every((count) => /^\d{1,4}$/.test(count))) {
        setText(gate.told, `Type up to ${gate.options.length} counts, such as ${gate.options.map((_, i) => i + 1).join(" ")}.`);
        return;
      }
      this.votes[gate.id] = gate.options.map((_, i) => Number(counts[i] ?? 0));
      this.paint(gate);
    }
    gate.hands.value = "";
    this.focus();
  }

  cast(gate) { return (this.votes[gate.id] ?? []).reduce((sum, n) => sum + n, 0); }

  needed(gate) { return gate.votes ?? 1; }

  tally(gate) {
    const [cast, needed] = [this.cast(gate), this.needed(gate)];
    if (cast >= needed) return `${cast} voted. You can reveal the answer now.`;
    return `${gate.votes ? `${cast} of ${needed} voted. ` : ""}Press an option's number once for each hand, or V to type the counts.`;
  }

  reveal(gate) {
    if (this.answered(gate)) return;
    if (this.cast(gate) < this.needed(gate)) { setText(gate.told, `Locked until the audience has voted. ${this.tally(gate)}`); return; }
    this.settle(gate, -1);
  }

  /** `words` are what was typed or marked. */
  settle(gate, i, words = "") {
    const right = i >= 0 && gate.options[i].right;
    this.answers = { ...this.answers, [gate.id]: { choice: i, right, votes: this.votes[gate.id] ?? [], words } };
    this.model.set("answers", this.answers);
    this.model.save_changes();
    // a reader jumps to the deciding step; a presenter leads the audience there step by step
    const slot = this.model.get("presenting") ? gate.at : gate.shows;
    this.pinned = { slot, gate: this.gates.indexOf(gate) };
    this.goTo(slot);
    this.paintAll();
    this.changed();
  }

  forget(gate) {
    const { [gate.id]: _, ...rest } = this.answers;
    this.answers = rest;
    delete this.votes[gate.id];
    this.model.set("answers", rest);
    this.model.save_changes();
    this.changed();
    this.goTo(gate.at);
    this.paintAll();
    this.focus();
  }

  /** Python sent answers: another widget asked the same questions. */
  load() {
    const answers = this.model.get("answers") ?? {};
    if (JSON.stringify(answers) === JSON.stringify(this.answers)) return;
    this.answers = { ...answers };
    this.paintAll();
    this.changed();
  }

  paintAll() { this.gates.forEach((gate) => this.paint(gate)); }

  paint(gate) {
    const answer = this.answers[gate.id];
    const counts = answer?.votes?.length ? answer.votes : this.votes[gate.id] ?? [];
    const most = Math.max(1, ...counts);
    const rightOne = gate.options.findIndex((option) => option.right);
    gate.buttons.forEach((b, i) => {
      const [right, chosen] = [gate.options[i].right, answer?.choice === i];
      b.answer.setAttribute("aria-disabled", String(Boolean(answer)));
      for (const part of [b.root, b.reason]) part.classList.toggle("unseen", Boolean(gate.entry) && !(answer && (right || chosen)));
      b.reason.classList.toggle("first", chosen && !right);
      b.reason.classList.toggle("second", right);
      b.root.classList.toggle("right", Boolean(answer) && right);
      b.root.classList.toggle("wrong", Boolean(answer) && chosen && !right);
      if (gate.entry) setText(b.answer.lastChild, chosen && answer.words ? answer.words : gate.options[i].text);
      setText(b.mark, !answer ? String(i + 1) : right ? "✔" : chosen ? "✖" : "·");
      b.answer.setAttribute("aria-label", `${i + 1}: ${gate.options[i].text}${!answer ? "" : right ? ", right" : chosen ? ", your answer, wrong" : ""}`);
      if (!gate.locked) return;
      setText(b.count, String(counts[i] ?? 0));
      b.bar.style.width = `${(60 * (counts[i] ?? 0)) / most}%`;
      b.less.disabled = Boolean(answer) || !counts[i];
    });
    this.cards[this.gates.indexOf(gate)].classList.toggle("answered", Boolean(answer));
    gate.again.hidden = !answer;
    const next = this.gates.indexOf(this.closed());
    gate.next.hidden = !answer || (next < 0 && gate.shows === this.last && !this.model.get("presenting"));
    setText(gate.next, next < 0 || this.model.get("presenting") ? "Go on (Enter)" : `Go on to question ${next + 1} (Enter)`);
    if (gate.entry) {
      gate.entry.send.disabled = Boolean(answer);
      if (gate.entry.input) {
        gate.entry.input.readOnly = Boolean(answer);
        if (answer?.words) gate.entry.input.value = answer.words;
      }
    }
    if (gate.reveal) {
      gate.reveal.hidden = gate.hands.hidden = Boolean(answer);
      gate.reveal.setAttribute("aria-disabled", String(this.cast(gate) < this.needed(gate)));
    }
    if (!answer) { setText(gate.told, gate.locked ? this.tally(gate) : this.howTo(gate)); return; }
    const rightAnswer = `The right answer: ${gate.options[rightOne].text}. `;
    if (answer.right) setText(gate.told, `✔ Right. ${this.worked(gate)}`);
    else if (answer.choice < 0) setText(gate.told, `${rightAnswer}${this.worked(gate)}`);
    else gate.told.replaceChildren("✖ Not so. ", make("span", { class: "vp-hidden" }, rightAnswer), this.worked(gate)); // ✔ shows it
  }

  howTo(gate) {
    if (gate.typed) return "Type your answer.";
    return gate.marks ? "Step through, then press M at the step." : "Click an option or press its number.";
  }

  /** Which step shows why. */
  worked(gate) {
    if (this.model.get("presenting")) return gate.changes ? `Step ${gate.shows} decides it: keep stepping.` : "It was already so: keep stepping to see that nothing changes it.";
    if (!gate.changes) return `It was already so, and nothing up to step ${gate.shows} changes it.`;
    return `Step ${gate.shows} decides it.`;
  }

  /** Digits choose, R reveals, Enter goes on from an answer. True if the key was handled. */
  key(event, slot) {
    const gate = this.gates[this.current(slot)];
    if (!gate) return false;
    if (this.answered(gate)) {
      const elsewhere = event.target.matches("button:not(.vp-option), [role=listbox]"); // Enter means something there
      if (event.key !== "Enter" || elsewhere || gate.next.hidden || !this.pinned) return false;
      this.goOn(gate);
      return true;
    }
    if (gate.typed) {
      if (!/^\d$/.test(event.key) || event.target === gate.entry.input) return false;
      gate.entry.input.value += event.key;
      gate.entry.input.focus({ preventScroll: true });
      return true;
    }
    if (gate.marks) {
      if (event.key.toLowerCase() !== "m") return false;
      this.markStep(gate);
      return true;
    }
    const digit = Number(event.key) - 1;
    if (digit >= 0 && digit < gate.options.length) this.choose(gate, digit);
    else if (gate.locked && event.key.toLowerCase() === "r") this.reveal(gate);
    else if (gate.locked && event.key.toLowerCase() === "v") gate.hands.focus({ preventScroll: true });
    else return false;
    return true;
  }

  /** For a presenter: the question at a slot, what is right, and why. */
  notes(slot) {
    const gate = this.gates[this.current(slot)];
    if (!gate) return [];
    const right = gate.options.findIndex((option) => option.right);
    return [gate.prompt, `${right + 1}: ${gate.options[right].text}`, gate.options[right].reason];
  }

  /** The reader wants to move on: ask for an answer first. */
  nudge() {
    const gate = this.closed();
    if (!gate) return;
    setText(gate.told, gate.locked ? `Locked until the audience has voted. ${this.tally(gate)}` : gate.marks ? "Mark a step first." : "Answer first. The steps after this one are locked until then.");
    const card = this.cards[this.gates.indexOf(gate)];
    card.classList.remove("nudged");
    void card.offsetWidth;
    card.classList.add("nudged");
  }

  show(slot) {
    if (!this.gates.length) return;
    const at = this.current(slot);
    this.slot = slot;
    this.cards.forEach((card, i) => card.classList.toggle("shown", i === at));
    this.waiting.classList.toggle("shown", at < 0);
    const asks = at >= 0 && (!this.answered(this.gates[at]) || Boolean(this.pinned));
    this.root.classList.toggle("asking", asks && (this.pinned || slot === this.gates[at].at));
    if (at < 0 && this.waitsFor !== this.gates[0].at) {
      this.waitsFor = this.gates[0].at;
      const go = make("button", { type: "button", click: () => this.goTo(this.gates[0].at) }, "Go to it");
      const keys = "Space, → or a clicker: next telling step. ↓: next line. Digits: vote or answer. R: reveal.";
      this.waiting.replaceChildren(make("p", {}, `A question comes at step ${this.gates[0].at}. `, go),
        this.model.get("presenting") ? make("p", { class: "vp-dim" }, keys) : "");
    }
  }
}
