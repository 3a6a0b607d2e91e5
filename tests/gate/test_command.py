"""`python -m server gate` as a real process against a real server, and the pipelines of docs/gate.md as printed."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.gate.command import fetch
from server.kernel import remote
from server.kernel.remote import NotAsked
from tests.conftest import free_port
from tests.gate.asking import ask, override, publish, rows
from tests.gate.making import objective
from tests.site import Site
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
Web = Callable[..., Awaitable[Site]]


async def run(site: Site | None, *arguments: str, **environment: str) -> tuple[int, str]:
    """The exit status and what was printed, on either output."""
    given = {"PATH": "/usr/bin:/bin"} | ({"EVENKEEL_URL": site.url} if site else {}) | environment
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "server",
        "gate",
        *(arguments or ("--service", "checkout", "--kind", "deploy")),
        cwd=ROOT,
        env=given,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode()


@pytest.mark.gen_test
async def test_allow_deny_and_unknown_are_exit_statuses(web: Web) -> None:
    site = await web()
    key = await site.key("read", "act", name="mira")
    status, printed = await run(site, "--service", "evenkeel", "--kind", "flag", EVENKEEL_API_KEY=key)
    assert (status, printed.startswith("Not known: ")) == (2, True), printed
    await publish(site, 1, objective(0.9))
    assert await run(site, EVENKEEL_API_KEY=key) == (
        0,
        "Allowed: 90 % of the budget of checkout-works is left.\n",
    )
    await publish(site, 2, objective(-0.12))
    status, printed = await run(site, EVENKEEL_API_KEY=f" {key}\n", EVENKEEL_URL=f"{site.url}/")
    assert status == 1, "a line end in a secret is no other key"
    assert "Denied: -12 % of the budget of checkout-works is left" in printed
    assert "Changes once enough failures have left the window." in printed
    p0 = ("--service", "checkout", "--kind", "deploy", "--reason", "p0")
    assert (await run(site, *p0, EVENKEEL_API_KEY=key))[0] == 0
    await override(site, key)
    assert (await run(site, EVENKEEL_API_KEY=key))[0] == 0
    end = (await ask(site, key))["changes_at"]
    assert f"Changes: {end}" not in (await run(site, *p0, EVENKEEL_API_KEY=key))[1]


@pytest.mark.gen_test
async def test_what_cannot_be_asked_exits_with_2_and_names_what_is_wrong(web: Web) -> None:
    site = await web()
    key, sender = await site.key("read"), await site.key("ingest")
    typo = ("--service", "chekcout", "--kind", "deploy")
    for arguments, environment, said in (
        ((), {}, "EVENKEEL_API_KEY is not set"),
        ((), {"EVENKEEL_API_KEY": "ek_wrong"}, "EVENKEEL_API_KEY is not a valid key"),
        ((), {"EVENKEEL_API_KEY": sender}, "lacks the scope read"),
        (
            (),
            {"EVENKEEL_API_KEY": key, "EVENKEEL_URL": "evenkeel.example.com"},
            "EVENKEEL_URL is 'evenkeel.example.com'",
        ),
        ((), {"EVENKEEL_API_KEY": key, "EVENKEEL_URL": "http://[::1"}, "EVENKEEL_URL is 'http://[::1'"),
        ((), {"EVENKEEL_API_KEY": key, "EVENKEEL_URL": f"{site.url}/kiel-wärts"}, "EVENKEEL_URL is "),
        ((), {"EVENKEEL_API_KEY": key, "EVENKEEL_URL": "http://127.0.0.1:port"}, "The gate cannot be asked"),
        ((), {"EVENKEEL_API_KEY": key, "EVENKEEL_URL": f"http://127.0.0.1:{free_port()}"}, "Check EVENKEEL_URL"),
        ((), {"EVENKEEL_API_KEY": key, "EVENKEEL_URL": f"{site.url}/sub"}, "/sub/api/v1/gate is not a page"),
        (typo, {"EVENKEEL_API_KEY": key}, "No outcome of a service named chekcout has come"),
        (("--service", "checkout", "--kind", "release"), {}, "'release' is not one of"),
    ):
        status, printed = await run(site, *arguments, **environment)
        assert (status, said in printed) == (2, True), printed


@pytest.mark.gen_test
async def test_an_answer_that_nobody_expects_is_no_deny() -> None:
    for body in (
        '{"answer":"allow","reason":"Allowed.","changes_when":"x","changes_at":1,"postmortem":[1]}',
        '{"answer":["allow"],"reason":"Allowed."}',
        '{"answer":"perhaps","reason":"It may."}',
    ):
        status, printed = await run(
            None, EVENKEEL_API_KEY="ek_x", EVENKEEL_URL=Answers(http_answer("200 OK", body)).url
        )
        assert status == 2, printed


class Answers:
    """A server that answers each connection with the next of the bytes, or never."""

    def __init__(self, *answers: bytes | None) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.seen: list[bytes] = []
        self.open: list[socket.socket] = []
        threading.Thread(target=self.serve, args=(answers,), daemon=True).start()

    def serve(self, answers: tuple[bytes | None, ...]) -> None:
        for answer in answers:
            connection, _ = self.socket.accept()
            self.open.append(connection)
            self.seen.append(connection.recv(65536))
            if answer is not None:
                connection.sendall(answer)
                connection.close()


def http_answer(status: str, body: str = "", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Answers, Any]]:
    """The answer, or what is wrong, of a server that answers so."""
    monkeypatch.setattr(remote, "PAUSE_S", 0.01)
    monkeypatch.setenv("EVENKEEL_API_KEY", "ek_secret")

    def ask_one(*answers: bytes | None) -> tuple[Answers, Any]:
        server = Answers(*answers)
        monkeypatch.setattr(remote, "TIMEOUT_S", 1.5 if None in answers else PATIENCE_S)
        monkeypatch.setenv("EVENKEEL_URL", server.url)
        try:
            return server, fetch({"service": "checkout", "kind": "deploy"})
        except NotAsked as error:
            return server, str(error)

    return ask_one


ALLOW = http_answer("200 OK", '{"answer":"allow","reason":"Allowed."}')


def test_a_moment_of_trouble_is_tried_again_once(asked: Any) -> None:
    for first in (
        http_answer("503 Busy", "{}"),
        http_answer("502 Bad Gateway", "<html>"),
        b"",
        b"nonsense\r\n\r\n",
        None,
    ):
        server, found = asked(first, ALLOW)
        assert (found["answer"] if isinstance(found, dict) else found, len(server.seen)) == ("allow", 2), first
    server, found = asked(None, None, ALLOW)
    assert (len(server.seen), "no answer within 1.5 s" in found) == (2, True), found


def test_the_key_goes_to_no_other_address(asked: Any) -> None:
    other = Answers(ALLOW)
    for status in ("301 Moved", "302 Found", "307 Temporary", "308 Permanent"):
        server, found = asked(http_answer(status, "", f"Location: {other.url}/api/v1/gate"))
        assert found == f"EVENKEEL_URL redirects to {other.url}/api/v1/gate; set it to where that leads."
        assert b"ek_secret" in server.seen[0]
    assert other.seen == []


def test_the_command_needs_nothing_but_click() -> None:
    """A pipeline has no database driver and no web server installed."""
    script = (
        "import sys, server.__main__, server.gate.command\n"
        "print({n.partition('.')[0] for n in sys.modules} - set(sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name for name in re.findall(r"'(\w+)'", done.stdout) if not name.startswith("_")} <= {"server", "click"}


def pipelines() -> dict[str, str]:
    """The shell lines of each pipeline of docs/gate.md."""
    found = {}
    for block in re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "gate.md").read_text(), re.DOTALL):
        jobs = yaml.safe_load(block)
        if "jobs" in jobs:
            lines = [step["run"] for step in jobs["jobs"]["deploy"]["steps"] if "run" in step]
            # Each step is a shell of its own, in the checkout.
            found["GitHub"] = "".join(f"( {line}\n)\n" for line in lines)
        else:
            found["GitLab"] = "\n".join(jobs["deploy"]["script"])
    return found


async def paste(site: Site, key: str, place: Path, script: str, version: str) -> int:
    """Run it as its platform does: what fails ends it."""
    stubs = (
        f'python() {{ "{sys.executable}" "$@"; }}; curl() {{ command curl -sS "$@"; }}; pip() {{ :; }}; git() {{ :; }}'
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "EVENKEEL_URL": site.url,
        "EVENKEEL_API_KEY": key,
        "CI_SERVER_URL": "https://gitlab.example.com",
        "GITHUB_SHA": version,
        "CI_COMMIT_SHA": version,
        "CI_JOB_URL": "https://gitlab.example.com/jobs/1",
        "GITHUB_SERVER_URL": "https://github.example.com",
    }
    process = await asyncio.create_subprocess_exec(
        "bash", "-eo", "pipefail", "-c", f"{stubs}\n{script}", cwd=place, env=environment
    )
    return await process.wait()


@pytest.mark.gen_test
async def test_what_lets_not_known_out_in_the_docs_lets_nothing_else_out(web: Web, tmp_path: Path) -> None:
    site = await web()
    key = await site.key("read", name="ci")
    (tmp_path / "server").symlink_to(ROOT / "server")
    (shown,) = re.findall(r"```bash\n(said=.*?)```", (ROOT / "docs" / "gate.md").read_text(), re.DOTALL)
    await publish(site, 1, objective(0.9, state="blind", budget_worst=0.1, budget_best=0.9))
    assert (await run(site, EVENKEEL_API_KEY=key))[0] == 2
    assert await paste(site, key, tmp_path, shown, "") == 0
    assert await paste(site, key, tmp_path, shown.replace("checkout", "chekcout"), "") == 1
    assert await paste(site, "ek_wrong", tmp_path, shown, "") == 1
    await publish(site, 2, objective(0.9))
    assert await paste(site, key, tmp_path, shown, "") == 0
    await publish(site, 3, objective(-0.2))
    assert await paste(site, key, tmp_path, shown, "") == 1


@pytest.mark.gen_test
async def test_the_pipelines_of_the_docs_deploy_when_the_gate_lets_them(web: Web, tmp_path: Path) -> None:
    site = await web()
    key = await site.key("read", "act", name="ci")
    (tmp_path / "evenkeel").symlink_to(ROOT)
    (tmp_path / "deploy.sh").write_text("#!/bin/sh\necho deployed >> log\n")
    (tmp_path / "deploy.sh").chmod(0o755)
    shown = pipelines()
    assert sorted(shown) == ["GitHub", "GitLab"]
    await publish(site, 1, objective(0.9))
    for name, script in shown.items():
        assert await paste(site, key, tmp_path, script, f"of-{name}") == 0
    told = await rows(site, "SELECT version, state FROM changes ORDER BY id")
    assert told == [("of-GitHub", "finished"), ("of-GitLab", "finished")]
    await publish(site, 2, objective(-0.2))
    for script in shown.values():
        assert await paste(site, key, tmp_path, script, "new") == 1
    assert (tmp_path / "log").read_text() == "deployed\n" * 2
    await publish(site, 3, objective(0.9))
    (tmp_path / "deploy.sh").write_text("#!/bin/sh\nexit 1\n")
    assert await paste(site, key, tmp_path, shown["GitLab"], "broken") == 1
    assert (await rows(site, "SELECT version, state FROM changes ORDER BY id"))[-1] == ("broken", "failed")
