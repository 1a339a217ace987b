"""The model checker: every schedule of a design, the shortest counterexample, and why each line is there.

From the bottom up: ``states`` numbers the values of the register and packs a thread's state;
``symbolic`` runs kernel code from one scheduling point to the next, once for all values;
``footprints`` keeps what it did, and ``transition_table`` turns that into a table. ``reach``
explores one thread, ``product`` two, ``search`` finds the shortest path, and
``counterexample`` turns it into a scenario and explains it. ``assumptions`` narrow the search,
``cut`` says why one ended early, and ``either_way`` whether a verdict depends on conditions that
are not modeled.
``check`` and ``why`` are the public functions, ``result`` is what ``check`` returns;
``difference`` compares two designs, ``states_at_rest`` lists the states of a picture.
"""
