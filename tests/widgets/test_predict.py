"""The predict gate and the stage, without a browser: what they hand to it, and what they remember."""

import pytest

import vmxsim
from vmxsim.errors import InputError
from vmxsim.teaching.questions.session import SESSION


@pytest.fixture(autouse=True)
def fresh_session():
    SESSION.asked.clear()


@pytest.fixture
def run():
    return vmxsim.run(["run", "guest long-mode on", "guest rdmsr"], "dedicated-accessors")


def answer(gate, which, right):
    """What the browser does with an answer that is right, or wrong."""
    asked = gate.gates[which]
    choice = next(i for i, option in enumerate(asked["options"]) if option["right"] == right)
    gate.answers = {**gate.answers, asked["id"]: {"choice": choice, "right": right, "votes": []}}


def test_it_opens_before_the_step_that_it_asks_about(run):
    gate = vmxsim.predict(run, "owner", action=1)
    assert gate.start == gate.gates[0]["before"] == next(s.index for s in run.steps if s.action == 1)


def test_answers_are_remembered_while_the_kernel_lives(run):
    gate = vmxsim.predict(run, "owner", action=1)
    answer(gate, 0, False)
    again = vmxsim.predict(run, "owner", action=1)
    assert again.answers == gate.answers
    assert again.start == again.gates[0]["after"], "what was answered is shown"
    other = vmxsim.predict(run, "value", action=2)
    assert not other.answers


def test_the_first_try_is_what_counts(run):
    gate = vmxsim.predict(run, [("owner", {"action": 1}), ("value", {"action": 2})])
    answer(gate, 0, False)
    gate.answers = {}  # "ask me again"
    answer(gate, 0, True)
    answer(gate, 1, True)
    table = vmxsim.answers()
    told = table.told
    assert told.summary == "2 of 2 questions answered, 1 right on the first try."
    assert [row[3] for row in told.rows()] == ["✖ not right", "✔ right"]
    assert "<table>" in table.value
    gate.answers = {}
    assert "0 of 2 questions answered" in table.value, "it follows"


def test_the_key_has_every_question_with_its_answer(run):
    vmxsim.predict(run, [("owner", {"action": 1}), ("value", {"action": 2})])
    key = vmxsim.answers(key=True).told
    assert [right for _, right, _ in key.key_rows()] == [
        "vCPU thread 0's",
        "0x7f0000001000, vCPU thread 0's user GS base",
    ]
    assert "Why" in key._repr_html_() and "It should be 0x0" in repr(key)


def test_an_audience_chooses_what_a_reader_types(run):
    alone, voted = (vmxsim.predict(run, "count", action=1, votes=votes).gates[0] for votes in (None, 3))
    assert (alone["typed"], voted["typed"]) == ("number", "")
    texts = [option["text"] for option in alone["options"]]
    assert texts[-1] == "another number" and sorted(texts[:-1]) == sorted(o["text"] for o in voted["options"])


def test_an_audience_s_question_is_nobody_s_first_try(run):
    gate = vmxsim.predict(run, "owner", action=1, votes=3)
    assert gate.gates[0]["locked"] and gate.gates[0]["votes"] == 3
    gate.answers = {gate.gates[0]["id"]: {"choice": -1, "right": False, "votes": [1, 2, 0]}}
    assert vmxsim.answers().told.rows()[0][2:] == ("the audience's votes", "–")


@pytest.mark.parametrize(
    ("question", "where", "words"),
    [
        ([("owner", {"action": 1}), ("stale", {"action": 1})], {}, "overlap"),
        ([("owner", {"stepp": 1})], {}, "unknown place 'stepp'; expected step, .*did you mean 'step'"),
        ([("owner", {"at": 1})], {}, "at: expected 'FUNCTION' or 'FUNCTION: TEXT', not 1"),
        ([], {}, "expected at least one question"),
        ([("owner", {"action": 1})], {"step": 3}, "give each question in a list its own place"),
        ("owner", {"step": 3, "action": 1}, "a step or an action"),
        ("owner", {"votes": 0}, "votes: expected at least 1, not 0"),
        ("leak", {"votes": 2}, "an audience cannot mark a step"),
        ([3], {}, "not 3"),
    ],
)
def test_wrong_questions_are_told(run, question, where, words):
    with pytest.raises(InputError, match=words):
        vmxsim.predict(run, question, **where)


def test_the_stage_shows_the_shortest_difference_and_asks_about_the_second():
    stage = vmxsim.present("host-from-thread", "dedicated-accessors", votes=5)
    assert len(stage.films) == 2 and stage.presenting and stage.divergence["words"]
    assert {gate["film"] for gate in stage.gates} == {1}
    assert all(gate["votes"] == 5 for gate in stage.gates)
    assert len(stage.stops) == 2 and all(stage.stops)
    last = len(stage.films[1]["frames"]) - 1
    assert last in stage.stops[1], "the step that breaks the invariant is a stop"


def test_the_stage_alone_shows_the_counterexample_or_a_read():
    seed = vmxsim.present("dedicated-accessors", gates=[])
    assert seed.films[0]["title"].startswith("The shortest schedule") and seed.gates == []
    safe = vmxsim.present("never-trap", gates=[("value", {"action": -1})])
    assert safe.gates[0]["kind"] == "value"


def test_what_cannot_be_presented_is_said():
    with pytest.raises(InputError, match="name a scenario"):
        vmxsim.present("never-trap", "guest-state-loaded")
    with pytest.raises(InputError, match="expected 'auto' or a list of questions"):
        vmxsim.present("never-trap", gates="some")
    with pytest.raises(InputError, match="at most two"):
        vmxsim.present("never-trap", "lma-fix", "host-always")
