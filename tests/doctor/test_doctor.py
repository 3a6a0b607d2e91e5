"""The doctor's report: what is there, what is away, and never a secret."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from server.__main__ import main
from server.doctor.report import Section, as_markdown, by_kind, kind_of, report_of
from server.kernel import redaction
from server.kernel.redaction import place_in
from tests.conftest import free_port, variables

# In every address and setting that may hold one, in the forms that people give them.
PLANTED = {
    "SECRET_KEY": "planted-0-secret-key-abcdef",
    "DATABASE_URL": "postgresql://keel:planted-1%2Fpass@127.0.0.1:{port}/evenkeel?sslpassword=planted-2-ssl",
    "DATABASE_DIRECT_URL": "postgres://keel:planted-3-direct@127.0.0.1:{port}/evenkeel",
    "REDIS_URL": "redis://someone:planted-4-redis@127.0.0.1:{port}/0?password=planted-5-redis",
    "SMTP_URL": "smtp://mailer:planted-6-mail@mail.example:587",
    "SMTP_FROM": "keel@example.com",
    "PUBLIC_URL": "https://user:planted-7-public@keel.example/base?token=planted-8-query",
}


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets of other tests are forgotten: the report finds its own."""
    monkeypatch.setattr(redaction, "_own", ())


def run(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner(env=environment).invoke(main, ["doctor", *arguments])


@pytest.mark.gen_test
async def test_a_service_that_runs(web: Any, redis_url: str, database_url: str) -> None:
    site = await web(REDIS_URL=redis_url)
    trace = 'Traceback\n  File "x.py"\npsycopg.OperationalError: planted-9 said\nplanted-9 too\n'
    with psycopg.connect(database_url, autocommit=True) as connection:
        # For longer than a busy machine stands still.
        connection.execute("UPDATE lease SET renewed_at = now() + interval '1 hour'")
        connection.execute(
            "INSERT INTO log_lines (at, level, process, logger, request_id, message, fields) VALUES"
            " (now(), 'error', 'web.1', 'evenkeel.writer', '', 'planted-9 message', %s)",
            [json.dumps({"exception": trace, "given": "planted-9 field"})],
        )
    done = await asyncio.to_thread(run, dict(site.env.raw), "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    found = {section["title"]: section for section in report["sections"]}
    assert list(found) == [
        "Release", "Settings", "Disk", "Health", "Database", "Schema", "Limits", "Processes", "Checks", "Tables",
        "Errors", "Redis",
    ]  # fmt: skip
    assert report["status"] in ("pass", "warn")
    assert found["Health"]["facts"]["answer"] in ("pass", "warn")
    assert found["Schema"]["facts"]["the database's"] == found["Schema"]["facts"]["this release's"]
    assert found["Database"]["facts"]["statement_timeout"] == "10s"
    assert found["Redis"]["facts"]["redis_version"]
    assert [row["name"] for row in found["Processes"]["rows"]] == ["web.1"]
    assert {"outcomes", "minutes"} <= {row["table"] for row in found["Tables"]["rows"]}
    (error,) = [row for row in found["Errors"]["rows"] if row["logger"] == "evenkeel.writer"]
    assert (error["kind"], error["times"]) == ("psycopg.OperationalError", 1)
    assert "planted-9" not in done.stdout
    assert site.env.secret_key not in done.stdout


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_everything_away_is_said_without_a_secret(tmp_path: Path, how: list[str]) -> None:
    port = str(free_port())
    planted = {name: text.format(port=port) for name, text in PLANTED.items()}
    done = run(variables("", tmp_path / "none") | planted, *how)
    assert done.exit_code == 1
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert "planted" not in done.output
    for said in ("fail", f"redis://127.0.0.1:{port}/0", f"postgresql://127.0.0.1:{port}/evenkeel", "No answer"):
        assert said in done.output
    assert not (tmp_path / "none").exists(), "nothing was made"


@pytest.mark.parametrize(
    "wrong",
    [
        {"DATABASE_URL": "postgresql://keel:planted-1/pass@db.example/evenkeel"},
        {"DATABASE_URL": "postgresql://keel:planted-1?pass@db.example/evenkeel"},
        {"DATABASE_URL": "postgresql://db.example/evenkeel?password=planted-1@pass&x=y"},
        {"DATABASE_URL": "postgresql://keel:planted-1-pass", "REDIS_URL": "redis://keel:planted-2-pass/0"},
        {"DATABASE_URL": "planted-1-pass-alone", "SECRET_KEY": "planted-short"},
        {"PORT": "none", "REDIS_URL": "redis://:planted-1#pass@redis.example"},
    ],
)
def test_settings_that_are_refused_are_said_without_a_secret(wrong: dict[str, str], tmp_path: Path) -> None:
    done = run(variables("", tmp_path) | wrong)
    assert done.exit_code == 1
    assert "planted" not in done.output
    assert "- **fail** Settings: " in done.output


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("postgresql://u:p@a:1,b:2/name?target_session_attrs=any", "postgresql://a:1,b:2/name"),
        ("redis://cache:6379/1", "redis://cache:6379/1"),
        ("https://keel.example", "https://keel.example"),
        ("redis://:p/q@cache", "redis://…"),
        ("redis://:p?q@cache/1", "redis://…"),
        ("redis://cache/1?password=p@q", "redis://…"),
        ("no address", "set"),
    ],
)
def test_of_an_address_where_it_leads(address: str, place: str) -> None:
    assert place_in(address) == place


def test_an_error_is_of_the_kind_that_its_trace_ends_with() -> None:
    trace = "Traceback:\n  File\nValueError: inner\n\nDuring\n\nserver.kernel.errors.ApiError: said\nDETAIL:  more\n"
    assert kind_of(trace) == "server.kernel.errors.ApiError"
    assert kind_of("said: no trace") == ""
    assert by_kind([]) == []


def test_the_worst_is_said_first_and_a_cell_stays_one() -> None:
    whole = report_of("now", [Section("A", rows=[{"x": "a|b\nc", "y": None}]), Section("B", wrong=["broken"])])
    text = as_markdown(whole)
    assert whole.status == "fail"
    assert text.index("**fail** B: broken") < text.index("## A")
    assert "| a\\|b c | – |" in text
