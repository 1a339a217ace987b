"""Questions, the scheduling game, exercises and the classroom."""
