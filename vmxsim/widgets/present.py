"""``vmxsim.present``: one run, or two side by side, on a large screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vmxsim.designs import DESIGNS, find_design
from vmxsim.errors import InputError, checked
from vmxsim.kernel.kvm import Kvm
from vmxsim.simulation.compare import parting, run_together
from vmxsim.simulation.scenario import HOSTS, Scenario
from vmxsim.simulation.trace import Trace
from vmxsim.teaching.questions.ask import key_questions
from vmxsim.views.film import film, lay_out
from vmxsim.views.layout import LARGE, SIDE, Face, GraphvizMissing
from vmxsim.views.telling import telling_steps
from vmxsim.views.words import Teller
from vmxsim.widgets.controls import OPERATIONS, actions_of
from vmxsim.widgets.predict import PredictGate, questions_of


@checked
def present(
    a: str | type[Kvm],
    b: str | type[Kvm] | None = None,
    scenario: Scenario | str | Path | Sequence[Any] | None = None,
    *,
    gates: str | Sequence[Any] = "auto",
    words: bool = True,
    locked: bool = False,
    votes: int | None = None,
    countdown: int | None = None,
    notes: Sequence[str] = (),
    host: str | None = None,
    long_mode: bool | None = None,
) -> PredictGate:
    """One design, or two side by side, for an audience: large type, full screen with F, one key per step.

    Space, Enter, the right arrow and Page Down (what a clicker sends) go to the next interesting
    step, the down arrow to the next line; W toggles the text, digits answer or vote, R reveals. V takes the
    votes by count (``3 1 0 6``), T starts the ``countdown`` (in seconds; 60 if nothing is said), and P opens
    the presenter's notes in a window of its own: the right answer, what the step does, what comes next, and
    ``notes``, a text for each action.
    ``scenario`` defaults to the shortest schedule on which the two designs visibly differ, or to the
    shortest counterexample of a single one (for a safe design, KVM reading the guest's value).
    ``gates`` are questions about the run of ``b``, or of ``a`` if alone, as for ``vmxsim.predict``:
    ``"auto"`` picks those that decide the run, ``[]`` none. With ``locked`` the audience votes and the
    presenter clicks in at least ``votes`` of them. ``host`` is the host's width; ``long_mode`` needs a
    ``scenario``, because a schedule that is searched for sets its own start.

    Raises InputError.
    """
    if gates != "auto" and not isinstance(gates, (list, tuple)):
        raise InputError(f"expected 'auto' or a list of questions ([] for none), not {gates!r}", "gates")
    if isinstance(scenario, str) and scenario in DESIGNS:
        raise InputError(f"'{scenario}' is a design, but at most two can stand side by side", "scenario")
    designs = [a] if b is None else [a, b]
    if not isinstance(notes, (list, tuple)) or not all(isinstance(note, str) for note in notes):
        raise InputError(f"expected a list of texts, one for each action, not {notes!r}", "notes")
    chosen, options = _schedule(designs, scenario, host, long_mode)
    traces, pairs = run_together(chosen, designs, **options)
    asked = len(traces) - 1
    if gates == "auto":
        questions = key_questions(traces[asked])
    else:
        questions = questions_of(traces[asked], gates) if gates else []
    return PredictGate(
        traces,
        [film(trace, face_of(trace) if b is None else LARGE) for trace in traces],
        [(asked, question) for question in questions],
        pairs,
        parting(traces, pairs),
        locked=locked,
        votes=votes,
        start=0,
        presenting=True,
        countdown=seconds(countdown),
        notes=list(notes),
        words=words,
        stops=[telling_steps(trace) for trace in traces],
    )


#: The space that one design's picture has at 1280x720, in pixels.
_SPACE = 812, 620


def face_of(trace: Trace) -> Face:
    """The sizes of a single picture on the stage: with the fields' names where its text is then large enough
    for the back row."""
    told = Teller(trace)

    def text(face: Face) -> float:
        try:
            drawing = lay_out(told, face)
        except GraphvizMissing:
            return LARGE.label
        width, height = _SPACE
        return face.label * min(width / drawing.width, height / drawing.height)

    return SIDE if text(SIDE) >= LARGE.label else max(SIDE, LARGE, key=text)


def seconds(countdown: Any) -> int:
    """A countdown as the player takes it. Raises InputError if it is no number of seconds."""
    if countdown is not None and (not isinstance(countdown, int) or countdown < 1):
        raise InputError(f"expected a number of seconds, not {countdown!r}", "countdown")
    return countdown or 0


def _schedule(
    designs: Sequence[str | type[Kvm]], scenario: Any, host: str | None, long_mode: bool | None
) -> tuple[Any, dict[str, Any]]:
    """What to run, and the options for ``run``."""
    options: dict[str, Any] = {"host": host, "long_mode": long_mode}
    if scenario is not None:
        return scenario, {name: value for name, value in options.items() if value is not None}
    hosts = (host,) if host else HOSTS
    if len(designs) == 2:
        from vmxsim.checker.difference import shortest_difference  # deferred: slow to load

        found = shortest_difference(designs[0], designs[1], hosts)
        if found.scenario is None:
            raise InputError(f"{found.reason}: name a scenario to show", "scenario")
        return found.scenario, {"title": "The shortest schedule on which they differ"}
    from vmxsim.checker.check import check

    design = find_design(designs[0])
    example = check(design, host=host or "both").counterexample
    if example is not None and not example.failure:
        return example.scenario, {"title": "The shortest schedule that breaks an invariant"}
    actions, _ = actions_of(OPERATIONS["read"], True, True)
    title = "KVM reads the guest's value while it is loaded"
    return actions, {"title": title, "host": host or HOSTS[0], "long_mode": True}
