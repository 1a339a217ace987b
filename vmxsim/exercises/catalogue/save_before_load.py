"""Lab 4: Linux 2.6.36, load_gs_index()."""

from __future__ import annotations

from vmxsim.exercises.exercise import Exercise
from vmxsim.exercises.goals import InvariantsHold, OnlyChanged

_LEAVE = "__vmx_load_host_state"

EXERCISE = Exercise(
    id="save-before-load",
    title="Save before you load",
    task=(
        "In Linux 2.6.36 leave reloads the GS selector of a 32-bit host process with load_gs_index(), and the"
        " guest's value is lost. Repair leave, so that it is right for 32-bit and for 64-bit host processes."
    ),
    start="load-gs-index",
    edit=(_LEAVE,),
    goals=(
        OnlyChanged(_LEAVE),
        InvariantsHold(host="32-bit"),
        InvariantsHold(host="64-bit"),
    ),
    hints=(
        "load_gs_index() is SWAPGS; MOV %gs; SWAPGS. Where does the base go that MOV %gs loads from the"
        " descriptor, and who still had something there?",
        "The guest's value must be read back before load_gs_index() runs.",
        "What is only true of a guest in long mode must be asked again: the value is read back at one place"
        " and the host's is written at another, and both stand under the same condition.",
    ),
    difficulty=2,
    minutes=20,
)
