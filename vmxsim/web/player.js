// The widget's entry point. The model's traits: films, pairs, divergence, start, run (a number that changes with
// every run), shown ([run, slot]), skip_quiet, can_preempt, gates and answers
// (see gates.js), presenting, stops and words (see stage.js).

function render({ model, el }) { return new Deck(calm(model), el).follow(); }

export default { render };
