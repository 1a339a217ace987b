"""Lab 3: Linux 2.6.33, LMA changed first."""

from __future__ import annotations

from vmxsim.exercises.exercise import Exercise
from vmxsim.exercises.goals import InvariantsHold, OnlyChanged

EXERCISE = Exercise(
    id="mode-changes",
    title="A mode that changes too early",
    task=(
        "Linux 2.6.33 switches the register only for a guest in long mode, and asks EFER.LMA whether it is in"
        " it. enter_lmode() and exit_lmode() change EFER.LMA while guest state may be loaded. Repair both."
    ),
    start="lazy-long-mode",
    edit=("enter_lmode", "exit_lmode"),
    goals=(
        OnlyChanged("enter_lmode", "exit_lmode"),
        InvariantsHold(host="64-bit"),
        InvariantsHold(host="32-bit"),
    ),
    hints=(
        "Leave looks at EFER.LMA to know whether the register holds the guest's value. So the state must be"
        " left by the rule under which it was entered.",
        "vmx_set_efer(), which you do not change, gives the host its state back before it stores the new"
        " EFER. Print it: print(*ex.start.functions()['vmx_set_efer'].source, sep='\\n').",
        "Nothing has to be added. Let vmx_set_efer() be the only one who changes vmx.efer, and hand it the"
        " value that you want.",
    ),
    difficulty=2,
    minutes=20,
)
