"""A kernel tree, or the files of one: a folder, one file, or a source archive read in place.

Only the files of KVM's VMX code are opened, and what common code says about it; none larger than a limit. No
link is followed out of what the reader named.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from attrs import frozen

from vmxsim.csource.archive import read_archive
from vmxsim.csource.clone import Clone
from vmxsim.csource.texts import (
    KERNEL,
    KVM,
    MOST_BYTES,
    PLACES,
    checked,
    is_wanted,
    refuse_other_code,
    text_of,
)
from vmxsim.errors import InputError, printable

#: The folders of which files are read.
_FOLDERS = (f"{KVM}/vmx", KVM, KERNEL)
_ARCHIVE = re.compile(r"\.tar(?:\.(?:xz|gz|bz2|zst))?$|\.t[xgb]z2?$|\.tzst$")


@frozen
class Tree:
    """``name`` is what the reader called it; ``files`` are the texts by path from the kernel's root, or by
    name for one that was given alone and stands in no tree."""

    name: str
    files: dict[str, str]


def read_tree(path: str | Path) -> Tree:
    """Read a kernel tree: its root, ``arch/x86/kvm`` or the ``vmx`` in it; one C file; or an archive such as
    Debian's ``linux-source-6.1.tar.xz``, of which nothing is unpacked to disk.

    Raises InputError (which file, what is wrong, what was expected).
    """
    name = str(path)
    place = Path(path).expanduser()
    try:
        mode = place.stat().st_mode
        if stat.S_ISDIR(mode):
            return Tree(name, checked(_read_folder(place.resolve(), name), name))
        if not stat.S_ISREG(mode):
            raise InputError("is neither a file nor a folder: expected a kernel tree", name)
        if _ARCHIVE.search(place.name):
            return Tree(name, checked(read_archive(place, name), name))
        return Tree(name, _read_alone(place, name))
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: a NUL; RuntimeError: a loop of links
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}", name) from None


def tree_of_commit(repository: str | Path, commit: str) -> Tree:
    """The kernel as of a commit of a git clone. Raises InputError."""
    short = commit[:12] if re.fullmatch(r"[0-9a-f]{40,64}", commit) else printable(commit)
    name = f"{repository} at {short}"
    return Tree(name, checked(Clone(repository).files(commit), name))


def _read_alone(place: Path, name: str) -> dict[str, str]:
    if place.suffix != ".c":
        raise InputError(
            "expected a kernel tree: a folder, a C file such as vmx.c, or an archive such as"
            " linux-source-6.1.tar.xz",
            name,
        )
    text = _text_in(place, name)
    refuse_other_code(place.name, text, name)
    _, inside, below = Path(os.path.abspath(place)).as_posix().rpartition(f"/{KVM}/")
    return {f"{KVM}/{below}" if inside else place.name: text}


def _text_in(place: Path, where: str) -> str:
    with place.open("rb") as file:
        return text_of(file.read(MOST_BYTES + 1), where)


# -- a folder


def _read_folder(root: Path, name: str) -> dict[str, str]:
    before = _named(root, name)
    found = {}
    for folder in _FOLDERS:
        if not f"{folder}/".startswith(before):
            continue
        inside = root / f"{folder}/".removeprefix(before)
        for entry in sorted(os.listdir(inside)) if inside.is_dir() else ():
            if is_wanted(f"{folder}/{entry}"):
                file = inside / entry
                where = os.path.join(name, file.relative_to(root))
                found[f"{folder}/{entry}"] = _text_in(_own_file(file, root, where), where)
    return found


def _named(root: Path, name: str) -> str:
    """The path from the kernel's root of the folder that was named, with a slash: '' for the root itself."""
    for folder in ("", "arch/", "arch/x86/"):
        if any(os.path.lexists(root / place.removeprefix(folder)) for place in PLACES):
            return folder
    if os.path.lexists(root / "vmx.c"):
        return f"{KVM}/vmx/" if root.name == "vmx" else f"{KVM}/"
    if os.path.lexists(root / "vmx/vmx.c"):
        return f"{KVM}/"
    amd = " (svm.c is AMD's)" if (root / "svm.c").exists() or (root / "svm/svm.c").exists() else ""
    looked = ", ".join((*PLACES, "vmx/vmx.c"))
    raise InputError(
        f"has no KVM for Intel{amd}: looked for {looked} and vmx.c; expected a kernel's root, or its {KVM}",
        name,
    )


def _own_file(file: Path, root: Path, where: str) -> Path:
    """The file. Raises InputError if it leads out of the tree, or is no file."""
    real = file.resolve()
    if not real.is_relative_to(root):
        raise InputError(f"is a link that leads out of the tree, to {printable(real)}: not followed", where)
    if not real.is_file():
        raise InputError("is not a regular file" if real.exists() else "is a link to nothing", where)
    return real


# -- where a tree usually is


def find_tree() -> Path | None:
    """The tree that the environment variable VMXSIM_KERNEL names, or else one in a usual place: ``~/linux``,
    ``~/src/linux``, ``/usr/src/linux-source-6.1.tar.xz`` and the like; None if there is none."""
    if named := os.environ.get("VMXSIM_KERNEL"):
        return Path(named).expanduser()
    for pattern in ("~/linux", "~/src/linux", "~/git/linux", "~/kernel/linux", "/usr/src/linux*"):
        folder, _, last = os.path.expanduser(pattern).rpartition("/")
        try:
            places = sorted(Path(folder).glob(last), key=_version, reverse=True)
            folders = [place for place in places if any((place / code).is_file() for code in PLACES)]
            archives = [place for place in places if _ARCHIVE.search(place.name) and place.is_file()]
        except OSError:
            continue
        if folders or archives:
            return (folders or archives)[0]
    return None


def _version(place: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", place.name)]
