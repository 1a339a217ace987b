"""Lab 7: the seed patch repaired, its condition kept."""

from __future__ import annotations

from vmxsim.exercises.exercise import Exercise
from vmxsim.exercises.goals import ArrowsMet, CostAtMost, InvariantsHold, OnlyChanged
from vmxsim.scenario import make_scenario

_SET_EFER = "vmx_set_efer"
_REPORTED = make_scenario(
    ["set-msr 0xA000", "run", "guest smi", "exit", "run", "guest rsm", "guest rdmsr -> 0xA000"],
    long_mode=True,
)
_FIRST_ENTRY = make_scenario(["run", "guest long-mode on", "guest rdmsr -> 0x0"])

EXERCISE = Exercise(
    id="repair-the-patch",
    title="Repair the patch",
    task=(
        "Commit 678e315e78a7 loads nothing when the guest enters long mode while its state is loaded. Repair"
        " it in vmx_set_efer(), and keep what it won: outside long mode the register is not switched, and"
        " nothing reloads the whole host state."
    ),
    start="dedicated-accessors",
    edit=(_SET_EFER,),
    goals=(
        OnlyChanged(_SET_EFER),
        ArrowsMet(_FIRST_ENTRY, "the guest enters long mode and reads its register"),
        ArrowsMet(_REPORTED, "SMI, a trip to user space, RSM, and the guest reads its register"),
        InvariantsHold(),
        CostAtMost(
            "guest long-mode on", {"wrmsr_kernel_gs_base": 1, "full_host_reload": 0}, long_modes=(False,)
        ),
    ),
    hints=(
        "Two cases: LMA goes from 0 to 1, and LMA goes from 1 to 0. The patch handles the second. Remember"
        " which it is before you change vmx.efer.",
        "When LMA goes from 0 to 1 and guest state is loaded, the register must get the saved copy. Test the"
        " flag and write the register under preempt_disable(), as the accessors do.",
        "If the counterexample has a tick in vmx_set_efer(): LMA said one thing and the register another"
        " when it came. The new EFER and the register that goes with it must change together.",
    ),
    difficulty=4,
    minutes=30,
)
