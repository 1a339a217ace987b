"""Answers on disk: one JSON file in the user's Jupyter data directory, by notebook and question.

Only a Jupyter kernel reads and writes it; in a browser it lies beside the notebooks, in what the page keeps.
The environment variable ``VMXSIM_ANSWERS`` names another file; set but empty, answers last as long as the
kernel. Nothing here raises: what cannot be read or written is said once, and answers then last as long as the
kernel.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from attrs import define, field

from vmxsim.errors import in_browser, printable

#: Names another file, or none.
VARIABLE = "VMXSIM_ANSWERS"
#: In a browser: the folder of the notebooks, which the page keeps in its storage.
DRIVE = Path("/drive")
#: Where the notebook's name is not known.
UNKNOWN = "unknown notebook"
_FORMAT = 1

#: By notebook, by question's id: what stands in the file.
Notebooks = dict[str, dict[str, dict[str, Any]]]


def _shell() -> Any:
    """The IPython shell of a Jupyter kernel; None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell if getattr(shell, "kernel", None) is not None else None


def notebook_name() -> str:
    """The file name of the notebook that this kernel runs, as the Jupyter server or VS Code gives it."""
    shell = _shell()
    if shell is not None and in_browser():
        return notebook_of(shell.user_ns.get("In", ()))
    given = os.environ.get("JPY_SESSION_NAME") or (shell and shell.user_ns.get("__vsc_ipynb_file__")) or ""
    name = Path(str(given)).name
    return name if name.endswith(".ipynb") else UNKNOWN


def notebook_of(executed: Iterable[str]) -> str:
    """The notebook in the current folder that has most of the cells that were executed: in a browser, nobody
    tells the kernel which one it runs."""
    cells = {text.strip() for text in executed} - {""}
    found = {name: len(cells & texts) for name, texts in _cells_in(Path.cwd()).items()}
    best = [name for name, number in found.items() if number == max(found.values()) > 0]
    return best[0] if len(best) == 1 else UNKNOWN


@cache
def _cells_in(folder: Path) -> dict[str, set[str]]:
    """The texts of each notebook's code cells."""
    found = {}
    for path in folder.glob("*.ipynb"):
        with suppress(OSError, ValueError, KeyError, TypeError):  # no notebook, or a broken one
            cells = json.loads(path.read_text("utf-8"))["cells"]
            found[path.name] = {"".join(c["source"]).strip() for c in cells if c["cell_type"] == "code"}
    return found


def answers_file() -> Path | None:
    """Where answers are kept; None if they are not."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return Path(given) if given else None
    if _shell() is None:
        return None
    if in_browser():  # without the folder of the notebooks, nothing outlives the kernel
        return DRIVE / "vmxsim-answers.json" if DRIVE.is_dir() else None
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir()) / "vmxsim" / "answers.json"


@define
class Store:
    """The file, which is read before each change: kernels of several notebooks may write it."""

    path: Path | None
    say: Callable[[str], None] = print
    _said: set[str] = field(factory=set)

    def read(self) -> Notebooks:
        """The answers. A file that is not one of ours is set aside, and said."""
        found: Notebooks = self._data().get("notebooks", {})
        return found

    def section(self, name: str) -> dict[str, Any]:
        """What else is kept under a name, as levels of the game and verdicts of reviews are; by key."""
        return _section(self._data(), name)

    def keep(self, name: str, key: str, value: Any) -> None:
        """Keep a value under a section's key; None forgets it."""
        data = self._data()
        kept = _section(data, name)
        kept.pop(key, None)
        if value is not None:
            kept[key] = value
        self._write({**data, name: kept})

    def _data(self) -> dict[str, Any]:
        if self.path is None:
            return {}
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            self._give_up(f"cannot be read ({error.strerror or error})")
            return {}
        except (ValueError, RecursionError):  # no JSON, or no text
            self._set_aside("is not JSON")
            return {}
        if isinstance(data, dict) and isinstance(data.get("format"), int) and data["format"] > _FORMAT:
            self._give_up("is of a later version of vmxsim")
            return {}
        if not _is_ours(data):
            self._set_aside("does not hold answers")
            return {}
        return dict(data)

    def put(self, notebook: str, entries: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Keep these entries of a notebook, by question's id; None forgets one."""
        data = self._data()
        notebooks: Notebooks = data.get("notebooks", {})
        kept = notebooks.setdefault(notebook, {})
        for name, entry in entries.items():
            kept.pop(name, None)
            if entry is not None:
                kept[name] = dict(entry)
        if not kept:
            del notebooks[notebook]
        self._write({**data, "notebooks": notebooks})

    def _write(self, data: dict[str, Any]) -> None:
        if self.path is None:
            return
        text = json.dumps({"notebooks": {}, **data, "format": _FORMAT}, indent=1, ensure_ascii=False)
        beside = ""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(
                "w", encoding="utf-8", dir=self.path.parent, prefix=".answers-", delete=False
            ) as out:
                beside = out.name
                out.write(text)
            os.replace(beside, self.path)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name, a lone surrogate
            with suppress(OSError):
                if beside:
                    os.unlink(beside)
            self._give_up(f"cannot be written ({getattr(error, 'strerror', None) or error})")

    def _set_aside(self, why: str) -> None:
        """Move a broken file out of the way."""
        assert self.path is not None
        numbers = (n for n in range(1, 1000) if not self._aside(n).exists())
        to = self._aside(next(numbers, 1000))
        try:
            os.rename(self.path, to)
        except OSError:
            self._give_up(why)
        else:
            self._tell(f"{self.path} {why}. It is now {to.name} beside it, and your answers start afresh.")

    def _aside(self, number: int) -> Path:
        assert self.path is not None
        return self.path.with_name(f"{self.path.stem}.broken-{number}{self.path.suffix}")

    def _give_up(self, why: str) -> None:
        self._tell(f"{self.path} {why}: your answers last as long as this kernel.")
        self.path = None

    def _tell(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            self.say(printable(words, 500))


def _section(data: dict[str, Any], name: str) -> dict[str, Any]:
    """What stands under a name; empty where that is nothing of ours."""
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _is_ours(data: Any) -> bool:
    """Whether these are entries by question by notebook."""
    if not isinstance(data, dict) or not isinstance(data.get("notebooks"), dict):
        return False
    return all(
        isinstance(entries, dict) and all(isinstance(entry, dict) for entry in entries.values())
        for entries in data["notebooks"].values()
    )
