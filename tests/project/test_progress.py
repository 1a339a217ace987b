"""How far a long computation has come is shown on a terminal, in a notebook and in a widget; nowhere else."""

import os
import pty
import subprocess
import sys
from threading import Thread

import pytest

import vmxsim
from tests.cli.running import vmxsim as command
from vmxsim import progress
from vmxsim.errors import InputError
from vmxsim.progress import counting, shown_by, telling
from vmxsim.widgets.message import Message


@pytest.fixture
def at_once(monkeypatch):
    """What a widget would show, without waiting for it."""
    monkeypatch.setattr(progress, "PATIENCE", 0)
    monkeypatch.setattr(progress, "EVERY", 0)
    said = []
    with shown_by(said.append):
        yield said


def test_the_parts_of_a_computation_stand_beside_each_other_and_nothing_stays(at_once):
    with telling("all") as outer:
        for number in counting("lab", "ab"):
            outer(f"all of {number}")
    assert at_once[:2] == ["all · lab 1 of 2", "all of a · lab 1 of 2"]
    assert at_once[2:] == ["all of a · lab 2 of 2", "all of b · lab 2 of 2", ""]


def test_a_computation_that_fails_leaves_no_line(at_once):
    def fails():
        with telling() as tell:
            tell("dividing")
            return 1 / 0

    with pytest.raises(ZeroDivisionError):
        fails()
    assert at_once == ["dividing", ""]
    with telling() as tell:
        tell("again")
    assert at_once[2:] == ["again", ""]


def test_what_is_quick_says_nothing():
    said = []
    with shown_by(said.append), telling() as tell:
        tell("quick")
    assert said == []


def test_another_thread_does_not_write_on_the_line(at_once):
    def work():
        with telling("beside") as tell:
            tell("beside it")

    with telling() as tell:
        thread = Thread(target=work)
        thread.start()
        thread.join()
        tell("here")
    assert at_once == ["here", ""]


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda: vmxsim.check("never-trap", host="64-bit"), "64-bit host: "),
        (lambda: vmxsim.why("shared-accessors", hosts="64-bit"), "line 2 of 12: "),
        (lambda: command("check", "never-trap", "vcpu-vt", "--host", "64-bit"), "vcpu-vt, 2 of 2 · 64-bit"),
        (lambda: vmxsim.replay("migrate"), "of the trace"),
        (lambda: vmxsim.export(vmxsim.run(["run"], "never-trap"), "html"), "frame 2 of "),
        (lambda: vmxsim.export(vmxsim.run(["run"], "never-trap"), "storyboard"), "the picture of step "),
        (lambda: vmxsim.be_the_scheduler("dedicated-accessors"), "par: "),
    ],
)  # fmt: skip
def test_whatever_takes_long_says_where_it_stands(at_once, work, words):
    work()
    assert any(words in said for said in at_once), at_once[:20]
    assert at_once[-1] == ""


def test_a_widget_s_callback_is_told_in_its_message(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0)
    monkeypatch.setattr(progress, "EVERY", 0)
    message, seen = Message(), []
    message.observe(lambda change: seen.append(message.text), "value")

    def work():
        with telling() as tell:
            tell("half way")
        raise InputError("no")

    message.guard(work)
    assert seen[0] == "half way" and message.text == "no"


def test_pictures_that_ctrl_c_ends_say_how_many_there_are(tmp_path, monkeypatch):
    drawn = []

    def interrupted(*args):
        drawn.append(args)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return "<svg/>"

    monkeypatch.setattr("vmxsim.exports.export.still", lambda *args: "<svg/>")
    monkeypatch.setattr("vmxsim.exports.export.standalone", interrupted)
    (tmp_path / "run.yaml").write_text("design: never-trap\nsteps: [run]\n")
    done = command("export", tmp_path / "run.yaml", "--to", "svg", "-o", tmp_path / "out")
    assert done.returncode == 130 and len(list((tmp_path / "out").iterdir())) == 2
    assert "vmxsim: interrupted: 2 of " in done.stderr
    assert f"pictures are in {tmp_path / 'out'}" in done.stderr


def test_why_that_ctrl_c_ends_tells_the_lines_that_were_judged(monkeypatch):
    def interrupted(done, total):
        if done == 2:
            raise KeyboardInterrupt

    found = vmxsim.why("shared-accessors", hosts="64-bit", progress=interrupted)
    assert len(found.reasons) == 2 and found.left == 10
    assert "Interrupted: 10 lines not judged." in repr(found) and "10 lines" in found._repr_html_()


def on_a_terminal(code):
    """What a Python with a terminal for its standard error writes there."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm"}
    done = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, stdout=subprocess.DEVNULL, env=env)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:  # the other side is closed
        pass
    done.wait()
    os.close(ours)
    return said.decode()


def test_a_terminal_shows_the_line_and_takes_it_away():
    use = "with progress.telling() as tell: tell('half way')"
    said = on_a_terminal(f"from vmxsim import progress\nprogress.PATIENCE = 0\n{use}")
    assert "half way; Ctrl-C ends this" in said and said.rstrip().endswith("\x1b[2K")
