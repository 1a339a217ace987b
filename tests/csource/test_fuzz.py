"""Whatever happens to the lines of the C, it is read or refused: no traceback, no hang, and no verdict
without what it rests on."""

import random
import signal
from contextlib import contextmanager

import pytest

from tests.csource.retell import retold
from vmxsim.checker.check import check
from vmxsim.csource.design import from_tree
from vmxsim.csource.tree import Tree
from vmxsim.designs import DESIGNS
from vmxsim.errors import InputError

#: How long reading one tree may take; how many are read; one of how many is checked.
SECONDS, TREES, CHECKED = 10, 24, 8


@contextmanager
def within(seconds):
    """Fail what takes longer, where a signal can."""

    def ring(*_):
        pytest.fail(f"it takes more than {seconds} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def garbled(tree, chance):
    """A tree with one to four changes of lines in one of its files."""
    path = chance.choice(sorted(tree.files))
    lines = tree.files[path].split("\n")
    for _ in range(chance.randint(1, 4)):
        here, there = chance.randrange(len(lines)), chance.randrange(len(lines))
        match chance.choice(("delete", "delete", "swap", "double", "move", "cut", "negate", "join")):
            case "delete":
                del lines[here : here + chance.choice((1, 1, 1, 2, 5))]
            case "swap":
                lines[here], lines[there] = lines[there], lines[here]
            case "double":
                lines.insert(here, lines[here])
            case "move":
                lines.insert(there, lines.pop(here))
            case "cut":
                lines[here] = lines[here][: chance.randrange(len(lines[here]) + 1)]
            case "negate":
                lines[here] = lines[here].replace("if (", "if (!", 1)
            case "join":
                lines[here : here + 2] = [" ".join(lines[here : here + 2])]
        lines = lines or [""]
    return Tree(tree.name, {**tree.files, path: "\n".join(lines)})


def read_or_refused(tree):
    """The tree read, with what it rests on; None if it was refused, in one line."""
    refusal = None
    try:
        with within(SECONDS):
            read = from_tree(tree)
    except InputError as error:
        refusal = str(error)
    if refusal is not None:
        assert refusal and "\n" not in refusal
        return None
    report = read.report
    assert report.files.keys() == tree.files.keys()
    assert report.functions and report.interception_shown and report.not_covered
    assert all(report.roles[role].field and report.roles[role].evidence for role in ("g", "h", "loaded"))
    report.as_data()
    return read


@pytest.mark.parametrize("name", DESIGNS)
def test_garbled_lines_of_a_design_are_read_or_refused(name):
    chance = random.Random(name)
    for number in range(TREES):
        read = read_or_refused(garbled(retold(name), chance))
        if read and number % CHECKED == 0:
            with within(10 * SECONDS):
                check(read.design, host="64-bit", max_seconds=1)
