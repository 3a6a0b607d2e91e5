"""Backtest of a whole policy: its ledgers in PostgreSQL, the command, and the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from server.__main__ import main
from tests.alerts.past import ASKED, fill
from tests.conftest import variables
from tests.dashboard.visitor import look, press, sign_in, token_of
from tests.site import Site
from tests.slo.making import file

FORM = "multipart/form-data; boundary=b"


def test_the_command_shows_what_would_have_been(database_url: str, tmp_path: Path) -> None:
    fill(database_url)
    env = variables(database_url, tmp_path)
    done = CliRunner().invoke(main, ["slo", "backtest", file(tmp_path, ASKED)], env=env)
    assert done.exit_code == 0, done.output
    head, row = done.stdout.splitlines()
    assert head.split()[0] == "ONSET"
    assert " renamed " in row
    assert " SEV-1 " in row
    assert " 30,000 of " in row
    assert "1 alert of 1 objective in 28 days: 1 page, 0 tickets, 0 only shown." in done.stderr
    assert "Nothing has counted what these count: fast." in done.stderr
    assert CliRunner().invoke(main, ["slo", "backtest", str(tmp_path / "none")], env=env).exit_code == 2


@pytest.mark.gen_test
async def test_the_page_runs_a_text_or_a_file_and_stores_nothing(web: Any, database_url: str) -> None:
    fill(database_url)
    site: Site = await web()
    viewer, responder = await sign_in(site, "viewer"), await sign_in(site, "responder")
    assert "<form class=" in (form := (await look(site, "/objectives/backtest", responder)).body.decode())
    assert "needs the role responder" not in form
    assert "needs the role responder" in (await look(site, "/objectives/backtest", viewer)).body.decode()
    assert (await press(site, "/objectives/backtest", viewer, policy=ASKED)).code == 403

    ran = await press(site, "/objectives/backtest", responder, policy=ASKED)
    page = ran.body.decode()
    assert ran.code == 200
    assert "1 alert of 1 objective in 28 days" in page
    assert "30,000 of " in page
    assert "Nothing has counted what these count: fast." in page

    uploaded = await upload(site, responder, ASKED.encode())
    assert "1 alert of 1 objective" in uploaded.decode()
    assert "not YAML" in (await upload(site, responder, b"\xff\x00")).decode()

    wrong = await press(site, "/objectives/backtest", responder, policy=ASKED.replace("0.999", "<b>"))
    assert wrong.code == 422
    assert "spec.objectives[0].target" in (told := wrong.body.decode())
    assert "<b>" not in told.partition("<form")[2].partition("</form>")[0]
    assert (await press(site, "/objectives/backtest", responder, policy="x" * 300_000)).code == 413
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM policy_revisions").fetchone() == (1,)


async def upload(site: Site, cookie: str, content: bytes) -> bytes:
    """The page after a file was sent from its form."""
    parts = [
        ("_xsrf", "", token_of(site, cookie).encode()),
        ("policy", "", b"ignored"),
        ("file", '; filename="slo.yaml"', content),
    ]
    body = b"".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"{rest}\r\n\r\n'.encode() + value + b"\r\n"
        for name, rest, value in parts
    )
    headers = {"Cookie": f"{cookie}", "Content-Type": FORM}
    return (await site.fetch("/objectives/backtest", method="POST", headers=headers, body=body + b"--b--\r\n")).body
