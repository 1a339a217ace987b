"""Scenarios: what happens, as YAML, one action a list item.

Every error names the file, the line and the field, says what was expected and the
nearest valid choice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from attrs import evolve, field, frozen

from vmxsim.errors import InputError, nearest, printable, unknown
from vmxsim.kernel.actions import VERBS, Action, PreemptPoint
from vmxsim.kernel.instructions import PRIMITIVES
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.machine import U64, Host

#: An action as text: ``guest wrmsr 0xA000``, ``get-msr -> 0xA000``.
_ACTION = re.compile(r"^(?P<body>.*?)(?:\s*->\s*(?P<expected>.*))?$", re.S)
#: What may stand behind an action.
_OPTIONS = {"preempt", "signal", "otherwise"}
#: Ticks inside the kernel in one action.
MAX_POINTS = 100


def parse_action(step: Any, vcpu: int = 0) -> Action:
    """The action that a list item means: text, or a mapping with the action as key.

    Raises InputError that says what is wrong with it.
    """
    if isinstance(step, str):
        return _parse_text(step, vcpu)
    if not isinstance(step, Mapping) or len(step) != 1:
        raise InputError(
            f"expected an action, such as 'run' or 'guest wrmsr 0xA000', not {printable(repr(step))}"
        )
    key, value = next(iter(step.items()))
    prefix = re.fullmatch(r"vcpu(\d{1,3})", str(key))
    if prefix:
        return parse_action(value, int(prefix[1]))
    action = _parse_text(str(key), vcpu)
    if value is None:
        return action
    if not isinstance(value, Mapping) or not value or not set(value) <= _OPTIONS:
        raise InputError(
            f"after '{printable(key)}:', expected {{preempt: ...}}, {{signal: true}}, {{otherwise: 1}} or"
            f" several of them, not {printable(repr(value))}"
        )
    if not isinstance(value.get("signal", False), bool):
        raise InputError(f"expected true or false, not {printable(repr(value['signal']))}", "signal")
    if value.get("signal") and not VERBS[action.verb].handled:
        handled = ", ".join(verb for verb, row in VERBS.items() if row.handled)
        raise InputError(
            f"no signal can end KVM_RUN after '{action.verb}', because KVM handles no exit of it;"
            f" it can after {handled}",
            "signal",
        )
    otherwise = _parse_otherwise(value["otherwise"]) if "otherwise" in value else ()
    action = evolve(action, signal=value.get("signal", False), otherwise=otherwise)
    if "preempt" not in value:
        return action
    points = value["preempt"] if isinstance(value["preempt"], list) else [value["preempt"]]
    if not 1 <= len(points) <= MAX_POINTS:
        raise InputError(f"expected one preemption point, or a list of up to {MAX_POINTS}", "preempt")
    return evolve(action, preempt=tuple(_parse_point(point) for point in points))


def _parse_otherwise(data: Any) -> tuple[int, ...]:
    numbers = data if isinstance(data, Sequence) and not isinstance(data, str) else [data]
    whole = all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= MAX_STEPS for n in numbers)
    if not numbers or not whole:
        raise InputError(
            "expected which of the action's tests of conditions that are not modeled come out the other way,"
            f" counted from 1, not {printable(repr(data))}",
            "otherwise",
        )
    return tuple(sorted(set(numbers)))


def _parse_text(text: str, vcpu: int) -> Action:
    match = _ACTION.match(" ".join(text.split()))
    assert match
    words = match["body"].strip()
    verb = max((v for v in VERBS if words == v or words.startswith(v + " ")), key=len, default="")
    rest = words[len(verb) :].strip()
    takes = VERBS[verb].takes if verb else ""
    if not verb or (rest and not takes):
        raise InputError(f"unknown action '{printable(words)}'{nearest(words, VERBS)}; {_vocabulary()}")
    value = cpu = None
    if takes and not rest:
        example = "0xA000" if takes == "value" else "cpu1"
        raise InputError(f"'{verb}' needs a {takes}, such as '{verb} {example}'")
    if takes == "value":
        value = _number(rest)
    elif takes == "cpu":
        found = re.fullmatch(r"cpu(\d{1,3})", rest)
        if not found:
            raise InputError(f"'{printable(rest)}' is no CPU; write cpu0, cpu1, ...")
        cpu = int(found[1])
    expected = None if match["expected"] is None else _expectation(verb, match["expected"].strip())
    return Action(verb, text, vcpu, value, cpu, expected)


def _vocabulary() -> str:
    return "the actions are " + ", ".join(
        v + {"value": " VALUE", "cpu": " cpuN"}.get(VERBS[v].takes, "") for v in VERBS
    )


def _number(text: str) -> int:
    shaped = re.fullmatch(r"0[xX][0-9a-fA-F_]+|[0-9][0-9_]*|-[0-9a-fA-FxX]+", text) and len(text) <= 80
    try:
        number = int(text if shaped else "", 0)
    except ValueError:
        raise InputError(f"'{printable(text)}' is not a number; write it as 0xA000 or 40960") from None
    if not 0 <= number <= U64:
        raise InputError(f"{printable(text)} is not a 64-bit value; expected 0 to {hex(U64)}")
    return number


def _expectation(verb: str, text: str) -> int | str:
    if not text:
        raise InputError(
            "nothing stands behind '->' (YAML takes ' #' for a comment: put the action in quotes)"
        )
    if VERBS[verb].returns:
        return _number(text)
    refusal = VERBS[verb].rejection
    if not refusal:
        raise InputError(f"'{verb}' returns nothing: no '->' can follow it")
    if text != refusal:
        raise InputError(f"expected '{refusal}', not '{text}': '{verb}' returns no value")
    return text


def _parse_point(data: Any) -> PreemptPoint:
    known = ("before", "in", "nth", "cpu")
    if not isinstance(data, Mapping):
        raise InputError("expected {before: ..., in: ..., nth: ..., cpu: ...}", "preempt")
    for key in data:
        if key not in known:
            raise unknown("field", key, known, "preempt")
    before, function, nth, cpu = data.get("before"), data.get("in"), data.get("nth", 1), data.get("cpu")
    if not isinstance(before, str):
        raise InputError("expected a primitive such as rdmsr, or 'line N'", "preempt, before")
    before = " ".join(before.split())
    line = re.fullmatch(r"line (\d{1,6})", before)
    if not line and not re.fullmatch(r"\w+", before):
        raise InputError(f"'{printable(before)}' is neither a primitive nor 'line N'", "preempt, before")
    if not line and before not in PRIMITIVES:
        raise InputError(
            f"'{before}' is no primitive of the simulator{nearest(before, PRIMITIVES)}", "preempt, before"
        )
    if function is not None and not isinstance(function, str):
        raise InputError(f"expected a function's name, not {printable(repr(function))}", "preempt, in")
    if not isinstance(nth, int) or isinstance(nth, bool) or not 1 <= nth <= 10_000:
        raise InputError(f"expected a whole number from 1, not {printable(repr(nth))}", "preempt, nth")
    return PreemptPoint(before, function, nth, _cpu(cpu))


def _cpu(cpu: Any) -> int | None:
    if cpu is None:
        return None
    found = re.fullmatch(r"(?:cpu)?(\d{1,3})", str(cpu))
    if not found or isinstance(cpu, bool):
        raise InputError(f"expected a CPU's number, not {printable(repr(cpu))}", "preempt, cpu")
    return int(found[1])


MAX_BYTES = 1_000_000
MAX_STEPS = 10_000
MAX_CPUS = 64
MAX_VCPUS = 2
HOSTS = ("64-bit", "32-bit")
INTERCEPTIONS = ("rule", "bitmap")
GS_BASES_FROM = ("msr", "descriptor")
BASES = ("own", "zero")
ADDRESS_BITS = (48, 57)
#: The fields, besides ``host``, that describe the host task and its processor.
HOST_FIELDS = ("gs_base_from", "fsgsbase", "user_gs_bases", "address_bits")
FIELDS = ("title", "design", "cpus", "vcpus", "host", *HOST_FIELDS, "long_mode", "interception", "steps")


@frozen
class Scenario:
    """What to do. ``steps`` is how the actions were written, ``actions`` what they mean.

    ``host`` is the width of the vCPU thread's user space. ``gs_base_from`` says where its GS base comes
    from, ``msr`` or ``descriptor`` (None: ``msr`` with a 64-bit host, else ``descriptor``). ``fsgsbase``: the
    kernel uses the FSGSBASE instructions (None: as the design's release did). ``user_gs_bases`` is ``own``
    (every task has one of its own) or ``zero``. ``address_bits`` is 48 or 57 (LA57). ``interception`` is
    ``rule`` (the design's rule, the default) or ``bitmap`` (what the real MSR bitmaps were left at).
    ``lines`` are the actions' lines in ``file`` and ``design_line`` that of the design, empty and 0 where
    it was not read from there. ``points_of`` is the design whose lines the schedule names, None if that is
    not known: a patch moves lines.
    """

    title: str = ""
    design: str | None = None
    cpus: int = 2
    vcpus: int = 1
    host: str = "64-bit"
    gs_base_from: str | None = None
    fsgsbase: bool | None = None
    user_gs_bases: str = "own"
    address_bits: int = 48
    long_mode: bool = False
    interception: str = "rule"
    steps: tuple[Any, ...] = ()
    actions: tuple[Action, ...] = ()
    file: str = ""
    lines: tuple[int, ...] = field(default=(), repr=False)
    design_line: int = 0
    points_of: Any = field(default=None, eq=False, repr=False)

    @property
    def host_words(self) -> str:
        """``64-bit host``, with what differs from the usual one."""
        told = []
        if self.gs_base_from:
            told.append(f"GS base from {'the MSR' if self.gs_base_from == 'msr' else 'a descriptor'}")
        if self.fsgsbase is not None:
            told.append("FSGSBASE" if self.fsgsbase else "no FSGSBASE")
        if self.user_gs_bases == "zero":
            told.append("all GS bases 0")
        if self.address_bits == 57:
            told.append("LA57")
        return f"{self.host} host" + (f" ({', '.join(told)})" if told else "")

    def host_of(self, design: type[Kvm]) -> Host:
        """The host task and its processor, when ``design`` runs on them."""
        return make_host(
            self.host, design, self.gs_base_from, self.fsgsbase, self.user_gs_bases, self.address_bits
        )

    def where(self, index: int) -> str:
        """Where action ``index`` (from 0) was written."""
        step = f"steps[{index}]"
        return f"{self.file}:{self.lines[index]}, {step}" if self.lines else step


def check_host(gs_base_from: Any, fsgsbase: Any) -> None:
    """Raises InputError for what make_host() does not take."""
    if gs_base_from not in (None, *GS_BASES_FROM):
        raise unknown("source of a GS base", gs_base_from, GS_BASES_FROM, "gs_base_from")
    if not (fsgsbase is None or isinstance(fsgsbase, bool)):
        raise InputError(f"expected True, False or None, not {printable(repr(fsgsbase))}", "fsgsbase")


def make_host(
    host: str,
    design: type[Kvm],
    gs_base_from: str | None = None,
    fsgsbase: bool | None = None,
    bases: str = "own",
    address_bits: int = 48,
) -> Host:
    """The host task and its processor. ``gs_base_from`` None means each width's own, ``fsgsbase`` None what
    the design's release had. Raises InputError for another value of these two."""
    check_host(gs_base_from, fsgsbase)
    return Host(
        bits=int(host[:2]),
        gs_base_from=gs_base_from or ("msr" if host == "64-bit" else "descriptor"),
        fsgsbase=design.fsgsbase if fsgsbase is None else fsgsbase,
        bases=bases,
        address_bits=address_bits,
    )


def read_scenarios(source: str | Path) -> list[Scenario]:
    """All scenarios of a file, or of YAML text (recognised by its line breaks).

    Raises InputError for anything that is no scenario.
    """
    text = str(source)
    if isinstance(source, Path) or "\n" not in text:
        return _parse(_read(Path(text)), printable(text, 200))
    return _parse(text, "scenario")


def make_scenario(source: Scenario | str | Path | Sequence[Any], **fields: Any) -> Scenario:
    """One scenario from a Scenario, a path, YAML text or a list of actions.

    ``fields`` (those of a Scenario that can be written) replace what the source says. Raises InputError.
    """
    fields = {name: value for name, value in fields.items() if value is not None}
    if isinstance(source, Scenario):
        scenario = source
    elif isinstance(source, (str, Path)):
        found = read_scenarios(source)
        if len(found) != 1:
            raise InputError(f"holds {len(found)} scenarios; expected one: read_scenarios() gives them all")
        scenario = found[0]
    elif isinstance(source, Sequence):
        return _build(
            {"steps": list(source), **fields}, lambda key, index: f"steps[{index}]" if index >= 0 else key
        )
    else:
        raise InputError(
            f"a scenario is a path, YAML text or a list of actions, not {type(source).__name__}", "scenario"
        )
    _check_fields(fields, lambda key: key)
    if "design" in fields:
        fields["design_line"] = 0
    scenario = evolve(scenario, **fields)
    _check_vcpus(scenario, lambda index: scenario.where(index))
    return scenario


def _read(path: Path) -> str:
    name = printable(path, 200)
    try:
        if path.is_dir():
            raise InputError("is a directory; expected a scenario file", name)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", name) from None
    except ValueError:
        raise InputError("is no file name", name) from None
    if len(data) > MAX_BYTES:
        raise InputError(f"is larger than {MAX_BYTES:,} bytes: no scenario is", name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"is not text: byte {error.start} is not UTF-8", name) from None
    if "\0" in text:
        raise InputError("is a binary file; expected YAML text", name)
    return text


def _parse(text: str, name: str) -> list[Scenario]:
    try:
        documents = [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise InputError(
            f"is not YAML: {printable(error.problem or error.context)}", f"{name}:{line}"
        ) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"is not YAML: {printable(str(error).splitlines()[0])}", name) from None
    if not documents:
        raise InputError("is empty; a scenario needs at least 'steps:'", name)
    return [_document(node, name) for node in documents]


def _document(node: yaml.Node, name: str) -> Scenario:
    def line(of: yaml.Node) -> int:
        return int(of.start_mark.line) + 1

    if not isinstance(node, yaml.MappingNode):
        raise InputError("is no scenario; expected a mapping with 'steps:'", f"{name}:{line(node)}")
    data: dict[str, Any] = {}
    lines: dict[str, int] = {}
    items: list[int] = []
    reader = _Plain(name)
    for key_node, value_node in node.value:
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
        lines[key] = line(key_node)
        if key not in FIELDS:
            raise unknown("field", key, FIELDS, f"{name}:{lines[key]}, {printable(key)}")
        if key in data:
            raise InputError("is given twice", f"{name}:{lines[key]}, {printable(key)}")
        data[key] = reader.value(value_node, key)
        if key == "steps" and isinstance(value_node, yaml.SequenceNode):
            items = [line(item) for item in value_node.value]

    def where(key: str, index: int) -> str:
        if index >= 0:
            return f"{name}:{items[index]}, steps[{index}]"
        return f"{name}:{lines.get(key, line(node))}, {printable(key)}"

    return evolve(_build(data, where), file=name, lines=tuple(items), design_line=lines.get("design", 0))


class _Plain:
    """YAML nodes to plain values. A document has a budget of nodes, aliases counted each time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.left = 20 * MAX_STEPS

    def value(self, node: yaml.Node, field: str, depth: int = 0) -> Any:
        """The value of a node; InputError names its line and the field."""
        where = f"{self.name}:{node.start_mark.line + 1}, {printable(field)}"
        self.left -= 1
        if depth > 6 or self.left < 0:
            raise InputError("is nested too deeply or too large: no scenario is", where)
        if isinstance(node, yaml.SequenceNode):
            if len(node.value) > MAX_STEPS:
                raise InputError(f"has {len(node.value):,} items; {MAX_STEPS:,} is the most", where)
            return [
                self.value(item, f"steps[{n}]" if field == "steps" else field, depth + 1)
                for n, item in enumerate(node.value)
            ]
        if isinstance(node, yaml.MappingNode):
            found: dict[Any, Any] = {}
            for key_node, value_node in node.value:
                if not isinstance(key_node, yaml.ScalarNode):
                    raise InputError("a list or mapping cannot be a key here", where)
                key = self.value(key_node, field, depth + 1)
                if key in found:
                    raise InputError(f"'{printable(key)}' is given twice", where)
                found[key] = self.value(value_node, field, depth + 1)
            return found
        try:
            return yaml.SafeLoader("").construct_object(node)
        except Exception:  # PyYAML raises many kinds for a tag that does not fit its text
            raise InputError(f"'{printable(node.value)}' is not a value a scenario can hold", where) from None


def _build(data: Mapping[str, Any], where: Any) -> Scenario:
    for key in data:
        if key not in FIELDS:
            raise unknown("field", str(key), FIELDS, where(str(key), -1))
    _check_fields(data, lambda key: where(key, -1))
    steps = data.get("steps")
    if not isinstance(steps, list) or not steps:
        raise InputError("expected a list of actions, such as '- run'", where("steps", -1))
    actions = []
    for index, step in enumerate(steps):
        try:
            actions.append(parse_action(step))
        except InputError as error:
            raise error.at(where("steps", index)) from None
    fields = {key: data[key] for key in FIELDS if key in data and key != "steps"}
    scenario = Scenario(**fields, steps=tuple(steps), actions=tuple(actions))
    _check_vcpus(scenario, lambda index: where("steps", index))
    return scenario


_CHOICES: dict[str, tuple[Any, ...]] = {
    "host": HOSTS,
    "interception": INTERCEPTIONS,
    "gs_base_from": GS_BASES_FROM,
    "user_gs_bases": BASES,
    "address_bits": ADDRESS_BITS,
}


def _check_fields(data: Mapping[str, Any], where: Any) -> None:
    def check(key: str, good: bool, expected: str) -> None:
        if not good:
            raise InputError(f"expected {expected}, not {printable(repr(data[key]))}", where(key))

    for key, value in data.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if key in ("title", "design"):
            check(key, isinstance(value, str) or (key == "design" and isinstance(value, type)), "text")
        elif key == "cpus":
            check(key, whole and 1 <= value <= MAX_CPUS, f"a whole number from 1 to {MAX_CPUS}")
        elif key == "vcpus":
            check(key, whole and 1 <= value <= MAX_VCPUS, "1 or 2")
        elif key == "long_mode":
            check(key, isinstance(value, bool), "true or false")
        elif key == "fsgsbase":
            check(key, value is None or isinstance(value, bool), "true or false")
        elif key in _CHOICES and not (key == "gs_base_from" and value is None):
            choices = _CHOICES[key]
            is_one = isinstance(value, type(choices[0])) and value in choices
            check(key, is_one, " or ".join(map(str, choices)))


def _check_vcpus(scenario: Scenario, where: Any) -> None:
    for index, action in enumerate(scenario.actions):
        if action.vcpu >= scenario.vcpus:
            raise InputError(
                f"there is no vCPU {action.vcpu}: the scenario has {scenario.vcpus}; write 'vcpus: 2'",
                where(index),
            )


def scenario_yaml(scenario: Scenario | Mapping[str, Any]) -> str:
    """A scenario, or its fields as plain data, as YAML; a field at its default is left out,
    but for the host and the guest's mode."""
    if isinstance(scenario, Scenario):
        names = ("title", "design", "cpus", "vcpus", "interception", *HOST_FIELDS)
        fields: dict[str, Any] = {name: getattr(scenario, name) for name in names}
        fields = {name: value for name, value in fields.items() if value != getattr(Scenario(), name)}
        fields |= {"host": scenario.host, "long_mode": scenario.long_mode, "steps": list(scenario.steps)}
    else:
        fields = dict(scenario)
    steps = fields.pop("steps")
    head = yaml.dump(fields, Dumper=_Dumper, sort_keys=False, width=1000)
    items = "".join(f"  - {_item(step)}\n" for step in steps)
    return f"{head}steps:\n{items}"


def _item(step: Any) -> str:
    """An action on one line: a preemption point in braces behind it, as the design shows them."""
    if isinstance(step, Mapping) and len(step) == 1:
        ((key, value),) = step.items()
        if isinstance(value, str):
            return f"{key}: {value}"
        if isinstance(value, Mapping) and set(value) <= _OPTIONS:
            return f"{key}: {_flow(value)}"
    return _flow(step)


def _flow(value: Any) -> str:
    return yaml.dump(value, default_flow_style=True, sort_keys=False, width=10_000).split("\n")[0]


class _Dumper(yaml.SafeDumper):
    """Items stand indented under their key, as people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)
