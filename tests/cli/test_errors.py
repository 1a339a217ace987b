"""Bad input: one clear message with file, line and field; exit status 2; never a traceback."""

# ruff: noqa: E501 - a mistake and its message stand on one line

import json
import os
import subprocess
import sys

import pytest

from tests.cli.running import fails, process, vmxsim

GOOD = "design: never-trap\nsteps:\n  - run\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("design: never-trap\nsteps:\n  - run\n  - guest rdmrs\n", ":4, steps[1]: unknown action 'guest rdmrs'; did you mean 'guest rdmsr'?"),
        ("design: never-tarp\nsteps:\n  - run\n", "did you mean 'never-trap'?"),
        ("design: host\nsteps:\n  - run\n", "host-always or host-from-thread"),
        ("steps:\n  - run\n", "no design"),
        ("desing: never-trap\nsteps:\n  - run\n", ":1, desing: unknown field 'desing'"),
        ("design: never-trap\nsteps:\n  - set-msr 0x10000000000000000\n", ":3, steps[0]: 0x10000000000000000 is not a 64-bit value"),
        ("design: never-trap\nsteps:\n  - set-msr -1\n", "not a 64-bit value"),
        ("design: never-trap\nsteps:\n  - set-msr abc\n", "'abc' is not a number"),
        ("design: never-trap\nsteps:\n  - guest rdmsr\n", ":3, steps[0]: 'guest rdmsr' is not possible: the thread is in user space"),
        ("design: never-trap\nsteps:\n  - run\n  - run\n", ":4, steps[1]: 'run' is not possible: the thread is in the guest"),
        ("design: never-trap\nsteps:\n  - run\n  - guest swapgs\n", "long mode only"),
        ("design: never-trap\nsteps:\n  - run\n  - guest rsm\n", "not in SMM"),
        ("design: never-trap\nsteps:\n  - run\n  - guest smi\n  - guest smi\n", "already in SMM"),
        ("design: never-trap\nsteps:\n  - run\n  - guest smi\n  - exit\n  - set-efer long-mode on\n", "the vCPU is in SMM"),
        ("design: never-trap\nsteps:\n  - set-efer long-mode off\n", "would change nothing"),
        ("design: never-trap\nsteps:\n  - preempt cpu5\n", "there is no CPU 5; the last is cpu1"),
        ("design: never-trap\nsteps:\n  - preempt\n", "needs a cpu"),
        ("design: never-trap\nsteps:\n  - vcpu1: run\n", "write 'vcpus: 2'"),
        ("design: never-trap\nsteps:\n  - get-msr ->\n", "YAML takes ' #' for a comment"),
        ("design: never-trap\nsteps:\n  - exit -> 0\n", "returns nothing"),
        ("design: never-trap\nsteps:\n  - run: {preempt: {befor: rdmsr}}\n", "did you mean 'before'?"),
        ("design: never-trap\nsteps:\n  - run: {preempt: {before: rdmrs}}\n", "did you mean 'rdmsr'?"),
        ("design: never-trap\nsteps:\n  - run\n  - {[]: run}\n", ":4, steps[1]: a list or mapping cannot be a key"),
        ("design: never-trap\nsteps:\n  - !!bool maybe\n", ":3, steps[0]: 'maybe' is not a value"),
        ("design: never-trap\nsteps:\n  - !!int ''\n", ":3, steps[0]: '' is not a value"),
        ("design: never-trap\nsteps:\n  - !!timestamp foo\n", "steps[0]: 'foo' is not a value"),
        (f"design: never-trap\nsteps:\n  - ? vcpu{'1' * 5000}\n    : run\n", "unknown action 'vcpu1111"),
        ("design: never-trap\nsteps:\n  - run: {preempt: {before: rdmsr, before: wrmsr}}\n", "'before' is given twice"),
        ("design: never-trap\nsteps:\n" + "  - get-msr\n" * 9 + "  - {run: [}\n", ":12"),
        ("a: &a [x, x]\nsteps: *a\n", ":1, a: unknown field 'a'"),
        (f"title: &a [{'x,' * 3000}]\nsteps:\n  - &b [{'*a,' * 3000}]\n  - [{'*b,' * 3000}]\n", "too large"),
        ("design: never-trap\nsteps:\n  - run: now\n", "expected {preempt: ...}, {signal: true}, {otherwise: 1} or several of them, not 'now'"),
        ("design: never-trap\nsteps:\n  - 42\n", "expected an action"),
        ("design: never-trap\nsteps: run\n", ":2, steps: expected a list of actions"),
        ("design: never-trap\n", "expected a list of actions"),
        ("cpus: 0\n" + GOOD, ":1, cpus: expected a whole number from 1"),
        ("cpus: many\n" + GOOD, "expected a whole number from 1 to 64, not 'many'"),
        ("vcpus: 3\n" + GOOD, "1 or 2"),
        ("host: 16-bit\n" + GOOD, "64-bit or 32-bit"),
        ("long_mode: perhaps\n" + GOOD, "true or false"),
        (GOOD + "design: msr-array\n", "given twice"),
        ("- run\n", "expected a mapping with 'steps:'"),
        ("just words\n", "expected a mapping with 'steps:'"),
        ("steps: [run\n", "is not YAML"),
        ("steps: !!python/object:os.system [ls]\ndesign: never-trap\n", "steps"),
        ("", "is empty"),
        ("[" * 5000, "is not YAML"),
    ],
)  # fmt: skip
def test_every_mistake_in_a_scenario_is_told_where_it_is(tmp_path, text, says):
    file = tmp_path / "scenario.yaml"
    file.write_text(text)
    message = fails("run", file)
    assert says in message and "scenario.yaml" in message, message


def test_files_that_are_no_scenarios(tmp_path):
    assert "No such file" in fails("run", tmp_path / "missing.yaml")
    assert "is a directory" in fails("run", tmp_path)
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    assert "not UTF-8" in fails("run", tmp_path / "binary")
    (tmp_path / "nul").write_bytes(b"steps:\0")
    assert "binary" in fails("run", tmp_path / "nul")
    (tmp_path / "huge").write_bytes(b"#" * 1_000_001)
    assert "larger than" in fails("run", tmp_path / "huge")


def test_a_device_without_end_is_refused_at_once():
    assert "larger than" in fails("run", "/dev/zero")


def test_output_that_cannot_be_encoded_or_written_is_no_fault(tmp_path):
    file = tmp_path / "scenario.yaml"
    file.write_text("title: \u00e9\u4e2d\n" + GOOD, encoding="utf-8")
    done = process("run", file, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u4e2d" in done.stdout
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "vmxsim.cli", "run", str(file)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert "cannot write the output: No space left" in done.stderr
    assert "Traceback" not in done.stderr


def shell(line, **env):
    """What a shell says of a command line; $V is vmxsim."""
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        env={**usual, "V": f"{sys.executable} -m vmxsim.cli", **env}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


VIOLATED = "design: dedicated-accessors\nsteps: [run, guest long-mode on]\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("line", "status", "says"),
    [
        ("$V run bad.yaml | head -1", 1, None),
        ("$V run good.yaml | head -1", 0, None),
        ("$V run bad.yaml | true", 1, None),
        ("$V run good.yaml > /dev/full", 2, "cannot write the output: No space left"),
        ("$V run bad.yaml >&-", 2, "cannot write the output: it is closed"),
        ("$V run missing.yaml >&-", 2, "missing.yaml: cannot be read"),
        ("$V new mine.py --from never-trap >&-", 0, "wrote mine.py"),
        ("$V run bad.yaml 2>&- >&- <&-", 2, ""),
        ("$V run bad.yaml 2>&- >/dev/null", 1, ""),
        ("$V run missing.yaml 2>/dev/full", 2, ""),
    ],
)
def test_where_the_output_goes_changes_no_verdict(tmp_path, line, status, says, unbuffered):
    (tmp_path / "good.yaml").write_text("---\n".join([GOOD] * 20))
    (tmp_path / "bad.yaml").write_text("---\n".join([VIOLATED] * 20))
    done = shell(f"cd {tmp_path}; {line}", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == status, done
    if says is not None:
        assert says in done.stderr and len(done.stderr.splitlines()) == bool(says)


def test_memory_that_runs_out_in_a_command_is_one_line(monkeypatch):
    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr("vmxsim.commands.cost.cost", full)
    done = vmxsim("cost", "never-trap")
    assert (done.returncode, done.stderr) == (3, "vmxsim: out of memory: nothing can be concluded\n")


LITTLE = """
import resource, sys
from pathlib import Path
from vmxsim.cli import main
import vmxsim.commands.check
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (14 << 20),) * 2)
main(sys.argv[1:])
"""


def test_a_search_with_too_little_memory_is_incomplete_and_tells_how_far_it_came():
    command = [
        sys.executable,
        "-c",
        LITTLE,
        "check",
        "never-trap",
        "--host",
        "64-bit",
        "--vcpus",
        "2",
        "--json",
    ]
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    assert (done.returncode, done.stderr) == (3, "")
    told = json.loads(done.stdout)["never-trap"]
    assert told["verdict"] == "incomplete" and told["states"] > 100_000
    assert "the memory ran out; each thread alone was explored" in told["cut"]


def test_without_a_command_there_is_help():
    done = process()
    assert done.returncode == 0
    assert "Commands:" in done.stdout.splitlines()


def test_control_characters_in_a_title_never_reach_the_terminal(tmp_path):
    file = tmp_path / "scenario.yaml"
    file.write_text('title: "\\e[31mred\\a [bold]<b>&"\n' + GOOD)
    done = vmxsim("run", file)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout and "\a" not in done.stdout and "[bold]<b>&" in done.stdout


def test_a_mistyped_command_option_or_design_names_the_nearest():
    assert "did you mean 'run'?" in fails("rnu", "x")
    assert "--desing" in fails("run", "--desing", "x", "y")
    assert "did you mean 'vcpu-vt'?" in fails("cost", "vcpu-v2")
    assert "FILE" in fails("run")
