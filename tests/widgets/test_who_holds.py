"""The picture of two vCPUs' states by who holds which CPU."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import vmxsim
from vmxsim.errors import InputError

FEW = "no-swapgs,no-smm,no-emulation,no-cancelled-run,no-set-efer,one-value,starts-in-long-mode"


def drawn() -> vmxsim.widgets.who_holds.WhoHolds:
    return vmxsim.who_holds(vmxsim.check("never-trap", host="64-bit", vcpus=2, assume=FEW))


def test_the_blocks_are_all_states_and_no_cpu_is_shared() -> None:
    shown = drawn()
    own, other, waits = shown.together.alone
    assert sum(shown.blocks.values()) == shown.together.states
    assert shown.blocks["on CPU 0", "on CPU 0"] == shown.blocks["on CPU 1", "on CPU 1"] == 0
    assert (
        shown.blocks["on CPU 0", "on CPU 1"] == own * own and shown.blocks["waits", "waits"] == waits * waits
    )
    assert shown.blocks["on CPU 1", "waits"] == shown.blocks["waits", "on CPU 0"] == other * waits


def test_it_is_shown_with_the_same_in_words(tmp_path: Path) -> None:
    shown = drawn()
    bundle = shown._repr_mimebundle_()
    assert 'role="img"' in bundle["text/html"] and "As text" in bundle["text/html"]
    assert f"{shown.together.states:,} states" in bundle["text/plain"] == repr(shown)
    assert "none, they cannot share it" in shown.words
    shown.save(tmp_path / "holds.svg")
    ElementTree.parse(tmp_path / "holds.svg")
    with pytest.raises(InputError, match="exists"):
        shown.save(tmp_path / "holds.svg")
    one, two = shown.svg, shown.svg
    assert not set(re.findall(r' id="([^"]+)"', one)) & set(re.findall(r' id="([^"]+)"', two))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"vcpus": 1}, "draws two vCPUs on two CPUs, not 1 on 2: check with vcpus=2"),
        ({"vcpus": 3}, "not 3 on 2"),
        ({"vcpus": 2, "cpus": 1}, "not 2 on 1"),
        ({"vcpus": 2, "assume": f"{FEW},no-migration"}, "never share a CPU"),
        ({"vcpus": 2, "max_states": 100}, "not counted: the limit of 100 states was reached"),
    ],
)
def test_what_cannot_be_drawn_is_told(options: dict[str, object], says: str) -> None:
    result = vmxsim.check("never-trap", **{"host": "64-bit", "assume": FEW, **options})
    with pytest.raises(InputError, match=re.escape(says)):
        vmxsim.who_holds(result)


def test_another_host_and_what_is_no_result_are_told() -> None:
    result = vmxsim.check("never-trap", host="64-bit", vcpus=2, assume=FEW)
    with pytest.raises(InputError, match="no 32-bit host; expected 64-bit"):
        vmxsim.who_holds(result, host="32-bit")
    with pytest.raises(InputError, match=r"expected the result of vmxsim\.check, not str"):
        vmxsim.who_holds("never-trap")  # type: ignore[arg-type]
