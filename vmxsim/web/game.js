// The entry point of "be the scheduler": a deck with the game's board. The model's traits are the player's, and state.

export default { render: ({ model, el }) => new Deck(model, el, new Board(model)).follow() };
