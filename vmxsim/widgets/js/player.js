// What the notebook calls. The model's traits: films, pairs, divergence, start, run
// (a number that changes with every new run), shown ([run, slot]), skip_quiet, can_preempt,
// meanings (of each status).

function render({ model, el }) {
  const deck = new Deck(model, el);
  const load = () => deck.load();
  const options = () => deck.options();
  model.on("change:run", load);
  model.on("change:skip_quiet", options);
  deck.load();
  return () => {
    deck.stop();
    model.off("change:run", load);
    model.off("change:skip_quiet", options);
  };
}

export default { render };
