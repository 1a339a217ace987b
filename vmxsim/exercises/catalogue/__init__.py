"""The exercises of the labs, easiest first. No solution is here: those are in the labs' sources."""

from __future__ import annotations

from vmxsim.errors import InputError, nearest, printable
from vmxsim.exercises.catalogue import (
    careful_write,
    cheap_accessors,
    from_scratch,
    mode_changes,
    one_tick,
    repair_the_patch,
    save_before_load,
    what_was_granted,
)
from vmxsim.exercises.exercise import Exercise

#: All exercises by id, in the order of the labs.
EXERCISES: dict[str, Exercise] = {
    module.EXERCISE.id: module.EXERCISE
    for module in (
        one_tick,
        careful_write,
        mode_changes,
        save_before_load,
        what_was_granted,
        cheap_accessors,
        repair_the_patch,
        from_scratch,
    )
}


def find_exercise(name: str) -> Exercise:
    """The exercise of this id. Raises InputError with the nearest."""
    word = str(name).strip()
    if word in EXERCISES:
        return EXERCISES[word]
    known = ", ".join(EXERCISES)
    raise InputError(
        f"no exercise '{printable(word)}'; the exercises are {known}{nearest(word, EXERCISES)}",
        "exercise",
    )
