"""The model checker: every schedule of a design, the shortest counterexample, and why each line is there.

From the bottom up: ``values`` and ``state`` say what a thread's state is; ``tracing`` and
``sections`` run a design's Programs from one scheduling point to the next, once for all
values; ``control`` makes the table of one thread's transitions of that; ``space`` explores
one thread with every value, ``product`` several threads on their CPUs; ``verdict`` is what
``vmxsim.check`` returns, ``counterexample`` turns a path into a scenario.
"""
