"""Sequences of pictures: the right files, sizes and colours."""

import struct
import sys

import pytest

import vmxsim
from tests.exports.cases import named
from tests.views.traces import seed
from vmxsim.errors import InputError
from vmxsim.exports import export as pictures
from vmxsim.views.film import ZOOM, drawing_of, still
from vmxsim.views.standalone import standalone
from vmxsim.views.style import DARK, LIGHT

RESVG = pytest.importorskip("resvg_py", reason="resvg-py is not installed: PNG files were not tested")


def size(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def test_one_svg_a_step(tmp_path):
    written = vmxsim.export(seed(), "svg", tmp_path / "new" / "folder")
    assert [path.name for path in written][:2] == ["step-0000.svg", "step-0001.svg"]
    assert len(written) == len(seed().steps) + 1
    assert "prefers-color-scheme" in written[0].read_text()


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_a_flat_picture_has_one_theme_s_colours_and_no_variable(tmp_path, theme):
    (path,) = vmxsim.export(seed(), "svg", tmp_path, steps=[-1], theme=theme.name)
    text = path.read_text()
    assert "var(" not in text and "--vx" not in text and "@media" not in text
    canvas = next(line for line in text.splitlines() if 'class="canvas"' in line)
    assert f'fill="{theme.canvas}"' in canvas
    other = DARK if theme is LIGHT else LIGHT
    assert other.canvas not in text.replace(f'fill="{theme.canvas}"', "").replace(
        f'stroke="{theme.canvas}"', ""
    )
    assert path.name == f"step-{len(seed().steps):04}.svg"


@pytest.mark.parametrize("scale", [1, 0.5, 2])
def test_a_png_is_one_and_has_the_picture_s_size(tmp_path, scale):
    (path,) = vmxsim.export(seed(), "png", tmp_path, steps=[-1], scale=scale)
    width, height = size(path.read_bytes())
    wanted = drawing_of(seed()).width * ZOOM * scale
    assert abs(width - wanted) <= 1
    assert height > drawing_of(seed()).height * ZOOM * scale


def test_a_png_has_its_texts_and_dashes():
    svg = standalone(still(seed(), len(seed().steps), "x"), "light")
    whole = pictures.png(svg)
    assert pictures.png(svg.replace("0x7f0000001000", "")) != whole
    assert pictures.png(svg.replace('visibility="visible"', 'visibility="hidden"')) != whole


def test_a_recording_s_pictures(tmp_path):
    written = vmxsim.export(named("s1.dedicated-accessors"), "png", tmp_path, steps=[45])
    assert [path.name for path in written] == ["step-0045.png"] and size(written[0].read_bytes())


def test_without_resvg_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(InputError, match="pip install resvg-py"):
        vmxsim.export(seed(), "png", tmp_path, steps=[0])


def test_without_a_font_it_is_said_what_to_install(monkeypatch):
    pictures._fonts.cache_clear()
    monkeypatch.setattr(pictures, "_SANS", ("No Such Font",))
    with pytest.raises(InputError, match="fonts-dejavu"):
        pictures.png(standalone(still(seed(), 0, "x"), "light"))
    pictures._fonts.cache_clear()
