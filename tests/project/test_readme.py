"""What README says to type works, with the exit status it promises."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)


def commands():
    """(command, exit status) of each ``vmxsim`` line."""
    for line in "\n".join(blocks("sh")).splitlines():
        if line.startswith("vmxsim "):
            command, _, comment = line.partition("#")
            promised = re.search(r"exit status (\d)", comment)
            yield command.split()[1:], int(promised[1]) if promised else 0


@pytest.mark.parametrize(("arguments", "status"), list(commands()))
def test_commands(arguments, status, tmp_path):
    (scenario,) = blocks("yaml")
    (tmp_path / "smi.yaml").write_text(scenario)
    (design,) = blocks("py")
    (tmp_path / "mine.py").write_text(design)
    done = subprocess.run(
        [sys.executable, "-m", "vmxsim.cli", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == status, done.stdout + done.stderr
    if "--output" in arguments:
        assert (tmp_path / arguments[arguments.index("--output") + 1]).stat().st_size
    else:
        assert done.stdout.strip()
    assert "Traceback" not in done.stderr


def test_the_five_lines_show_the_defect():
    (code,) = blocks("python")
    assert sum(bool(line.strip()) for line in code.splitlines()) == 5
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert told["host-from-thread"] == told["never-trap"] == ["0x0"]
    assert told["dedicated-accessors"][0] == "0x7f0000001000"
    assert set(told["dedicated-accessors"][1:]) == {"guest-value", "no-leak"}


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert not [target for target in targets if not (ROOT / target).exists()]


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for line in "\n".join([*blocks("sh"), *re.findall(r"`(make [a-z]+)`", README)]).splitlines():
        if line.startswith("make "):
            assert re.search(rf"^{line.split()[1]}:", makefile, flags=re.M), line
