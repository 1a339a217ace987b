"""A reader's own designs from a file: every mistake in it is told with its line."""

import os
import signal

import pytest

import vmxsim
from vmxsim.cli import main
from vmxsim.commands.common import named_design
from vmxsim.designs import own
from vmxsim.designs.never_trap import NeverTrap
from vmxsim.designs.own import designs_in
from vmxsim.errors import InputError

MINE = """\
from vmxsim.designs.never_trap import NeverTrap
from vmxsim.kernel.language import *


class Mine(NeverTrap):
    def vmx_get_msr(self, vmx):
        return vmx.msr_guest_kernel_gs_base


class Other(NeverTrap):
    pass
"""


@pytest.fixture
def mine(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    return file


def refused(name):
    with pytest.raises(InputError) as error:
        named_design(str(name))
    return str(error.value)


def test_its_designs_come_in_the_order_of_the_file(mine):
    assert list(designs_in(mine)) == ["Mine", "Other"], "what it imports is not its own"
    assert issubclass(named_design(f"{mine}:Other"), NeverTrap)


def test_a_name_can_be_left_out_where_there_is_one_design(mine):
    mine.write_text(MINE.split("class Other")[0])
    assert named_design(str(mine)).__name__ == "Mine"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("class Mine(NeverTrap):", "class Mine(NeverTrap:", ":5: not valid Python"),
        ("class Other", "print(1 / 0)\n\nclass Other", ":10: ZeroDivisionError: division by zero"),
        ("class Other", "raise SystemExit(0)\n\nclass Other", ":10: SystemExit"),
        ("class Mine", "import nothing_of_that_name\n\nclass Mine", ":5: ModuleNotFoundError"),
        ("(NeverTrap)", "", "defines no design; expected a subclass of one"),
        ("return vmx.msr", "return [vmx].msr", ":7, vmx_get_msr"),
        ("return vmx.msr_guest", "return vmx.msr_geust", ":7, vmx_get_msr"),
        ("return vmx.", "return rdmrs(1) or vmx.", "did you mean 'rdmsr'?"),
        ("", "", "defines several designs (Mine, Other): write mine.py:NAME"),
    ],
)
def test_every_mistake_in_the_file_is_told_with_its_line(mine, before, after, says):
    mine.write_text(MINE.replace(before, after))
    message = refused(mine)
    assert says in message and "mine.py" in message, message


def test_a_function_that_overrides_nothing_is_told_with_the_one_that_was_meant(mine):
    mine.write_text(MINE.replace("vmx_get_msr", "vmx_get_mrs"))
    assert "did you mean 'vmx_get_msr'?" in refused(mine)


def test_the_nearest_design_is_named(mine):
    assert "expected Mine or Other; did you mean 'Mine'?" in refused(f"{mine}:Mnie")


def test_what_is_no_python_file_is_said(mine, tmp_path):
    assert "No such file" in refused(tmp_path / "missing.py")
    with pytest.raises(InputError, match="a Python file"):
        designs_in(tmp_path)
    mine.write_bytes(b"\xff\xfe\0")
    assert "not valid Python" in refused(mine)


NUMBER = MINE.replace("class Mine", "N = 1\n\n\ndef helper(vmx):\n    return N\n\n\nclass Mine").replace(
    "        return", "        helper(vmx)\n        vmx.smram_efer = N\n        return"
)


@pytest.mark.parametrize(
    ("below", "says"),
    [
        ("\nN = 2\n", "'N' changes below vmx_get_msr(), which uses it"),
        ("\ndef helper(vmx):\n    return 2\n", "'helper' changes below vmx_get_msr(), which uses it"),
        ("\nN = 1\n", ""),
    ],
)
def test_what_changes_below_the_class_is_refused_because_it_would_be_ignored(mine, below, says):
    mine.write_text(NUMBER + below)
    if says:
        assert says in refused(f"{mine}:Mine")
    else:
        assert named_design(f"{mine}:Mine")


def test_a_helper_below_the_class_is_told_where_to_stand(mine):
    mine.write_text(
        MINE.replace("        return", "        helper(vmx)\n        return")
        + "\ndef helper(vmx):\n    sldt()\n"
    )
    assert "a helper stands above the class" in refused(mine)


def test_a_design_does_not_go_by_the_id_of_another(mine):
    mine.write_text(MINE.split("class Other")[0].replace("    def", '    id = "never-trap"\n\n    def'))
    with pytest.raises(InputError, match="its id 'never-trap' is that of a design of the history"):
        vmxsim.check(named_design(str(mine)))


def test_the_helper_of_the_pictures_must_be_static(mine):
    mine.write_text(
        MINE.replace("    def", "    def _in_register(self, vcpu):\n        return True\n\n    def", 1)
    )
    assert "mine.py:6, Mine: _in_register answers for a vCPU: write '@staticmethod'" in refused(mine)


HUGE = "x = 1 << 100000000000\n"
GRABS = "x = [0] * 100\nwhile True:\n    x = x + x\n"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("while True:\n    pass\n", "does not come to an end: it was given 0.5 seconds to load"),
        ("import time\ntime.sleep(60)\n", "does not come to an end"),
        ("import os\nos._exit(0)\n", "ends Python while it is loaded"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "ends Python while it is loaded"),
        ("raise KeyboardInterrupt\n", "KeyboardInterrupt"),
        (HUGE, ":1: MemoryError"),
        (GRABS, ":3: MemoryError"),
        ("def f():\n    return f()\nf()\n", ":2: RecursionError"),
    ],
)
def test_a_file_can_neither_hang_nor_end_the_program(mine, monkeypatch, line, says):
    if "MemoryError" in says:
        monkeypatch.setattr(own, "MEMORY", 200 << 20)
    else:
        monkeypatch.setattr(own, "SECONDS", 0.5)
    mine.write_text(line + MINE)
    assert says in refused(mine)


ENDLESS = "while True:\n        pass\n"
DEAF = "while True:\n        try:\n            while True: pass\n        except Exception: pass\n"


@pytest.mark.parametrize("loop", [ENDLESS, DEAF])
def test_a_file_that_hangs_only_the_second_time_is_ended_by_an_alarm(mine, monkeypatch, loop):
    monkeypatch.setattr(own, "SECONDS", 0.5)
    mine.write_text(f"import os\nif os.getpid() == {os.getpid()}:\n    {loop}{MINE}")
    assert "does not come to an end: loaded a second time" in refused(mine)
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL and not signal.alarm(0)


def test_what_the_child_answers_is_never_run(mine, tmp_path, monkeypatch):
    """A pickle in place of the answer would make the program call what it names."""
    made, pipe = tmp_path / "made", os.pipe()
    monkeypatch.setattr(os, "pipe", lambda: pipe)
    mine.write_text(
        "import os, pathlib, pickle\n"
        "class Call:\n    def __reduce__(self):\n"
        f"        return pathlib.Path.touch, (pathlib.Path({str(made)!r}),)\n"
        f"if os.getpid() != {os.getpid()}:\n"
        f"    os.write({pipe[1]}, pickle.dumps(Call()))\n    os._exit(0)\n{MINE}"
    )
    assert "writes into a pipe that is not its own" in refused(mine)
    assert not made.exists()


def test_the_command_says_so_with_status_2(mine, monkeypatch, capsys):
    monkeypatch.setattr(own, "SECONDS", 0.5)
    mine.write_text("import os\nos._exit(0)\n" + MINE)
    with pytest.raises(SystemExit) as ended:
        main(["check", "--file", str(mine)])
    assert ended.value.code == 2
    assert "ends Python while it is loaded" in capsys.readouterr().err


def test_a_file_that_prints_does_so_once(mine, capfd):
    mine.write_text("print('here')\n" + MINE)
    designs_in(mine)
    assert capfd.readouterr().out.count("here") == 1


def test_a_file_that_changed_is_loaded_as_it_is_now(mine):
    before = designs_in(mine)["Mine"].functions()["vmx_get_msr"].source
    mine.write_text(MINE.replace("msr_guest_kernel_gs_base", "msr_host__kernel_gs_base"))
    assert len(MINE) == len(mine.read_text()), "as long as before, within the same second"
    assert "no field" in refused(mine)
    mine.write_text(MINE.replace("msr_guest_kernel_gs_base", "msr_host_kernel_gs_base"))
    after = designs_in(mine)["Mine"].functions()["vmx_get_msr"].source
    assert ("guest" in before[1], "host" in after[1]) == (True, True)


def test_links_devices_and_long_files_are_refused(mine, tmp_path):
    loop = tmp_path / "loop.py"
    loop.symlink_to(loop)
    assert "cannot be read: Too many levels of symbolic links" in refused(loop)
    os.mkfifo(tmp_path / "pipe.py")
    assert "expected a Python file" in refused(tmp_path / "pipe.py")
    mine.write_text(MINE + "#" * (1 << 20))
    assert "is too long for a design" in refused(mine)
    assert "cannot be read" in refused("a\0b.py")
