"""`python -m server` as a real process: the supervisor, its children and their signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from server.auth.commands import in_transaction
from server.auth.keys import create_key
from server.auth.passwords import hashed
from server.auth.people import create_person
from server.kernel.settings import read_environment
from server.process import embedded
from tests.waiting import PATIENCE_S

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent


class Running:
    """One `python -m server`, in a process group of its own."""

    def __init__(
        self, variables: dict[str, str], log: Path, before: str = "", module: str = "server", root: Path = ROOT
    ) -> None:
        """`before`: what a shell does first, such as `ulimit -n 1024`; `module`: what is run in place of the server;
        `root`: the source tree that it runs in, another release's."""
        self.variables = variables
        self.root = root
        self.log = log
        self.url = f"http://127.0.0.1:{variables['PORT']}"
        self._file = log.open("ab")
        command = [sys.executable, "-m", module]
        if before:
            command = ["sh", "-c", f'{before} && exec "$@"', "sh", *command]
        self.process = subprocess.Popen(
            command,
            cwd=self.root,
            env=base_environment() | variables,
            stdout=self._file,
            stderr=self._file,
            start_new_session=True,
        )

    def ready(self) -> bool:
        assert self.process.poll() is None, f"the server ended:\n{self.output()}"
        try:
            return self.get("/health/ready")[0] == 200
        except OSError:
            return False

    def wait_ready(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait until it can accept outcomes; fail with what it printed."""
        deadline = time.monotonic() + timeout_s
        while not self.ready():
            assert time.monotonic() < deadline, f"not ready within {timeout_s} s:\n{self.output()[-3000:]}"
            time.sleep(0.05)

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def get(self, path: str, key: str | None = None) -> tuple[int, Any]:
        return self.call("GET", path, key=key)

    def call(
        self, method: str, path: str, *, key: str | None = None, data: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """The status and the JSON (or text) of an answer."""
        sent = {"Content-Type": "application/json"} | (headers or {})
        if key:
            sent["Authorization"] = f"Bearer {key}"
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self.url + path, body, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                return response.status, parsed(response.read())
        except urllib.error.HTTPError as error:
            return error.code, parsed(error.read())

    def command(self, *arguments: str, stdin: str = "") -> str:
        """What a command of the command line prints."""
        done = subprocess.run(
            [sys.executable, "-m", "server", *arguments],
            cwd=self.root,
            env=base_environment() | self.variables,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def key(self, *scopes: str, name: str = "tests") -> str:
        """A new API key, as the command makes one without the second that it takes to start."""
        return self._act(lambda connection: create_key(connection, name, scopes, actor="test")).key

    def person(self, email: str, role: str, password: str) -> None:
        """Somebody who can sign in, as the command makes one."""
        stored = hashed(password, [email])
        self._act(lambda connection: create_person(connection, email, stored, role, actor="test"))

    def _act(self, act: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        env = read_environment(self.variables, for_database_only=True)
        url = env.session_url or embedded.cluster(env).url
        with ThreadPoolExecutor(1) as thread:  # our own has a running loop where Playwright is used
            return thread.submit(asyncio.run, in_transaction(url, act)).result()

    def children(self) -> list[int]:
        """Pids of the web and watch processes; one may end meanwhile."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found: list[int] = []
        for pid in path.read_text().split():
            with suppress(OSError):
                if "\0-m\0server" in Path(f"/proc/{pid}/cmdline").read_text():
                    found.append(int(pid))
        return found

    def stop(self, how: signal.Signals = signal.SIGTERM, wait_s: float = PATIENCE_S) -> int:
        """Send the signal to the supervisor; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(wait_s)
        self._file.close()
        return status


@contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    """The processes stand still, as under a stopped virtual machine; one may end meanwhile."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def base_environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONUNBUFFERED": "1"}


def parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
