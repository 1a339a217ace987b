"""Any legal play: it is what its scenario says, the checker knows where it is, undo takes it back."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import vmxsim
from tests.game.plays import PICKS, Careless, CarelessWrite, all_plays, play_at_random, possible
from vmxsim.designs import DESIGNS
from vmxsim.kernel.actions import VERBS, Action
from vmxsim.teaching.game import game as game_module
from vmxsim.teaching.game.game import Game
from vmxsim.teaching.game.moves import why_not
from vmxsim.teaching.game.playing import outcome
from vmxsim.teaching.game.solution import Packer, Solution, cost

GAMES = st.sampled_from(
    [
        (name, host, long_mode)
        for name in (*DESIGNS, Careless)
        for host in ("64-bit", "32-bit")
        for long_mode in (False, True)
    ]
)


@cache
def game_on(design, host="64-bit", long_mode=None, solved=True, **options):
    """The game, made once: to solve it takes longer than most plays. Tests that never ask the checker do
    without its answer."""
    with pytest.MonkeyPatch.context() as patch:
        if not solved:
            patch.setattr(game_module, "solve", lambda *_: Solution("incomplete"))
        return Game(design, host=host, long_mode=long_mode, **options)


def fresh(which, picks=(), **options):
    game = game_on(*which, **options)
    game.restart()
    play_at_random(game, picks)
    return game


@settings(max_examples=40, deadline=None)
@given(GAMES, PICKS)
def test_a_play_is_what_its_scenario_says(which, picks):
    game = fresh(which, picks, solved=False)
    assume(game.plays)
    again = vmxsim.run(game.scenario_text, game.setting.design)
    assert outcome(again) == outcome(game.trace)
    shown = [v for v in game.trace.violations if v.step < game.at.shown]
    assert bool(shown) == (game.broken is not None)


@settings(max_examples=30, deadline=None)
@given(GAMES, PICKS)
def test_a_scenario_can_be_played_and_gives_the_same_moves(which, picks):
    game = fresh(which, picks, solved=False)
    assume(game.plays)
    if not game.at.at_rest and game.broken is None:
        game.do("to the end")
    before, scenario = (game.count, game.at.shown, outcome(game.trace)), game.scenario
    game.play(scenario)
    assert (game.count, game.at.shown, outcome(game.trace)) == before


@settings(max_examples=30, deadline=None)
@given(GAMES, PICKS)
def test_undo_restores_every_position(which, picks):
    game = fresh(which, solved=False)
    seen = []
    for pick in picks:
        if game.broken is not None:
            break
        for _ in range(pick // 10 % 40):
            if not game.at.at_rest and game.broken is None:
                game.do("next line")
        names = possible(game, counts=True)
        if names and game.broken is None:
            seen.append((game.plays, game.at.shown, game.options))
            game.do(names[pick % len(names)])
    for plays, shown, offered in reversed(seen):
        game.undo()
        assert (game.plays, game.at.shown, game.options) == (plays, shown, offered)
    assert game.count == 0


@cache
def packer_of(name, long_mode):
    return Packer(game_on(name, "32-bit", long_mode).solution.table)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["dedicated-accessors", "lazy-long-mode", "load-gs-index"]), st.booleans(), PICKS)
def test_the_checker_knows_every_position_and_what_can_be_done_there(name, long_mode, picks):
    game = fresh((name, "32-bit", long_mode))
    control = game.solution.table
    assume(control is not None)
    packer = packer_of(name, long_mode)
    for pick in picks:
        play_at_random(game, [pick])
        if game.broken is not None:
            return
        if not game.at.is_choice:
            continue
        state = packer.pack(game.at, False)
        if state is None:  # until KVM asks, a signal that is pending is none of the checker's states
            assert not game.at.at_rest
            assert game.plays[-1].action == "guest long-mode on" or game.plays[-1].signal
            continue
        choices = [edge.leaf.choice for edge, _, _ in control.successors(state)]
        if game.at.at_rest:
            names = {name.split(" 0x")[0] for name in possible(game, counts=True)}
            can = {choice.verb or "tick" for choice in choices}
            assert {"tick" if n.startswith("tick") else n for n in names} == can
        else:  # the checker lets a signal come at the last moment, which is when KVM asks
            step, steps = game.at.shown - game.run.first[-1], game.run.signal_steps
            assert any(choice.signal for choice in choices) == (step in steps[-1:])
            assert ("signal" in possible(game)) == (step in steps and not game.plays[-1].signal)


@settings(max_examples=30, deadline=None)
@given(GAMES, PICKS)
def test_what_is_refused_cannot_be_done_and_what_is_offered_can(which, picks):
    game = fresh(which, picks, solved=False)
    if game.broken is None and not game.at.at_rest:
        game.do("to the end")
    assume(game.broken is None)
    environment = game.trace.simulator
    thread, vcpu = environment.m.threads[0], environment.m.vcpus[0]
    for verb, about in VERBS.items():
        if verb == "preempt":
            continue
        name = verb + {"value": " 0xA000"}.get(about.takes, "")
        value = 0xA000 if about.takes == "value" else None
        refused = bool(why_not(verb, value, game.at, game.assumed))
        try:
            environment._check_possible(Action(verb, name), thread, vcpu)
        except vmxsim.InputError:
            assert refused, name
        else:
            assert not refused, name


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["host-always", "host-from-thread", "never-trap", "vcpu-vt"]), st.booleans(), PICKS)
def test_nobody_breaks_a_safe_design(name, long_mode, picks):
    game = fresh((name, "32-bit", long_mode), picks)
    assert game.solution.verdict == "safe"
    assert game.broken is None


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(["dedicated-accessors", "load-gs-index", Careless]), st.booleans(), PICKS)
def test_a_hint_says_how_many_moves_are_missing(name, long_mode, picks):
    game = fresh((name, "32-bit", long_mode), picks[:8])
    if not game.at.at_rest and game.broken is None:
        game.do("to the end")
    assume(game.broken is None)
    _, path = game._hints.path(game.at, False)
    wins = False
    for _ in all_plays(game, 1):
        wins = wins or game.won
    assert wins == (path is not None and cost(path) <= 1)


_FEW_VERBS = "no-mode-switch,one-value,no-emulation,no-set-efer,no-swapgs"

VIOLATED = [
    ("lazy-long-mode", {}),
    ("lazy-long-mode", {"host": "32-bit", "long_mode": True}),
    ("load-gs-index", {"host": "32-bit"}),
    ("load-gs-index", {"host": "32-bit", "long_mode": False}),
    ("load-gs-index", {"host": "32-bit", "long_mode": True}),
    ("msr-array", {}),
    ("dedicated-accessors", {}),
    ("dedicated-accessors", {"long_mode": True, "cpus": 1}),
    (
        "dedicated-accessors",
        {"assume": _FEW_VERBS, "cpus": 1},
    ),
    ("dedicated-accessors", {"assume": "guest-wrote-first"}),
    ("dedicated-accessors", {"assume": "no-kernel-preemption,no-mode-switch"}),
    (Careless, {}),
    (Careless, {"long_mode": True, "cpus": 1}),
    (CarelessWrite, {}),
    (CarelessWrite, {"assume": "no-signal"}),
    (CarelessWrite, {"host": "32-bit", "assume": "no-signal"}),
]


@pytest.mark.parametrize(("design", "options"), VIOLATED, ids=str)
def test_the_checkers_schedule_comes_to_par(design, options):
    game = fresh([design], **options)
    assert game.par is not None
    game.show_solution()
    assert game.won and game.count == game.par
    broken = {v.invariant for v in vmxsim.run(game.solution.scenario, game.setting.design).violations}
    assert game.broken.invariant in broken


@pytest.mark.parametrize(("design", "options"), VIOLATED, ids=str)
def test_no_play_of_fewer_moves_breaks_it(design, options):
    game = fresh([design], **options)
    assert game.par is not None
    plays = 0
    for _ in all_plays(game, game.par - 1 if options.get("cpus") == 1 else min(game.par - 1, 2)):
        plays += 1
        assert not game.won, game.plays
    assert plays > (game.par > 1)
