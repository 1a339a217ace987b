"""Questions about places: which one is the guest's ★, and which ones hold a stale or foreign value?"""

from __future__ import annotations

from collections.abc import Sequence

from vmxsim.kernel.machine import owner_words
from vmxsim.simulation.trace import Box, Cell
from vmxsim.teaching.questions.look import Look, look, step_name
from vmxsim.teaching.questions.question import Option, Question, Span
from vmxsim.views.words import WRONG, place_words, sentence, several, value_words

Held = tuple[Box, Cell]

LOST = "nowhere: it is lost"


def after_question(
    kind: str, span: Span, asked: str, options: Sequence[Option], telling: int, changes: bool
) -> Question:
    """A question of how things stand after a span; ``telling`` is the scene that brought it about."""
    shown = span.shown_at(telling)
    return Question(
        kind, span.before, span.after, f"{span.comes} {asked}", tuple(options), shown, changes=changes
    )


def live(span: Span) -> Question:
    """Which place is the guest's ★ afterward?"""
    guest = owner_words(span.vcpu)
    found = list(span.cells())
    home = next((pair for pair in found if pair[1].status == "live" and is_of(pair[1], span.vcpu)), None)
    looks = look(span.trace, span.after, span.vcpu)
    options = [_place(span, pair, home, looks) for pair in found]
    unknown = home is None and span.recorded and _hidden(span, found)
    loss = 0 if home or unknown else lost_at(span)
    options.append(_nowhere(span, home, loss, unknown))
    if span.recorded:
        options.append(_untold(home, guest, unknown))
    telling = loss
    if home is not None:
        since = looks.since if looks and looks.place == home[1].place else 0
        telling = max(span.put_there(home[1].place), since)
    asked = f"Where is {guest}'s true value {span.afterward} (★: of several places, the one KVM would use)?"
    return after_question(
        "live", span, asked, options, telling, span.holds(telling) or (home is None and not loss)
    )


def is_of(cell: Cell, owner: str) -> bool:
    """Whether a cell holds a value of this owner."""
    return cell.value is not None and cell.value.owner == owner


def _place(span: Span, pair: Held, home: Held | None, looks: Look | None) -> Option:
    """Why the guest's ★ is, or is not, this place."""
    cell, place, held = pair[1], place_words(*pair), value_words(pair[1].value)
    if home is not None and cell.place == home[1].place:
        return Option(place, True, f"It holds {held}: {span.how(cell.place)}.{_next_look(span, home, looks)}")
    if cell.value is None:
        empty = "No event says what it holds now." if span.recorded else "Nothing was ever stored there."
        return Option(place, False, empty)
    if cell.status == "unknown" and is_of(cell, span.vcpu):
        return Option(place, False, f"It holds {held}, but no event tells whether that is still true.")
    if cell.status == "copy" and is_of(cell, span.vcpu) and home is not None:
        its = place_words(*home)
        decides = looks is not None and looks.place == home[1].place
        why = looks.words(f"in {its}") if looks and decides else f"KVM would use {its}"
        return Option(place, False, f"It holds {held} too, but {why}.")
    if cell.status == "stale" and is_of(cell, span.vcpu):
        return Option(place, False, f"It holds {held}: {outdated(span, span.vcpu)}.")
    return Option(place, False, f"It holds {held}: {span.how(cell.place)}.")


def _next_look(span: Span, home: Held, looks: Look | None) -> str:
    """Whether the next access looks at the guest's ★, as sentences after others."""
    if looks is None:
        return "".join(f" {words}" for name, words in span.scene().dangers if name == "guest-value")
    if looks.place == home[1].place:
        return f" {sentence(looks.words('there'))}"
    other = next((pair for pair in span.cells() if pair[1].place == looks.place), None)
    if other is None:
        return ""
    where = looks.words(f"in {place_words(*other)}, which holds {value_words(other[1].value)}")
    ends = "that is a bug"
    if span.last.mode == "kernel" and not span.last.preemptible:
        ends = "that must be put right while nothing else can run"
    return f" But {where}: {ends}."


def outdated(span: Span, owner: str) -> str:
    """Since when an owner has had another true value, as a clause."""
    true = tuple(f"{owner}.{name}" for name in ("true_guest_value", "true_user_gs_base", "true"))
    for step in reversed(span.trace.steps[: span.after]):
        if any(change.place in true for change in step.changes):
            return f"{owner_words(owner)} has had another value since {step_name(span.trace, step.index + 1)}"
    return "that is no longer the true value"


def lost_at(span: Span) -> int:
    """The scene in which no place holds the guest's true value anymore, up to the end of the span; 0 if
    there is none, or if it has been so since the start."""
    for index in range(span.after, 0, -1):
        if star(span, index - 1):
            return index
    return 0


def star(span: Span, index: int) -> Held | None:
    """The guest's ★ after ``index`` steps."""
    for box in span.trace.scene(index).boxes:
        for cell in box.cells:
            register = box.kind == "cpu" or (box.id == span.vcpu and cell.place.endswith((".g", ".h")))
            if register and cell.status == "live" and is_of(cell, span.vcpu):
                return box, cell
    return None


def how_lost(span: Span, loss: int) -> str:
    """Which step lost the guest's true value, and how, as sentences."""
    guest = owner_words(span.vcpu)
    if not loss:
        return f"No place has held {guest}'s true value since the start."
    step, was = step_name(span.trace, loss), star(span, loss - 1)
    assert was is not None, "lost_at finds the scene after one with a ★"
    changed = {change.place for change in span.trace.steps[loss - 1].changes}
    if changed & {f"{span.vcpu}.true_guest_value", f"{span.vcpu}.true"}:
        return sentence(f"{step} gives {guest} a new value, and no place takes it")
    place, value = place_words(*was), was[1].value
    now = span.trace.scene(loss).cells()[was[1].place]
    if now.value is not None and value is not None and now.value.number != value.number:
        told = f"{step} puts {value_words(now.value)} into {place}, the last place with {value_words(value)}"
    else:
        told = f"with {step} {place} is no longer {guest}'s, and no other place holds {value_words(value)}"
    return sentence(told)


def _hidden(span: Span, found: Sequence[Held]) -> bool:
    """Whether the guest's value may stand in a register whose content no event tells."""
    true = dict(next(box for box in span.scene().boxes if box.id == span.vcpu).facts)["true value"]
    return true == "not known" and any(cell.status == "unknown" for _, cell in found)


def _nowhere(span: Span, home: Held | None, loss: int, unknown: bool) -> Option:
    if unknown:
        return Option(LOST, False, "It need not be lost: it may be in a register that no event shows.")
    if home is None:
        return Option(LOST, True, how_lost(span, loss))
    held = value_words(home[1].value)
    return Option(LOST, False, f"{place_words(*home)} holds {held}: {span.how(home[1].place)}.")


def _untold(home: Held | None, guest: str, unknown: bool) -> Option:
    """What only a recording makes possible: the events so far do not tell."""
    text = "the events do not say"
    if unknown:
        may = f"{guest} may have changed the register by itself, which leaves no event"
        return Option(text, True, sentence(f"{may}; nobody has read it since"))
    told = f"{place_words(*home)} holds it" if home else "no place that is shown holds the true value"
    return Option(text, False, f"They do: {told}.")


def stale(span: Span) -> Question:
    """Which places hold a stale or foreign value afterward?"""
    acting = {f"cpu{step.cpu}" for step in span.steps}
    found = [
        (box, cell)
        for box, cell in span.cells()
        if (box.kind != "cpu" or box.id in acting or cell.status in WRONG) and cell.value is not None
    ]
    wrong = [pair for pair in found if pair[1].status in WRONG]
    sets = [[pair] for pair in found] + ([found[:2]] if len(found) > 1 else []) + [[]]
    if len(wrong) > 1:
        sets[-2] = wrong
    elif wrong and len(found) > 1:  # the tempting one: together with a place that is right
        sets[-2] = [pair for pair in found if pair[1] is wrong[0][1] or pair is _companion(found, wrong[0])]
    options = [_judged(span, chosen, wrong) for chosen in sets]
    telling = _came_to_be(span, {cell.place for _, cell in found}, {cell.place for _, cell in wrong})
    asked = f"Which places hold a stale or a foreign value {span.afterward}?"
    return after_question("stale", span, asked, options, telling, span.holds(telling))


def _came_to_be(span: Span, places: set[str], wrong: set[str]) -> int:
    """The scene since which these, of all ``places``, are the ones with a stale or foreign value: a value
    grows stale where it lies when its owner gets another one. 0 if it has been so since the start."""
    for index in range(span.after, 0, -1):
        cells = span.trace.scene(index - 1).cells()
        if {place for place in places if place in cells and cells[place].status in WRONG} != wrong:
            return index
    return 0


def _companion(found: Sequence[Held], wrong: Held) -> Held:
    """The place to name beside a wrong one: a copy if there is one."""
    others = [pair for pair in found if pair is not wrong]
    return next((pair for pair in others if pair[1].status in ("copy", "unused")), others[0])


def _judged(span: Span, chosen: Sequence[Held], wrong: Sequence[Held]) -> Option:
    """Why these places, and no others, hold a stale or foreign value; or what is the case instead."""
    names = several(place_words(*pair) for pair in chosen) if chosen else ""
    text = f"only {names}" if len(chosen) == 1 else names or "none of them"
    missed = [pair for pair in wrong if pair not in chosen]
    extra = [pair for pair in chosen if pair not in wrong]
    if missed or extra:
        told = [_is_wrong(span, pair) for pair in missed] + [_is_right(span, pair) for pair in extra]
        return Option(text, False, " ".join(told))
    if wrong:
        return Option(text, True, " ".join(_is_wrong(span, pair) for pair in wrong))
    if any(cell.status == "unknown" for _, cell in span.cells()):
        return Option(text, True, "Nothing that the events tell is wrong; not every place is known.")
    return Option(text, True, "Every place that is in use holds its owner's true value.")


def _is_right(span: Span, pair: Held) -> str:
    place, cell, held = place_words(*pair), pair[1], value_words(pair[1].value)
    if cell.status == "unused":
        return f"{place} holds {held}, which nothing reads now."
    if cell.status == "unknown":
        return f"{place} holds {held}; no event tells that it is wrong."
    return f"{place} holds {held}, its owner's true value: {span.how(cell.place)}."


def _is_wrong(span: Span, pair: Held) -> str:
    place, cell, held = place_words(*pair), pair[1], value_words(pair[1].value)
    if cell.status == "foreign":
        return f"{place} holds {held}, another owner's: {span.how(cell.place)}."
    owner = cell.value.owner if cell.value else ""
    return f"{place} holds {held}: {outdated(span, owner)}."
