"""Be the scheduler: who runs next, and where does a tick come? Break a design in as few moves as the checker.

``playing`` runs what was played so far, says where the thread is, and writes a play as a scenario;
``moves`` says what can be done there; ``solution`` asks the checker for the fewest moves, gives hints
from any position, and keeps the scores. ``game`` puts them together.
"""
