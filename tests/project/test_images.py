"""``images/`` shows what the runs say: compared by structure, never by bytes or positions."""

import re
import struct
import zlib
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

import vmxsim
from images import draw as images
from tests.views.traces import Hostile
from vmxsim.designs import DESIGNS
from vmxsim.exports import export
from vmxsim.views.animation import animation
from vmxsim.views.film import still
from vmxsim.views.style import LIGHT, tint

SVG = "{http://www.w3.org/2000/svg}"
FOLDER = Path(__file__).parents[2] / "images"


def test_images_are_up_to_date():
    assert images.out_of_date(FOLDER) == [], "run 'make images'"


def test_there_is_one_of_each_design():
    assert {f"loaded-{design}.svg" for design in DESIGNS} | {
        "readme.svg",
        "seed-before.svg",
        "seed-after.svg",
        "seed-counterexample.svg",
        "predict.svg",
    } == {path.name for path in FOLDER.glob("*.svg")}


def test_positions_do_not_count_words_and_marks_do():
    svg = (FOLDER / "readme.svg").read_text(encoding="utf-8")
    assert images.structure(svg.replace('x="19"', 'x="20"')) == images.structure(svg)
    assert images.structure(svg.replace("0xa000", "0xb000")) != images.structure(svg)
    assert images.structure(svg.replace('status-live"', 'status-stale"')) != images.structure(svg)


def test_stale_missing_and_surplus_files_are_named_and_drawn_anew(tmp_path, capsys):
    assert images.main([str(tmp_path)]) == 0
    (tmp_path / "surplus.svg").write_text("<svg/>")
    (tmp_path / "readme.svg").unlink()
    assert images.out_of_date(tmp_path) == ["readme.svg", "surplus.svg"]
    assert images.main([str(tmp_path)]) == 0
    assert images.out_of_date(tmp_path) == []
    capsys.readouterr()


def test_a_folder_that_cannot_be_written_is_said(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert images.main([str(tmp_path / "file")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_the_seed_patch_s_after_shows_the_leak_and_its_before_does_not():
    before, after = (
        (FOLDER / f"seed-{name}.svg").read_text(encoding="utf-8") for name in ("before", "after")
    )
    assert "✖ guest-value" in after
    assert "✖" not in before


def test_the_moving_picture_is_small_and_stands_at_its_end_without_motion():
    svg = (FOLDER / "seed-counterexample.svg").read_text(encoding="utf-8")
    assert len(svg.encode()) < 250_000
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img" and root.get("aria-labelledby")
    assert root.find(f"{SVG}title").text and "0x7f0000001000" in root.find(f"{SVG}desc").text
    assert "<script" not in svg and "href" not in svg and "http:" not in svg.replace(SVG.strip("{}"), "")
    style = root.find(f"{SVG}style").text
    moving = style.index("@media (prefers-reduced-motion:no-preference)")
    assert "animation:" not in style[:moving]
    assert ".t{opacity:0}" in style[:moving] and ".t.end{opacity:1}" in style[:moving]
    last = [group for group in root.iter(f"{SVG}g") if "end" in group.get("class", "").split()]
    said = " ".join(text.text or "" for group in last for text in group.iter(f"{SVG}text"))
    assert "the guest reads 0x7f0000001000 (vCPU thread 0's): foreign" in said and "✖ guest-value" in said


def test_the_moving_picture_plays_every_frame_once_and_for_about_twenty_seconds():
    trace = vmxsim.run(["run", "guest long-mode on"], design="dedicated-accessors", cpus=1)
    root = ElementTree.fromstring(animation(trace, "x", [13, 43, 63]))
    style = root.find(f"{SVG}style").text
    captions = [
        group.get("class").split()[1]
        for group in root
        if group.tag == f"{SVG}g" and group.get("class", "").startswith("t ")
        if any("caption-title" in text.get("class", "") for text in group.iter(f"{SVG}text"))
    ]
    assert len(captions) == 4
    starts = []
    for name in captions:
        (frames,) = re.findall(rf"@keyframes {name}{{(.*?)}}#x", style)
        (shown,) = re.findall(r"([\d.]+)%{opacity:1}", frames)
        starts.append(float(shown))
    assert starts == sorted(starts) and starts[0] == 0
    seconds = float(re.search(r"animation:k0 ([\d.]+)s", (FOLDER / "seed-counterexample.svg").read_text())[1])
    assert 12 <= seconds <= 21


def test_a_hostile_trace_stays_text_in_the_moving_picture():
    root = ElementTree.fromstring(animation(Hostile(), "x"))
    assert {e.tag.removeprefix(SVG) for e in root.iter()} <= {
        "svg", "title", "desc", "style", "defs", "pattern", "path", "rect", "text", "tspan", "g",
    }  # fmt: skip


# -- the same picture in every renderer


def pixels(svg):
    """The colors of a picture as a renderer without CSS variables draws it, and how often each comes."""
    resvg = pytest.importorskip("resvg_py", reason="resvg-py is not installed: pictures were not drawn")
    sans, mono = export._fonts()
    drawn = bytes(resvg.svg_to_bytes(svg_string=svg, zoom=0.4, sans_serif_family=sans, monospace_family=mono))
    return Counter(png_pixels(drawn))


def png_pixels(data):
    """The pixels of an 8-bit RGBA PNG."""
    width, _ = struct.unpack(">II", data[16:24])
    assert data[24:26] == b"\x08\x06", "8-bit RGBA"
    chunks, at = b"", 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            chunks += data[at + 8 : at + 8 + length]
        at += length + 12
    raw, size = zlib.decompress(chunks), width * 4
    before = bytearray(size)
    for start in range(0, len(raw), size + 1):
        row, kind = bytearray(raw[start + 1 : start + 1 + size]), raw[start]
        for i in range(size):
            left = row[i - 4] if i >= 4 else 0
            up, corner = before[i], before[i - 4] if i >= 4 else 0
            guess = left + up - corner
            paeth = min((left, up, corner), key=lambda near: abs(guess - near))
            row[i] = (row[i] + (0, left, up, (left + up) // 2, paeth)[kind]) & 255
        yield from (f"#{row[i]:02x}{row[i + 1]:02x}{row[i + 2]:02x}" for i in range(0, size, 4))
        before = row


def looks_right(svg):
    colors = pixels(svg)
    assert len(colors) > 20, "black and white only: the style sheet did not reach the renderer"
    assert colors[LIGHT.canvas] > sum(colors.values()) / 5, "the ground is the light theme's"
    root = ElementTree.fromstring(svg)
    owners = {
        name for cell in root.iter() for name in cell.get("class", "").split() if name.startswith("owner-")
    }
    for owner in owners - {"owner-none"}:
        wanted = tint(owner.removeprefix("owner-"), LIGHT)
        assert colors[wanted] > 80, f"no cell has the tint of {owner}"


@pytest.mark.parametrize("name", ["readme", "seed-counterexample", "predict", "loaded-never-trap"])
def test_a_file_looks_the_same_in_every_renderer(name):
    looks_right((FOLDER / f"{name}.svg").read_text(encoding="utf-8"))


def test_a_picture_drawn_now_looks_the_same_in_every_renderer():
    trace = vmxsim.run(["run", "guest long-mode on", "guest rdmsr"], "dedicated-accessors")
    svg = still(trace, len(trace.steps))
    looks_right(svg)
    assert "foreign" in svg and pixels(svg) != pixels(
        svg.replace('visibility="visible"', 'visibility="hidden"')
    )


def test_a_state_space_looks_the_same_in_every_renderer():
    space = vmxsim.state_space(
        "never-trap", assume=["one-value", "no-smm", "no-swapgs", "starts-in-long-mode"]
    )
    colors = pixels(space.svg)
    assert len(colors) > 20 and colors[tint("vcpu0", LIGHT)] > 80
