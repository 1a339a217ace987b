"""Questions about the value: does an access of it exit, what does the access return, where is the live
value, which places are stale, and whose value does the register hold?"""

from __future__ import annotations

from collections.abc import Mapping

from vmxsim.errors import InputError
from vmxsim.kernel.machine import Value, owner_words
from vmxsim.simulation.trace import Box, Cell
from vmxsim.teaching.questions.question import Option, Question, Span
from vmxsim.views.words import place_words, sentence, value_words

#: When a design lets the guest's access exit, by the design's ``interception``; ``bitmap`` is the run's.
_RULES = {
    "always": "This design intercepts the register in every mode.",
    "outside long mode": "This design intercepts the register exactly while EFER.LMA is 0.",
    "bitmap": "What was last written to the MSR bitmap decides.",
    "never": "This design never intercepts the register.",
}


def intercepted(span: Span) -> Question:
    """Does the guest's access exit?"""
    access = next(
        (s for s in span.steps if s.mode == "guest" and s.source.startswith(("RDMSR", "WRMSR"))), None
    )
    if access is None:
        raise InputError("the guest executes no RDMSR or WRMSR here: ask 'intercepted' about one", "predict")
    box = _box(span, span.vcpu, access.index)
    facts = dict(box.facts)
    passes = facts["guest access"] == "passed through"
    mode = f"EFER.LMA is {facts['EFER.LMA']}."
    how = getattr(getattr(span.trace, "design", None), "interception", "")
    bitmap = getattr(getattr(span.trace, "simulator", None), "interception", "") == "bitmap"
    if bitmap and how == "outside long mode":  # elsewhere the design decides, see passes_through()
        how = "bitmap"
    rule = _RULES.get(how, "")
    why = " ".join(filter(None, (rule, mode)))
    told = f"{why} The access is passed through: the processor acts on KERNEL_GS_BASE of CPU {access.cpu}."
    if not passes:
        told = f"{why} It exits, and KVM answers."
    loaded = next(name for name, _ in box.facts if "loaded" in name)
    options = (
        Option("No: it is passed through to the register", passes, told),
        Option("Yes: the guest exits, and KVM answers", not passes, told),
        Option(
            "Only if guest state is not loaded",
            False,
            f"{loaded} is {facts[loaded]} here, but no rule asks for it. {told}",
        ),
    )
    prompt = f"{span.comes} Is this access intercepted?"
    hides = frozenset({f"{span.vcpu}.guest access"})
    return Question("intercepted", span.before, span.after, prompt, options, access.index + 1, hides)


def _box(span: Span, name: str, index: int) -> Box:
    return next(box for box in span.trace.scene(index).boxes if box.id == name)


def returned(span: Span) -> Question:
    """What does the access return? Asked of whole actions."""
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
    number = int(found, 16)
    known = _numbers(span)
    options = [_number(span, value, known, number) for value in known]
    if number not in known:
        options.append(Option(hex(number), True, "That is what the access found where it looked."))
    prompt = f"{span.comes} What does it return?"
    return Question("value", span.before, span.after, prompt, tuple(options), span.after)


def _numbers(span: Span) -> dict[int, list[str]]:
    """The values in play, and the places that hold each when the action is done."""
    true = next(value for name, value in _box(span, span.vcpu, span.after).facts if name == "true value")
    known: dict[int, list[str]] = {int(true, 16): []}
    for box in span.scene().boxes:
        for cell in box.cells:
            if cell.value is not None and cell.value.owner != "unknown":
                known.setdefault(cell.value.number, [])
                if box.kind != "vcpu" or not cell.place.endswith(".gs_base"):
                    known[cell.value.number].append(place_words(box, cell))
    own = {
        c.value.number
        for b in span.scene().boxes
        for c in b.cells
        if c.value and b.id == span.vcpu and c.place.endswith(".gs_base")
    }
    return {number: places for number, places in known.items() if number not in own or places}


def _number(span: Span, number: int, known: Mapping[int, list[str]], found: int) -> Option:
    owners = _owners(span)
    true = next(iter(known))
    whose = value_words(Value(number, owners[number])) if number in owners else hex(number)
    label = f"{hex(number)}, {whose.removesuffix(hex(number)).strip()}" if number in owners else hex(number)
    places = known[number]
    stands = f"It is in {' and '.join(places)}" if places else ""
    if number == found:
        right = "and it is the guest's true value" if number == true else f"but it should be {hex(true)}"
        return Option(label, True, f"{stands or 'It is gone since'}: this is what the access finds, {right}.")
    looks = f"{stands}; the access does not look there." if places else "No place holds it now."
    return Option(label, False, f"{looks} It returns {hex(found)}.")


def _owners(span: Span) -> dict[int, str]:
    """Whose each number is; the guest's first, where two have the same."""
    found: dict[int, str] = {}
    for box in span.scene().boxes:
        for cell in box.cells:
            if cell.value is not None and owner_words(cell.value.owner) != "unknown owner":
                if cell.value.number not in found or cell.value.owner.startswith("vcpu"):
                    found[cell.value.number] = cell.value.owner
    return found


_WRONG = ("stale", "foreign")


def live(span: Span) -> Question:
    """Where is the guest's live value afterward?"""
    guest = owner_words(span.vcpu)
    found = list(span.cells())
    home = next((pair for pair in found if pair[1].status == "live" and _is_of(pair[1], span.vcpu)), None)
    options = [_place(span, box, cell, home, guest) for box, cell in found]
    unknown = home is None and span.recorded and _hidden(span, found)
    options.append(_nowhere(home, guest, unknown))
    if span.recorded:
        options.append(_untold(home, guest, unknown))
    telling = span.put_there(home[1].place) if home else 0
    asked = f"Where is {guest}'s live value {span.afterward}, the one that counts?"
    return _question("live", span, asked, options, telling, home is None or span.holds(telling))


def _question(
    kind: str, span: Span, asked: str, options: list[Option], telling: int, changes: bool
) -> Question:
    """A question of what the places hold after a span; ``telling`` is the step that brought it about."""
    prompt = f"{span.comes} {asked}"
    shown = span.shown_at(telling)
    return Question(kind, span.before, span.after, prompt, tuple(options), shown, changes=changes)


def _is_of(cell: Cell, owner: str) -> bool:
    return cell.value is not None and cell.value.owner == owner


def _place(span: Span, box: Box, cell: Cell, home: tuple[Box, Cell] | None, guest: str) -> Option:
    place, held = place_words(box, cell), value_words(cell.value)
    if home is not None and cell.place == home[1].place:
        wrong = "".join(f" {words}" for name, words in span.scene().dangers if name == "guest-value")
        return Option(place, True, f"It holds {held}: {span.how(cell.place)}.{wrong}")
    counts = f" What counts is {place_words(*home)}." if home else ""
    if cell.value is None:
        empty = "No event says what it holds now." if span.recorded else "Nothing was ever stored there."
        return Option(place, False, f"{empty}{counts}")
    if cell.status == "unknown" and _is_of(cell, span.vcpu):
        return Option(place, False, f"It holds {held}, but no event tells whether that is still true.")
    if cell.status == "copy" and _is_of(cell, span.vcpu):
        return Option(place, False, f"It holds {held}, but this is a copy.{counts}")
    if cell.status == "stale":
        return Option(place, False, f"It holds {held}, but that is no longer the true value.{counts}")
    return Option(place, False, f"It holds {held}: {span.how(cell.place)}.{counts}")


def _hidden(span: Span, found: list[tuple[Box, Cell]]) -> bool:
    """Whether the guest's value may stand in a register whose content no event tells."""
    true = dict(next(box for box in span.scene().boxes if box.id == span.vcpu).facts)["true value"]
    return true == "not known" and any(cell.status == "unknown" for _, cell in found)


def _nowhere(home: tuple[Box, Cell] | None, guest: str, unknown: bool) -> Option:
    text = "nowhere: it is lost"
    if unknown:
        return Option(text, False, "It need not be lost: it may be in a register that no event shows.")
    if home is None:
        return Option(text, True, f"No place holds {guest}'s true value anymore.")
    return Option(
        text, False, f"It is not lost: {place_words(*home)} holds it, {value_words(home[1].value)}."
    )


def _untold(home: tuple[Box, Cell] | None, guest: str, unknown: bool) -> Option:
    """What only a recording makes possible: the events so far do not tell."""
    text = "the events do not say"
    if unknown:
        may = f"{guest} may have changed the register by itself, which leaves no event"
        return Option(text, True, sentence(f"{may}; nobody has read it since"))
    told = f"{place_words(*home)} holds it" if home else "no place that is shown holds the true value"
    return Option(text, False, f"They do: {told}.")


def stale(span: Span) -> Question:
    """Which place holds a stale or foreign value afterward?"""
    acting = {f"cpu{step.cpu}" for step in span.steps}
    found = [
        (box, cell)
        for box, cell in span.cells()
        if (box.kind != "cpu" or box.id in acting or cell.status in _WRONG) and cell.value is not None
    ]
    wrong = [(box, cell) for box, cell in found if cell.status in _WRONG]
    alone = len(wrong) == 1
    options = [_worth(span, box, cell, alone) for box, cell in found]
    if len(wrong) > 1:
        both = " and ".join(place_words(*pair) for pair in wrong)
        told = " ".join(_is_wrong(span, *pair) for pair in wrong)
        options.append(Option(f"{both} too", True, told))
    none = "none of them"
    if wrong:
        options.append(Option(none, False, _is_wrong(span, *wrong[0])))
    elif any(cell.status == "unknown" for _, cell in span.cells()):
        options.append(Option(none, True, "Nothing that the events tell is wrong; not every place is known."))
    else:
        options.append(Option(none, True, "Every place that is in use holds its owner's true value."))
    telling = max((span.put_there(cell.place) for _, cell in wrong), default=0)
    asked = f"Which place holds a stale or a foreign value {span.afterward}?"
    return _question("stale", span, asked, options, telling, not wrong or span.holds(telling))


def _worth(span: Span, box: Box, cell: Cell, alone: bool) -> Option:
    place, held = place_words(box, cell), value_words(cell.value)
    if cell.status in _WRONG and alone:
        return Option(place, True, _is_wrong(span, box, cell))
    if cell.status in _WRONG:
        return Option(f"{place} only", False, f"{_is_wrong(span, box, cell)} But it is not the only one.")
    if cell.status == "unused":
        return Option(place, False, f"It holds {held}, which nothing reads now.")
    if cell.status == "unknown":
        return Option(place, False, f"It holds {held}; no event tells that it is wrong.")
    worth = {"live": "the one that counts", "copy": "equal to the one that counts"}.get(
        cell.status, cell.status
    )
    return Option(place, False, f"It holds {held}: {worth}.")


def _is_wrong(span: Span, box: Box, cell: Cell) -> str:
    what = "another owner's" if cell.status == "foreign" else "no longer the true one"
    return f"{place_words(box, cell)} holds {value_words(cell.value)}, {what}: {span.how(cell.place)}."


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
    if loads or holder == "descriptor":
        names.append("descriptor")
    nameless = any(cell.value is None or cell.value.owner == "unknown" for _, cell in span.cells())
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
            held if name == holder else f"{held}{_elsewhere(span, name)}",
        )
        for name in names
    ]
    telling = span.put_there(place)
    asked = f"Whose value does KERNEL_GS_BASE of CPU {span.last.cpu} hold {span.afterward}?"
    return _question("owner", span, asked, options, telling, span.holds(telling))


def _owners_of(span: Span, value: Value | None) -> set[str]:
    """Who has a value of this number."""
    if value is None:
        return set()
    cells = (cell for box in span.scene().boxes for cell in box.cells)
    return {c.value.owner for c in cells if c.value and c.value.number == value.number} - {"unknown"}


def _whose(name: str) -> str:
    named = {"descriptor": "nobody's: a base of 0", "unknown": "nobody's that is known"}
    return named.get(name) or f"{owner_words(name)}'s"


def _elsewhere(span: Span, name: str) -> str:
    if name == "unknown":
        return ""
    places = [
        place_words(box, cell)
        for box in span.scene().boxes
        for cell in box.cells
        if _is_of(cell, name) and (box.kind != "vcpu" or not cell.place.endswith(".gs_base"))
    ]
    if not places:
        return f" No place that is shown holds {'that' if name == 'descriptor' else 'a value of that owner'}."
    what = "a base of 0" if name == "descriptor" else _whose(name)
    return " " + sentence(f"{what} is in {' and '.join(places)}")
