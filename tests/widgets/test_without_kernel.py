"""What a notebook shows where no kernel runs: on a code host, or in a saved file."""

import re

import pytest

import vmxsim
from vmxsim.ftrace.recording import example_path

DESIGN = "dedicated-accessors"
RUN = vmxsim.run(
    ["set-msr 0xA000", "run", "guest rdmsr", "exit"], "never-trap", long_mode=True, title="A read"
)
#: What every public function gives that can be a cell's last line, and words that tell what it was.
SHOWN = {
    "explore": (lambda: vmxsim.explore(DESIGN), "The explorer. A player:"),
    "compare": (lambda: vmxsim.compare("host-always", "never-trap", operation="efer"), "beside"),
    "predict": (lambda: vmxsim.predict(RUN, "live", action=1), "A player: A read"),
    "present": (lambda: vmxsim.present(DESIGN), "with 2 questions"),
    "quiz": (lambda: vmxsim.quiz(seed=7), "A quiz about all topics, seed 7, at question 1"),
    "slides": (lambda: vmxsim.slides("04"), "A player:"),
    "replay": (lambda: vmxsim.replay(example_path("migrate")), "A recording, judged"),
    "be_the_scheduler": (lambda: vmxsim.be_the_scheduler(level=1), "A game: you are the scheduler of"),
    "exercise": (lambda: vmxsim.exercise("one-tick"), "Goals:"),
    "answers": (vmxsim.answers, "questions answered"),
    "my_progress": (vmxsim.my_progress, "notebook"),
    "run": (lambda: RUN, "A read"),
    "picture": (lambda: vmxsim.picture(RUN), "CPU 0"),
    "check": (lambda: vmxsim.check(DESIGN), "violated"),
    "cost": (lambda: vmxsim.cost("never-trap"), "rdmsr"),
    "state_space": (
        lambda: vmxsim.state_space("host-from-thread", assume=("one-value", "no-smm", "no-swapgs")),
        "State 1",
    ),
    "where_in_the_kernel": (lambda: vmxsim.where_in_the_kernel("vmx_get_msr", DESIGN), "vmx.c"),
}


def plain_text(shown):
    """What stands in a notebook for a value that nothing else can show."""
    bundle = shown._repr_mimebundle_() if hasattr(shown, "_repr_mimebundle_") else repr(shown)
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    return data if isinstance(data, str) else data["text/plain"]


@pytest.mark.parametrize("name", SHOWN)
def test_words_stand_where_a_widget_would(name):
    make, words = SHOWN[name]
    told = plain_text(make())
    assert words in told
    assert not re.search(r"object at 0x|children=|layout=|<class|…$", told)
    assert 20 < len(told) < 5000


def test_a_widget_says_how_to_see_it():
    assert plain_text(vmxsim.explore(DESIGN)).endswith("\nTo see it, run this cell in Jupyter.")
