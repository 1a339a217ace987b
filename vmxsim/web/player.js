// The widget's entry point. The model's traits: films, pairs, divergence, start, run (a number that changes with
// every run), shown ([run, slot]), skip_quiet, can_preempt, meanings (of each status), gates and answers
// (see gates.js), presenting, stops and words (see stage.js).

function render({ model, el }) {
  const deck = new Deck(model, el);
  const load = () => deck.load();
  const options = () => deck.options();
  const answers = () => deck.gates.load();
  const heard = (message) => { if (message.kind === "look") deck.look(); };
  model.on("change:run", load);
  model.on("change:skip_quiet", options);
  model.on("change:words", options);
  model.on("change:answers", answers);
  model.on("msg:custom", heard);
  deck.load();
  return () => {
    deck.stop();
    model.off("change:run", load);
    model.off("change:skip_quiet", options);
    model.off("change:words", options);
    model.off("change:answers", answers);
    model.off("msg:custom", heard);
  };
}

export default { render };
