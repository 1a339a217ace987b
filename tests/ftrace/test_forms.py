"""Every form in which a trace is passed on gives what the plain file gives."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.ftrace.conftest import CLEAN, SEED, lines
from tests.ftrace.forms import ANY_TRACER, FORMS, OTHER_TIMES
from vmxsim.ftrace.recording import Recording, read, verdict


def write(file: Path, form: list[str] | bytes) -> Path:
    file.write_bytes(form if isinstance(form, bytes) else ("\n".join(form) + "\n").encode())
    return file


def told(recording: Recording) -> dict[str, Any]:
    """What a form must not change."""
    found = verdict(recording)
    event = found["event"] or {}
    return {
        "verdict": found["verdict"],
        "invariant": found["invariant"],
        "event": [event.get(key) for key in ("time", "cpu", "pid", "name")],
        "fits": found["fits"],
        "accesses": recording.follower.accesses,
        "values": [access.data for access in recording.accesses()],
        "entries": recording.follower.entries,
        "unread": recording.reader.unread_register,
    }


@cache
def plain(name: str, folder: Path) -> dict[str, Any]:
    return told(read(write(folder / name, lines(name))))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", [*CLEAN, *SEED])
def test_a_form_changes_nothing(name: str, form: str, tmp_path: Path, tmp_path_factory: Any) -> None:
    if name == "fgraph" and form not in ANY_TRACER:
        pytest.skip("function_graph has no such layout")
    expected = dict(plain(name, tmp_path_factory.getbasetemp()))
    got = told(read(write(tmp_path / "form", FORMS[form](lines(name)))))
    if form in OTHER_TIMES:
        got["event"][0] = expected["event"][0]
    assert got == expected
