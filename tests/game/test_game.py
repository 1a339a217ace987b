"""The game on one machine: moves, reasons, undo, scores, hints, what the checker says."""

from __future__ import annotations

import pytest

import vmxsim
from tests.game.plays import Careless, CarelessWrite, NeverEnables, possible
from vmxsim.errors import InputError
from vmxsim.teaching.game.game import Game
from vmxsim.teaching.game.levels import LEVELS


def won_seed() -> Game:
    game = Game()
    for move in ("run", "to the end", "guest long-mode on", "to the end"):
        game.do(move)
    return game


def test_the_seed_is_broken_in_two_moves() -> None:
    game = won_seed()
    assert game.won and game.broken is not None
    assert game.broken.invariant == "guest-value"
    assert "nothing is loaded with it" in game.broken.words
    assert game.score is not None
    assert (game.count, game.par, game.score.words, game.score.stars) == (2, 2, "2 moves: par", 3)
    assert game.best == 2
    trace = vmxsim.run(game.scenario_text)
    assert trace.violations[0].invariant == "guest-value"


def test_a_move_too_many_is_one_over_par() -> None:
    game = Game()
    for move in ("get-msr", "to the end", "run", "to the end", "guest long-mode on", "to the end"):
        game.do(move)
    assert game.score is not None
    assert (game.score.words, game.score.stars) == ("3 moves: 1 over par", 2)


def test_stepping_is_free_and_hides_what_is_to_come() -> None:
    game = Game()
    game.do("run")
    assert (game.count, game.at.shown) == (1, 1)
    game.do("next line")
    game.do("next line")
    assert (game.count, game.at.shown) == (1, 3)
    game.do("back")
    assert game.at.shown == 2
    function = game.at.function
    game.do("next function")
    assert game.at.function != function and game.count == 1
    game.do("to the end")
    assert game.at.at_rest and game.at.mode == "guest"
    while "back" in possible(game):
        game.do("back")
    assert game.at.shown == 1, "right behind the move"


def test_a_tick_where_it_takes_effect_brings_the_thread_back_on_the_other_cpu() -> None:
    game = Game(Careless)
    assert game.par == 3
    for move in ("run", "to the end", "emulate rdmsr"):
        game.do(move)
    while game.at.line != "vmx.msr_guest_kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE)":
        game.do("next line")
    assert game.at.preemptible
    game.do("tick cpu1")
    assert (game.at.cpu, game.at.scheduling, game.count) == (1, False, 3)
    assert game.moves[-1].tick and not game.moves[-1].pending
    game.do("to the end")
    assert game.broken is not None
    assert game.broken.mechanism == "preempted between the test and the access"
    assert game.score is not None and game.score.words == "3 moves: par"


def test_a_tick_with_preemption_disabled_stays_pending() -> None:
    game = Game("never-trap")
    game.do("run")
    while not game.at.holds_back:
        game.do("next line")
    assert "it stays pending: preemption is disabled (preempt_count 1)" in game.options[-5].words
    game.do("tick cpu1")
    assert game.at.tick_waits and game.moves[-1].pending
    with pytest.raises(InputError, match="'tick cpu0' is not possible now: a tick is already pending"):
        game.do("tick cpu0")
    game.do("to the end")
    assert game.at.cpu == 1 and game.broken is None


def test_a_signal_after_the_exit_breaks_what_entering_again_would_mend() -> None:
    """The careless write on a 64-bit host: enter takes the host's value from the thread structure."""
    game = Game(CarelessWrite)
    assert (game.par, game.setting.bases) == (4, "own")
    for move in ("run", "to the end", "emulate wrmsr 0xB000"):
        game.do(move)
    while game.at.line != "wrmsr(MSR_KERNEL_GS_BASE, data)":
        game.do("next line")
    game.do("tick cpu1")
    game.do("to the end")
    assert game.at.mode == "guest" and game.broken is None
    game.undo()
    game.do("tick cpu1")
    game.do("signal")
    with pytest.raises(InputError, match="'signal' is not possible now: a signal is already pending"):
        game.do("signal")
    assert game.moves[-1].text.startswith("signal before line")
    game.do("to the end")
    assert game.broken is not None and game.broken.invariant == "host-value"
    assert game.score is not None and game.score.words == "4 moves: par"
    assert "signal: true" in game.scenario_text
    game.undo()
    assert game.plays[-1].signal == 0 and game.count == 3


def test_a_signal_comes_only_while_kvm_handles_an_exit() -> None:
    game = Game("never-trap")
    assert "signal" not in [option.name for option in game.options]
    game.do("run")
    with pytest.raises(InputError, match="'signal' is not possible now: KVM is not handling an exit"):
        game.do("signal")
    game.do("to the end")
    game.do("emulate rdmsr")
    assert "signal" in possible(game)
    game.do("to the end")
    game.do("guest smi")
    while game.at.line != "return not signal_pending()":
        game.do("next line")
    game.do("next line")
    with pytest.raises(InputError, match="KVM has already asked whether a signal is pending"):
        game.do("signal")


def test_the_threads_program_changes_its_gs_base_to_the_other_one_of_two() -> None:
    """msr-array leaves an old value on its list, and restores it after the program has set another."""
    game = Game("msr-array", long_mode=True)
    for move in ("run", "to the end", "guest long-mode off", "signal", "to the end"):
        game.do(move)
    with pytest.raises(InputError, match="only the value 0x7F0000005000 now"):
        game.do("user gs-base 0x7F0000001000")
    game.do("user gs-base 0x7F0000005000")
    assert "user gs-base 0x7F0000001000" in [option.name for option in game.options]
    game.do("run cancelled")
    game.do("to the end")
    assert game.broken is not None and game.broken.invariant == "host-value"
    assert game.count == game.par == 5
    assert Game("msr-array", assume="no-user-gs-base").solution.verdict == "safe"


def test_bases_are_0_where_only_that_breaks_a_design() -> None:
    """Without a signal the next task finds the guest's value: a context switch leaves the register alone."""
    game = Game(CarelessWrite, assume="no-signal")
    assert (game.par, game.setting.bases) == (4, "zero")
    assert not [option.name for option in game.options if option.name.startswith("user")]
    with pytest.raises(InputError, match="all user GS bases are 0 in this game"):
        game.do("user gs-base 0x7F0000005000")
    game.show_solution()
    assert game.won and "user_gs_bases: zero" in game.scenario_text
    assert [tick for play in game.plays for tick in play.ticks] and not game.plays[-1].signal


def test_a_design_that_fails_is_broken_too() -> None:
    game = Game(NeverEnables)
    assert game.par == 1
    game.do("get-msr")
    game.do("to the end")
    assert game.broken is not None and game.broken.invariant == "contract"
    assert "requires preemption enabled" in game.broken.words
    game.undo()
    assert game.broken is None


REFUSED = [
    (
        [],
        "guest rdmsr",
        "'guest rdmsr' is not possible now: the thread is in user space, and it must be in the guest",
    ),
    (
        ["run", "to the end"],
        "get-msr",
        "the thread is in the guest, and it must be in user space",
    ),
    (["run"], "exit", "an action is in progress: let it finish"),
    (["run", "to the end"], "guest swapgs", "SWAPGS exists in long mode only"),
    (["run", "to the end"], "guest rsm", "the vCPU is not in SMM .'guest smi' first"),
    (["run", "to the end"], "guest long-mode off", "it would change nothing, because EFER.LMA is already 0"),
    (["run", "to the end"], "next line", "no action is in progress: choose one"),
    ([], "guest rdmrs", "no move 'guest rdmrs'; did you mean 'guest rdmsr'"),
    ([], "get-msr -> 0", "a move cannot have an expectation"),
    ([], "set-msr 0xC000", "the game knows the values 0xA000 and 0xB000"),
    ([], "tick cpu2", "there is no CPU 2; the last is cpu1"),
    ([], "tick cpux", "'cpux' is no CPU"),
    ([], "back", "the last move comes right before"),
]


@pytest.mark.parametrize(("before", "move", "reason"), REFUSED, ids=[case[1] for case in REFUSED])
def test_what_is_not_possible_says_why(before: list[str], move: str, reason: str) -> None:
    game = Game()
    for one in before:
        game.do(one)
    shown = game.at.shown
    with pytest.raises(InputError, match=reason):
        game.do(move)
    assert game.at.shown == shown


def test_nothing_goes_on_behind_a_win_but_undo() -> None:
    game = won_seed()
    assert set(possible(game)) == {"back"}
    with pytest.raises(InputError, match="something is already broken: undo, or start over"):
        game.do("guest rdmsr")
    game.undo()
    assert game.count == 1 and game.at.at_rest and not game.won
    game.restart()
    assert game.count == 0
    with pytest.raises(InputError, match="nothing to undo"):
        game.undo()


FORBIDDEN = [
    ("no-exit", "run cancelled", "you granted no-exit"),
    ("no-preemption", "tick cpu0", "no tick comes"),
    ("no-migration", "tick cpu1", "you granted no-migration"),
    ("one-value", "set-msr 0xB000", "you granted one-value"),
    ("no-set-efer", "set-efer long-mode on", "user space does not change EFER"),
    ("no-user-gs-base", "user gs-base 0x7F0000005000", "user space does not change its GS base"),
]


@pytest.mark.parametrize(("name", "move", "reason"), FORBIDDEN)
def test_assumptions_forbid_moves(name: str, move: str, reason: str) -> None:
    game = Game(assume=name)
    assert move not in possible(game)
    with pytest.raises(InputError, match=reason):
        game.do(move)


def test_a_tick_in_the_kernel_can_be_forbidden_alone() -> None:
    game = Game(assume="no-kernel-preemption")
    assert {"tick cpu0", "tick cpu1"} <= set(possible(game))
    game.do("run")
    with pytest.raises(InputError, match="you granted no-kernel-preemption"):
        game.do("tick cpu1")


def test_a_signal_can_be_forbidden() -> None:
    game = Game(assume="no-signal")
    for move in ("run", "to the end", "guest smi"):
        game.do(move)
    assert "signal" not in possible(game)
    with pytest.raises(InputError, match="you granted no-signal"):
        game.do("signal")


def test_what_breaks_before_the_guest_wrote_does_not_count_where_that_is_granted() -> None:
    game = Game(assume="guest-wrote-first", long_mode=False)
    for move in ("run", "to the end", "guest long-mode on", "to the end"):
        game.do(move)
    assert game.broken is not None and game.broken.early
    assert not game.won and game.score is None


def test_a_budget_ends_a_game() -> None:
    game = Game("never-trap", budget=1)
    game.do("run")
    game.do("to the end")
    with pytest.raises(InputError, match="your 1 move is used up"):
        game.do("exit")


def test_a_safe_design_is_said_to_be_safe_when_asked() -> None:
    game = Game("never-trap", assume="no-smm")
    assert game.par is None
    assert "Nothing you can do breaks never-trap on a 64-bit host, assuming no-smm" in game.is_possible()
    assert "states" in game.hint()
    with pytest.raises(InputError, match="Nothing you can do"):
        game.show_solution()
    assert game.next_design() == "guest-state-loaded"
    assert Game(Careless).next_design() == "msr-array"


def test_the_checkers_schedule_can_be_shown_and_has_no_score() -> None:
    game = Game(Careless, cpus=1)
    game.show_solution()
    assert game.won and game.count == game.par == 3
    assert game.score is not None and game.score.stars == 0
    assert game.score.words == "3 moves: par; no score, the checker's schedule was shown"
    assert game.best is None


def test_hints_come_one_by_one_from_where_the_game_is() -> None:
    game = Game(Careless)
    assert game.hint() == "From here it takes 3 more moves."
    assert game.hint() == "User space moves next."
    assert game.hint() == "Next: run."
    game.do("run")
    game.do("to the end")
    assert game.hint() == "From here it takes 2 more moves: 3 in all, par."
    game.do("emulate rdmsr")
    assert game.hint() == "From here it takes 1 more move: 3 in all, par."
    assert game.hint() == "The scheduler moves next: a tick inside vmx_read_guest_kernel_gs_base()."
    assert game.hint().startswith("A tick before line 3 of vmx_read_guest_kernel_gs_base(): vmx.msr_guest")
    game.undo()
    game.do("exit")
    assert "2 over par. Undo" in game.hint()
    assert game.hints == 8


def test_a_hint_names_the_signal() -> None:
    game = Game(CarelessWrite)
    for move in ("run", "to the end", "emulate wrmsr 0xB000"):
        game.do(move)
    while game.at.line != "wrmsr(MSR_KERNEL_GS_BASE, data)":
        game.do("next line")
    game.do("tick cpu1")
    assert game.hint() == "From here it takes 1 more move: 4 in all, par."
    assert game.hint() == "A signal comes next, while vmx_handle_exit() is running."
    hint = game.hint()
    assert hint.startswith("A signal before line") and hint.endswith("return not signal_pending()")
    game.do("signal")
    assert game.hint().startswith("It now breaks by itself: no further move is needed.")


def test_the_last_hint_again_is_none_and_start_over_forgets_all() -> None:
    game = Game(Careless)
    for _ in range(6):
        game.hint()
    assert game.hints == 3
    game.restart()
    assert game.hints == 0


def test_best_of_a_session_counts_without_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmxsim.teaching.game.solution._best", {})  # other tests play in this session too
    game = Game("lazy-long-mode", host="32-bit")
    game.hint()
    for move in ("run", "to the end", "guest long-mode on", "to the end"):
        game.do(move)
    assert game.won and game.best is None
    game.restart()
    for move in ("get-msr", "to the end", "run", "to the end", "guest long-mode on", "to the end"):
        game.do(move)
    assert game.best == 3
    assert Game("lazy-long-mode", host="32-bit").best == 3
    assert Game("lazy-long-mode", host="64-bit").best is None


@pytest.mark.parametrize(("taken_back", "stars"), [(0, 3), (4, 3), (5, 2), (9, 1), (99, 1)])
def test_trying_every_button_costs_stars(taken_back: int, stars: int) -> None:
    """Par is 2: four moves are taken back for nothing, and every four after that cost a star."""
    game = Game("dedicated-accessors")
    for _ in range(taken_back):
        game.do("get-msr")
        game.undo()
    for move in ("run", "to the end", "guest long-mode on", "to the end"):
        game.do(move)
    assert game.score is not None and game.score.stars == stars
    assert game.score.words == ("2 moves: par" + f", after {taken_back} moves taken back" * (stars < 3))
    game.undo()
    assert game.taken_back == taken_back, "what comes after a win is no try"


def test_starting_over_takes_all_moves_back_until_a_win() -> None:
    game = Game("dedicated-accessors")
    for move in ("get-msr", "to the end", "get-msr", "to the end"):
        game.do(move)
    game.restart()
    assert game.taken_back == 2
    for move in ("run", "to the end", "guest long-mode on", "to the end"):
        game.do(move)
    game.restart()
    assert game.taken_back == 0


def test_levels_rise_and_can_all_be_won() -> None:
    games = [Game(one.design, host=one.host, long_mode=one.long_mode) for one in LEVELS.values()]
    pars = [game.par for game in games]
    assert pars == [1, 2, 3, 3, 4, 5]
    assert len({game.setting.design for game in games}) == 6


BAD = [
    ({"design": "nevertrap"}, "never-trap"),
    ({"host": "64"}, "64-bit or 32-bit"),
    ({"cpus": 5}, "a whole number from 1 to 4"),
    ({"budget": 0}, "a whole number from 1"),
    ({"assume": "no-sm"}, "did you mean 'no-smm'"),
    ({"assume": "starts-in-long-mode", "long_mode": False}, "cannot start both"),
    ({"long_mode": "on"}, "True, False or None"),
]


@pytest.mark.parametrize(("wrong", "words"), BAD)
def test_a_game_that_cannot_be_says_why(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Game(**wrong)  # type: ignore[arg-type]
