"""What a check found: as objects, as text, and as HTML for notebooks and the check panel."""

from __future__ import annotations

from functools import cached_property
from html import escape
from importlib.resources import files
from typing import Any

from attrs import field, frozen

from vmxsim.checker.counterexample import scenario_of
from vmxsim.checker.cut import INTERRUPTED, Cut
from vmxsim.checker.explanation import Explanation, explain
from vmxsim.checker.search import Path
from vmxsim.checker.together import Together
from vmxsim.checker.transition_table import TransitionTable
from vmxsim.designs.history import never_called
from vmxsim.errors import InputError, counted
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.kernel.machine import Host
from vmxsim.simulation.run import RunTrace, run
from vmxsim.simulation.scenario import HOST_FIELDS, Scenario, scenario_yaml

SAFE, VIOLATED, INCOMPLETE = "safe", "violated", "incomplete"
HOLDS, UNKNOWN = "holds", "unknown"

#: How threads were explored that can tell what was left on a CPU.
FOLLOWED = (
    "What was left on a CPU can be told ({}). So a thread was followed that finds there whatever any thread"
    " may leave: it breaks nothing, and then no schedule does. The states are its own."
)
VISITED = "What was left on a CPU can be told ({}). So joint states were visited one by one and counted."

#: What the model leaves out that could matter: a verdict says nothing of it.
OMITTED = {
    "NMI and machine check": "no such handler runs between two lines",
    "nested VMX": "a guest runs no guests of its own",
    "TDX": "KVM sees every guest's registers",
    "INIT": "no vCPU is reset once it runs",
    "a signal at a later VM entry of one KVM_RUN": "one is seen at the first entry and after a handled exit",
    "host-side changes while guest state is loaded, beyond those explored": (
        "no suspend, CPU hotplug or kexec, and no debugger that writes the thread's GS base"
    ),
}


@frozen(slots=False)
class Counterexample:
    """The shortest schedule that breaks ``invariant`` on ``design``.

    ``actions`` counts the actions of ``scenario``, ``steps`` the checker's transitions up to
    the violation. ``failure`` is the message if the design did what the kernel must not
    (invariant ``contract``), else ''. ``past``: another invariant breaks before this one. ``tests`` are those
    of :class:`~vmxsim.checker.search.Path`.
    """

    design: type[Kvm] = field(repr=False)
    invariant: str
    scenario: Scenario
    actions: int
    steps: int
    failure: str = ""
    past: bool = False
    tests: tuple[tuple[str, bool, bool], ...] = field(default=(), repr=False)

    @cached_property
    def trace(self) -> RunTrace:
        """The scenario, run. Raises SimulationError if the design fails on it."""
        return run(self.scenario, self.design)

    @cached_property
    def explanation(self) -> Explanation | None:
        """Why the invariant breaks; None if the design fails instead."""
        return None if self.failure else explain(self.trace, self.invariant)

    @property
    def schedule(self) -> str:
        """Its actions in one line, with the ticks and signals inside them."""
        return "; ".join(map(_step_words, self.scenario.steps))

    @property
    def mechanism(self) -> str:
        """A short name for what goes wrong."""
        return self.explanation.mechanism if self.explanation else "the design does what the kernel must not"

    @property
    def words(self) -> str:
        """What was expected and found, and the step that lost the value."""
        return self.explanation.words if self.explanation else self.failure

    def as_data(self) -> dict[str, Any]:
        """The scenario as plain data, in the fields of a scenario file."""
        s = self.scenario
        data: dict[str, Any] = {"title": s.title}
        if s.design:
            data["design"] = s.design
        data |= {"cpus": s.cpus, "vcpus": s.vcpus, "host": s.host, "long_mode": s.long_mode}
        usual = Scenario()
        for name in (*HOST_FIELDS, "interception"):
            if getattr(s, name) != getattr(usual, name):
                data[name] = getattr(s, name)
        return data | {"steps": list(s.steps)}


def _step_words(step: Any) -> str:
    if isinstance(step, str):
        return step
    ((action, options),) = step.items()
    if action.startswith("vcpu"):  # whose action it is
        return f"{action}: {_step_words(options)}"
    points = options.get("preempt", [])
    told = [
        f"tick before {p['before']} in {p['in']}" for p in (points if isinstance(points, list) else [points])
    ]
    if options.get("signal"):
        told.append("then a signal")
    if numbers := options.get("otherwise"):
        tests = "test" if len(numbers) == 1 else "tests"
        told.append(f"{tests} {', '.join(map(str, numbers))} of what is not modeled the other way")
    return f"{action} ({', '.join(told)})"


def counterexample_of(
    path: Path, table: TransitionTable, invariant: str, title: str, *, cpus: int, vcpus: int, past: bool
) -> Counterexample:
    """The counterexample that a path through a table is."""
    how = table.sections.interception
    scenario = scenario_of(path, table, table.design, cpus=cpus, vcpus=vcpus, interception=how, title=title)
    failure = str(path.transitions[-1][1].leaf.error or "")
    actions, steps = len(scenario.steps), len(path.transitions)
    return Counterexample(table.design, invariant, scenario, actions, steps, failure, past, path.tests)


@frozen(slots=False)
class HostResult:
    """The verdict for one width of the host's user space.

    ``invariants`` maps each to ``holds``, ``violated`` or ``unknown``. ``states``,
    ``transitions`` and ``depth`` (transitions to the farthest state) measure the search (where conditions
    that are not modeled come out either way, states that differ in nothing that is looked at count once);
    ``sometimes`` tells which situations it covered. ``cut_by`` says why it is incomplete, None
    if it is not; ``ended_early``: it stopped because every invariant was broken. ``bases`` are the user GS
    bases for which the verdict holds (``own``, ``zero``: :class:`~vmxsim.kernel.machine.Host`), ``written``
    the numbers that guest and user space write; ``task`` says where the bases come from. ``together`` has the
    states of several vCPUs in detail; ``told`` is :data:`FOLLOWED` or :data:`VISITED`, if either is true.
    """

    host: str
    invariants: dict[str, str]
    states: int
    transitions: int
    depth: int
    seconds: float
    sometimes: dict[str, bool]
    counterexamples: dict[str, Counterexample]
    cut_by: Cut | None = None
    ended_early: bool = False
    bases: tuple[str, ...] = ("own",)
    written: tuple[int, ...] = ()
    task: Host = field(factory=Host)
    together: Together | None = field(default=None, repr=False)
    told: str = ""

    @property
    def cut(self) -> str:
        """Why the search is incomplete, with the option that sets the limit; '' if it is not."""
        return str(self.cut_by or "")

    @property
    def cut_without_option(self) -> str:
        """The same for a reader who has no command line."""
        return self.cut_by.without_option if self.cut_by else ""

    @property
    def verdict(self) -> str:
        """``safe``, ``violated`` or ``incomplete``."""
        if self.counterexamples:
            return VIOLATED
        return INCOMPLETE if self.cut_by else SAFE

    @property
    def figures(self) -> dict[str, str]:
        """How much was searched, as text."""
        return {
            "states": f"{self.states:,}",
            "transitions": f"{self.transitions:,}",
            "depth": f"{self.depth:,}",
            "seconds": f"{self.seconds:.2f}",
        }

    def status(self, invariant: str) -> str:
        """What is known about an invariant, also one that only the other host width's result lists
        (``contract``, where it is violated): it holds here only if every schedule was explored."""
        return self.invariants.get(invariant, HOLDS if self.verdict == SAFE else UNKNOWN)

    @property
    def counterexample(self) -> Counterexample | None:
        """The shortest of all."""
        return min(self.counterexamples.values(), key=lambda c: (c.actions, c.steps), default=None)


@frozen(slots=False)
class CheckResult:
    """What ``vmxsim.check`` found out about ``design`` under ``assumptions`` (their names).

    ``hosts`` has one result for each host width. ``otherwise``: what comes of it if a condition that is taken
    for granted goes the other way, in words, with the verdict or the reason why there is none, and with what
    is violated if that is something else. ``guests`` says whose the vCPUs are, the ``same`` guest's or
    ``different`` ones'. It prints as a table and the counterexample.
    """

    design: type[Kvm]
    hosts: tuple[HostResult, ...]
    cpus: int
    vcpus: int
    assumptions: tuple[str, ...]
    otherwise: dict[str, str] = field(factory=dict)
    guests: str = "same"

    @property
    def name(self) -> str:
        """The design's id, or the name of a reader's own class."""
        return name_of(self.design)

    @property
    def telling(self) -> HostResult:
        """The result that decides: the first violated one, else the first incomplete, else the first."""
        for verdict in (VIOLATED, INCOMPLETE):
            for host in self.hosts:
                if host.verdict == verdict:
                    return host
        return self.hosts[0]

    @property
    def interrupted(self) -> bool:
        """Whether the user ended the search."""
        return any(host.cut_by is not None and host.cut_by.words == INTERRUPTED for host in self.hosts)

    @cached_property
    def never_called(self) -> list[str]:
        """A sentence for each function of a reader's design that the verdict is not about."""
        return never_called(self.design)

    @property
    def verdict(self) -> str:
        """``safe``, ``violated`` or ``incomplete``, over all host widths."""
        return self.telling.verdict

    @property
    def counterexample(self) -> Counterexample | None:
        """The shortest counterexample on the first host width that is violated."""
        return self.telling.counterexample

    @property
    def scenario(self) -> Scenario:
        """The counterexample's scenario. Raises InputError if there is none."""
        if self.counterexample is None:
            raise InputError(f"{self.name} has no counterexample: the verdict is '{self.verdict}'")
        return self.counterexample.scenario

    def __repr__(self) -> str:
        lines = [headline(self), *map(loudly, self.never_called)]
        for host in self.hosts:
            how = ", ".join(f"{name} {verdict}" for name, verdict in host.invariants.items())
            lines.append(
                f"  {host.host}: {how}; {host.states:,} states, {host.transitions:,} transitions,"
                f" depth {host.depth}, {host.seconds:.2f} s"
            )
        told = (
            cut_line(self), *self.design._rests_on, otherwise_line(self), explored_line(self),
            sometimes_line(self), omitted_line(),
        )  # fmt: skip
        lines += [f"  {line}" for line in told]
        if example := self.counterexample:
            lines += [counterexample_line(example), scenario_yaml(example.scenario), example.words]
        return "\n".join(line for line in lines if line.strip())

    def _repr_html_(self) -> str:
        example = counterexample_html(self.counterexample) if self.counterexample else ""
        style = f"<style>{result_css()}</style>"
        return f'<div class="vmxsim-result">{style}{verdict_html(self, options=True)}{example}</div>'


def headline(result: CheckResult, options: bool = True) -> str:
    """The verdict in one sentence, naming the command-line option of a limit unless told not to."""
    telling = result.telling
    widths = " and a ".join(host.host for host in result.hosts if host.verdict == result.verdict)
    whose = "" if result.guests == "same" else " of different guests"
    bounds = f"{counted(result.cpus, 'CPU')}, {counted(result.vcpus, 'vCPU')}{whose}"
    granted = f", assuming {', '.join(result.assumptions)}" if result.assumptions else ""
    if result.verdict == "violated":
        broken = [name for name, how in telling.invariants.items() if how == "violated"]
        return f"{result.name} is VIOLATED on a {widths} host ({', '.join(broken)}); {bounds}{granted}"
    if result.verdict == "incomplete":
        why = (
            ""
            if telling.cut_by and telling.cut_by.undecided
            else "no violation found, but the search ended early: "
        )
        cut = telling.cut if options else telling.cut_without_option
        return f"{result.name}: INCOMPLETE, {why}{cut}; {bounds}{granted}"
    return f"{result.name} is SAFE on a {widths} host: every schedule was explored; {bounds}{granted}"


def cut_line(result: CheckResult, options: bool = True) -> str:
    """What was not explored of a violated design; '' if everything was, or if the headline says it."""
    host = result.telling
    if result.verdict != VIOLATED or not host.cut_by:
        return ""
    what = "Not decided" if host.cut_by.undecided else "Not everything was explored"
    return f"{what}: {host.cut if options else host.cut_without_option}."


def otherwise_line(result: CheckResult) -> str:
    """Whether the verdict depends on conditions that were taken for granted; '' if none was."""
    same = [words for words, verdict in result.otherwise.items() if verdict == result.verdict]
    told = [f"{words}: {verdict}" for words, verdict in result.otherwise.items() if verdict != result.verdict]
    if same:
        told.insert(0, f"it is the same {', '.join(same)}")
    return f"What the verdict takes for granted, the other way: {'; '.join(told)}." if told else ""


def loudly(warning: str) -> str:
    """A warning beside a verdict."""
    return f"WARNING: {warning}."


def counterexample_line(example: Counterexample) -> str:
    """The length of a counterexample, and the mechanism that it shows."""
    actions = counted(example.actions, "action")
    past = ", after another invariant was violated" if example.past else ""
    return (
        f"Shortest counterexample to {example.invariant}: {actions}, {example.steps} transitions{past}."
        f" Mechanism: {example.mechanism}."
    )


_BASES = {"own": "own", "zero": "all 0"}
#: The most values that are named one by one.
_MOST_NAMED = 6


def explored_bases(host: HostResult, design: type[Kvm]) -> str:
    """For which user GS bases the verdict holds: ``user GS bases from the MSR (own or all 0)``."""
    source = "the MSR" if host.task.gs_base_from == "msr" else "a descriptor"
    bases = " or ".join(_BASES[word] for word in host.bases)
    era = "" if host.task.fsgsbase == design.fsgsbase else f", {'' if host.task.fsgsbase else 'no '}FSGSBASE"
    return f"user GS bases from {source} ({bases}{era})"


def explored_with(host: HostResult, design: type[Kvm]) -> str:
    """For which bases and values the verdict holds: ``... and writes of 0xa000 and 0xb000``."""
    values = [hex(number) for number in host.written[:_MOST_NAMED]]
    if more := len(host.written) - len(values):
        values.append(f"{more} more")
    pairs = ", one or two at a time" if len(host.written) > 2 else ""
    named = " and ".join(filter(None, (", ".join(values[:-1]), *values[-1:])))
    return f"{explored_bases(host, design)} and writes of {named}{pairs}"


def explored_line(result: CheckResult) -> str:
    """The same for each host width, in a sentence, and how several vCPUs were explored."""
    told = [(host.host, explored_with(host, result.design)) for host in result.hosts]
    line = f"Explored {'; '.join(f'on a {width} host: {words}' for width, words in told)}."
    if any(host.together for host in result.hosts):
        line += (
            " Each thread's states were visited; those of several together follow from them, because no"
            " thread can tell what another left on its CPU."
        )
    return " ".join([line, *dict.fromkeys(host.told for host in result.hosts if host.told)])


def sometimes_line(result: CheckResult) -> str:
    """The situations that the search covered: a pass that covers few of them proves little."""
    host = result.telling
    if not host.sometimes:
        return ""
    missing = [name for name, was in host.sometimes.items() if not was]
    count = f"{len(host.sometimes) - len(missing)} of {len(host.sometimes)}"
    line = f"Reached at least once on a {host.host} host: {count} situations that a pass should cover"
    if host.ended_early:
        line = f"The search ended when every invariant was broken. {line}"
    if not missing:
        return f"{line}."
    granted = " (assumptions may exclude them)" if result.assumptions else ""
    return f"{line}; not{granted}: {', '.join(missing)}."


def omitted_line() -> str:
    """What the model leaves out, in a sentence."""
    return f"Not in the model: {'; '.join(f'{name} ({words})' for name, words in OMITTED.items())}."


def result_css() -> str:
    """The style of the HTML below, for an element of class ``vmxsim-result``."""
    return files("vmxsim.checker").joinpath("result.css").read_text("utf-8")


#: Signs of verdicts, so that neither colour nor word alone tells them apart.
_SIGNS = {HOLDS: "✔", SAFE: "✔", VIOLATED: "✖", UNKNOWN: "?", INCOMPLETE: "?"}
#: What else a reader of a verdict should know.
_HINTS = {
    INCOMPLETE: "To get an answer, assume more, or check with one vCPU.",
    VIOLATED: "States past a broken invariant are not counted.",
}


def verdict_html(result: CheckResult, options: bool = False) -> str:
    """The result without the counterexample. ``options`` is that of :func:`headline`."""
    kind = result.verdict
    words = escape(headline(result, options))
    hint = f'<p class="dim">{_HINTS[kind]}</p>' if kind in _HINTS else ""
    warnings = "".join(
        f'<p class="verdict incomplete">{escape(loudly(text))}</p>' for text in result.never_called
    )
    cut = f"<p>{escape(line)}</p>" if (line := cut_line(result, options)) else ""
    omitted, _, what = omitted_line().partition(": ")
    rests = (*result.design._rests_on, otherwise_line(result))
    otherwise = "".join(f"<p>{escape(line)}</p>" for line in rests if line)
    return (
        f'<p class="verdict {kind}" role="status"><b>{_SIGNS[kind]}</b> {words}</p>{warnings}'
        f"{_table(result)}{cut}{otherwise}<p>{escape(explored_line(result))}</p><p>{escape(sometimes_line(result))}</p>{hint}"
        f'<details class="dim"><summary>{omitted}: {len(OMITTED)} things</summary>'
        f"<p>{escape(what)}</p></details>"
    )


def _table(result: CheckResult) -> str:
    """Invariants and figures by host width."""
    heads = "".join(f'<th scope="col">{host.host} host</th>' for host in result.hosts)
    rows = ""
    for name in dict.fromkeys(name for host in result.hosts for name in host.invariants):
        cells = "".join(
            f'<td><span class="how {how}"><b>{_SIGNS[how]}</b> {how}</span></td>'
            for how in (host.status(name) for host in result.hosts)
        )
        rows += f'<tr><th scope="row"><code>{escape(name)}</code></th>{cells}</tr>'
    for name in ("states", "transitions", "depth", "seconds"):
        cells = "".join(f"<td>{host.figures[name]}</td>" for host in result.hosts)
        rows += f'<tr class="figure"><th scope="row">{name}</th>{cells}</tr>'
    return (
        f"<table><caption>Invariants by host width</caption>"
        f'<thead><tr><th scope="col">invariant</th>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    )


def counterexample_html(example: Counterexample) -> str:
    """A counterexample: the schedule, and why it is wrong."""
    return (
        f"<p><strong>{escape(counterexample_line(example))}</strong></p>"
        f'<pre tabindex="0" role="region" aria-label="The counterexample as a scenario">'
        f"{escape(scenario_yaml(example.scenario))}</pre>"
        f"<p><strong>Why is this wrong?</strong> {escape(example.words)}</p>"
    )


def telling_steps(example: Counterexample) -> tuple[int, int]:
    """Two steps of the run, from 1: the one to blame (if there is none, the
    second again), and the one that breaks the invariant.

    Raises SimulationError if the design fails.
    """
    breaks = next((v.step + 1 for v in example.trace.violations if v.invariant == example.invariant), 0)
    lost = example.explanation.step + 1 if example.explanation else 0
    return lost or breaks, breaks


def steps_words(example: Counterexample, lost: int, breaks: int) -> str:
    """A label for the stepper at these two steps."""
    if lost == breaks:
        return f"step {breaks} breaks {example.invariant}"
    does = example.explanation.blamed.does if example.explanation else ""
    return f"step {lost} {does}, step {breaks} breaks {example.invariant}"
