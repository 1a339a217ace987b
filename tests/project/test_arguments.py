"""Whatever a public function is called with, it says what was wrong with it, or works: no traceback."""

from __future__ import annotations

import signal
from inspect import isclass, signature

import pytest

import vmxsim
from vmxsim.errors import InputError

#: What each function is called with besides the argument in question. A search is kept small.
SMALL = {"assume": ["one-value", "no-smm", "no-swapgs", "no-preemption", "no-exit"]}
WITH = {
    "check": {"design": "never-trap", "hosts": "64-bit", **SMALL},
    "why": {"design": "never-trap", **SMALL},
    "state_space": {"design": "never-trap", **SMALL},
    "run": {"scenario": ["run"]},
    "compare": {"a": "never-trap", "b": "host-from-thread", "scenario": ["run", "guest rdmsr"]},
    "present": {"a": "never-trap", "scenario": ["run", "guest rdmsr"]},
    "export": {"trace": "never-trap", "to": "markdown"},
    "predict": {"kind": "value"},
    "slides": {"notebook": "01"},
    "who_holds": {},
    "answers": {},
}
ODD = (
    None, 3.5, float("nan"), -1, 10**30, True, "", "\0", "x" * 3000, "ü\n", b"x", [], ["x"], [[]], {"a": 1},
    (1, 2), range(3), object(), int,
)  # fmt: skip
FUNCTIONS = [
    name
    for name in sorted(vmxsim.__all__)
    if callable(getattr(vmxsim, name)) and not isclass(getattr(vmxsim, name))
]
#: What an argument may be without being wrong, and takes long or writes a file.
FINE = {("check", "hosts"), ("why", "hosts"), ("export", "path"), ("answers", "reset")}


def refused_or_works(name, arguments):
    def ring(*_):
        pytest.fail(f"{name}() takes more than 20 seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(20)
    said = ""
    try:
        getattr(vmxsim, name)(**arguments)
    except InputError as error:
        said = str(error)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert len(said.splitlines()) <= 1


def arguments_of(name):
    parameters = signature(getattr(vmxsim, name)).parameters.values()
    return [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_odd_argument_is_refused_in_a_sentence_or_works(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {k: v for k, v in WITH.get(name, {}).items() if k in signature(getattr(vmxsim, name)).parameters}
    run = vmxsim.run(["run", "guest rdmsr"], "never-trap")
    missing = {"trace": run, "design": "never-trap", "function": "vmx_get_msr"}
    for parameter in arguments_of(name):
        if parameter.default is parameter.empty and parameter.name not in given:
            given[parameter.name] = missing.get(parameter.name, "never-trap")
    for parameter in arguments_of(name):
        for odd in ODD:
            if name == "why" and parameter.name not in ("limits", "progress", "design"):
                continue  # a search of every line, where it is fine
            if (name, parameter.name) in FINE and isinstance(odd, (str, type(None), bool)):
                continue
            refused_or_works(name, {**given, parameter.name: odd})
    assert not list(tmp_path.iterdir()), "and nothing is written"
