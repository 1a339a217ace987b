"""``vmxsim.be_the_scheduler``: the game as a board of moves around a player.

The player shows the run so far. Its picture is laid out for a rehearsal that does everything once on every
CPU, which leaves room for any arrow, so the picture stays the same throughout the game.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import ipywidgets as w
import traitlets

from vmxsim.checker.assumptions import ASSUMPTIONS
from vmxsim.designs import DESIGNS, find_design
from vmxsim.errors import InputError, checked, counted
from vmxsim.kernel.kvm import Kvm
from vmxsim.kernel.simulator import NEW_GS_BASE, USER_GS_BASE
from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.scenario import HOSTS
from vmxsim.simulation.trace import Scene, Step, Violation, Window
from vmxsim.teaching.game.game import Game
from vmxsim.teaching.game.levels import LEVELS, Level, find_level, stars_won
from vmxsim.teaching.game.moves import GROUPS, Option
from vmxsim.teaching.game.playing import SIGNAL, Play, Run, Setting
from vmxsim.teaching.game.solution import against_par
from vmxsim.views.film import film
from vmxsim.views.layout import move_key
from vmxsim.views.words import sentence
from vmxsim.web.assets import PLAYER, script, style
from vmxsim.widgets.message import Again, Message
from vmxsim.widgets.player import Player

#: The most steps in a game's film; a longer one would delay the display of a move.
MOST_STEPS = 200

#: The parts of the rehearsal's film to reuse.
_PICTURE = ("svg", "uid", "missing")


def game_film(game: Game) -> dict[str, Any]:
    """The film of a game so far; a long one starts at a later action."""
    shown = game.at.shown
    starts = [first for first in game.run.first if shown - first <= MOST_STEPS]
    told = film(Window(game.trace, 0 if shown <= MOST_STEPS or not starts else starts[0], shown))
    stage = _stage(game.setting)
    if stage is not None and {key for frame in told["frames"] for key, _ in frame["moves"]} <= stage["keys"]:
        told |= {name: stage[name] for name in _PICTURE}
    return told


@lru_cache(maxsize=16)
def _stage(setting: Setting) -> dict[str, Any] | None:
    """The picture with room for every arrow; None if the rehearsal fails on this design."""
    try:
        run = Run(setting, [Play(action) for action in _rehearsal(setting)])
    except InputError:
        return None
    drawn = film(_Essence(run.trace))
    keys = {move_key(move) for step in run.trace.steps for move in step.moves}
    return {name: drawn[name] for name in _PICTURE} | {"keys": keys | {">"}}


def _rehearsal(setting: Setting) -> Iterator[str]:
    """Every action in each mode on every CPU."""
    on = setting.long_mode
    for cpu in range(setting.cpus):
        yield f"preempt cpu{cpu}"
        for _ in range(2):
            if setting.bases == "own":
                yield from (f"user gs-base 0x{base:X}" for base in (NEW_GS_BASE, USER_GS_BASE[0]))
            yield from ("set-msr 0xA000", "get-msr", "run", "guest rdmsr", "guest wrmsr 0xB000")
            yield from ("emulate rdmsr", "emulate wrmsr 0xA000", *(["guest swapgs"] if on else []))
            yield from ("guest smi", "exit", "run", "guest rsm", f"preempt cpu{cpu}")
            on = not on
            yield from (f"guest long-mode {'on' if on else 'off'}", "exit")


class _Essence:
    """The steps of a run that show something new: an arrow, an owner, a longer text."""

    def __init__(self, trace: RunTrace) -> None:
        self._trace = trace
        self.title, self.name, self.subtitle = trace.title, trace.name, trace.subtitle
        self.actions: Sequence[str] = trace.actions
        self.violations: Sequence[Violation] = ()
        self.notes: Sequence[str] = ()
        seen: set[Any] = set()
        self._scenes = [trace.scene(0)]
        self.steps: list[Step] = []
        for index, step in enumerate(trace.steps, 1):
            scene = trace.scene(index)
            news = {move_key(move) for move in step.moves} | _texts(scene)
            if news - seen:
                seen |= news
                self.steps.append(step)
                self._scenes.append(scene)

    def scene(self, index: int) -> Scene:
        """The scene after step ``index``."""
        return self._scenes[index]

    def listing(self, function: str) -> Sequence[str]:
        """The layout does not need sources."""
        return ()


def _texts(scene: Scene) -> set[Any]:
    facts: set[Any] = {(box.id, name, len(value)) for box in scene.boxes for name, value in box.facts}
    facts |= {(box.id, box.facts) for box in scene.boxes if box.kind == "cpu"}  # what may hold back a tick
    return facts | {(box.kind, cell.value.owner) for box in scene.boxes for cell in box.cells if cell.value}


#: The keys of each group's moves, in order; JupyterLab never sees them.
KEYS = {"user space": "123456m", "guest": "rabglsx", "emulator": "789", "scheduler": "tyui", SIGNAL: "p"}
#: The keys of the free moves.
FREE_KEYS = {"next line": "n", "next function": "f", "to the end": "e", "back": "k"}
_OWN = "own"
#: What the list of designs calls a level, before its number.
_LEVEL = "level "


class Board(Player):
    """The board's front end, in the player of the run so far; ``state`` is everything it shows besides
    (:func:`board_state`)."""

    _esm = script((*PLAYER, "scheduler", "game"))
    _css = style(("player", "gates", "stage", "scheduler"))

    state = traitlets.Dict().tag(sync=True)

    def on_ask(self, handler: Callable[[dict[str, Any]], None]) -> None:
        """Pass the player's input to ``handler``, for example ``{"kind": "do", "name": ...}``."""

        def heard(_widget: Board, content: Any, _buffers: Any) -> None:
            if isinstance(content, dict):
                handler(content)

        self.on_msg(heard)


def board_state(game: Game, said: str = "", alert: str = "", level: Level | None = None) -> dict[str, Any]:
    """Everything on the board, ready for JSON. ``said`` is the last help text, ``alert`` an error, ``level``
    the level that is played."""
    options = game.options
    groups = [_group(name, [o for o in options if o.group == name and o.counts]) for name in GROUPS]
    own = level is None and DESIGNS.get(game.setting.design.id) is not game.setting.design
    won = stars_won()
    designs = [[f"{_LEVEL}{one.number}", one.words(won[one.number])] for one in LEVELS.values()]
    designs += [[name, name] for name in DESIGNS]
    return {
        "design": f"{_LEVEL}{level.number}" if level else _OWN if own else game.name,
        "designs": [[_OWN, f"{game.name} (your own)"], *designs] if own else designs,
        "host": game.setting.host,
        "hosts": list(HOSTS),
        "granted": [[name, ASSUMPTIONS[name].words] for name in game.assumed.names],
        "start": _start_words(game.setting),
        "where": game.at.words,
        "line": game.at.line,
        "tick": _tick_words(game),
        "groups": groups,
        "not_now": _not_now(groups),
        "free": [_button(o, FREE_KEYS[o.name]) for o in options if not o.counts],
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


def _start_words(setting: Setting) -> str:
    bases = "" if setting.bases == "own" else " Every task's user GS base is 0."
    return f"The guest starts {'in' if setting.long_mode else 'outside'} long mode.{bases}"


def _group(name: str, options: Sequence[Option]) -> dict[str, Any]:
    keys = iter(KEYS[name])
    buttons = [_button(o, KEYS[SIGNAL] if o.name == SIGNAL else next(keys)) for o in options]
    title = "KVM's emulator" if name == "emulator" else name.capitalize()
    return {"name": name, "title": title, "buttons": buttons}


def _not_now(groups: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """[who, why] of all moves that are not possible, each reason once: a group's title stands for all its
    buttons."""
    reasons: dict[str, list[str]] = {}
    for group in groups:
        refused = [button for button in group["buttons"] if button["why"]]
        whole = len(refused) == len(group["buttons"]) and len({button["why"] for button in refused}) == 1
        for button in refused[: 1 if whole else None]:
            reasons.setdefault(button["why"], []).append(group["title"] if whole else button["label"])
    return [[", ".join(who), why] for why, who in reasons.items()]


def _button(option: Option, key: str) -> dict[str, str]:
    return {
        "name": option.name,
        "label": option.label,
        "key": key,
        "words": option.words,
        "why": option.why_not.replace("let it finish", f"let it finish ({FREE_KEYS['to the end']})"),
    }


def _tick_words(game: Game) -> str:
    """What a tick would do now, or what a pending one will do."""
    at = game.at
    if game.over and (game.broken is not None or at.at_rest):
        return sentence(game.over)
    if at.at_rest:
        return "Between actions: choose an action, or a tick."
    if at.tick_waits:
        return "A tick is pending (TIF_NEED_RESCHED): the scheduler acts as soon as it may."
    if at.scheduling:
        return "The scheduler is running."
    if at.mode != "kernel":
        return "The action continues."
    if at.holds_back:
        return f"A tick now would stay pending: {at.holds_back}."
    return "A tick now takes effect immediately, before this line."


def _tally(game: Game) -> str:
    moves = f"{game.count} of {game.budget} moves" if game.budget else counted(game.count, "move")
    return f"{moves} · par {'?' if game.par is None else game.par}"


def _best(game: Game) -> str:
    score = game.score
    if score is not None and (score.told or score.hints):
        return f"not recorded: {'the checker played' if score.told else 'with hints'}"
    if game.best is None:
        return "best so far: none"
    return f"best so far: {game.best}" + (f" ({against_par(game.best, game.par)})" if game.par else "")


def _over(game: Game) -> dict[str, Any]:
    """The result, once an invariant is broken; empty before."""
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


@checked
def be_the_scheduler(
    design: str | type[Kvm] | None = None,
    *,
    level: int | None = None,
    host: str | None = None,
    cpus: int = 2,
    long_mode: bool | None = None,
    assume: str | Iterable[str] = (),
    par: int | None = None,
    budget: int | None = None,
) -> SchedulerGame:
    """A game for a notebook cell: break ``design`` in as few moves as the checker.

    ``level`` 1 to 6 picks one of six designs in rising difficulty, its host and how its guest starts; each
    keeps the most stars you won on it. Three stars are for par; a move more costs one, and so does trying
    button after button: moves taken back are free up to twice par, then four of them cost a star.

    ``design`` is an id, a commit's hash, a prefix or your own subclass of a design; ``long_mode`` is the
    guest's initial mode (None: as in the checker's shortest schedule). ``assume`` names assumptions as for
    ``vmxsim.check``, which forbid moves. Actions, ticks and signals count as moves; ``par`` is the number to
    match (None: the fewest that the checker finds), ``budget`` the most allowed. Stepping is free. The tasks
    have their own user GS bases, unless the design can only be broken where all of them are 0.

    Raises InputError.
    """
    rest: Any = {"cpus": cpus, "assume": assume, "par": par, "budget": budget}
    if level is None:
        chosen = "dedicated-accessors" if design is None else design
        wide = HOSTS[0] if host is None else host
        return SchedulerGame(Game(chosen, host=wide, long_mode=long_mode, **rest))
    one = find_level(level)
    if design is not None or host is not None or long_mode is not None:
        raise InputError("it has a design, a host and a start of its own: leave out yours", "level")
    return SchedulerGame(Game(one.design, host=one.host, long_mode=one.long_mode, **rest), one)


class SchedulerGame(Again, w.VBox):
    """The board around the player. ``game`` is the current game, ``level`` the level that it is, if any."""

    def __init__(self, game: Game, level: Level | None = None) -> None:
        self.game, self.level = game, level
        self._own = game.setting.design
        self._said = ""
        self.message = Message()  # not shown: the board has a fixed place for its text
        self.board = self.player = Board(skip_quiet=False)
        self.board.on_ask(self._heard)
        super().__init__([self.board])
        self._refresh(None)

    def __repr__(self) -> str:
        par = "unknown" if self.game.par is None else self.game.par
        made = counted(self.game.count, "move")
        return f"A game: you are the scheduler of {self.game.name}. {made} made, par {par}."

    def _heard(self, content: dict[str, Any]) -> None:
        before, self._said = (self.game, self.game.at), ""
        self.message.guard(lambda: self._answer(content))
        self._refresh(before, from_start=content.get("kind") == "show" and not self.message.text)

    def _answer(self, content: dict[str, Any]) -> None:
        kind, game = content.get("kind"), self.game
        if kind == "do":
            game.do(str(content.get("name")))
        elif kind == "undo":
            game.undo()
        elif kind == "restart":
            game.restart()
        elif kind == "hint":
            self._said = f"Hint: {game.hint()}"
        elif kind == "possible":
            self._said = game.is_possible()
        elif kind == "show":
            game.show_solution()
            self._said = "The checker's schedule. Play it below; start over to try your own."
        elif kind == "next":
            self._next()
        elif kind == "game":
            name, host = str(content.get("design")), str(content.get("host"))
            if not name.startswith(_LEVEL):
                self._start(self._own if name == _OWN else name, host)
            elif self.level is None or name != f"{_LEVEL}{self.level.number}":
                number = name.removeprefix(_LEVEL)
                self._start_level(find_level(int(number) if number.isdigit() else number))
            else:  # another host is another game
                self._start(game.setting.design, host)

    def _next(self) -> None:
        """The next level after a level, else the next design."""
        if self.level is None:
            self._start(self.game.next_design(), self.game.setting.host)
        elif self.level.next is None:
            self._said = "That was the last level."
        else:
            self._start_level(self.level.next)

    def _start_level(self, level: Level) -> None:
        self.game = Game(level.design, host=level.host, long_mode=level.long_mode)
        self.level = level

    def _start(self, design: str | type[Kvm], host: str) -> None:
        """Start another game, with the same start and budget where they still fit."""
        here = self.game
        same = find_design(design) is here.setting.design
        long_mode = here.setting.long_mode if same and here.chose_start else None
        again: Any = {"cpus": here.setting.cpus, "assume": here.assumed.names, "budget": here.budget}
        self.game, self.level = Game(design, host=host, long_mode=long_mode, **again), None

    def _refresh(self, before: tuple[Any, ...] | None, from_start: bool = False) -> None:
        """Update the board first, then the film if the position has changed."""
        if self.level is not None and self.game.score is not None:
            self.level.keep(self.game.score)
        self.board.state = board_state(self.game, self._said, self.message.text, self.level)
        if before != (self.game, self.game.at):
            film = game_film(self.game)
            self.player.show(film, 0 if from_start else len(film["frames"]) - 1)
        if from_start:
            self.player.look()
