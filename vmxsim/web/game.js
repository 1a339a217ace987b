// The entry point of "be the scheduler": a deck with the game's board. The model's traits are the player's, and state.

function render({ model, el }) { return new Deck(calm(model), el, new Board(calm(model))).follow(); }

export default { render };
