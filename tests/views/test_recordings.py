"""A recording in the same pictures and words."""

from xml.etree import ElementTree

import pytest

from vmxsim.ftrace.recording import EXAMPLES, example_path, read
from vmxsim.views.film import film, still


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_makes_a_film(name):
    recording = read(example_path(name))
    data = film(recording)
    assert len(data["frames"]) == len(recording.steps) + 1
    ElementTree.fromstring(data["svg"])
    assert data["listings"] == {}
    assert any(frame["moves"] for frame in data["frames"])


def test_the_words_name_events_not_lines():
    data = film(read(example_path("s1.dedicated-accessors")))
    assert not any(" runs line " in frame["words"] for frame in data["frames"])
    broken = next(frame for frame in data["frames"] if frame["violations"])
    assert "kvm_entry" in broken["words"]
    assert "Foreign: KERNEL_GS_BASE of CPU 0" in broken["now"]


def test_unknown_values_look_unknown():
    first = film(read(example_path("migrate")))["frames"][0]
    assert ["?", "unknown", "unknown"] in first["cells"].values()


def test_a_still_of_any_event():
    recording = read(example_path("migrate"))
    for index in (0, len(recording.steps) // 2, len(recording.steps)):
        ElementTree.fromstring(still(recording, index))
