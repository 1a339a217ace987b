"""The command line: in this process, where nothing is imported twice, or in a Python of its own."""

from __future__ import annotations

import sys
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from subprocess import CompletedProcess, run
from typing import Any

from vmxsim.cli import main


def vmxsim(*args: object, cwd: Path | None = None) -> CompletedProcess[str]:
    """Run a command and catch what it prints. Streams are of the same kind as a pipe's."""
    out, err = (TextIOWrapper(BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    words = [str(arg) for arg in args]
    with ExitStack() as stack:
        if cwd:
            stack.enter_context(chdir(cwd))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        try:
            main(words)
        except SystemExit as ended:
            status = ended.code
    said = [stream.buffer.getvalue().decode("utf-8") for stream in (out, err)]  # type: ignore[attr-defined]
    assert isinstance(status, int)
    return CompletedProcess(words, status, *said)


def fails(*args: object) -> str:
    """What a command says that ends with 2: one line."""
    done = vmxsim(*args)
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr and not done.stdout
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


def process(*args: object, **options: Any) -> CompletedProcess[str]:
    """Run a command in a Python of its own: where the environment or the start itself matters."""
    command = [sys.executable, "-m", "vmxsim.cli", *map(str, args)]
    return run(command, capture_output=True, text=True, timeout=60, **options)
