"""The game as a widget, without a browser: what the board shows and what the player may show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import vmxsim
from tests.game.plays import Careless, CarelessWrite
from vmxsim.errors import InputError
from vmxsim.teaching.questions.session import SESSION
from vmxsim.teaching.questions.store import Store
from vmxsim.web.assets import script
from vmxsim.widgets.be_the_scheduler import FREE_KEYS, KEYS, SchedulerGame


def press(game: SchedulerGame, *names: str) -> dict[str, Any]:
    """What the board would send for moves, or for commands written ``:undo``."""
    for name in names:
        content = {"kind": name[1:]} if name.startswith(":") else {"kind": "do", "name": name}
        game.board._handle_custom_msg(content, [])
    state: dict[str, Any] = game.board.state
    return state


def buttons(state: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {b["name"]: b for group in state["groups"] for b in group["buttons"]} | {
        b["name"]: b for b in state["free"]
    }


def test_a_win_is_told_with_its_reason_its_score_and_its_scenario() -> None:
    game = vmxsim.be_the_scheduler()
    state = press(game, "run", "to the end", "guest long-mode on")
    assert (state["count"], state["tally"], state["over"]) == (2, "2 moves · par 2", {})
    state = press(game, "to the end")
    assert state["over"]["score"] == "2 moves: par"
    assert state["over"]["stars"] == 3
    assert "guest-value" in state["over"]["title"]
    assert state["best"] == "best so far: 2 (par)"
    assert vmxsim.run(state["over"]["scenario"]).violations
    assert not press(game, ":undo")["over"]


def test_the_player_never_shows_what_is_to_come() -> None:
    game = vmxsim.be_the_scheduler()
    assert len(game.player.films[0]["frames"]) == 1
    press(game, "run", "next line")
    film = game.player.films[0]
    assert len(film["frames"]) == 3 and game.player.start == 2
    assert film["timeline"]["actions"][-1]["to"] == 2
    assert set(film["listings"]) <= {"kvm_arch_vcpu_ioctl_run", "user space"}


def test_the_picture_stays_the_same_from_move_to_move() -> None:
    game = vmxsim.be_the_scheduler(Careless)
    first = game.player.films[0]
    press(game, "run", "to the end", "emulate rdmsr", "tick cpu1", "to the end")
    assert all(game.player.films[0][name] == first[name] for name in ("svg", "uid"))


def test_every_move_has_a_key_of_its_own_and_every_refusal_a_reason() -> None:
    source = script(("dom", "scheduler")).split("const COMMANDS = [")[1].split("];")[0]
    commands = re.findall(r'^ *\["\w+", "(\w?)"', source, re.M)
    assert len(commands) == 6
    keys = "".join([*KEYS.values(), *FREE_KEYS.values(), *commands])
    assert len(set(keys)) == len(keys)
    game = vmxsim.be_the_scheduler(cpus=4)
    state = game.board.state
    assert all(button["key"] for button in buttons(state).values())
    assert state["not_now"] == [
        ["Guest, KVM's emulator", "the thread is in user space, and it must be in the guest ('run' first)"]
    ]
    state = press(game, "run")
    assert "an action is in progress" in buttons(state)["get-msr"]["why"]
    assert state["tick"].startswith("A tick now takes effect immediately")
    told = ["User space, Guest, KVM's emulator", "an action is in progress: let it finish (e)"]
    assert state["not_now"] == [told], "each reason once"


def test_a_pending_tick_is_shown() -> None:
    game = vmxsim.be_the_scheduler("never-trap")
    state = press(game, "run")
    while "stay pending" not in state["tick"]:
        state = press(game, "next line")
    state = press(game, "tick cpu1")
    assert state["moves"][-1]["pending"]
    assert "A tick is pending" in state["tick"]
    assert buttons(state)["tick cpu0"]["why"] == "a tick is already pending"


def test_a_signal_has_a_button_while_kvm_handles_an_exit() -> None:
    game = vmxsim.be_the_scheduler(CarelessWrite)
    state = press(game, "run", "to the end")
    assert "signal" not in buttons(state)
    assert buttons(state)["user gs-base 0x7F0000005000"]["label"] == "gs-base 0x7F0000005000"
    state = press(game, "emulate wrmsr 0xA000")
    assert (buttons(state)["signal"]["key"], buttons(state)["signal"]["why"]) == ("p", "")
    state = press(game, "signal")
    assert buttons(state)["signal"]["why"] == "a signal is already pending"
    assert state["moves"][-1]["text"].startswith("signal before line") and state["count"] == 3
    press(game, "to the end")
    assert game.game.at.mode == "user"


def test_a_game_that_only_bases_of_0_break_says_so() -> None:
    game = vmxsim.be_the_scheduler(CarelessWrite, assume="no-signal")
    assert game.board.state["start"].endswith("Every task's user GS base is 0.")
    assert "user_gs_bases: zero" in press(game, ":show")["over"]["scenario"]
    assert vmxsim.be_the_scheduler(Careless).board.state["start"] == "The guest starts outside long mode."


def test_help_does_not_make_a_move() -> None:
    game = vmxsim.be_the_scheduler("never-trap", assume="no-smm")
    state = press(game, ":possible")
    assert "Nothing you can do breaks never-trap" in state["said"]
    assert state["granted"] == [["no-smm", "no SMI comes"]]
    assert "Nothing you can do" in press(game, ":show")["alert"]
    state = press(game, ":next")
    assert (state["design"], state["alert"], state["count"]) == ("guest-state-loaded", "", 0)
    assert "Hint: Nothing you can do" in press(game, ":hint")["said"]


def test_the_checkers_schedule_is_played_from_its_start() -> None:
    game = vmxsim.be_the_scheduler(Careless)
    state = press(game, ":show")
    assert state["over"]["stars"] == 0 and "no score" in state["over"]["score"]
    assert game.player.start == 0 and len(game.player.films[0]["frames"]) > 40
    assert press(game, ":restart")["count"] == 0


def test_a_win_with_hints_is_not_recorded_and_says_so() -> None:
    game = vmxsim.be_the_scheduler("lazy-long-mode", host="32-bit")
    assert not game.board.state["restart"]
    assert press(game, ":hint")["restart"], "hints alone can be forgotten"
    state = press(game, "run", "to the end", "guest long-mode on", "to the end")
    assert state["over"]["score"].endswith("with 1 hint")
    assert state["best"] == "not recorded: with hints"
    assert not press(game, ":restart")["restart"]


def test_another_design_another_host_and_back_to_ones_own() -> None:
    game = vmxsim.be_the_scheduler(Careless, budget=7)
    assert game.board.state["designs"][0] == ["own", "Careless (your own)"]
    game.board._handle_custom_msg({"kind": "game", "design": "load-gs-index", "host": "32-bit"}, [])
    assert game.board.state["tally"] == "0 of 7 moves · par 1"
    game.board._handle_custom_msg({"kind": "game", "design": "own", "host": "64-bit"}, [])
    assert (game.game.setting.design, game.game.par) == (Careless, 3)


@pytest.mark.parametrize(
    "content", [{"kind": "do"}, {"kind": "game", "design": "x"}, {}, {"kind": "do", "name": "exit"}]
)
def test_what_makes_no_sense_is_said_and_changes_nothing(content: dict[str, Any]) -> None:
    game = vmxsim.be_the_scheduler()
    game.board._handle_custom_msg(content, [])
    assert game.board.state["count"] == 0
    assert bool(game.board.state["alert"]) == bool(content)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="dedicated-accessors"):
        vmxsim.be_the_scheduler("dedicated-accesors")


def test_a_level_keeps_its_stars_and_leads_to_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = Store(tmp_path / "answers.json")
    monkeypatch.setattr(SESSION, "store", store)
    monkeypatch.setattr("vmxsim.teaching.game.levels._won", {})
    game = vmxsim.be_the_scheduler(level=1)
    state = press(game)
    assert (state["design"], state["host"]) == ("level 1", "32-bit")
    assert state["designs"][0] == ["level 1", "Level 1 ☆☆☆ load-gs-index"]
    state = press(game, "run cancelled", "to the end")
    assert state["over"]["stars"] == 3
    assert state["designs"][0] == ["level 1", "Level 1 ★★★ load-gs-index"]
    assert Store(store.path).section("levels") == {"1": 3}
    state = press(game, ":next")
    assert (state["design"], state["host"]) == ("level 2", "64-bit")
    game.board._handle_custom_msg({"kind": "game", "design": "level 6", "host": "64-bit"}, [])
    assert press(game)["tally"] == "0 moves · par 5"
    assert press(game, ":next")["said"] == "That was the last level."
    game.board._handle_custom_msg({"kind": "game", "design": "level 6", "host": "32-bit"}, [])
    assert press(game)["design"] == "msr-array", "on another host it is no level"
    game.board._handle_custom_msg({"kind": "game", "design": "level x", "host": "64-bit"}, [])
    assert "from 1 to 6" in press(game)["alert"]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"level": 7}, "1 to 6, not 7"),
        ({"level": "2"}, "not '2'"),
        ({"level": 2, "host": "32-bit"}, "leave out"),
    ],
)
def test_a_level_that_is_none_is_refused(how: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        vmxsim.be_the_scheduler(**how)
