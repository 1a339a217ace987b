"""Everything that shows or asks about a design does it for C: explorer, comparison, questions, game, talk."""

import re

import pytest

import vmxsim
from tests.csource.reading import carried
from vmxsim.teaching.game.game import Game

NAME = "dedicated-accessors"


@pytest.fixture(scope="module")
def design():
    return carried(NAME).design


def test_the_explorer_steps_through_c(design):
    explorer = vmxsim.explore(design)
    (film,) = explorer.player.films
    assert {source["file"] for source in film["sources"].values()} == {"vmx.c"}
    assert any("runs vmx.c:" in frame["words"] for frame in film["frames"])


def test_c_stands_beside_its_retelling(design):
    compared = vmxsim.compare(design, NAME, ["run", "guest long-mode off"])
    ours, theirs = compared.player.films
    assert ours["sources"] and not theirs["sources"]
    assert compared.player.divergence["text"].startswith("No divergence")


def test_questions_about_a_run_on_c(design):
    asked = vmxsim.predict(vmxsim.run(["run", "guest long-mode on"], design))
    gates = asked.gates
    assert gates and asked.films[0]["sources"]
    told = " ".join(option["reason"] for gate in gates for option in gate["options"])
    assert re.search(r"vmx\.c:\d+ in \w+", told)


def test_the_game_is_played_on_c(design):
    game = Game(design)
    assert game.solution.scenario is not None
    game.do("run")
    places = []
    while not game.at.at_rest and len(places) < 60:
        places.append(game.at.words)
        game.do("next line")
    on_c = [words for words in places if "vmx.c:" in words]
    assert on_c and all(re.search(r"Next: \w+\(\), vmx\.c:\d+\.$", words) for words in on_c)
    game.do("guest long-mode on")
    while not game.at.at_rest and not game.broken:
        game.do("next line")
    assert game.broken


def test_a_talk_about_c(design):
    talk = vmxsim.present(design)
    assert talk.presenting and talk.films[0]["sources"]


def test_the_cost_table_of_c(design):
    rows, python = (vmxsim.cost(one).only("get-msr", "exit") for one in (design, NAME))
    for one, other in zip(rows, python, strict=True):
        assert one.full_host_reloads == other.full_host_reloads and one.derived
