"""Questions about an access of the guest's MSR: does it exit, and what does it return?"""

from __future__ import annotations

from collections.abc import Mapping

from vmxsim.errors import InputError
from vmxsim.model.value import Value, owner_words
from vmxsim.quiz.question import Option, Question
from vmxsim.quiz.span import Span
from vmxsim.trace import Box
from vmxsim.views.naming import place_words, value_words

#: When a design lets the guest's access exit, by the design's ``interception``.
_RULES = {
    "always": "This design intercepts the register in every mode.",
    "outside long mode": "This design intercepts the register exactly while EFER.LMA is 0.",
    "bitmap": "What was last written to the MSR bitmap decides, whatever the mode is now.",
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
    design = getattr(span.trace, "design", None)
    bitmap = getattr(getattr(span.trace, "environment", None), "interception", "") == "bitmap"
    rule = (
        "What was last written to the MSR bitmap decides."
        if bitmap
        else _RULES.get(getattr(design, "interception", ""), "")
    )
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
        options.append(Option(hex(number), True, "It is what stood where the access looked."))
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
                if not cell.place.endswith("gs_base") or box.kind == "cpu":
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
    stands = f"It stands in {' and '.join(places)}" if places else ""
    if number == found:
        right = "and it is the guest's true value" if number == true else f"but right would be {hex(true)}"
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
