// What the notebook calls. The model's traits: films, pairs, divergence, start, run
// (a number that changes with every new run), shown ([run, slot]), skip_quiet, can_preempt,
// meanings (of each status).

function render({ model, el }) {
  const deck = new Deck(model, el);
  const load = () => deck.load();
  const options = () => deck.options();
  const heard = (message) => { if (message.kind === "look") deck.look(); };
  model.on("change:run", load);
  model.on("change:skip_quiet", options);
  model.on("msg:custom", heard);
  deck.load();
  return () => {
    deck.stop();
    model.off("change:run", load);
    model.off("change:skip_quiet", options);
    model.off("msg:custom", heard);
  };
}

export default { render };
