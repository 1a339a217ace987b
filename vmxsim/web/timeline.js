// The timeline: a lane of actions, then a lane per CPU that shows whose value its register holds, with marks for
// ticks, migrations and violations. Each step has a slot; a click goes to it.

const MARKS = { preempt: "▼", pending: "◔", migrate: "⇄", violation: "✖", divergence: "≠" };

/** Half the width of a sign, in pixels. */
const SIGN = 9;
/** Width of a letter of an action's name, in pixels. */
const LETTER = 7;

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
    const roomy = (from, to, least) => slotOf(to + 1) - slotOf(from) > slots / least;
    const span = (kind, { from, to, label }, signs = [], number = 0) => {
      const tight = !roomy(from, to, number ? 50 : 20);
      const found = make("span", { class: `vp-span ${kind}${tight ? " tight" : ""}`, title: number ? `${number} ${label}` : label },
        number ? make("b", { class: number > 9 ? "two" : "" }, String(number)) : "", tight ? "" : `${number ? " " : ""}${label}`);
      const begins = slotOf(from);
      if (!tight && signs.length) this.labels.push({ span: found, begins, width: slotOf(to + 1) - begins, signs: signs.map((mark) => slotOf(mark.frame)) });
      return place(found, from, to);
    };
    this.heads = [];
    this.veils = [];
    this.signs = [];
    this.labels = []; // that stand in one lane with signs
    const lane = (name, spans, marks) => {
      const head = make("span", { class: "vp-head" });
      this.heads.push(head);
      const symbols = marks.map((mark) => {
        const symbol = make("span", { class: `vp-sign ${mark.kind}`, title: mark.label }, MARKS[mark.kind] ?? "•");
        symbol.style.left = percent(slotOf(mark.frame) + 0.5);
        this.signs.push({ symbol, slot: slotOf(mark.frame) });
        return symbol;
      });
      const veil = make("span", { class: "vp-veil", hidden: true, title: "after an unanswered question" });
      this.veils.push(veil);
      const track = make("div", { class: "vp-track" }, ...spans, ...symbols, veil, head);
      return [make("div", { class: "vp-lane-name" }, name), track];
    };
    const { cpus, marks } = film.timeline;
    this.actions = film.timeline.actions.map((action) => ({ ...action, number: action.action + 1, begins: slotOf(action.from), ends: slotOf(action.to + 1) }));
    const all = [...marks, ...extraMarks];
    const signs = (cpu) => all.filter((mark) => mark.cpu === cpu);
    const rows = [
      ...lane("Action", this.actions.map((action) => span("action", action, signs(-1), action.number)), signs(-1)),
      ...cpus.filter(({ idle }) => !idle).flatMap(({ cpu, spans }) =>
        lane(`CPU ${cpu} register`, spans.map((s) => span(`${ownerClass(s.owner)} mode-${s.mode}`, s, signs(cpu))), signs(cpu))),
    ];
    this.flag = make("span", { class: "vp-flag", "aria-hidden": "true", hidden: true });
    rows[1].lastChild.before(this.flag);
    this.marks = marks.map((mark) => ({ ...mark, slot: slotOf(mark.frame) }));
    this.told = this.description();
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

  /** Keep a span's label clear of the signs before slot `end`: it begins after one that would cover it in the first half of
      the span, and ends before one in the second. */
  keepClear({ span, begins, width, signs }, end) {
    const percent = (slot) => `${(100 * slot) / this.slots}%`;
    const at = signs.filter((slot) => slot < end).map((slot) => slot - begins);
    const reach = LETTER * span.textContent.length + 5 + SIGN;
    // a sign that stands farther than the label reaches moves nothing
    const left = at.filter((slot) => slot >= -1 && slot < width / 2).map((slot) => percent(slot + 0.5))
      .map((middle) => `clamp(5px, (${reach}px - ${middle}) * 999, ${middle} + ${SIGN}px)`);
    const late = Math.min(...at.filter((slot) => slot >= width / 2 && slot < width));
    span.style.paddingLeft = left.length ? `max(5px, ${left.join()})` : "";
    span.style.paddingRight = late < width ? `calc(${percent(width - late - 0.5)} + ${SIGN}px)` : "";
  }

  /** The timeline in words, as far as slot `from`. */
  description(from = Infinity) {
    const some = (all, tell) => [...all.slice(0, 12).map(tell), ...(all.length > 12 ? [`and ${all.length - 12} more`] : [])].join("; ");
    const before = (slot) => slot < from;
    const acted = some(this.actions.filter(({ begins }) => before(begins)), (action) => `${action.number} ${action.label}, from step ${Math.max(1, action.from)}`);
    const marked = some(this.marks.filter(({ slot }) => before(slot)), (mark) => `step ${mark.frame}: ${mark.label}`);
    return `Timeline. Actions: ${acted}. ${marked || "Nothing is marked"}.`;
  }

  /** Cover slot `from` and everything after it. A sign is wider than its slot: one that comes later is not drawn. */
  veil(from) {
    if (from === this.from) return;
    this.from = from;
    this.covered = from < this.slots;
    for (const { symbol, slot } of this.signs) symbol.hidden = slot >= from;
    for (const label of this.labels) this.keepClear(label, from);
    for (const veil of this.veils) {
      veil.hidden = !this.covered;
      // the end of a span would show whether it goes on
      if (this.covered) veil.style.left = `calc(${(100 * from) / this.slots}% - 4px)`;
    }
    const told = this.covered ? `${this.description(from)} Everything after the question is covered.` : this.told;
    if (this.root.getAttribute("aria-label") !== told) this.root.setAttribute("aria-label", told);
  }

  show(slot) {
    for (const head of this.heads) head.style.left = `${(100 * (slot + 0.5)) / this.slots}%`;
    this.name(this.actions.find(({ begins, ends }) => begins <= slot && slot < ends));
    if (this.watch) return;
    this.watch = new ResizeObserver(() => { // how much room there is for a name shows on the page only
      const action = this.named;
      this.named = null;
      this.name(action);
    });
    this.watch.observe(this.root);
  }

  /** Name the action that is shown, over its neighbors, if it is too short for its name. */
  name(action) {
    if (this.named === action) return;
    this.named = action;
    const words = action ? `${action.number} ${action.label}` : "";
    const wide = action ? this.flag.parentElement.clientWidth * (action.ends - action.begins) / this.slots : 0;
    this.flag.hidden = !action || words.length * LETTER + 12 <= wide;
    if (this.flag.hidden) return;
    setText(this.flag, words);
    // it begins where the action does, or as far to the left as it needs to
    this.flag.style.left = `max(0px, min(${(100 * action.begins) / this.slots}%, 100% - ${words.length * LETTER + 12}px))`;
  }
}
