"""The layout: made once, small, free of overlaps, in a fixed order, with or without the Python binding."""

import builtins
import re
import shutil
from itertools import pairwise

import graphviz
import pytest

from tests.views.geometry import shapes
from tests.views.traces import crowded, seed
from vmxsim.designs import DESIGNS
from vmxsim.ftrace.recording import example_path, read
from vmxsim.simulation.run import run
from vmxsim.simulation.scenario import HOSTS
from vmxsim.views import layout as planning
from vmxsim.views.film import drawing_of, film, lay_out, look, still
from vmxsim.views.layout import NORMAL, SIDE, GraphvizMissing, digraph, layout
from vmxsim.views.words import Teller
from vmxsim.widgets.controls import OPERATIONS, actions_of

#: Reaches every kind of move, both CPUs and the plain task.
EVERYTHING = (
    "run", "guest long-mode on", "guest wrmsr 0xA000", "guest swapgs", "guest rdmsr", "preempt cpu1", "exit",
    "set-msr 0xB000", "user gs-base 0x7f0000005000", "get-msr", "run",
)  # fmt: skip
TRACES = {"two CPUs": seed, "four CPUs, two vCPUs": crowded}
PICTURES = {
    **TRACES,
    **{
        f"{design}, {host}": lambda design=design, host=host: run(list(EVERYTHING), design, host=host)
        for design, host in (
            ("msr-array", "64-bit"),
            ("load-gs-index", "32-bit"),
            ("dedicated-accessors", "64-bit"),
            ("fsgsbase", "64-bit"),
            ("shared-accessors", "32-bit"),
        )
    },
    "a recording": lambda: read(example_path("migrate")),
}


@pytest.fixture
def no_binding(monkeypatch):
    monkeypatch.setattr(builtins, "__import__", refusing("pygraphviz", lambda: ModuleNotFoundError("none")))


def refusing(module, error):
    """An ``__import__`` that raises ``error()`` for a module."""
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == module:
            raise error()
        return real(name, *args, **kwargs)

    return refuse


@pytest.fixture
def no_program(monkeypatch):
    def refuse(self, *args, **kwargs):
        raise graphviz.ExecutableNotFound(["dot"])

    monkeypatch.setattr(graphviz.Digraph, "pipe", refuse)


@pytest.mark.parametrize("make", TRACES.values(), ids=TRACES)
def test_boxes_do_not_overlap_and_keep_their_order(make):
    drawing = drawing_of(make())
    corners = {box.id: drawing.corner(box) for box in drawing.plan.boxes}
    for box in drawing.plan.boxes:
        x, y = corners[box.id]
        assert x >= 0
        assert y >= 0
        assert x + box.width <= drawing.width
        assert y + box.height <= drawing.height
    columns = drawing.plan.columns()
    for column in columns:
        for above, below in pairwise(column):
            assert corners[above.id][1] + above.height + below.plate < corners[below.id][1]
            assert corners[above.id][0] == pytest.approx(corners[below.id][0], abs=1)
    left, right = columns
    assert corners[left[0].id][0] + left[0].width + drawing.plan.gap <= corners[right[0].id][0] + 1
    assert [box.id for box in left[:4]] == ["cpu0", "thread0", "cpu1", "thread1"][: len(left)]
    assert right[0].kind == "vcpu"


def drawn(trace, index, face=NORMAL):
    """What scene ``index`` of the trace shows, without the words below."""
    told = Teller(trace)
    drawing = drawing_of(trace) if face is NORMAL else lay_out(told, face)
    svg = drawing.svg(look(told, index, face), "x", "", "")
    found = shapes(svg)
    frames = [shape for shape in found if "box-frame" in shape.kind]
    texts = [shape for shape in found if shape.text and "move" not in shape.kind]
    return found, frames, texts


@pytest.mark.parametrize("face", [NORMAL, SIDE], ids=("alone", "side by side"))
@pytest.mark.parametrize("make", PICTURES.values(), ids=PICTURES)
def test_nothing_is_cut_small_or_covered(make, face):
    """Each text has its place, of 11 pixels at least; an arrow and its label cover no box and no text."""
    trace = make()
    drawing = lay_out(Teller(trace), face)
    telling = {planning.move_key(move): s.index + 1 for s in trace.steps for move in s.moves}
    for index in (0, *sorted(telling.values()), len(trace.steps)):
        found, frames, texts = drawn(trace, index, face)
        for text in texts:
            assert text.size >= (14 if text.kind == "cell-value" else 11)
            inside = [frame for frame in frames if text.within(frame)]
            assert inside or (text.kind == "plate" and text.right <= drawing.width), text
            assert not [other for other in texts if other is not text and other.meets(text)], text
        moving = [shape for shape in found if shape.kind.startswith("move")]
        assert len(moving) == 5 * len(trace.steps[index - 1].moves if index else ()), (
            "line twice, head, pill, text"
        )
        for shape in moving:
            assert not [other for other in (*frames, *texts) if other.meets(shape, -1)], shape
        (pill,) = [shape for shape in moving if shape.kind == "move-pill"] or [None]
        assert not pill or all(text.within(pill) for text in moving if text.text)


def test_an_ordinary_run_fits_beside_its_source():
    small, moves = drawing_of(seed()), drawing_of(run(list(EVERYTHING), "dedicated-accessors"))
    assert small.width <= 500 and small.height <= 240
    assert moves.width <= 640 and moves.height <= 360
    assert len([shape for shape in drawn(seed(), 0)[0] if shape.text]) <= 37, "there were 74"


@pytest.mark.parametrize("design", DESIGNS)
def test_two_pictures_fit_side_by_side_in_a_notebook(design):
    """Each has 496 pixels in a cell of 1000, and no text may get smaller than it is laid out."""
    for host in HOSTS:
        for name in OPERATIONS:
            actions, _ = actions_of(OPERATIONS[name], True, True)
            told = Teller(run(actions, design, host=host, long_mode=True))
            assert lay_out(told, SIDE).width <= 496, (host, name)


def test_dot_has_an_id_for_every_box_and_way():
    plan = drawing_of(seed()).plan
    source = digraph(plan).source
    for box in plan.boxes:
        assert re.search(rf'id="?{box.id}"?[ \]]', source)
    for pair in plan.ways:
        assert f'id="{"=".join(pair)}"' in source


def test_ways_end_at_their_cells():
    drawing = drawing_of(seed())
    for left, right in drawing.plan.ways:
        curve = drawing.layout.curves[f"{left}={right}"]
        for place, point in ((left, curve[0]), (right, curve[-1])):
            box, index = drawing.plan.home(place)
            corner = drawing.layout.corners[box.id]
            assert point[1] == pytest.approx(
                corner[1] + box.plate + box.cell_top(index) + box.face.cell / 2, abs=2
            )
            assert min(abs(point[0] - corner[0]), abs(point[0] - corner[0] - box.width)) < 2


def test_nothing_is_written_to_stderr(capfd):
    film(crowded())
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not shutil.which("dot"), reason="there is no program 'dot' on this machine")
def test_the_program_dot_does_as_well(no_binding):
    graph = digraph(drawing_of(seed()).plan)
    assert set(layout(graph).corners) == set(drawing_of(seed()).layout.corners)


def test_the_program_is_asked_when_the_binding_is_missing(no_binding, monkeypatch):
    asked = []

    def pipe(self, format, encoding):
        asked.append(format)
        return '{"bb": "0,0,72,36", "objects": [{"id": "a", "pos": "36,18", "width": "1", "height": "0.5"}]}'

    monkeypatch.setattr(graphviz.Digraph, "pipe", pipe)
    found = layout(graphviz.Digraph())
    assert asked == ["json0"]
    assert found.corners == {"a": (0, 0)}


def test_without_graphviz_the_message_says_what_to_install(no_binding, no_program):
    with pytest.raises(GraphvizMissing, match=r"pip install pygraphviz.*package 'graphviz'"):
        still(crowded_again(), 3)


def test_a_binding_that_lacks_a_library_is_told_from_one_that_is_not_installed(monkeypatch, no_program):
    """As on a slim Debian, where the wheel of pygraphviz does not find the system's libraries."""
    said = ["libglib-2.0.so.0: cannot open shared object file: No such file or directory", "undefined symbol"]
    monkeypatch.setattr(builtins, "__import__", refusing("pygraphviz", lambda: ImportError(said[0])))
    with pytest.raises(
        GraphvizMissing, match=r"needs.*libglib-2.0.so.0\. .*apt-get install libglib2.0-0 "
    ) as told:
        still(crowded_again(), 3)
    assert "pip install" not in str(told.value), "it is installed"
    assert "package 'graphviz' with the program 'dot'" in str(told.value), "the other way out"
    said.pop(0)
    with pytest.raises(GraphvizMissing, match="importing pygraphviz says 'undefined symbol'"):
        still(crowded_again(), 3)


def test_without_graphviz_the_film_is_a_table_with_the_same_marks(no_binding, no_program):
    made = film(crowded_again())
    assert "pip install pygraphviz" in made["missing"]
    assert "pip install pygraphviz" in made["svg"]
    for place in made["frames"][0]["cells"]:
        assert f'data-place="{place}"' in made["svg"]
    for fact in made["frames"][0]["facts"]:
        assert f'data-fact="{fact}"' in made["svg"]


def crowded_again():
    """A new run: nothing of it has been laid out before."""
    return crowded.__wrapped__()
