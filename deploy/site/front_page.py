"""The site's front page, and the pages beside it that step through a run without a kernel."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import jinja2
from attrs import frozen

import vmxsim
from vmxsim.exports.export import export
from vmxsim.teaching.course import FIRST, lessons
from vmxsim.views.style import theme_css

_HERE = Path(__file__).parent
_IMAGES = _HERE.parents[1] / "images"

_SEED, _BEFORE = "dedicated-accessors", "host-from-thread"


@frozen
class Reading:
    """A page to read during the start; ``spoils`` says that it tells how notebook 02 ends."""

    file: str
    title: str
    words: str
    html: str
    spoils: bool = True


def write_front_page(site: Path, course: Path) -> None:
    """Write ``index.html`` and ``read/`` into the site. ``course`` is the folder of the notebooks."""
    readings = list(_readings())
    folder = site / "read"
    folder.mkdir()
    for one in readings:
        (folder / one.file).write_text(one.html, "utf-8")
    shutil.copyfile(_IMAGES / "readme.svg", folder / "picture.svg")
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = templates.get_template("index.html").render(
        css=theme_css(".vx-page"), first=FIRST, readings=readings, notebooks=list(_notebooks(course))
    )
    (site / "index.html").write_text(page, "utf-8")


def _readings() -> Iterator[Reading]:
    away = vmxsim.run(
        [
            "run",
            "guest wrmsr 0xA000",
            {"emulate rdmsr -> 0xA000": {"preempt": {"before": "rdmsr", "cpu": 1}}},
        ],
        "never-trap",
        long_mode=True,
        title="Preempted in the middle of an accessor",
    )
    yield Reading(
        "accessor.html",
        "Preempted in the middle of an accessor",
        "KVM reads the guest's value in the register; just before it does, the thread moves to another CPU.",
        export(away),
        spoils=False,
    )
    found = vmxsim.check(_SEED)
    yield Reading(
        "counterexample.html",
        "The shortest schedule that breaks a patch",
        "The patch of notebook 02, step by step to the line where a value is lost.",
        export(found),
    )
    scenario = found.counterexample.scenario
    both = [vmxsim.run(scenario, design) for design in (_BEFORE, _SEED)]
    yield Reading(
        "compare.html",
        "The same schedule before and after that patch",
        "Both kernels side by side, up to the step at which they part.",
        export(both),
    )
    yield Reading(
        "storyboard.html",
        "The same story on paper",
        "The steps that tell it, as sheets of A4 to print.",
        export(found, "storyboard"),
    )


def _notebooks(course: Path) -> Iterator[tuple[str, str]]:
    """Each notebook's file and title."""
    for path in lessons(course):
        first = json.loads(path.read_text("utf-8"))["cells"][0]["source"]
        yield path.name, "".join(first).splitlines()[0].lstrip("# ")
