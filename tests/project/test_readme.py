"""What README says to type works, with the exit status it promises."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.classroom.submitting import given, submit
from tests.cli.running import vmxsim
from tests.csource.patching import clone, patch
from tests.csource.reading import write
from tests.csource.retell import retold

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


#: A design of one's own, as README tells the reader to write one: a patch that changes nothing.
MINE = """from vmxsim.designs import NeverTrap
from vmxsim.kernel.language import *


class Mine(NeverTrap):
    def vmx_get_msr(self, vmx):
        return self.vmx_read_guest_kernel_gs_base(vmx)
"""


#: A program or a module, as a page names it.
_PROGRAM = re.compile(r"\b(?:benchmarks|deploy|images|tests|vmxsim)/[\w/]+\.py\b")


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
def test_commands(arguments, status, tmp_path, monkeypatch):
    (scenario,) = blocks("yaml")
    (tmp_path / "away.yaml").write_text(scenario)
    if arguments[0] != "new":
        (tmp_path / "mine.py").write_text(MINE)
    tree = tmp_path / "linux" if "~/linux" in arguments else None
    if tree:
        clone(tree, [retold("host-from-thread"), retold("never-trap"), retold("guest-state-loaded")])
        write(retold("never-trap"), tree)
        change = patch(retold("never-trap"), retold("guest-state-loaded"))
        (tmp_path / "0001-some.patch").write_text(change)
    if "handed-in" in arguments:
        submit(tmp_path / "handed-in", "ada", "one-tick", given("one-tick"))
        monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    done = vmxsim(*(tree if word == "~/linux" else word for word in arguments), cwd=tmp_path)
    assert done.returncode == status, done.stdout + done.stderr
    if "--output" in arguments:
        assert (tmp_path / arguments[arguments.index("--output") + 1]).stat().st_size
    else:
        assert done.stdout.strip() or (tmp_path / "mine.py").exists()
    assert "Traceback" not in done.stderr


def test_the_five_lines_show_how_the_register_changes_hands():
    (code,) = blocks("python")
    assert sum(bool(line.strip()) for line in code.splitlines()) == 5
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    # the register is loaded, written by the guest, saved and given back, and loaded again on CPU 1
    assert sum("wrmsr(MSR_KERNEL_GS_BASE, vmx.msr_guest_kernel_gs_base)" in line for line in lines) == 2
    assert any("WRMSR KERNEL_GS_BASE, 0xa000" in line and line.startswith("CPU 0") for line in lines)
    assert lines[-1].startswith("CPU 1")


def test_nothing_is_given_away_before_the_spoilers():
    before, _, after = README.partition("## Spoilers")
    assert "check dedicated-accessors" in after
    for spoiler in (
        "check dedicated-accessors",
        "s1.dedicated-accessors",
        "seed-counterexample",
        "counterexample of the patch",
    ):
        assert spoiler not in before


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert not [target for target in targets if not (ROOT / target).exists()]


def test_programs_that_a_page_names_exist():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("deploy/*.md"), *ROOT.glob("notebooks/**/*.ipynb")]
    named = {(page.name, name) for page in pages for name in _PROGRAM.findall(page.read_text())}
    assert ("README.md", "benchmarks/verdict_speed.py") in named
    assert not [(page, name) for page, name in named if not (ROOT / name).exists()]


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for line in "\n".join([*blocks("sh"), *re.findall(r"`(make [a-z]+)`", README)]).splitlines():
        if line.startswith("make "):
            assert re.search(rf"^{line.split()[1]}:", makefile, flags=re.M), line
