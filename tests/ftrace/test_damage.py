"""Whatever is missing or wrong in a file: no crash, and nothing proved that did not happen."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ftrace.conftest import CLEAN, SEED, lines, without_probes
from vmxsim.errors import InputError
from vmxsim.ftrace.recording import Recording, read, verdict

TEXT = {name: lines(name) for name in (*CLEAN, *SEED)}
TEXT |= {f"{name} without probes": without_probes(TEXT[name]) for name in (*CLEAN, *SEED)}
QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)


def of(text: str) -> Recording:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "damaged"
        file.write_text(text, encoding="utf-8")
        recording = read(file)
        assert recording.steps is not None
        return recording


@QUIET
@given(st.sampled_from([n for n in TEXT if not n.startswith(SEED)]), st.integers(0, 10**9), st.data())
def test_missing_lines_prove_nothing(name: str, seed: int, data: st.DataObject) -> None:
    text = TEXT[name]
    share = data.draw(st.sampled_from([0.01, 0.05, 0.2, 0.5]))
    random = Random(seed)
    kept = [line for line in text if random.random() >= share]
    first = data.draw(st.integers(0, len(kept)))
    last = data.draw(st.integers(first, len(kept)))
    told = verdict(of("\n".join(kept[first:last]) + "\n"))
    assert told["verdict"] != "violated", told["words"]


@QUIET
@given(st.sampled_from(SEED), st.integers(0, 400))
def test_a_later_start_proves_nothing_earlier(name: str, first: int) -> None:
    """With its beginning cut off the defect may still be proved, never before it happened."""
    text = TEXT[name]
    full = verdict(of("\n".join(text) + "\n"))
    told = verdict(of("\n".join(text[first:]) + "\n"))
    if told["verdict"] == "violated":
        assert told["event"]["time"] >= full["event"]["time"]


@QUIET
@given(st.sampled_from(sorted(TEXT)), st.integers(0, 100_000), st.text(max_size=40))
def test_garbage_in_the_middle(name: str, at: int, garbage: str) -> None:
    text = "\n".join(TEXT[name]) + "\n"
    at %= len(text)
    verdict(of(text[:at] + garbage + text[at:]))


@QUIET
@given(st.text())
def test_anything_else(text: str) -> None:
    with suppress(InputError):
        verdict(of(text))


@pytest.mark.parametrize("name", SEED)
def test_cut_right_after_the_event(name: str) -> None:
    """What follows is not needed where the file says that nothing is missing, or where the module
    is seen to intercept the register."""
    text = TEXT[name]
    at = next(i for i, line in enumerate(text) if "9.017182" in line or "17.133237" in line)
    told = verdict(of("\n".join(text[: at + 1]) + "\n"))
    assert told["verdict"] == "violated" and told["event"]["name"] == "kvm_entry"
