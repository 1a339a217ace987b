"""Changes of C: the sections of the files in ``c/``, and names that are replaced.

A section begins with ``//// what it is`` and holds functions. Those that the design has take the place of its
own; others stand before the first that does. What follows ``/// in FILE`` is a further file of the directory.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.csource.retell import VMX, retold
from vmxsim.csource.tree import Tree

HERE = Path(__file__).parent / "c"
#: The design that is changed: it is safe, and each line of its accessors, enter and leave is needed for that.
SAFE = "guest-state-loaded"

_FUNCTION = re.compile(r"^[a-z][\w *\n]*?\b(\w+)\([^;]*?\)[^;{}]*?\n\{\n.*?^\}(?: /\*.*\*/)?\n", re.S | re.M)


def sections(name: str) -> dict[str, str]:
    """The sections of a file, or of all the files in a folder, by what they are."""
    place = HERE / name
    found: dict[str, str] = {}
    for path in sorted(place.glob("*.c")) if place.is_dir() else [place]:
        for section in path.read_text().split("//// ")[1:]:
            title, _, text = section.partition("\n")
            assert title not in found, title
            found[title] = text.strip() + "\n"
    return found


def changed(text: str, design: str = SAFE) -> Tree:
    """A design as C with the functions of a section."""
    tree = retold(design)
    own, *others = text.split("/// in ")
    files = {**tree.files, VMX: _with_functions(tree.files[VMX], own)}
    for other in others:
        name, _, content = other.partition("\n")
        files[f"{VMX.rpartition('/')[0]}/{name}"] = content
    return Tree(tree.name, files)


def _with_functions(text: str, own: str) -> str:
    here = {match[1]: match[0] for match in _FUNCTION.finditer(text)}
    before, done, replaced = "", 0, False
    for match in _FUNCTION.finditer(own):
        before += own[done : match.start()]
        done = match.end()
        if match[1] in here:
            text = text.replace(here[match[1]], before + match[0])
            before, replaced = "", True
        else:
            before += match[0]
    assert replaced and not before.strip() and not own[done:].strip(), own
    return text


def everywhere(names: dict[str, str], design: str = SAFE) -> Tree:
    """A design as C with names replaced wherever they stand."""
    tree = retold(design)
    pattern = re.compile("|".join(map(re.escape, names)))
    files = {path: pattern.sub(lambda m: names[m[0]], text) for path, text in tree.files.items()}
    assert files[VMX] != tree.files[VMX]
    return Tree(tree.name, files)
