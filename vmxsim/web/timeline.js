// The timeline: a lane of actions, then a lane per CPU that shows whose value its register holds, with marks for
// ticks, migrations and violations. Each step has a slot; a click goes to it.

const MARKS = { preempt: "▼", pending: "◔", migrate: "⇄", violation: "✖", divergence: "≠" };

class Timeline {
  /** `slotOf(frame)` is the slot of a frame, out of `slots`; `goTo(slot)` is called on a click. */
  constructor(film, slots, slotOf, goTo, extraMarks) {
    this.slots = slots;
    const percent = (slot) => `${(100 * slot) / slots}%`;
    const place = (element, from, to) => {
      element.style.left = percent(slotOf(from));
      element.style.width = percent(slotOf(to + 1) - slotOf(from));
      return element;
    };
    const roomy = (from, to, least = 30) => slotOf(to + 1) - slotOf(from) > slots / least;
    const span = (kind, { from, to, label }, signs = []) => {
      const tight = !roomy(from, to);
      const found = make("span", { class: `vp-span ${kind}${tight ? " tight" : ""}`, title: label }, roomy(from, to, kind === "action" ? 50 : 30) ? label : "");
      // the label begins after a sign that would cover its first letters
      const under = Math.max(-2, ...signs.map((mark) => slotOf(mark.frame) - slotOf(from)).filter((at) => at < slots / 16));
      if (!tight && under >= -1) found.style.paddingLeft = `max(5px, calc(${percent(under + 0.5)} + 9px))`;
      return place(found, from, to);
    };
    this.heads = [];
    this.veils = [];
    const lane = (name, spans, marks) => {
      const head = make("span", { class: "vp-head" });
      this.heads.push(head);
      const symbols = marks.map((mark) => {
        const symbol = make("span", { class: `vp-sign ${mark.kind}`, title: mark.label }, MARKS[mark.kind] ?? "•");
        symbol.style.left = percent(slotOf(mark.frame) + 0.5);
        return symbol;
      });
      const veil = make("span", { class: "vp-veil", hidden: true, title: "after an unanswered question" });
      this.veils.push(veil);
      const track = make("div", { class: "vp-track" }, ...spans, ...symbols, veil, head);
      return [make("div", { class: "vp-lane-name" }, name), track];
    };
    const { actions, cpus, marks } = film.timeline;
    const all = [...marks, ...extraMarks];
    const signs = (cpu) => all.filter((mark) => mark.cpu === cpu);
    const rows = [
      ...lane("Action", actions.map((action) => span("action", action, signs(-1))), signs(-1)),
      ...cpus.filter(({ idle }) => !idle).flatMap(({ cpu, spans }) =>
        lane(`CPU ${cpu} register`, spans.map((s) => span(`${ownerClass(s.owner)} mode-${s.mode}`, s, signs(cpu))), signs(cpu))),
    ];
    this.told = this.description(film);
    this.root = make("div", {
      class: "vp-timeline", role: "img", "aria-label": this.told,
      click: (event) => {
        const track = event.target.closest(".vp-track");
        if (!track) return;
        const box = track.getBoundingClientRect();
        goTo(Math.min(slots - 1, Math.floor(((event.clientX - box.left) / box.width) * slots)));
      },
    }, ...rows);
  }

  description(film) {
    const { marks } = film.timeline;
    const cpus = film.timeline.cpus.filter(({ idle }) => !idle);
    const told = marks.slice(0, 12).map((mark) => `step ${mark.frame}: ${mark.label}`);
    if (marks.length > told.length) told.push(`and ${marks.length - told.length} more`);
    return `Timeline of ${cpus.length === 1 ? "one CPU" : `${cpus.length} CPUs`}. ${told.join("; ") || "Nothing is marked."}`;
  }

  /** Cover slot `from` and everything after it. */
  veil(from) {
    this.covered = from < this.slots;
    for (const veil of this.veils) {
      veil.hidden = !this.covered;
      if (this.covered) veil.style.left = `${(100 * from) / this.slots}%`;
    }
    const told = this.covered ? "Timeline; everything after the question is covered." : this.told;
    if (this.root.getAttribute("aria-label") !== told) this.root.setAttribute("aria-label", told);
  }

  show(slot) {
    for (const head of this.heads) head.style.left = `${(100 * (slot + 0.5)) / this.slots}%`;
  }
}
