"""Answers on disk: they outlive the kernel, by notebook, and no file is lost or written over."""

import json
from pathlib import Path

import pytest

import vmxsim
from vmxsim.errors import InputError
from vmxsim.teaching.questions.ask import ask, ask_again, recipe
from vmxsim.teaching.questions.session import Answers, Progress, Session
from vmxsim.teaching.questions.store import Store, answers_file, notebook_name

RUN = vmxsim.run(["set-msr 0xA000", "run", "guest rdmsr", "exit"], "never-trap", long_mode=True)


@pytest.fixture
def said():
    return []


@pytest.fixture
def kernel(tmp_path, monkeypatch, said):
    """Starts a kernel for a notebook: a session that knows what is on disk."""

    def start(notebook):
        monkeypatch.setenv("JPY_SESSION_NAME", f"/somewhere/{notebook}")
        monkeypatch.setenv("VMXSIM_ANSWERS", str(tmp_path / "data" / "answers.json"))
        session = Session()
        session.store.say = said.append
        return session

    return start


def asked(session, kind="live", right=None, **where):
    """Ask, and answer right or wrong; returns the answers known before."""
    question = ask(RUN, kind, **where)
    gate = question.as_data(RUN.title)
    known = session.ask([gate], [recipe(RUN, question)])
    if right is not None:
        choice = next(i for i, option in enumerate(gate["options"]) if option["right"] == right)
        session.answer({gate["id"]: {"choice": choice, "right": right, "votes": []}}, [gate["id"]])
    return known


def test_they_stand_again_in_the_next_kernel_of_the_same_notebook(kernel, said):
    first = kernel("01-one.ipynb")
    assert asked(first, right=False, action=1) == {}
    assert asked(first, "value", right=True, action=2) == {}
    again = kernel("01-one.ipynb")
    rows = [row[2:] for row in Answers(again).rows()]
    assert [tried for _, tried in rows] == ["✖ not right", "✔ right"], "before any cell has run"
    (known,) = asked(again, action=1).values()
    assert known["right"] is False
    assert Answers(again).summary == "2 of 2 questions answered, 1 right on the first try."
    other = kernel("02-two.ipynb")
    assert asked(other, action=1) == {}
    assert not said


def test_reset_forgets_this_notebook_only(kernel):
    asked(kernel("01-one.ipynb"), right=True, action=1)
    two = kernel("02-two.ipynb")
    asked(two, right=True, action=1)
    assert two.reset() == 1
    assert asked(kernel("02-two.ipynb"), action=1) == {}
    assert asked(kernel("01-one.ipynb"), action=1)


def test_progress_is_a_row_of_ticks_for_each_notebook(kernel, tmp_path):
    for name in ("02b-more.ipynb", "01-one.ipynb", "02-two.ipynb", "notes.ipynb", "2024-mine.ipynb"):
        (tmp_path / name).touch()
    session = kernel("01-one.ipynb")
    asked(session, right=False, action=1)
    asked(session, "value", right=True, action=2)
    asked(session, "owner", action=3)
    session = kernel("00-start.ipynb")
    rows = Progress(session, tmp_path).rows()
    assert rows == [
        ("01-one", "✖✔", "2 questions answered, 1 right on the first try"),
        ("02-two", "", "not started"),
        ("02b-more", "", "not started"),
    ]
    assert "<table>" in Progress(session, tmp_path)._repr_html_()
    assert "02-two    not started" in repr(Progress(session, tmp_path))


def test_a_wrong_answer_comes_back_in_the_next_notebook_until_it_is_right(kernel):
    one = kernel("01-one.ipynb")
    asked(one, right=False, action=1)
    asked(one, "value", right=True, action=2)
    assert one.due() == [], "not in the same notebook"
    two = kernel("02-two.ipynb")
    ((notebook, name, way),) = two.due()
    trace, question = ask_again(way)
    assert question == ask(RUN, "live", action=1) and trace.name == "never-trap"
    asked(two, right=False, action=1)
    two.came_back(notebook, name)
    assert two.due() == [] == kernel("01-one.ipynb").due()
    three = kernel("03-three.ipynb")
    ((notebook, name, _),) = three.due()
    assert notebook == "02-two.ipynb"
    asked(three, right=True, action=1)
    three.came_back(notebook, name)
    assert kernel("04-four.ipynb").due() == []


@pytest.mark.parametrize(
    "way", [{}, {"scenario": "steps: [run]", "design": "never-trap", "kind": "live", "where": 3}]
)
def test_what_cannot_be_asked_again_is_said(way):
    with pytest.raises(InputError, match="recipe: expected"):
        ask_again(way)


def test_a_design_of_ones_own_has_no_recipe():
    class Mine(vmxsim.DESIGNS["never-trap"]):
        pass

    run = vmxsim.run(["run"], Mine)
    assert recipe(run, ask(run, "live")) is None


BROKEN = [
    "{",
    "[]",
    '{"notebooks": []}',
    '{"format": 1, "notebooks": {"a": {"b": 3}}}',
    "[" * 100_000,
    "\udcff",
]


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_is_set_aside(kernel, tmp_path, said, text):
    data = text.encode("utf-8", "surrogateescape")
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "answers.json"
    for number in (1, 2):
        file.write_bytes(data)
        asked(kernel("01-one.ipynb"), right=True, action=1)
        assert (tmp_path / "data" / f"answers.broken-{number}.json").read_bytes() == data
        assert f"It is now answers.broken-{number}.json beside it" in said.pop() and not said
        assert json.loads(file.read_text())["notebooks"]["01-one.ipynb"]


def test_entries_that_make_no_sense_are_not_taken(kernel, tmp_path):
    session = kernel("01-one.ipynb")
    asked(session, right=False, action=1)
    file = tmp_path / "data" / "answers.json"
    data = json.loads(file.read_text())
    (entry,) = data["notebooks"]["01-one.ipynb"].values()
    for odd in ({"choice": 99, "right": True}, {"choice": "0"}, [], 3):
        file.write_text(json.dumps(data).replace(json.dumps(entry["answer"]), json.dumps(odd)))
        assert asked(kernel("01-one.ipynb"), action=1) == {}
        Answers(kernel("01-one.ipynb")).rows()


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda data: data.write_text("a file"), "cannot be"),
        (lambda data: (data / "answers.json").mkdir(parents=True), "cannot be read"),
        (
            lambda data: (data.mkdir(), (data / "answers.json").write_text('{"format": 2}')),
            "is of a later version of vmxsim",
        ),
    ],
)
def test_where_nothing_can_be_kept_that_is_said_once(kernel, tmp_path, said, prepare, words):
    prepare(tmp_path / "data")
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    session = kernel("01-one.ipynb")
    asked(session, right=True, action=1)
    asked(session, "value", right=True, action=2)
    assert len(said) == 1 and words in said[0] and "as long as this kernel" in said[0]
    assert Answers(session).summary.startswith("2 of 2 questions answered")
    assert before == {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}


def test_only_a_kernel_has_the_user_s_file(monkeypatch):
    monkeypatch.delenv("VMXSIM_ANSWERS")
    assert answers_file() is None, "this is no Jupyter kernel"
    monkeypatch.setenv("VMXSIM_ANSWERS", "")
    assert answers_file() is None
    monkeypatch.setenv("VMXSIM_ANSWERS", "/there/mine.json")
    assert answers_file() == Path("/there/mine.json")
    for given, name in (
        ("/a/01-x.ipynb", "01-x.ipynb"),
        ("console-1", "unknown notebook"),
        ("", "unknown notebook"),
    ):
        monkeypatch.setenv("JPY_SESSION_NAME", given)
        assert notebook_name() == name


def test_nothing_is_written_without_a_file():
    store = Store(None)
    store.put("a", {"b": {}})
    assert store.read() == {}
