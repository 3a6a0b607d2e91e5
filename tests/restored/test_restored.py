"""What a database from a backup must not do again, and programs that find the service's database."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from server.__main__ import main
from server.kernel.errors import ConfigurationError
from server.process.database_command import where
from tests.conftest import variables
from tests.notify.making import Desk


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Any:
    def invoke(*arguments: str) -> Result:
        return CliRunner(env=variables(database_url, tmp_path)).invoke(main, [*arguments])

    return invoke


def test_what_waited_is_not_done_again(run: Any, database_url: str) -> None:
    desk = Desk(database_url)
    target = desk.target("hook", "webhook", "https://hook.example/x")
    desk.do(
        "INSERT INTO notifications (target_id, event, dedup_key, body) VALUES (%s, 'trigger', 'waits', '{}')", target
    )
    desk.do("INSERT INTO processes (kind, name, host, pid, version) VALUES ('watch', 'watch.1', 'h', 1, '0')")
    desk.do("UPDATE lease SET process_id = 1, term = 7, renewed_at = now() + interval '1 day'")
    desk.do("INSERT INTO users (email, password, role) VALUES ('a@example.com', 'x', 'admin')")
    desk.do("INSERT INTO sessions (digest, user_id, expires_at) SELECT 'x', id, now() + interval '1 day' FROM users")
    alert = desk.alert()
    desk.do(
        "INSERT INTO incidents (state, severity, title, service, source, onset, onset_method, detected_at, captured)"
        " VALUES ('open', 2, 't', 'shop', 'alert', now(), 'given', now(), '{}')"
    )
    desk.do(
        "INSERT INTO deploy_acts (incident_id, act, service, state, asked_by, asked_at)"
        " SELECT id, 'roll_back', 'shop', 'waiting', 'a@example.com', now() FROM incidents"
    )
    done = run("restored")
    assert done.exit_code == 0, done.output
    assert "1 messages that waited are not sent" in done.output
    assert desk.rows("SELECT count(*) FROM notifications WHERE gave_up_at IS NULL AND sent_at IS NULL") == [(0,)]
    assert desk.rows("SELECT state FROM deploy_acts") == [("failed",)]
    ((acknowledged_by,),) = desk.rows("SELECT acknowledged_by FROM alerts WHERE id = %s", alert.id)
    assert acknowledged_by.startswith("cli:")
    assert desk.rows("SELECT count(*) FROM sessions WHERE revoked_at IS NULL") == [(0,)]
    assert desk.rows("SELECT count(*) FROM processes WHERE stopped_at IS NULL") == [(0,)]
    assert desk.rows("SELECT term, renewed_at FROM lease") == [(1007, None)]
    desk.do("INSERT INTO processes (kind, name, host, pid, version) VALUES ('web', 'web.1', 'h', 1, '0')")
    assert desk.rows("SELECT max(id) FROM processes") == [(1002,)]
    assert desk.rows("SELECT action FROM audit ORDER BY id DESC LIMIT 1") == [("database.restored",)]
    assert desk.rows("SELECT service FROM changes WHERE summary LIKE 'restored from a backup of %%'") == [("evenkeel",)]


@pytest.mark.gen_test
async def test_a_process_that_uses_the_database_is_not_disturbed(web: Any, run: Any) -> None:
    await web()
    done = await asyncio.to_thread(run, "restored")
    assert isinstance(done.exception, ConfigurationError)
    assert "web.1 use this database. Nothing was done" in str(done.exception)


def test_a_program_finds_the_database(
    run: Any, database_url: str, capfd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the shell names a service of libpq's, whose file outranks every variable."""
    (tmp_path / "services").write_text("[elsewhere]\ndbname=postgres\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    monkeypatch.setenv("PGSERVICE", "elsewhere")
    done = run("database", "psql", "--tuples-only", "--no-align", "--command=SELECT current_database()")
    assert done.exit_code == 0, done.output
    assert f"/{capfd.readouterr().out.strip()}?" in database_url
    assert run("database", sys.executable, "-c", "raise SystemExit(7)").exit_code == 7
    assert "no-such-program: No such file" in run("database", "no-such-program").output


def test_of_an_address_what_libpq_reads() -> None:
    assert where("postgresql://u:p%40@a:1,b:2/name?sslmode=require") == {
        "PGUSER": "u", "PGPASSWORD": "p@", "PGHOST": "a,b", "PGPORT": "1,2", "PGDATABASE": "name",
        "PGSSLMODE": "require",
    }  # fmt: skip
