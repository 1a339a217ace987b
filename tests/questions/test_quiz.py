"""The quiz: the same questions for a seed, worth asking, and those that went wrong come first."""

from itertools import islice

import pytest

import vmxsim
from vmxsim.errors import InputError
from vmxsim.teaching.questions.ask import ask, ask_again, key_questions, recipe
from vmxsim.teaching.questions.session import SESSION
from vmxsim.teaching.questions.supply import TOPICS, interesting, supply


@pytest.mark.parametrize("topic", [None, *TOPICS])
def test_a_topic_never_ends_and_asks_what_it_says(topic):
    drawn = list(islice(supply(7, topic), 6))
    assert drawn[0][1] == next(supply(7, topic))[1], "a seed makes it again"
    assert len({(trace.title, trace.subtitle, q.prompt) for trace, q in drawn}) == 6
    for trace, question in drawn:
        assert interesting(trace, question)
        again, same = ask_again(recipe(trace, question))
        assert same == question and again.subtitle == trace.subtitle
    kinds = {question.kind for _, question in drawn}
    assert len(kinds) > 3 if topic is None else kinds <= set(TOPICS[topic].kinds)


def test_seeds_differ():
    assert next(supply(1))[1] != next(supply(2))[1]


def test_what_the_picture_shows_already_is_not_asked():
    actions = ["run", "emulate rdmsr", "guest wrmsr 0xA000", "exit"]
    run = vmxsim.run(actions, "never-trap", long_mode=True)
    worth = [interesting(run, ask(run, "owner", action=n)) for n in range(4)]
    assert worth == [False, False, False, True], "what run always does, and what changes no owner"
    assert not interesting(run, ask(run, "live", action=1)), "it stays there, and g has the same value"
    assert interesting(run, ask(run, "live", action=2)), "it stays there, but g has an old one"
    assert interesting(run, ask(run, "live", action=3)), "it moves"
    assert key_questions(run)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"topic": "preemptoin"},
            "quiz: unknown topic 'preemptoin'; expected places, .*did you mean 'preemption'",
        ),
        ({"seed": "x"}, "seed: expected a whole number, such as 7, not 'x'"),
    ],
)
def test_a_wrong_choice_is_said(arguments, words):
    with pytest.raises(InputError, match=words):
        vmxsim.quiz(**arguments)


def test_the_widget_asks_again_what_went_wrong_and_then_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("VMXSIM_ANSWERS", str(tmp_path / "answers.json"))

    def kernel(notebook):
        monkeypatch.setenv("JPY_SESSION_NAME", notebook)
        SESSION.asked.clear()
        vars(SESSION).pop("store", None)

    def answer(gate, right):
        (asked,) = gate.gates
        choice = next(i for i, option in enumerate(asked["options"]) if option["right"] == right)
        gate.answers = {asked["id"]: {"choice": choice, "right": right, "votes": []}}

    try:
        kernel("01-one.ipynb")
        run = vmxsim.run(["run", "guest long-mode on"], "dedicated-accessors", title="Seen before")
        answer(vmxsim.predict(run, "owner", action=1), right=False)
        kernel("02-two.ipynb")
        quiz = vmxsim.quiz(seed=7, topic="cost")
        assert quiz.gate.films[0]["title"] == "Seen before" and "again, from 01-one" in quiz.heading.value
        answer(quiz.gate, right=True)
        quiz.next()
        assert quiz.gate.gates[0]["kind"] == "count" and "Question 2" in quiz.heading.value
        kernel("03-three.ipynb")
        assert "cost" in vmxsim.quiz(seed=7, topic="cost").heading.value
    finally:
        monkeypatch.undo()
        SESSION.asked.clear()
        vars(SESSION).pop("store", None)


@pytest.mark.parametrize("topic", ["places", "preemption", "long-mode", "code"])
@pytest.mark.parametrize("seed", range(3))
def test_the_same_is_not_asked_about_the_same_action_soon_again(topic, seed):
    alike = []
    for trace, question in islice(supply(seed, topic), 12):
        step = trace.steps[question.after - 1]
        of_code = question.kind in ("preempt", "line")
        alike.append(
            (question.kind, step.function if of_code else trace.actions[step.action].split(" 0x")[0])
        )
    for start in range(len(alike) - 3):
        assert len(set(alike[start : start + 4])) == 4, alike[start : start + 4]
