// What the notebook calls. The model's traits: films, pairs, divergence, position, skip_quiet, can_preempt.

function render({ model, el }) {
  const deck = new Deck(model, el);
  const load = () => deck.load();
  const show = () => deck.show();
  const options = () => deck.options();
  model.on("change:films", load);
  model.on("change:position", show);
  model.on("change:skip_quiet", options);
  deck.load();
  return () => {
    deck.stop();
    model.off("change:films", load);
    model.off("change:position", show);
    model.off("change:skip_quiet", options);
  };
}

export default { render };
