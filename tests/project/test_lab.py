"""``vmxsim lab``: JupyterLab on the first notebook, with this Python behind it."""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from vmxsim.commands.lab import FIRST, find_notebooks, is_free, open_lab
from vmxsim.errors import InputError


@pytest.fixture
def taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_taken_port_is_said(taken):
    assert not is_free(taken)
    with pytest.raises(InputError, match=f"--port: port {taken} is taken"):
        open_lab(no_browser=True, port=taken)


def test_without_notebooks_it_says_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "vmxsim.commands.lab.__file__", str(tmp_path / "site-packages" / "vmxsim" / "commands" / "lab.py")
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"(?s)not with the installed.*make lab"):
        find_notebooks()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / FIRST).touch()
    assert find_notebooks() == tmp_path / "notebooks"


def test_it_serves_the_first_notebook_with_this_python(tmp_path, monkeypatch):
    # a kernel of the user's with the same name, which must not be the one that runs
    other = tmp_path / ".local" / "share" / "jupyter" / "kernels" / "python3"
    other.mkdir(parents=True)
    other.joinpath("kernel.json").write_text(json.dumps({"argv": ["/bin/false"], "display_name": "other"}))
    monkeypatch.setenv("HOME", str(tmp_path))
    command = [sys.executable, "-m", "vmxsim.cli", "lab", "--no-browser"]
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        for line in server.stderr:
            if found := re.search(r"(http://127\.0\.0\.1:\d+)/lab/tree/(\S+)\?token=(\w+)", line):
                break
        base, first, token = found.groups()
        assert first == FIRST

        def ask(what, api="api"):
            with urllib.request.urlopen(f"{base}/{api}/{what}?token={token}", timeout=20) as answer:
                return json.load(answer)

        for _ in range(100):  # it says where it will be before it listens there
            if not is_free(int(base.rsplit(":", 1)[1])):
                break
            time.sleep(0.1)
        assert ask(f"contents/{FIRST}")["type"] == "notebook"
        specs = ask("kernelspecs")
        assert specs["default"] == "python3"
        assert specs["kernelspecs"]["python3"]["spec"]["display_name"] != "other"
        notification = ask("settings/@jupyterlab/apputils-extension:notification", "lab/api")
        assert notification["schema"]["properties"]["fetchNews"]["default"] == "false", (
            "no question about news"
        )
    finally:
        server.terminate()
        server.communicate(timeout=30)
