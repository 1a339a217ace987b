"""What the site in the browser is made of, as far as that can be held without npm and without a browser."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from deploy.site import fetch, graphviz
from deploy.site.fetch import Failed, OutOfReach, npm_package, pins, wheels
from deploy.site.wheels import lock, packed, part, plain_name, stamped
from vmxsim.teaching.course import course_files

#: What Viz.js's module looks like, as far as it is changed.
MODULE = " ".join(old for old, _ in graphviz._AT_ONCE)


def wheel(folder: Path, name: str, *needs: str) -> Path:
    about = f"{name}-1.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n" + "".join(
        f"Requires-Dist: {need}\n" for need in needs
    )
    path = folder / f"{name}-1-py3-none-any.whl"
    files = {f"{name}/__init__.py": b"", f"{name}/_fast.so": b"", f"{about}/METADATA": metadata.encode()}
    path.write_bytes(packed(files))
    return path


def test_every_package_is_pinned_by_version_and_hash():
    for section, packages in pins().items():
        for name, pin in packages.items():
            digest = pin["integrity"] if section == "npm" else pin["sha256"]
            assert pin["version"][0].isdigit() and len(digest) == (95 if section == "npm" else 64), name


def test_the_course_goes_out_without_its_solutions():
    names = list(course_files(Path(__file__).parents[2] / "notebooks"))
    assert "labs/1-one-tick.ipynb" in names and "00-start-here.ipynb" in names
    assert not [name for name in names if "source" in name]


def test_the_lock_has_what_a_browser_needs_of_each_wheel(tmp_path):
    needs = ("two>=1", "numpy", 'three; sys_platform != "emscripten"', 'four; extra == "more"')
    wheels = [wheel(tmp_path, "one", *needs), wheel(tmp_path, "two")]
    made = lock({"info": {"abi": "x"}}, wheels, "3.14")
    assert made["info"] == {"abi": "x"} and list(made["packages"]) == ["one", "two"]
    one = made["packages"]["one"]
    assert one["depends"] == ["two"] and one["imports"] == ["one"]
    assert one["sha256"] == hashlib.sha256(wheels[0].read_bytes()).hexdigest()


def test_a_wheel_that_needs_what_is_not_pinned_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"one-1-py3-none-any.whl needs other>=2: pin it in pins.toml"):
        lock({}, [wheel(tmp_path, "one", "other>=2")], "3.14")


def test_the_plain_half_of_a_wheel_has_nothing_compiled(tmp_path):
    path = wheel(tmp_path, "one")
    half = tmp_path / "half.whl"
    half.write_bytes(part(path, lambda name: not name.endswith(".so")))
    assert sorted(zipfile.ZipFile(half).namelist()) == ["one-1.dist-info/METADATA", "one/__init__.py"]
    assert half.read_bytes() == part(path, lambda name: not name.endswith(".so"))
    assert (
        plain_name(Path("pyyaml-6.0.4-cp314-cp314-manylinux2014_x86_64.whl"))
        == "pyyaml-6.0.4-py3-none-any.whl"
    )


def test_a_new_site_s_wheel_has_another_name():
    from packaging.utils import parse_wheel_filename

    names = [stamped("vmxsim-0.1.0-py3-none-any.whl", data) for data in (b"old", b"new", b"new")]
    assert names[0] != names[1] == names[2]
    assert parse_wheel_filename(names[0])[:2] == parse_wheel_filename("vmxsim-0.1.0-py3-none-any.whl")[:2]


def test_graphviz_starts_at_once_or_is_refused():
    made = graphviz.script(MODULE)
    assert "async" not in made and "await" not in made and "export default" not in made
    with pytest.raises(ValueError, match=r"@viz-js/viz has changed: 'import.meta.url' occurs 2 times"):
        graphviz.script(MODULE + " import.meta.url")
    assert (
        "License: MIT (Viz.js), EPL (Graphviz)"
        in graphviz.wheel_files(MODULE, "3")["vmxsim_graphviz-3.dist-info/METADATA"].decode()
    )


def test_without_npm_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch.shutil, "which", lambda name: None)
    with pytest.raises(OutOfReach, match=r"npm is not installed, and pyodide@[0-9.]+ comes from there"):
        npm_package("pyodide", tmp_path)


def test_a_wheel_of_another_hash_is_an_error_and_no_excuse(tmp_path, monkeypatch):
    pinned = {"attrs": {"version": "26.1.0", "sha256": "0" * 64}}
    for said, kind in (("THESE PACKAGES DO NOT MATCH THE HASHES", Failed), ("no network", OutOfReach)):

        def refuse(*arguments, said=said):
            raise Failed(said)

        monkeypatch.setattr(fetch, "pip", refuse)
        with pytest.raises(Failed, match=said) as refused:
            wheels(pinned, tmp_path)
        assert type(refused.value) is kind


def test_another_package_than_the_pinned_one_is_refused_and_forgotten(tmp_path):
    archive = tmp_path / f"pyodide-{pins()['npm']['pyodide']['version']}.tgz"
    archive.write_bytes(b"something else")
    with pytest.raises(Failed, match=r"is not what pins.toml names: its integrity is sha512-"):
        npm_package("pyodide", tmp_path)
    assert not archive.exists()
