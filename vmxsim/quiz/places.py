"""Questions about places: where the live value is, which places are stale, whose value the register holds."""

from __future__ import annotations

from vmxsim.model.value import owner_words
from vmxsim.quiz.question import Option, Question
from vmxsim.quiz.span import Span
from vmxsim.trace import Box, Cell
from vmxsim.views.naming import place_words, sentence, value_words

_WRONG = ("stale", "foreign")


def live(span: Span) -> Question:
    """Where is the guest's live value afterwards?"""
    guest = owner_words(span.vcpu)
    found = list(span.cells())
    home = next((pair for pair in found if pair[1].status == "live" and _is_of(pair[1], span.vcpu)), None)
    options = [_place(span, box, cell, home, guest) for box, cell in found]
    unknown = home is None and span.recorded and _hidden(span, found)
    options.append(_nowhere(home, guest, unknown))
    if span.recorded:
        options.append(_untold(home, guest, unknown))
    telling = span.put_there(home[1].place) if home else 0
    return Question(
        "live",
        span.before,
        span.after,
        f"{span.comes} Where is {guest}'s live value {span.afterwards}, the one that counts?",
        tuple(options),
        span.shown_at(telling),
        changes=home is None or span.holds(telling),
    )


def _is_of(cell: Cell, owner: str) -> bool:
    return cell.value is not None and cell.value.owner == owner


def _place(span: Span, box: Box, cell: Cell, home: tuple[Box, Cell] | None, guest: str) -> Option:
    place, held = place_words(box, cell), value_words(cell.value)
    if home is not None and cell.place == home[1].place:
        wrong = "".join(f" {words}" for name, words in span.scene().dangers if name == "guest-value")
        return Option(place, True, f"It holds {held}: {span.how(cell.place)}.{wrong}")
    counts = f" What counts is {place_words(*home)}." if home else ""
    if cell.value is None:
        empty = "No event tells what it holds now." if span.recorded else "Nothing was ever stored there."
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
        return Option(text, False, "It need not be lost: it may stand in a register that no event shows.")
    if home is None:
        return Option(text, True, f"No place holds {guest}'s true value any more.")
    return Option(
        text, False, f"It is not lost: {place_words(*home)} holds it, {value_words(home[1].value)}."
    )


def _untold(home: tuple[Box, Cell] | None, guest: str, unknown: bool) -> Option:
    """What only a recording makes possible: the events so far do not tell."""
    text = "the events do not tell"
    if unknown:
        seen = (
            f"{guest} may have changed the register by itself, which leaves no event; nobody read it since."
        )
        return Option(text, True, sentence(seen))
    told = f"{place_words(*home)} holds it" if home else "no place that is shown holds the true value"
    return Option(text, False, f"They do: {told}.")


def stale(span: Span) -> Question:
    """Which place holds a stale or foreign value afterwards?"""
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
    return Question(
        "stale",
        span.before,
        span.after,
        f"{span.comes} Which place holds a stale or a foreign value {span.afterwards}?",
        tuple(options),
        span.shown_at(telling),
        changes=not wrong or span.holds(telling),
    )


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
    """Whose value does the register of the CPU hold afterwards?"""
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
    held = f"KERNEL_GS_BASE of CPU {span.last.cpu} holds {value_words(register.value)}: {span.how(place)}."
    if register.value is None:
        held = f"What KERNEL_GS_BASE of CPU {span.last.cpu} holds is not known: no event tells."
    options = [
        Option(
            "the events do not tell" if name == "unknown" and span.recorded else _whose(name),
            name == holder,
            held if name == holder else f"{held}{_elsewhere(span, name)}",
        )
        for name in names
    ]
    telling = span.put_there(place)
    return Question(
        "owner",
        span.before,
        span.after,
        f"{span.comes} Whose value does KERNEL_GS_BASE of CPU {span.last.cpu} hold {span.afterwards}?",
        tuple(options),
        span.shown_at(telling),
        changes=span.holds(telling),
    )


def _whose(name: str) -> str:
    named = {"descriptor": "the descriptor's base", "unknown": "nobody's that is known"}
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
        return " No place that is shown holds " + (
            "that." if name == "descriptor" else "one of that owner's."
        )
    return " " + sentence(f"{_whose(name)} is in {' and '.join(places)}")
