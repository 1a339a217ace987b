"""``images/`` shows what the runs say: compared by structure, never by bytes or positions."""

from pathlib import Path

from vmxsim.designs import DESIGNS
from vmxsim.views import images

FOLDER = Path(__file__).parents[2] / "images"


def test_images_are_up_to_date():
    assert images.out_of_date(FOLDER) == [], "run 'make images'"


def test_there_is_one_of_each_design():
    assert {f"loaded-{design}.svg" for design in DESIGNS} | {
        "readme.svg",
        "seed-before.svg",
        "seed-after.svg",
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
