"""Be the scheduler: who runs next, and where does a tick come? Break a design in as few moves as the checker.

``playing`` runs what was played so far, ``position`` says where the thread is, ``options`` what can be
done there; ``solution`` asks the checker for the fewest moves, ``hints`` from any position on; ``schedule``
writes a play as a scenario, ``score`` judges it. ``game`` puts them together.
"""
