"""Backtest of a whole policy: its ledgers in PostgreSQL, the command, and the page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from server.__main__ import main
from server.slo.policy import parse
from tests.conftest import variables
from tests.dashboard.visitor import look, press, sign_in
from tests.site import Site
from tests.slo.making import availability, file, latency, service

FORM = "multipart/form-data; boundary=b"
KEPT = service("shop") + availability("works", "shop", days=1)
# The same indicator by another name, and one that nobody has counted.
ASKED = service("shop") + availability("renamed", "shop", days=1) + latency("fast", "shop")
MINUTES = """
INSERT INTO ledger_minutes (objective_id, minute, good, bad, excluded)
SELECT %(id)s, minute, CASE WHEN hot THEN 0 ELSE 3000 END, CASE WHEN hot THEN 3000 ELSE 0 END, 0
FROM (
    SELECT minute, minute >= to_timestamp(%(bad)s) AND minute < to_timestamp(%(bad)s) + interval '10 minutes'
        OR minute >= to_timestamp(%(test)s) AND minute < to_timestamp(%(test)s) + interval '10 minutes' AS hot
    FROM generate_series(to_timestamp(%(now)s) - interval '3 days', to_timestamp(%(now)s), interval '1 minute') minute
) AS made
"""
HOURS = """
INSERT INTO ledger_hours (objective_id, hour, good, bad, excluded)
SELECT objective_id, date_trunc('hour', minute), sum(good), sum(bad), 0 FROM ledger_minutes
WHERE objective_id = %(id)s GROUP BY 1, 2
"""
LEFT_OUT = """
INSERT INTO ledger_left_out (objective_id, minute, good, bad)
SELECT objective_id, minute, good, bad FROM ledger_minutes
WHERE objective_id = %(id)s
    AND minute >= to_timestamp(%(test)s) AND minute < to_timestamp(%(test)s) + interval '10 minutes'
"""


def fill(url: str) -> None:
    """Three days of an outage two days ago, and of a load test one day ago that is excluded."""
    (one,) = parse(KEPT).objectives
    now = int(time.time()) // 60 * 60
    values = {"now": now, "bad": now - 2 * 86_400, "test": now - 86_400}
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "INSERT INTO objectives (name, indicator) VALUES ('works', %s) RETURNING id", (one.indicator,)
        ).fetchone()
        assert row is not None
        for statement in (MINUTES, HOURS, LEFT_OUT):
            connection.execute(statement, values | {"id": row[0]})


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
    token = "5ec7e7" * 8
    parts = [("_xsrf", "", token.encode()), ("policy", "", b"ignored"), ("file", '; filename="slo.yaml"', content)]
    body = b"".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"{rest}\r\n\r\n'.encode() + value + b"\r\n"
        for name, rest, value in parts
    )
    headers = {"Cookie": f"evenkeel_xsrf={token}; {cookie}", "Content-Type": FORM}
    return (await site.fetch("/objectives/backtest", method="POST", headers=headers, body=body + b"--b--\r\n")).body
