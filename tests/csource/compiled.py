"""C that is compiled and run, beside the same C as vmxsim reads it: the C compiler says what a line does.

The design's file, which vmxsim reads alone, is put between declarations of what the kernel gives it and a
main() that does what KVM's common code does, one action after the other, each with at most one tick.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from attrs import frozen

#: TinyCC compiles in milliseconds; where it is not to be had, GCC does as well.
COMPILER = shutil.which("tcc") or shutil.which("gcc")

#: What the simulator's 64-bit host starts with: each task's user GS base.
THREAD_BASE, OTHER_BASE = 0x7F0000001000, 0x7F0000002000

KERNEL, RUN = (
    (Path(__file__).parent / "c" / "compiled" / name).read_text() for name in ("kernel.c", "run.c")
)


@frozen
class Shown:
    """How things stand after an action: the CPU, its register, the saved value, the flag, what was read."""

    cpu: int
    register: int
    saved: int
    loaded: bool
    returned: int | None


@frozen
class Action:
    """An action, as both sides understand it; ``tick`` is (before which primitive, in which function)."""

    verb: str
    value: int | None = None
    tick: tuple[str, str] | None = None

    @staticmethod
    def items(actions: list[Action]) -> list[Any]:
        """The actions as a scenario has them, for a guest that starts outside long mode."""
        items: list[Any] = []
        long_mode = False
        for action in actions:
            words = action.verb
            if words == "guest long-mode":
                long_mode = not long_mode
                words += " on" if long_mode else " off"
            if action.value is not None:
                words += f" {action.value:#x}"
            before, within = action.tick or ("", "")
            point = {"before": before, "in": within, "cpu": 1}
            items.append({words: {"preempt": point}} if action.tick else words)
        return items


def compiled(text: str, folder: Path) -> Path:
    """The program that runs the design in ``text``."""
    source, program = folder / "design.c", folder / "design"
    bases = f"#define THREAD_BASE {THREAD_BASE:#x}ULL\n#define OTHER_BASE {OTHER_BASE:#x}ULL\n"
    source.write_text(KERNEL + bases + text + RUN)
    assert COMPILER
    done = subprocess.run(
        [COMPILER, "-w", "-o", program, source], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr + text
    return program


def ran(program: Path, actions: list[Action]) -> list[Shown]:
    """How things stand after each action of the compiled C, up to a tick that never comes."""
    words: list[str] = []
    for action in actions:
        words += [action.verb, str(action.value or 0), *(action.tick or ("", ""))]
    done = subprocess.run([program, *words], capture_output=True, text=True, check=True, timeout=10)
    shown = []
    for line in done.stdout.splitlines():
        cpu, register, saved, loaded, returned = line.split()
        shown.append(
            Shown(
                int(cpu),
                int(register, 16),
                int(saved, 16),
                loaded == "1",
                int(returned, 16) if returned != "-" else None,
            )
        )
    return shown


def shown_by(run: Any) -> list[Shown]:
    """The same of a simulated run."""
    return [
        Shown(
            r["cpu"], int(r["registers"][r["cpu"]], 16), int(r["guest_saved"], 16), r["loaded"],
            int(r["returned"], 16) if r["returned"] else None,
        )
        for r in run.results
    ]  # fmt: skip
