"""`make run` on a terminal: the block with the sign-in link is the last thing said, and says what README says."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import psycopg
import pytest

from server.kernel.settings import read_environment
from server.process.serve import LINE, first_steps
from tests.conftest import ROOT, variables
from tests.dashboard.visitor import Web, look, sign_in
from tests.running import base_environment
from tests.waiting import PATIENCE_S, wait_for


class Terminal:
    """A server whose output is a terminal, and what it has printed."""

    def __init__(self, given: dict[str, str]) -> None:
        self.text = ""
        ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "server"], cwd=ROOT, env=base_environment() | given, stdout=theirs, stderr=theirs,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        threading.Thread(target=self._read, args=(ours,), daemon=True).start()

    def _read(self, ours: int) -> None:
        try:
            while data := os.read(ours, 65536):
                self.text += data.decode(errors="replace").replace("\r\n", "\n")
        except OSError:
            pass  # the last process that had the terminal has ended


@pytest.fixture
def terminal(database_url: str, tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(variables(database_url, tmp_path, LOG_FORMAT="auto", PUBLIC_URL="http://localhost:1"))
    yield made
    made.process.send_signal(signal.SIGTERM)
    made.process.wait(PATIENCE_S)


def test_the_sign_in_link_is_the_last_thing_said_also_after_our_own_checks(
    terminal: Terminal, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        checked = "SELECT count(*) FROM check_results WHERE name = 'runtime_health'"
        wait_for(lambda: connection.execute(checked).fetchone() != (0,), "the server to have checked itself")
    wait_for(lambda: terminal.text.count(LINE) == 2, "the block")
    assert "/welcome?token=" in terminal.text
    assert "evenkeel.access" not in terminal.text
    assert terminal.text.rstrip().endswith(LINE), terminal.text


def test_the_first_outcome_is_sent_as_readme_says() -> None:
    env = read_environment({}, for_database_only=True)
    said = "\n".join(line.strip() for line in first_steps(env, None))
    readme = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"```bash\n(KEY=.*?)```", readme, re.DOTALL)
    for line in block.replace(".venv/bin/python", "PYTHON").splitlines():
        python = re.sub(r"\$\(\S+", "$(PYTHON", said)
        assert line.strip() in python


@pytest.mark.gen_test
async def test_the_page_sends_the_first_outcome_as_the_terminal_does(web: Web) -> None:
    site = await web()
    page = unescape((await look(site, "/", await sign_in(site, "viewer"))).body.decode())
    (shown,) = re.findall(r"<code>(curl .*?)</code>", page, re.DOTALL)
    said = "\n".join(first_steps(site.env, None))
    assert [line.strip() for line in shown.splitlines()] == [
        line.strip() for line in said.splitlines() if line.strip().startswith(("curl ", "-"))
    ]
