"""Several threads' states, visited one by one: what the checker computes, found the slow way."""

from itertools import product

from vmxsim.checker.lengths import WAITS
from vmxsim.checker.states import CONSTANTS


def visited(holds, waits, vcpus, cpus, *, moves=True, same_guest=True):
    """How many joint states there are at each distance, and how many transitions they have.

    ``holds`` is the graph of a thread that starts with a CPU, ``waits`` of one that starts without. A joint
    state has for each thread its state and the CPU that it holds.
    """
    graphs = [holds if n < cpus else waits for n in range(vcpus)]
    homes = [min(n, cpus - 1) for n in range(vcpus)]
    layer = set()
    for modes in product(range(len(holds.start)), repeat=vcpus):
        if not same_guest or len(set(modes)) == 1:
            starts = [graph.start[mode] for graph, mode in zip(graphs, modes, strict=True)]
            layer.add(tuple((s, n if n < cpus else None) for n, s in enumerate(starts)))
    seen, layers, transitions = set(layer), [], 0
    while layer:
        layers.append(len(layer))
        following = set()
        for state in layer:
            held = {cpu for _, cpu in state}
            for n, (graph, (at, cpu)) in enumerate(zip(graphs, state, strict=True)):
                transitions += int(graph.ends[at])
                for to in graph.target[graph.first[at] : graph.first[at + 1]]:
                    if graph.marks[to] & WAITS:
                        places = [None]
                    elif graph.marks[at] & WAITS:
                        places = [c for c in (range(cpus) if moves else [homes[n]]) if c not in held]
                    else:
                        places = [cpu]
                    for place in places:
                        transitions += 1
                        after = (*state[:n], (int(to), place), *state[n + 1 :])
                        if after not in seen:
                            seen.add(after)
                            following.add(after)
        layer = following
    return tuple(layers), transitions


def steps_to_breach(control, bit, cpus):
    """The number of transitions after which two threads of a table first break an invariant."""

    def waits(state):
        return control.get(control.states[state >> CONSTANTS], "thread0", "waiting")

    def packed(starts):
        return [(number << CONSTANTS) | data for number, data in starts]

    second = packed(control.initial if cpus > 1 else control.initial_waiting)
    layer = {
        ((a, 0), (b, 1 if cpus > 1 else None)) for a, b in zip(packed(control.initial), second, strict=True)
    }
    seen, steps = set(layer), 0
    while layer:
        steps += 1
        following = set()
        for state in layer:
            for n, (at, cpu) in enumerate(state):
                other = state[1 - n]
                for _, to, broken in control.successors(at):
                    if broken & bit:
                        return steps
                    if broken or to < 0:
                        continue
                    free = [c for c in range(cpus) if c != other[1]]
                    for place in [None] if waits(to) else free if waits(at) else [cpu]:
                        after = (other, (to, place)) if n else ((to, place), other)
                        if after not in seen:
                            seen.add(after)
                            following.add(after)
        layer = following
    return None
