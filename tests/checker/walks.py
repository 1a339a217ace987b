"""Random walks through the checker's table of a design, and the same walks as scenarios."""

from hypothesis import strategies as st

from vmxsim.checker.assumptions import restriction
from vmxsim.checker.check import kept_table
from vmxsim.checker.counterexample import scenario_of
from vmxsim.checker.footprints import BROKEN
from vmxsim.checker.search import Path
from vmxsim.checker.states import CONSTANTS, DATA_MASK
from vmxsim.checker.symbolic import IN, STEP
from vmxsim.checker.transition_table import make_doers
from vmxsim.simulation.scenario import HOST_FIELDS, make_host, make_scenario


def table(design, host="64-bit", assume=(), gs_base_from=None, fsgsbase=None, bases="own", **options):
    """The checker's table of one thread."""
    task = make_host(host, design, gs_base_from, fsgsbase, bases)
    return kept_table(design, task, restriction(assume), **options)


def edges_from(control, state):
    """The transitions that are possible in a packed state."""
    number, data = state >> CONSTANTS, state & DATA_MASK
    edges = control.edges[control.first[number] : control.first[number + 1]]
    return [edge for edge in edges if data & edge.leaf.mask == edge.leaf.bits]


#: A walk: the start, then actions, each a number that picks it and the transitions (from 0) of it
#: at which a tick comes, where one can.
WALKS = st.tuples(
    st.integers(0, 1),
    st.lists(st.tuples(st.integers(0, 59), st.sets(st.integers(0, 40), max_size=4)), min_size=6, max_size=20),
)


class Walk:
    """A walk led by numbers, see :data:`WALKS`. It goes on behind broken invariants.

    ``broken`` are the names broken in each action, ``rests`` the packed state at the end of each
    action, ``error`` says why the last one failed.
    """

    def __init__(self, control, chosen):
        self.control, self.transitions, self.error = control, [], None
        self.broken, self.rests = [], []
        self._doers = make_doers(control.values, control.effects)
        start, actions = chosen
        number, data = control.initial[start % len(control.initial)]
        self.start = self.state = (number << CONSTANTS) | data
        for action, ticks in actions:
            self._act(action, ticks)
            if self.error:
                return

    def _act(self, action, ticks):
        self.broken.append(set())
        edges = edges_from(self.control, self.state)
        often = [edge for edge in edges if edge.leaf.choice.verb == "run"]  # the rest is behind it
        edges += often * 4
        self._take(edges[action % len(edges)])
        count = 0
        while not self.error and not (edges := edges_from(self.control, self.state))[0].at_rest:
            count += 1
            on = [edge for edge in edges if edge.leaf.choice in (STEP, IN)]
            tick = [edge for edge in edges if edge not in on]
            some = tick if tick and count in ticks else on
            self._take(some[action % len(some)])
        if not self.error:
            self.rests.append(self.state)

    def _take(self, edge):
        after, broken = self._doers[edge.effect].done(self.state & DATA_MASK)
        self.transitions.append((self.state, edge))
        self.broken[-1] |= {name for name, bit in BROKEN.items() if broken & bit}
        self.error = edge.leaf.error
        self.state = (edge.target << CONSTANTS) | after

    def scenario(self, cpus, cpu_of, **options):
        """The walk as a scenario; tick number n sends the thread to CPU ``cpu_of(n)``: CPUs are alike."""
        path = Path(self.start, tuple(self.transitions), 0)
        made = scenario_of(path, self.control, self.control.design, cpus=cpus, vcpus=1, **options)
        ticks = iter(range(100_000))
        steps = [_on_cpus(step, lambda: cpu_of(next(ticks)) % cpus) for step in made.steps]
        names = ("design", "host", "long_mode", *HOST_FIELDS)
        fields = {name: getattr(made, name) for name in names}
        return make_scenario(steps, cpus=cpus, **fields, **options)


def _on_cpus(step, cpu):
    if isinstance(step, str):
        return f"preempt cpu{cpu()}" if step.startswith("preempt") else step
    ((action, value),) = step.items()
    action = _on_cpus(action, cpu)
    if "preempt" not in value:
        return {action: value}
    points = value["preempt"] if isinstance(value["preempt"], list) else [value["preempt"]]
    return {action: {**value, "preempt": [{**point, "cpu": cpu()} for point in points]}}
