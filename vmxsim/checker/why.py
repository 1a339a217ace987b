"""``vmxsim.why``: for each line of a design, what breaks without it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from html import escape

from attrs import define, evolve, field, frozen

from vmxsim.checker import instruction_edits
from vmxsim.checker.assumptions import ASSUMPTIONS, Restriction, restriction
from vmxsim.checker.check import Limits, check, host_widths, refuse_cpu_fields, state_counter
from vmxsim.checker.cut import INTERRUPTED, CutShort
from vmxsim.checker.footprints import BROKEN
from vmxsim.checker.inspected import Outcomes, environments, one_sided, outcomes
from vmxsim.checker.instruction_edits import NEGATED, REMOVED
from vmxsim.checker.reach import ReachableStates, reachable
from vmxsim.checker.result import Counterexample, counterexample_of
from vmxsim.checker.search import reached, shortest_path
from vmxsim.checker.states import GUEST_VALUES
from vmxsim.checker.transition_table import TransitionTable
from vmxsim.designs import find_design
from vmxsim.errors import InputError, checked, counted
from vmxsim.kernel.compiler import lower_text
from vmxsim.kernel.instructions import COST_ONLY, QUERIES
from vmxsim.kernel.kvm import Kvm, name_of
from vmxsim.kernel.machine import Host
from vmxsim.kernel.patch import changed_functions
from vmxsim.kernel.points import uses
from vmxsim.kernel.program import Expr, Function, Operation, Primitive, SourceLine
from vmxsim.progress import telling
from vmxsim.simulation.scenario import HOSTS, make_host

#: Lines removed together with their counterpart: one without the other is not kernel code.
ENDS = {"preempt_disable()": "preempt_enable()", "local_irq_disable()": "local_irq_enable()"}


@frozen
class Mutant:
    """A design with one line of ``function`` changed.

    ``at`` is the line; ``source`` is its original text; ``edit`` says what was done: ``removed``, ``removed
    with line N`` or ``negated``. ``only_costs``: the line has no effect in the model.
    """

    design: type[Kvm]
    at: SourceLine
    source: str
    edit: str
    only_costs: bool

    @property
    def function(self) -> str:
        """The name of the function."""
        return self.at.function

    @property
    def line(self) -> int:
        """The line's number, from 1 at the function's first line."""
        return self.at.line


def mutants(design: type[Kvm]) -> Iterator[Mutant]:
    """A mutant for each line of the functions that ``design`` itself defines; of a design made from C, for
    each line of C that was followed."""
    own = changed_functions(design)
    of_c = any(function.file for function in own.values())
    for name, function in own.items():
        if of_c and not function.file:
            continue
        for line, edit, changed in _variants(function, design):
            yield Mutant(
                variant(design, name, changed, f"{name} {function.at(line).name} {edit}"),
                function.at(line),
                function.text(line),
                edit,
                edit != NEGATED and only_costs(function, line),
            )


def _variants(function: Function, design: type[Kvm]) -> Iterator[tuple[int, str, Function]]:
    """Each line that can be changed, how, and the function afterward."""
    if function.file:
        yield from instruction_edits.edits(function)
        return
    for line, edit, source in edits(function.source):
        try:
            yield line, edit, lower_text(function, source, design.functions().__contains__)
        except InputError:
            continue  # does not compile: a variable is never set


def variant(design: type[Kvm], name: str, function: Function, title: str) -> type[Kvm]:
    """The design with one of its functions replaced."""
    made: type[Kvm] = type(f"{name_of(design)}, {title}", (design,), {"__doc__": title})
    made._own = {name: function}
    return made


def edits(source: Sequence[str]) -> Iterator[tuple[int, str, list[str]]]:
    """Each line that can be changed, how, and the whole text afterward; line numbers are kept."""
    (node,) = ast.parse("\n".join(source)).body
    statements = [s for s in ast.walk(node) if isinstance(s, ast.stmt) and s is not node]
    for s in sorted(statements, key=lambda s: s.lineno):
        lines = list(source)
        match s:
            case ast.If(test) | ast.While(test):
                _replace(lines, test, _negated(test))
                yield s.lineno, NEGATED, lines
            case ast.Expr(ast.Constant()) | ast.Pass() | ast.Match() | ast.For():
                continue  # what is inside is changed line by line
            case _:
                end = _end_of(s, statements)
                _replace(lines, s, "pass")
                if end is not None:
                    _replace(lines, end, "pass")
                yield s.lineno, REMOVED if end is None else f"removed with line {end.lineno}", lines


def _end_of(s: ast.stmt, statements: list[ast.stmt]) -> ast.stmt | None:
    """The counterpart of ``s``: the next matching statement below it."""
    end = ENDS.get(ast.unparse(s))
    after = (t for t in statements if t.lineno > s.lineno and ast.unparse(t) == end)
    return min(after, key=lambda t: t.lineno, default=None) if end else None


def _negated(test: ast.expr) -> str:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return ast.unparse(test.operand)
    simple = isinstance(test, (ast.Name, ast.Attribute, ast.Call))
    return f"not {ast.unparse(test)}" if simple else f"not ({ast.unparse(test)})"


def _replace(lines: list[str], node: ast.expr | ast.stmt, text: str) -> None:
    """Replace ``node`` by ``text``; its further lines become empty."""
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    before = lines[first].encode()[: node.col_offset].decode()
    after = lines[last].encode()[node.end_col_offset :].decode()
    lines[first : last + 1] = [before + text + after] + [""] * (last - first)


def only_costs(function: Function, line: int) -> bool:
    """Whether a line does nothing in the model but take time."""
    on = [i for i in function.instructions if i.line == line and i.kind != "end"]
    return bool(on) and all(i.kind == "do" and i.target is None and _only_costs(i.expr) for i in on)


def _only_costs(e: Expr | None) -> bool:
    match e:
        case Primitive(name, args):
            return (name in COST_ONLY or name in QUERIES or _of_others(e)) and all(map(_only_costs, args))
        case Operation(_, args):
            return all(map(_only_costs, args))
    return True


def _of_others(e: Primitive) -> bool:
    """Whether it is RDMSR or WRMSR of another MSR, or just reads a selector."""
    if e.name in ("rdmsr", "wrmsr"):
        return not uses(e, e.name)
    return e.name in ("savesegment", "sldt", "vmcs_read")


_INVARIANTS = ("guest-value", "host-value", "no-leak", "contract")

#: Assumptions tried in this order for a violated design, so that its own defect does not hide
#: the purpose of its lines.
_GRANTED = ("no-long-mode-entry", "no-mode-switch,no-smm", *ASSUMPTIONS)


@frozen
class Reason:
    """What breaks without a line.

    ``counterexample`` is the shortest, None if nothing breaks in this model. ``host`` is the
    host width, ``granted`` the assumptions under which the design itself is safe. ``lost`` are
    situations that the design reaches and the variant does not: if nothing breaks, they tell
    what the line is for. ``of_broken`` is true where the design is violated under every assumption tried,
    so that only what it keeps could break.
    """

    mutant: Mutant
    counterexample: Counterexample | None
    host: str
    granted: tuple[str, ...]
    incomplete: bool = False
    lost: tuple[str, ...] = ()
    of_broken: bool = False

    @property
    def breaks(self) -> str:
        """The broken invariant; or that every schedule was explored and none breaks, that the line is not
        part of the model, or that nothing was concluded."""
        if self.counterexample:
            return self.counterexample.invariant
        if self.mutant.only_costs:
            return "not in the model"
        if self.incomplete:
            return "not concluded"
        return "explored: nothing more breaks" if self.of_broken else "explored: nothing breaks in this model"


@define(eq=False)
class _Ground:
    """What a design's variants are compared with: on one host width, the assumptions under which
    the design is safe, what it breaks without them, and the situations that it reaches."""

    host: str
    assumed: Restriction | None
    breaks: int = 0
    reaches: set[str] = field(factory=set)


@frozen(slots=False, repr=False)
class Why:
    """A reason for each line of a design.

    ``granted`` are the assumptions made on each host width, None if none of those tried makes
    the design safe there. ``assumed`` are those that the caller asked for. ``left`` counts the lines that
    were not judged, because of an interrupt.
    """

    design: type[Kvm]
    reasons: tuple[Reason, ...]
    granted: dict[str, tuple[str, ...] | None]
    assumed: tuple[str, ...] = ()
    left: int = 0

    def __repr__(self) -> str:
        lines = [self.title, *granted_words(self)]
        for reason in self.reasons:
            mutant = reason.mutant
            where = f"{mutant.at.place} {mutant.source} [{mutant.edit}]"
            broken = f"{reason.breaks} " if reason.counterexample else ""
            lines.append(f"{where}: {broken}{reason_words(reason)}")
        return "\n".join(lines)

    @property
    def title(self) -> str:
        """What the table tells."""
        return f"What breaks in {name_of(self.design)} without each line"

    def _repr_html_(self) -> str:
        return as_html(self)


@checked
def why(
    design: str | type[Kvm],
    *,
    hosts: str | Iterable[str] = HOSTS,
    assume: str | Iterable[str] | None = (),
    limits: Limits | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Why:
    """Remove each line of a design's own functions (or negate it if it is a condition), check
    the result, and say what breaks.

    A design that is violated itself is examined twice: without assumptions for the invariants
    that it keeps, and under assumptions that make it safe for the others.
    ``progress(done, all)`` is called for each variant. A keyboard interrupt ends it and returns what was
    judged until then. Raises InputError for a bad argument.
    """
    chosen, limits = find_design(design), limits or Limits()
    assumed = restriction(assume)
    refuse_cpu_fields(chosen, assumed)
    reasons: list[Reason] = []
    with telling("the design itself") as tell, telling() as tell_states:
        if limits.progress is None:
            limits = evolve(limits, progress=state_counter(tell_states))
        grounds = [_ground(chosen, host, assumed, limits) for host in host_widths(hosts)]
        variants = list(mutants(chosen))
        with suppress(KeyboardInterrupt):
            for number, mutant in enumerate(variants, 1):
                tell(f"line {number} of {len(variants)}: {mutant.function}, {mutant.at.name}")
                reasons.append(_reason(mutant, grounds, limits))
                if progress:
                    progress(number, len(variants))
    granted = {g.host: None if g.assumed is None else g.assumed.names for g in grounds}
    return Why(chosen, tuple(reasons), granted, assumed.names, len(variants) - len(reasons))


def _ground(design: type[Kvm], host: str, assumed: Restriction, limits: Limits) -> _Ground:
    result = check(design, host=host, assume=assumed.names, progress=limits.progress)
    if result.interrupted:
        raise KeyboardInterrupt
    found = result.hosts[0]
    reaches = {name for name, was in found.sometimes.items() if was}
    if found.verdict == "safe":
        return _Ground(host, assumed, reaches=reaches)
    breaks = sum(BROKEN[name] for name in found.counterexamples)
    for names in () if assumed.names else _GRANTED:
        tried = restriction(names)
        look = _look(design, host, tried, 0, limits)
        if not look.broken:
            return _Ground(host, tried, breaks, look.situations)
    return _Ground(host, None, breaks)


@frozen
class _Look:
    """The result of a search for the first breach: bits of what is broken, whether the search
    was cut short, the situations reached. ``table`` is None if it could not be built."""

    table: TransitionTable | None
    broken: int
    cut: bool
    situations: set[str]


def _look(design: type[Kvm], host: str, assumed: Restriction, ignore: int, limits: Limits) -> _Look:
    """Search a design for the first breach, except those in ``ignore``, in every environment that check()
    explores."""
    wanted = sum(BROKEN[name] for name in _INVARIANTS) & ~ignore
    ghosts = bool(wanted & (BROKEN["guest-value"] | BROKEN["no-leak"]))

    def search(task: Host, written: tuple[int, int]) -> tuple[TransitionTable, ReachableStates]:
        table = TransitionTable(design, task, assumed, written=written, watch=limits.watch)
        return table, reachable(table, ignore=ignore, first=wanted, ghosts=ghosts, watch=limits.watch)

    explored: list[TransitionTable] = []
    ways: list[Outcomes] = []
    try:
        table, first = search(make_host(host, design), GUEST_VALUES)
        situations = {name for name, was in reached(table, first.taken).items() if was}
        explored.append(table)
        ways.append(outcomes(table, first.taken))
        found = first
        for other in environments(explored, first.left):
            if found.broken & wanted or found.cut:
                break
            table, found = search(*other)
            explored.append(table)
            ways.append(outcomes(table, found.taken))
    except (CutShort, MemoryError):
        return _Look(None, 0, True, set())
    if found.cut and found.cut.words == INTERRUPTED:
        raise KeyboardInterrupt
    broken = found.broken & wanted
    cut = bool(found.cut) or (not broken and bool(one_sided(ways)))
    return _Look(table, broken, cut, set() if broken else situations)


def _reason(mutant: Mutant, grounds: list[_Ground], limits: Limits) -> Reason:
    """The shortest counterexample on the first host width on which the variant breaks something. A line that
    has no effect in the model needs no search."""
    if mutant.only_costs:
        return Reason(mutant, None, "", ())
    cut = False
    lost: dict[str, None] = {}
    for ground in grounds:
        best: Reason | None = None
        for assumed, ignore in _looks(ground):
            look = _look(mutant.design, ground.host, assumed, ignore, limits)
            cut |= look.cut
            if not look.broken or look.table is None:
                lost |= dict.fromkeys(sorted(ground.reaches - look.situations) if not ignore else ())
                continue
            example = _shortest(mutant, look.table, ignore, limits)
            if example and (best is None or _length(example) < _length(best.counterexample)):
                best = Reason(mutant, example, ground.host, assumed.names)
        if best is not None:
            return best
    return Reason(mutant, None, "", (), cut, tuple(lost), all(ground.assumed is None for ground in grounds))


def _looks(ground: _Ground) -> Iterable[tuple[Restriction, int]]:
    if ground.breaks:
        yield Restriction(), ground.breaks
    if ground.assumed is not None:
        yield ground.assumed, 0


def _length(example: Counterexample | None) -> tuple[int, int]:
    return (example.actions, example.steps) if example else (1 << 30, 0)


def _shortest(mutant: Mutant, table: TransitionTable, ignore: int, limits: Limits) -> Counterexample | None:
    wanted = [name for name in _INVARIANTS if not BROKEN[name] & ignore]
    path = shortest_path(table, wanted, past_others=bool(ignore), watch=limits.follow)
    if path is None:
        return None
    title = f"{mutant.function} {mutant.at.name} {mutant.edit}: {mutant.source}"
    invariant = next(name for name in _INVARIANTS if path.broken & BROKEN[name] & ~ignore)
    return counterexample_of(path, table, invariant, title, cpus=2, vcpus=1, past=bool(ignore))


def reason_words(reason: Reason) -> str:
    """How the invariant breaks without a line; or that nothing breaks, and why."""
    mutant, example = reason.mutant, reason.counterexample
    if example is None:
        if mutant.only_costs:
            return f"{reason.breaks}: here the line only costs time"
        if reason.incomplete:
            return reason.breaks
        never = f", but no longer reached: {', '.join(reason.lost)}" if reason.lost else ""
        return f"{reason.breaks}{never}"
    granted = f", assuming {', '.join(reason.granted)}" if reason.granted else ""
    mode = "in" if example.scenario.long_mode else "outside"
    failure = f" ({example.failure})" if example.failure else ""
    return f"on a {reason.host} host{granted}, starting {mode} long mode: {example.schedule}{failure}"


def granted_words(found: Why) -> list[str]:
    """The assumptions under which the design itself is safe, in a sentence for each host width."""
    told = []
    for host, names in found.granted.items():
        if names is None:
            told.append(
                f"On a {host} host the design is violated under every assumption tried: repair it first."
                " Until then, a line can only break what the design keeps."
            )
        elif names != found.assumed:
            told.append(
                f"On a {host} host the design itself is violated; its lines are judged under"
                f" {', '.join(names)} as well."
            )
    if found.left:
        told.append(f"Interrupted: {counted(found.left, 'line')} not judged.")
    return told


def as_html(found: Why) -> str:
    """A table with a row for each line."""
    cell = (
        'style="padding:3px 14px 3px 0;text-align:left;vertical-align:top;'
        'border-bottom:1px solid var(--jp-border-color2,#bbb)"'
    )
    rows, function = "", ""
    for reason in found.reasons:
        mutant = reason.mutant
        if mutant.function != function:
            function = mutant.function
            file = f" {escape(mutant.at.file)}" if mutant.at.file else ""
            head = f"<code>{escape(function)}()</code>{file}"
            rows += f'<tr><th scope="rowgroup" colspan="3" {cell}>{head}</th></tr>'
        edit = "" if mutant.edit == "removed" else f" <em>[{escape(mutant.edit)}]</em>"
        told = escape(reason_words(reason))
        if reason.counterexample:
            told = f"<strong>✖ {escape(reason.breaks)}</strong> {told}"
        rows += (
            f"<tr><td {cell}>{mutant.at.number}</td>"
            f"<td {cell}><code>{escape(mutant.source)}</code>{edit}</td><td {cell}>{told}</td></tr>"
        )
    notes = "".join(f"<p>{escape(words)}</p>" for words in granted_words(found))
    head = "".join(f'<th scope="col" {cell}>{text}</th>' for text in ("line", "source", "without it"))
    return (
        f'<div class="vmxsim-why">{notes}<table style="border-collapse:collapse">'
        f'<caption style="text-align:left"><strong>{escape(found.title)}</strong></caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
