"""The board of the game: whose turn it is, the moves as buttons, the schedule so far, score and help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anywidget
import traitlets

from vmxsim.checker.assumptions import ASSUMPTIONS
from vmxsim.designs import DESIGNS
from vmxsim.game.game import Game
from vmxsim.game.options import GROUPS, Option
from vmxsim.game.score import against_par
from vmxsim.scenario import HOSTS
from vmxsim.web.assets import script, style

#: The keys of the moves of each group, in the order of the moves; JupyterLab never sees them.
KEYS = {"user space": "123456", "guest": "rabglsx", "emulator": "789", "scheduler": "tyuinfek"}
#: The free moves' keys.
FREE_KEYS = {"next line": "n", "next function": "f", "to the end": "e", "back": "k"}
_TITLES = {
    "user space": "User space",
    "guest": "Guest",
    "emulator": "KVM's emulator",
    "scheduler": "Scheduler",
}
_OWN = "own"


class Board(anywidget.AnyWidget):
    """``state`` is all that is shown (:func:`board_state`)."""

    _esm = script(("dom", "scheduler"))
    _css = style(("scheduler",), ".vmxsim-scheduler")

    state = traitlets.Dict().tag(sync=True)

    def on_ask(self, handler: Callable[[dict[str, Any]], None]) -> None:
        """``handler`` hears what the reader does: ``{"kind": "do", "name": ...}`` and the like."""

        def heard(_widget: Board, content: Any, _buffers: Any) -> None:
            if isinstance(content, dict):
                handler(content)

        self.on_msg(heard)


def board_state(game: Game, said: str = "", alert: str = "") -> dict[str, Any]:
    """All that the board shows, as JSON-able data. ``said`` is the last help, ``alert`` what was wrong."""
    options = game.options
    own = DESIGNS.get(game.setting.design.id) is not game.setting.design
    designs = [[name, name] for name in DESIGNS]
    return {
        "design": _OWN if own else game.name,
        "designs": [[_OWN, f"{game.name} (your own)"], *designs] if own else designs,
        "host": game.setting.host,
        "hosts": list(HOSTS),
        "granted": [[name, ASSUMPTIONS[name].words] for name in game.assumed.names],
        "start": f"The guest starts {'in' if game.setting.long_mode else 'outside'} long mode.",
        "where": game.at.words,
        "line": game.at.line,
        "tick": _tick_words(game),
        "groups": _groups(options),
        "free": [_button(o, FREE_KEYS[o.name], o.name) for o in options if not o.counts],
        "moves": [{"text": move.text, "tick": move.tick, "pending": move.pending} for move in game.moves],
        "count": game.count,
        "tally": _tally(game),
        "best": _best(game),
        "undo": bool(game.count),
        "restart": bool(game.count or game.hints),
        "solution": game.solution.scenario is not None,
        "over": _over(game),
        "said": said,
        "alert": alert,
    }


def _groups(options: Sequence[Option]) -> list[dict[str, Any]]:
    """The groups with their buttons; a reason that all actions share is told once, in ``tick``."""
    found = [_group(name, [o for o in options if o.group == name and o.counts]) for name in GROUPS]
    told = {tuple(group["why"]) for group in found if group["name"] != "scheduler"}
    if len(told) == 1:
        for group in found:
            group["why"] = [] if tuple(group["why"]) in told else group["why"]
    return found


def _group(name: str, options: list[Option]) -> dict[str, Any]:
    buttons = [_button(o, key, _label(o)) for o, key in zip(options, KEYS[name], strict=False)]
    reasons: dict[str, list[str]] = {}
    for button in buttons:
        if button["why"]:
            reasons.setdefault(button["why"], []).append(button["label"])
    told = sorted(reasons.items(), key=lambda pair: -len(pair[1]))
    why = [f"{', '.join(labels)}: {reason}" for reason, labels in told]
    if told and all(button["why"] for button in buttons):
        why[0] = told[0][0]  # of all but those that are named behind it
    return {"name": name, "title": _TITLES[name], "buttons": buttons, "why": why}


def _button(option: Option, key: str, label: str) -> dict[str, str]:
    return {"name": option.name, "label": label, "key": key, "words": option.words, "why": option.why_not}


def _label(option: Option) -> str:
    """A move in its group: the group's name need not be told again."""
    if option.group == "scheduler":
        return f"tick, on to CPU {option.name[-1]}"
    return option.name.removeprefix("guest ").removeprefix("emulate ")


def _tick_words(game: Game) -> str:
    """What a tick would do now, or what one that came will do."""
    at = game.at
    if game.broken is not None:
        return "Something is broken: undo, or start over."
    if game.budget is not None and game.count >= game.budget and at.at_rest:
        return "Your moves are used up: undo, or start over."
    if at.at_rest:
        return "At rest: choose an action, or a tick."
    if at.tick_waits:
        return "A tick is pending (TIF_NEED_RESCHED): the scheduler acts as soon as it may."
    if at.scheduling:
        return "The scheduler is at work."
    if at.mode != "kernel":
        return "The action goes on."
    if at.holds_back:
        return f"The action goes on. A tick now would stay pending: {at.holds_back}."
    return "The action goes on. A tick now takes effect at once, before this line."


def _tally(game: Game) -> str:
    count = f"{game.count} of {game.budget}" if game.budget else str(game.count)
    moves = f"{count} move{'s' * (game.count != 1 or bool(game.budget))}"
    return f"{moves} · par {'?' if game.par is None else game.par}"


def _best(game: Game) -> str:
    score = game.score
    if score is not None and (score.told or score.hints):
        return f"not recorded: {'the checker played' if score.told else 'with hints'}"
    if game.best is None:
        return "best so far: none"
    return f"best so far: {game.best}" + (f" ({against_par(game.best, game.par)})" if game.par else "")


def _over(game: Game) -> dict[str, Any]:
    """What is told when something is broken; empty while nothing is."""
    if game.broken is None:
        return {}
    if game.broken.early:
        title = f"{game.broken.invariant} is broken, but too early: you granted guest-wrote-first. Undo."
        return {"title": title, "words": game.broken.words, "score": "", "stars": 0, "scenario": ""}
    score = game.score
    assert score is not None
    return {
        "title": f"You broke {game.broken.invariant}: {game.broken.mechanism}",
        "words": game.broken.words,
        "score": score.words,
        "stars": score.stars,
        "scenario": game.scenario_text,
    }
