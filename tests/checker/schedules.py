"""Random scenarios, legal by a few lines of their own: nothing here knows the checker."""

from attrs import define
from hypothesis import strategies as st

from vmxsim.simulation.scenario import HOSTS

#: The threads' user GS bases at the start.
BASES = ("0x7f0000001000", "0x7f0000003000")
#: Actions that always exit to KVM, which handles them: a signal may be pending then.
EXITS = ("emulate", "guest long-mode", "guest smi", "guest rsm")


@define
class Thread:
    """What decides which actions are possible."""

    long_mode: bool
    in_guest: bool = False
    in_smm: bool = False
    before_smm: bool = False
    #: The user GS base at the start, to which user space may return.
    base: str = "0x7f0000001000"

    def verbs(self):
        other = "off" if self.long_mode else "on"
        if not self.in_guest:
            user = ["run", "run cancelled", "get-msr", "set-msr 0xA000", "set-msr 0xB000"]
            user += ["user gs-base 0x7f0000005000", f"user gs-base {self.base}"]
            return user + ([] if self.in_smm else [f"set-efer long-mode {other}"])
        guest = ["guest rdmsr", "guest wrmsr 0xA000", "guest wrmsr 0xB000", "emulate rdmsr"]
        guest += ["emulate wrmsr 0xB000", "exit", f"guest long-mode {other}"]
        return guest + (["guest swapgs"] * self.long_mode) + ["guest rsm" if self.in_smm else "guest smi"]

    def do(self, verb):
        if verb.endswith(("long-mode on", "long-mode off")):
            self.long_mode = verb.endswith("on")
        elif verb == "run" or verb == "exit":
            self.in_guest = verb == "run"
        elif verb == "guest smi":
            self.in_smm, self.before_smm, self.long_mode = True, self.long_mode, False
        elif verb == "guest rsm":
            self.in_smm, self.long_mode = False, self.before_smm


@st.composite
def schedules(draw, vcpus=1):
    """Options and ticks of ``run``, and actions that are possible one after the other."""
    cpus, long_mode = draw(st.integers(1, 3)), draw(st.booleans())
    threads, steps = [Thread(long_mode, base=base) for base in BASES[:vcpus]], []
    for _ in range(draw(st.integers(1, 12))):
        n = draw(st.integers(0, vcpus - 1))
        verb = draw(st.sampled_from([*threads[n].verbs(), f"preempt cpu{draw(st.integers(0, cpus - 1))}"]))
        threads[n].do(verb)
        step = verb
        if verb.startswith(EXITS) and draw(st.booleans()):
            step, threads[n].in_guest = {verb: {"signal": True}}, False
        steps.append({f"vcpu{n}": step} if vcpus > 1 else step)
    ticks = draw(st.dictionaries(st.integers(1, 400), st.integers(0, cpus - 1), max_size=8))
    host = draw(st.sampled_from(HOSTS))
    options = {"host": host, "long_mode": long_mode, "cpus": cpus, "vcpus": vcpus}
    return steps, options, sorted(ticks.items())
