"""The model checker: every schedule of a design, the shortest counterexample, and why each line is there.

From the bottom up: ``values`` and ``state`` say what a thread's state is, ``choices`` what can
happen to it; ``tracing``, ``sections`` and ``footprints`` run a design's Programs from one
scheduling point to the next, once for all values; ``control`` makes the table of one
thread's transitions of that. ``closure`` explores one thread with every value, ``threads``
and ``product`` several on their CPUs, ``search`` finds the shortest path. ``verdict`` is
``vmxsim.check``; ``counterexample`` and ``explanation`` say what a path means; ``mutants``
and ``reasons`` are ``vmxsim.why``; ``promela`` writes the model for Spin, by another way.
"""
