"""How many files of the package a reader walks through: those whose functions one call enters.

Each call is made once before on something else, so that what is counted is its own work and not that of
imports.
"""

import linecache
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import vmxsim

PACKAGE = str(Path(vmxsim.__file__).parent)
SCHEDULE = ["run", "guest long-mode on", "guest rdmsr"]


def entered(call: Callable[[], object]) -> set[str]:
    """The package's files whose functions run during ``call``, in whatever thread."""
    found: set[str] = set()

    def note(frame: Any, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_name != "<module>" and code.co_filename.startswith(PACKAGE):
            found.add(os.path.relpath(code.co_filename, PACKAGE))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return found


def toggle() -> Callable[[], object]:
    """An explorer is open; what is measured is one click on its long-mode toggle."""
    explorer = vmxsim.explore()

    def click() -> None:
        explorer.controls.long_mode.value = not explorer.controls.long_mode.value

    return click


def graded(name: str) -> Callable[[], object]:
    """An exercise is open; what is measured is handing in its starting point as the answer."""
    form = vmxsim.exercise(name)
    cell, text = f"<{name}>", form.exercise.source()
    linecache.cache[cell] = (len(text), None, text.splitlines(True), cell)
    names: dict[str, Any] = {"vmxsim": vmxsim, "ex": form.exercise}
    exec("from vmxsim.kernel.language import *", names)
    exec(compile(text, cell, "exec"), names)
    return lambda: form.submit(names["Mine"])


def main() -> None:
    vmxsim.run(SCHEDULE, "never-trap")
    toggle()()
    vmxsim.check("never-trap", host="64-bit")
    vmxsim.replay("migrate")
    graded("mode-changes")()
    for name, call in (
        ("run", lambda: vmxsim.run(SCHEDULE, "dedicated-accessors")),
        ("a toggle in the explorer", toggle()),
        ("check", lambda: vmxsim.check("dedicated-accessors", host="64-bit")),
        ("replay", lambda: vmxsim.replay("s1.dedicated-accessors")),
        ("a graded answer", graded("careful-write")),
    ):
        print(f"{name}: {len(entered(call))} files")


if __name__ == "__main__":
    main()
