"""What a class costs: a real JupyterHub, its proxy, and students who open the explorer and toggle at once.

Everything runs on this machine: the hub, configurable-http-proxy, a server and a kernel for each student, and
this program in the students' place. It speaks to the servers through the proxy as JupyterLab does, without a
browser. Processor time is that of hub, proxy, servers and kernels: others at work on this machine do not
change it much, while they do change how long everything takes.

    python benchmarks/hub_of_students.py [--students 20] [--toggles 15] [--proxy PATH]

JupyterHub (``pip install jupyterhub``) and configurable-http-proxy (``npm install configurable-http-proxy``)
are no dependencies of vmxsim: without them nothing is measured, and it says so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

#: What a class's hub starts for a student, and the notebook that the student finds.
SERVER = str(Path(__file__).resolve().parents[1] / "deploy" / "student-server")
FIRST = "vmxsim-course/00-start-here.ipynb"
EXPLORE = "import vmxsim\nvmxsim.explore()"
#: What the hub is told. Its students are folders, not users of this machine.
CONFIG = """
from jupyterhub.spawner import SimpleLocalProcessSpawner

c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_port = {hub}
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.concurrent_spawn_limit = {students}
c.ConfigurableHTTPProxy.command = {proxy!r}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = SimpleLocalProcessSpawner
c.SimpleLocalProcessSpawner.home_dir_template = "{home}/{{username}}"
c.Spawner.cmd = [{server!r}]
c.Spawner.args = ["--allow-root"]
c.Spawner.default_url = "/lab/tree/{first}"
c.Spawner.start_timeout = 300
c.Spawner.http_timeout = 300
c.Spawner.env_keep = ["PATH", "PYTHONPATH", "LANG", "OPENBLAS_CORETYPE"]
c.Spawner.environment = {{"JUPYTER_PREFER_ENV_PATH": "1"}}
c.JupyterHub.services = [{{"name": "class", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [{{
    "name": "class", "services": ["class"],
    "scopes": ["read:hub", "admin:users", "admin:servers", "access:servers"],
}}]
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Hub:
    """A JupyterHub with its proxy over a temporary directory."""

    def __init__(self, home: Path, students: int, proxy: str) -> None:
        self.url, self.token = f"http://127.0.0.1:{free_port()}", secrets.token_hex(16)
        self.students = [f"student{i + 1}" for i in range(students)]
        for name in self.students:
            (home / name).mkdir()
        config = home / "jupyterhub_config.py"
        config.write_text(
            CONFIG.format(
                port=self.url.rpartition(":")[2], hub=free_port(), api=free_port(), students=students,
                home=home, proxy=[proxy], server=SERVER, first=FIRST, token=self.token,
            )
        )  # fmt: skip
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        self.log = home / "hub.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(config)],
                cwd=home, env={**os.environ, "PATH": path}, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    async def ask(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """Ask the hub or a student's server; the answer's JSON. Raises HTTPClientError."""
        request = HTTPRequest(
            self.url + path, method, {"Authorization": f"token {self.token}"},
            body=None if method == "GET" else json.dumps(body or {}), request_timeout=300,
        )  # fmt: skip
        answer = await AsyncHTTPClient().fetch(request)
        return json.loads(answer.body) if answer.body else None

    async def until(self, what: Callable[[], Awaitable[Any]], seconds: float = 300) -> Any:
        """Ask again until there is an answer that is not empty."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                if answer := await what():
                    return answer
            except OSError:
                pass  # nobody listens yet
            except HTTPClientError as error:
                if error.code == 403:
                    raise
            await asyncio.sleep(0.1)
        raise RuntimeError(f"the hub did not answer:\n{self.log.read_text(errors='replace')[-3000:]}")

    def close(self) -> None:
        """Stop the hub: it stops the proxy and the students' servers."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        self.process.kill()


class Student:
    """A student's server and kernel, and the explorer in it."""

    def __init__(self, hub: Hub, name: str) -> None:
        self.hub, self.name = hub, name
        self.session = uuid4().hex
        self.socket: WebSocketClientConnection
        self.checkbox = ""
        self.toggled = False
        self.bytes = 0

    async def spawn(self) -> None:
        """Start the server, and wait until it has the first notebook."""
        await self.hub.ask(f"/hub/api/users/{self.name}", "POST")
        await self.hub.ask(f"/hub/api/users/{self.name}/server", "POST")
        await self.hub.until(lambda: self.hub.ask(f"/user/{self.name}/api/contents/{FIRST}?content=0"))

    async def open_explorer(self) -> None:
        """Start a kernel, run the cell, and wait until the picture has come."""
        kernel = await self.hub.ask(f"/user/{self.name}/api/kernels", "POST", {"name": "python3"})
        address = (
            f"{self.hub.url.replace('http', 'ws', 1)}/user/{self.name}/api/kernels/{kernel['id']}/channels"
        )
        request = HTTPRequest(
            f"{address}?session_id={self.session}", headers={"Authorization": f"token {self.hub.token}"},
            connect_timeout=300, request_timeout=300,
        )  # fmt: skip
        self.socket = await websocket_connect(request, max_message_size=2**27)
        content = {"code": EXPLORE, "silent": False, "store_history": True, "allow_stdin": False}
        for message in await self._until_idle("execute_request", content):
            if message["msg_type"] == "error":
                raise RuntimeError("\n".join(message["content"]["traceback"]))
            state = message["content"].get("data", {}).get("state", {})
            if message["msg_type"] == "comm_open" and state.get("_model_name") == "CheckboxModel":
                self.checkbox = self.checkbox or message["content"]["comm_id"]
                self.toggled = self.toggled or state["value"]
        if not self.checkbox:
            raise RuntimeError("the explorer has no checkbox: this program knows another one")

    async def toggle(self) -> None:
        """Change the checkbox, and wait until all that follows has come."""
        self.toggled = not self.toggled
        data = {"method": "update", "state": {"value": self.toggled}, "buffer_paths": []}
        answers = await self._until_idle("comm_msg", {"comm_id": self.checkbox, "data": data})
        if not any(message["msg_type"] == "comm_msg" for message in answers):
            raise RuntimeError("a toggle changed nothing: this program knows another explorer")

    async def _until_idle(self, kind: str, content: Any) -> list[Any]:
        sent = uuid4().hex
        header = {"msg_id": sent, "msg_type": kind, "session": self.session, "username": self.name}
        message = {"header": header | {"version": "5.3", "date": ""}, "parent_header": {}, "metadata": {}}
        await self.socket.write_message(
            json.dumps(message | {"content": content, "channel": "shell", "buffers": []})
        )
        found = []
        while True:
            text = await asyncio.wait_for(self.socket.read_message(), 300)
            if text is None:
                raise RuntimeError(f"{self.name}: the kernel's connection was closed")
            self.bytes += len(text)
            if isinstance(text, bytes):  # with binary buffers: their number, their offsets, then the JSON
                first, second = (int.from_bytes(text[4 * i : 4 * i + 4], "big") for i in (1, 2))
                text = text[first:second].decode()
            answer = json.loads(text)
            if answer["parent_header"].get("msg_id") == sent:
                found.append(answer)
                if answer["msg_type"] == "status" and answer["content"]["execution_state"] == "idle":
                    return found


async def timed(what: Awaitable[Any]) -> list[float]:
    """How many seconds it took, as a list of one."""
    start = time.perf_counter()
    await what
    return [time.perf_counter() - start]


def processes(root: int) -> dict[int, float]:
    """The processes from one down, and the processor seconds that each has used, ended children with it."""
    parents, used = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            after = stat.read_text().rpartition(")")[2].split()
            parents[number := int(stat.parent.name)] = int(after[1])
            used[number] = sum(int(ticks) for ticks in after[11:15]) / os.sysconf("SC_CLK_TCK")
    found = {root}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {number: used[number] for number in found if number in used}


def memory(root: int) -> dict[str, float]:
    """MB of the processes from one down, by kind; a page that several share counts in parts (PSS)."""
    found = dict.fromkeys(("server", "kernel", "proxy", "hub"), 0.0)
    for process in processes(root):
        with suppress(OSError):
            command = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace")
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            pss = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            kinds = {"ipykernel": "kernel", "singleuser": "server", "http-proxy": "proxy"}
            found[next((kind for word, kind in kinds.items() if word in command), "hub")] += pss * 1024 / 1e6
    return found


async def measure(hub: Hub, toggles: int) -> None:
    """Do what a class does, and print what it took."""
    await hub.until(lambda: hub.ask("/hub/api/info"))
    students = [Student(hub, name) for name in hub.students]
    count = len(students)

    async def part(title: str, one: str, parts: int, whats: Iterable[Awaitable[list[float]]]) -> None:
        """Do something for all students at once; print how long each took and what the processors worked."""
        before, start = sum(processes(hub.process.pid).values()), time.perf_counter()
        each = sorted(chain.from_iterable(await asyncio.gather(*whats)))
        seconds = time.perf_counter() - start
        worked = sum(processes(hub.process.pid).values()) - before
        late = each[min(len(each) - 1, int(0.95 * len(each)))]
        print(
            f"{title}: {seconds:.1f} s. {one}: median {statistics.median(each):.2f} s, 95 % in {late:.2f} s,"
            f" {1000 * worked / parts:.0f} ms of processor time, so {parts / worked:.1f} a second fill a core"
        )

    await part(f"{count} servers at once", "a server", count, (timed(s.spawn()) for s in students))
    await part(
        f"{count} explorers at once", "a first widget", count, (timed(s.open_explorer()) for s in students)
    )
    print(f"  {sum(student.bytes for student in students) / count / 1e6:.2f} MB to each")

    async def toggling(student: Student, wait: float) -> list[float]:
        taken = []
        for _ in range(toggles):
            await asyncio.sleep(wait * 2 * random.random())
            taken += await timed(student.toggle())
        return taken

    await toggling(students[0], 0)  # the explorer keeps the layouts that it has seen
    every = count * toggles
    await part("one student toggles", "a toggle", toggles, [toggling(students[0], 0)])
    await part("all toggle, every 2 s", "a toggle", every, (toggling(s, 2) for s in students))
    await part("all toggle at once", "a toggle", every, (toggling(s, 0) for s in students))

    found = memory(hub.process.pid)
    server, kernel = found["server"] / count, found["kernel"] / count
    print(f"memory: {server + kernel:.0f} MB a student (server {server:.0f}, kernel {kernel:.0f});", end="")
    print(f" hub {found['hub']:.0f} MB, proxy {found['proxy']:.0f} MB")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--students", type=int, default=20)
    options.add_argument("--toggles", type=int, default=15, help="of each student, in each part")
    options.add_argument(
        "--proxy", default=shutil.which("configurable-http-proxy"), help="configurable-http-proxy"
    )
    chosen = options.parse_args()
    if find_spec("jupyterhub") is None or not chosen.proxy:
        print("not measured: JupyterHub or configurable-http-proxy is not installed (this file says how)")
        return
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores; load before the start {load:.1f}{' - OTHERS ARE AT WORK' * (load > 0.5)}")
    with tempfile.TemporaryDirectory() as home:
        hub = Hub(Path(home), chosen.students, str(Path(chosen.proxy).resolve()))
        try:
            asyncio.run(measure(hub, chosen.toggles))
        finally:
            hub.close()


if __name__ == "__main__":
    main()
