"""The layout: made once, free of overlaps, in a fixed order, with or without the Python binding."""

import builtins
import re
import shutil
from itertools import pairwise

import graphviz
import pytest

from tests.views.traces import crowded, seed
from vmxsim.simulation.run import run
from vmxsim.views import layout as planning
from vmxsim.views.film import drawing_of, film, still
from vmxsim.views.layout import GraphvizMissing, digraph, layout

TRACES = {"two CPUs": seed, "four CPUs, two vCPUs": crowded}


@pytest.fixture
def no_binding(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "pygraphviz":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)


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
    for kind in planning.COLUMNS:
        column = [box for box in drawing.plan.boxes if box.kind == kind]
        for above, below in pairwise(column):
            assert corners[above.id][1] + above.height + above.stub < corners[below.id][1]
            assert corners[above.id][0] == pytest.approx(corners[below.id][0], abs=1)
    left, middle, right = (next(b for b in drawing.plan.boxes if b.kind == k) for k in planning.COLUMNS)
    assert corners[left.id][0] + left.width < corners[middle.id][0]
    assert corners[middle.id][0] + middle.width < corners[right.id][0]


@pytest.mark.parametrize("make", TRACES.values(), ids=TRACES)
def test_labels_may_be_1_4_times_longer(make):
    drawing = drawing_of(make())
    for box in drawing.plan.boxes:
        room = box.width - 2 * planning.PAD
        assert 1.4 * planning.text_width(box.title, 15) <= room
        for _, label in box.cells:
            assert 1.4 * planning.text_width(label, 12) <= room - 29
        assert planning.text_width("0x" + "f" * 16, 20) <= room - 29
    for label, width in ((m, w) for m, w in drawing.plan.label_widths.items() if w):
        assert width <= drawing.plan.gap or ">" in (label[0], label[-1])


def test_dot_has_an_id_for_every_box_and_wire():
    plan = drawing_of(seed()).plan
    source = digraph(plan).source
    for box in plan.boxes:
        assert re.search(rf'id="?{box.id}"?[ \]]', source)
    for pair in plan.wires:
        assert f'id="{"=".join(pair)}"' in source


def test_wires_end_at_their_cells():
    drawing = drawing_of(seed())
    for left, right in drawing.plan.wires:
        curve = drawing.layout.curves[f"{left}={right}"]
        for place, point in ((left, curve[0]), (right, curve[-1])):
            box, index = drawing.plan.home(place)
            corner = drawing.layout.corners[box.id]
            assert point[1] == pytest.approx(corner[1] + box.cell_top(index) + planning.CELL / 2, abs=2)
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


@pytest.mark.parametrize("host", ["64-bit", "32-bit"])
def test_a_tall_picture_is_narrower_and_holds_the_same(host):
    steps = ["run", "guest wrmsr 0xA000", "guest swapgs", "preempt cpu1", "exit"]
    trace = run(steps, "dedicated-accessors", long_mode=True, host=host)
    wide, tall = (film(trace)[name] for name in ("svg", "tall"))

    def marks(svg):
        return sorted(re.findall(r'data-(?:place|fact|move|box)="[^"]*"', svg))

    def size(svg):
        return [float(n) for n in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()]

    assert marks(wide) == marks(tall)
    assert size(tall)[0] < 0.8 * size(wide)[0]
