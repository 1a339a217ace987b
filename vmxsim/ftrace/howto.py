"""How to record such a trace on one's own host: the commands, with nothing to fill in."""

from __future__ import annotations

from importlib.resources import files


def how_to_record() -> str:
    """A shell script, commented, that records a trace this program can read. It takes the offsets of
    the fields from the kernel's own BTF."""
    return (files("vmxsim") / "data" / "traces" / "record.sh").read_text(encoding="utf-8")
