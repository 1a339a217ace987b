"""Questions about values: whose is it, and what does an access return?"""

from __future__ import annotations

from vmxsim.errors import InputError
from vmxsim.kernel.machine import NO_BASE, Value, owner_words
from vmxsim.simulation.trace import Box, Step
from vmxsim.teaching.questions.look import look, step_name
from vmxsim.teaching.questions.places import after_question, how_lost, is_of, lost_at
from vmxsim.teaching.questions.question import Option, Question, Span
from vmxsim.views.words import named_place, place_words, sentence, several, value_words


def box_of(span: Span, name: str, index: int) -> Box:
    """A box as it is after ``index`` steps."""
    return next(box for box in span.trace.scene(index).boxes if box.id == name)


def returned(span: Span) -> Question:
    """What does the access return? Asked of whole actions."""
    number = returned_number(span)
    access, told = what_was_read(span, number)
    options = number_options(span, number, told)
    prompt = f"{span.comes} What does it return?"
    return Question("value", span.before, span.after, prompt, tuple(options), span.shown_at(access))


#: Accesses that read the register.
READING = ("rdmsr", "guest_rdmsr")


def returned_number(span: Span) -> int:
    """The number that an action returns. Raises InputError if it returns none."""
    results = getattr(span.trace, "results", ())
    if not span.whole or not results:
        raise InputError("'value' asks what a whole action of a run returns: name it by action=", "predict")
    found = results[span.last.action]["returned"]
    if not isinstance(found, str) or not found.startswith("0x"):
        text = span.trace.actions[span.last.action]
        raise InputError(
            f"'{text}' returns {found or 'nothing'}: ask 'value' of an action that reads the register",
            "predict",
        )
    return int(found, 16)


def what_was_read(span: Span, number: int) -> tuple[int, str]:
    """The scene after the step that read what an action returns, and where it looked and why."""
    done = next((i for i, s in enumerate(span.steps) if "complete_rdmsr" in s.calls), len(span.steps))
    steps = [s for s in span.steps[:done] if s.thread[6:] == span.vcpu[4:]]
    read = [s for s in steps if any(a.kind in READING and a.value == number for a in s.accesses)]
    label = span.scene().cells()[f"{span.vcpu}.g"].label
    step = read[-1] if read else next((s for s in reversed(steps) if _takes(s, label)), None)
    if step is None:
        return 0, f"It returns {hex(number)}."
    place = f"cpu{step.cpu}.kernel_gs_base" if read else f"{span.vcpu}.g"
    looks = look(span.trace, step.index, span.vcpu)
    why = f": {looks.why}" if looks is not None and looks.place == place else ""
    name = named_place(place, span.trace.scene(step.index))
    did = f"{step_name(span.trace, step.index + 1)} reads {name}, which holds {hex(number)}"
    return step.index + 1, sentence(f"{did}{why}")


def _takes(step: Step, label: str) -> bool:
    """Whether a line returns or assigns the saved value."""
    returns, assigns = step.source.startswith("return"), " = " in step.source
    return label in (step.source if returns else step.source.partition(" = ")[2] if assigns else "")


def number_options(span: Span, number: int, told: str, typed: bool = False) -> list[Option]:
    """One option for each number in play, with its owner; ``told`` says where the access looks."""
    owners, places = _in_play(span, number)
    true = next(iter(owners))
    options = []
    for n, owner in owners.items():
        whose = "an unknown owner's value"
        if owner != "unknown":
            whose = value_words(Value(n, owner)).removesuffix(hex(n)).strip()
        label = hex(n) if typed else f"{hex(n)}, {whose}"
        if n == number:
            right = "That is the guest's true value." if n == true else f"It should be {hex(true)}."
            options.append(Option(label, True, f"{told} {right}"))
            continue
        held, loss = places.get(n), lost_at(span) if n == true else 0
        stands = f"{several(held)} {'hold' if len(held) > 1 else 'holds'} {hex(n)}" if held else ""
        stands = stands or f"no place holds {hex(n)} now"
        reason = f"{sentence(f'{stands} ({whose})')} {told}" if typed else sentence(stands)
        if loss and not held:
            reason += f" {how_lost(span, loss)}"
        options.append(Option(label, False, reason))
    return options


#: The most numbers to choose from.
_MOST = 5


def _in_play(span: Span, number: int) -> tuple[dict[int, str], dict[int, list[str]]]:
    """Whose each number is that an access may return, the guest's true value first, then ``number``; and the
    places that hold each afterward. Where two owners have the same number, the guest is named."""
    true = next(value for name, value in box_of(span, span.vcpu, span.after).facts if name == "true value")
    owners = {int(true, 16): span.vcpu}
    owners.setdefault(number, "unknown")
    places: dict[int, list[str]] = {}
    held = []
    for box, cell in span.all_cells():
        if cell.value is not None and not (box.kind == "vcpu" and cell.place.endswith(".gs_base")):
            places.setdefault(cell.value.number, []).append(place_words(box, cell))
            held.append(cell.value)
    steps = reversed(span.trace.steps[: span.after])
    lost = [c.after for step in steps for c in step.changes if c.place == f"{span.vcpu}.true_guest_value"]
    first = span.trace.scene(0).cells().items()
    start = [
        cell.value for place, cell in first if cell.value is not None and place != f"{span.vcpu}.gs_base"
    ]
    for value in (*held, *lost, *start):
        known = owners.get(value.number, "unknown")
        if value.owner == "unknown" or (value.number not in owners and len(owners) >= _MOST):
            continue
        if known == "unknown" or (value.owner == span.vcpu != known and value in held):
            owners[value.number] = value.owner
    return owners, places


def owner(span: Span) -> Question:
    """Whose value does the register of the CPU hold afterward?"""
    cpu = f"cpu{span.last.cpu}"
    place = f"{cpu}.kernel_gs_base"
    cells = span.scene().cells()
    register = cells[place]
    guests = sorted({box.id for box in span.scene().boxes if box.kind == "vcpu"} - {span.vcpu})
    names = [span.vcpu, *guests, "thread" + span.vcpu.removeprefix("vcpu"), "plain"]
    holder = register.value.owner if register.value else "unknown"
    loads = any(a.kind == "load_gs_index" for step in span.trace.steps for a in step.accesses)
    if loads or holder == NO_BASE.owner:
        names.append(NO_BASE.owner)
    nameless = any(cell.value is not None and cell.value.owner == "unknown" for _, cell in span.cells())
    names += ["unknown"] if span.recorded or nameless else []
    names += [holder] if holder not in names else []
    same = _owners_of(span, register.value) - {holder}  # right as well, where bases are equal
    names = [name for name in names if name not in same]
    if len(names) < 2:
        raise InputError("'owner' cannot be asked here: every owner has the same value", "predict")
    held = f"KERNEL_GS_BASE of CPU {span.last.cpu} holds {value_words(register.value)}: {span.how(place)}."
    if register.value is None:
        held = f"What KERNEL_GS_BASE of CPU {span.last.cpu} holds is not known: no event tells."
    options = [
        Option(
            "the events do not say" if name == "unknown" and span.recorded else _whose(name),
            name == holder,
            held if name == holder else _elsewhere(span, name).strip() or held,
        )
        for name in names
    ]
    telling = span.put_there(place)
    asked = f"Whose value does KERNEL_GS_BASE of CPU {span.last.cpu} hold {span.afterward}?"
    return after_question("owner", span, asked, options, telling, span.holds(telling))


def _owners_of(span: Span, value: Value | None) -> set[str]:
    """Who has a value of this number."""
    if value is None:
        return set()
    cells = (cell for box in span.scene().boxes for cell in box.cells)
    return {c.value.owner for c in cells if c.value and c.value.number == value.number} - {"unknown"}


def _whose(name: str) -> str:
    return "an unknown owner's" if name == "unknown" else f"{owner_words(name)}'s"


def _elsewhere(span: Span, name: str) -> str:
    if name == "unknown":
        return ""
    places = [
        place_words(box, cell)
        for box, cell in span.all_cells()
        if is_of(cell, name) and (box.kind != "vcpu" or not cell.place.endswith(".gs_base"))
    ]
    if not places:
        return f" No place that is shown holds {_whose(name)}."
    base = " base" if name == NO_BASE.owner else ""
    return " " + sentence(f"{_whose(name)}{base} is in {several(places)}")
