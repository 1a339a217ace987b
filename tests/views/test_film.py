"""The film: complete, JSON-able, still, and safe for any text."""

import json
import re
from html import unescape
from xml.etree import ElementTree

import pytest

import vmxsim
from images.draw import structure
from tests.views.geometry import shapes
from tests.views.traces import HOSTILE, Hostile, crowded, seed
from vmxsim.simulation.trace import STATUSES
from vmxsim.views.film import drawing_of, film, look, still
from vmxsim.views.words import Teller

FRAME = {
    "cells", "facts", "moves", "changed", "action", "thread", "cpu", "mode", "fn", "line", "stack", "next",
    "source", "brief", "words", "now", "dangers", "changes", "violations", "notes", "preemptible", "why_not",
    "quiet",
}  # fmt: skip


@pytest.fixture(scope="module", params=[seed, crowded], ids=["two CPUs", "four CPUs"])
def made(request):
    trace = request.param()
    return trace, film(trace)


def marks(svg, name):
    return re.findall(rf'data-{name}="([^"]*)"', svg)


def test_a_frame_a_scene_and_all_of_it_is_json(made):
    trace, data = made
    assert len(data["frames"]) == len(trace.steps) + 1
    assert json.loads(json.dumps(data)) == data
    for frame in data["frames"]:
        assert set(frame) == FRAME


def test_the_picture_has_each_part_once_and_leaves_out_only_what_never_matters(made):
    _, data = made
    frames = data["frames"]
    keys = {key for frame in frames for key, _ in frame["moves"]}
    assert sorted(map(unescape, marks(data["svg"], "move"))) == sorted(keys)
    for name, kind in (("place", "cells"), ("fact", "facts")):
        found = [unescape(key) for key in marks(data["svg"], name)]
        assert len(found) == len(set(found)) and set(found) <= set(frames[0][kind])
        for key in set(frames[0][kind]) - set(found):
            held = {tuple(frame[kind][key]) for frame in frames}
            expected = ("mode", "CPU", "preempt_count", "interrupts")  # said by "runs"; hold back no tick
            assert len(held) == 1 or key.rpartition(".")[2] in expected or key.startswith("cpu")
            assert kind == "facts" or not {status for *_, status in held} & {"stale", "foreign"}


def seen(trace, index):
    """What can be seen of a scene: every text with its place, and every frame."""
    svg = drawing_of(trace).svg(look(Teller(trace), index), "x", "", "")
    return sorted((shape.kind, shape.text) for shape in shapes(svg))


#: The same up to the end of ``run``; then a second CPU, a pending tick, SWAPGS, or nothing more.
FUTURES = (
    ["guest rdmsr"],
    ["guest long-mode on", "guest swapgs", "preempt cpu1"],
    [{"guest long-mode on": {"preempt": {"before": "rdmsr", "cpu": 1}}}, "guest smi"],
    ["exit", "set-msr 0xA000"],
)


@pytest.mark.parametrize("design", ["dedicated-accessors", "msr-array"])
def test_no_picture_tells_the_future(design):
    runs = [vmxsim.run(["run", *more], design) for more in FUTURES]
    same = sum(step.action == 0 for step in runs[0].steps)
    assert len({step.index for run in runs for step in run.steps if step.action == 0}) == same
    for index in range(same + 1):
        first, *others = (seen(run, index) for run in runs)
        assert first
        assert all(other == first for other in others), index
    assert len({tuple(seen(run, len(run.steps))) for run in runs}) == len(runs), "later they differ"


def test_frames_say_what_the_scenes_say(made):
    trace, data = made
    for index, frame in enumerate(data["frames"]):
        scene = trace.scene(index)
        for place, cell in scene.cells().items():
            value, owner, status = frame["cells"][place]
            assert status == cell.status
            assert status in STATUSES
            if cell.value is not None:
                assert (value, owner) == (hex(cell.value.number), cell.value.owner)
        for box in scene.boxes:
            for name, value in box.facts:
                assert frame["facts"][f"{box.id}.{name}"] == value


def test_a_frame_s_line_is_the_one_that_ran(made):
    trace, data = made
    assert data["frames"][0]["fn"] == ""
    for step, frame in zip(trace.steps, data["frames"][1:], strict=True):
        assert (frame["fn"], frame["line"]) == (step.function, step.line)
        if step.line:
            assert data["listings"][step.function][step.line - 1].strip() == step.source


def test_changed_places_are_those_whose_value_changed(made):
    _, data = made
    for before, after in zip(data["frames"], data["frames"][1:], strict=False):
        expected = [p for p, cell in after["cells"].items() if cell[:2] != before["cells"][p][:2]]
        assert after["changed"] == expected
        if after["quiet"]:
            assert not after["changed"] and not after["moves"] and after["facts"] == before["facts"]


def test_a_return_that_passes_over_the_register_is_not_quiet():
    """Why the patch is wrong: enter sees that state is loaded and returns at once."""
    frames = film(vmxsim.run(["run", "guest long-mode on"], "dedicated-accessors"))["frames"]
    early = [f for f in frames if f["fn"] == "vmx_save_host_state" and f["source"] == "return"]
    assert [frame["quiet"] for frame in early] == [False]


def test_the_legend_names_every_owner_and_status(made):
    _, data = made
    named = {(kind, key) for kind, key, _ in data["legend"]}
    for frame in data["frames"]:
        for place, (_, owner, status) in frame["cells"].items():
            assert ("status", status) in named
            assert not owner or ("owner", owner) in named or place not in data["since"]


def positions(svg):
    """Every number that places something, without what restyling changes."""
    return [re.findall(r' (?:x|y|d|width|height|transform)="[^"]*"', line) for line in svg.splitlines()]


def test_nothing_moves_between_steps():
    trace = seed()
    drawn = {tuple(map(tuple, positions(body(still(trace, i))))) for i in range(0, len(trace.steps) + 1, 7)}
    assert len(drawn) == 1


def body(svg):
    """The picture without its size and the words under it, which may be longer or shorter."""
    return re.sub(r'<text class="caption.*|<svg [^>]*>|<rect class="canvas"[^>]*>', "", svg)


def test_two_films_share_no_id():
    one, two = (set(re.findall(r' id="([^"]*)"', film(seed())["svg"])) for _ in range(2))
    assert one
    assert not one & two


def test_a_picture_can_be_read_without_seeing_it():
    trace = seed()
    index = next(i for i, frame in enumerate(film(trace)["frames"]) if frame["violations"])
    root = ElementTree.fromstring(still(trace, index))
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    assert root.findtext(f"{space}title") == trace.title
    description = root.findtext(f"{space}desc")
    for words in ("KERNEL_GS_BASE of CPU 0", "Live:", "Foreign:", "Broken: guest-value"):
        assert words in description
    named = {root.find(f".//*[@id='{name}']") is not None for name in root.get("aria-labelledby").split()}
    assert named == {True}


def test_text_from_outside_is_never_markup():
    data = film(Hostile())
    for svg in (data["svg"], still(Hostile(), 1)):
        root = ElementTree.fromstring(svg)
        assert not [e for e in root.iter() if e.tag.endswith("script")]
        assert "\x1b" not in svg
        assert "\x07" not in svg
    for frame in data["frames"]:
        assert "\x1b" not in frame["words"] + frame["now"] + str(frame["changes"])


def test_a_recording_s_own_owner_names_become_no_css():
    svg = film(Hostile())["svg"]
    style = svg[svg.index("<style>") : svg.index("</style>")]
    assert "<script" not in style
    assert HOSTILE not in svg


def test_a_missing_scene_is_named():
    with pytest.raises(IndexError, match="has scenes 0"):
        still(seed(), 10_000)


def test_the_state_of_a_still_is_the_film_s():
    trace = seed()
    frames = film(trace)["frames"]
    for index in (0, 10, len(trace.steps)):
        drawn = ElementTree.fromstring(still(trace, index))
        for cell in drawn.iter("{http://www.w3.org/2000/svg}g"):
            place = cell.get("data-place")
            if place:
                value, _, status = frames[index]["cells"][place]
                texts = [text.text for text in cell]
                assert value in texts
                assert f"status-{status}" in cell.get("class").split()


def test_the_same_run_has_the_same_structure():
    actions = ["run", "exit"]
    one, two = (still(vmxsim.run(actions, design="never-trap"), 20, uid="same") for _ in range(2))
    assert structure(one) == structure(two)


def test_a_note_that_the_sentence_says_is_not_said_twice():
    tick = {"emulate wrmsr 0xB000": {"preempt": {"before": "wrmsr", "cpu": 1}}}
    run = vmxsim.run(["run", tick], "never-trap", long_mode=True)
    frames = film(run)["frames"]
    noted = [(frame, step) for frame, step in zip(frames[1:], run.steps, strict=True) if step.notes]
    assert noted
    for frame, step in noted:
        for note in step.notes:
            assert (note.rstrip(".") in frame["brief"]) != (note in frame["notes"])
