"""The degrade modes on real Redis and PostgreSQL: pages, health and metrics say the same of each."""

from __future__ import annotations

import asyncio
import errno
import html
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from psycopg import errors, sql
from sqlalchemy.exc import DBAPIError

from dashboard.shared.rendering import render
from dashboard.shared.shell import shell
from server.app import start_web
from server.ingest import intake
from server.ingest.patience import PATIENCE_S
from server.ingest.spool import replay
from server.kernel import bus, shared_clock
from server.kernel.database_trouble import DatabaseTrouble, trouble_of
from server.picture.picture import Gap, Picture, ProcessPicture
from server.process import degraded as seeing
from server.process import process
from server.process.degraded import clocks, silent, unwatched
from server.selfcheck.degrade import BY_NAME, MODES, Degraded
from server.telemetry import scrape
from tests.ingest.making import body, outcome
from tests.ingest.outage import away, read_only, seen
from tests.ingest.sending import send
from tests.kernel.redis_servers import servers
from tests.site import Site, answer
from tests.waiting import until


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at each second or less often is looked at all the time."""
    for module, name in ((process, "HEARTBEAT_S"), (bus, "ASKED_S"), (bus, "RETRY_S"), (intake, "PROBE_S")):
        monkeypatch.setattr(module, name, 0.05)
    monkeypatch.setattr(scrape, "LIMIT_S", 0.3)
    monkeypatch.setattr(replay, "POLL_S", 0.05)


async def told(site: Site, name: str) -> str:
    """Wait for the mode; what the page says of it, in one line. Health and metrics have it too, and no other beside."""
    one = await until(lambda: seen(site).get(name), name)
    site.web.server.request_callback.settings.pop("readiness", None)  # type: ignore[union-attr]
    health = answer(await site.fetch("/health/ready"))["checks"][one.mode.part][0]
    metrics = (await site.fetch("/metrics")).body.decode()
    page = render("shell/notices.html", shell=shell(site.parts, shared_clock.now()), may=())
    assert (health["mode"], health["status"] != "pass") == (name, True)
    assert f'mode="{name}"}} 1.0' in metrics
    assert metrics.count("evenkeel_degraded{") == len(MODES)
    (line,) = [html.unescape(line) for line in page.splitlines() if f"mode-{name}-" in line]
    return line


@contextmanager
def paused(port: int) -> Iterator[None]:
    """A Redis that stands still most of the time: the next pause begins once the last is over."""
    over = threading.Event()

    def pause() -> None:
        with redis.Redis(port=port) as client:
            while not over.is_set():
                client.execute_command("CLIENT PAUSE 400 ALL")

    thread = threading.Thread(target=pause)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.gen_test
async def test_redis_slow_full_a_replica_and_lost(web: Any, tmp_path: Path) -> None:
    with servers(tmp_path) as made, redis.Redis(port=(port := made.start("--save", ""))) as client:
        site = await web(METRICS_PUBLIC="true", REDIS_URL=f"redis://127.0.0.1:{port}/0")
        await until(lambda: site.parts.bus.redis_ok and not site.parts.bus.redis_trouble, "Redis")
        with paused(port):
            assert "Redis slow" in await told(site, "redis_slow")
        client.config_set("maxmemory", 1)
        line = await told(site, "redis_full")
        assert "limits on rate hold per process. Nothing is lost." in line
        assert "Raise its maxmemory" in line
        assert (await site.parts.intake.throttle.admit(1, 1, 10)).per_second == 10, "which goes on"
        client.config_set("maxmemory", 0)
        client.execute_command("REPLICAOF 127.0.0.1 1")
        assert "A replica?" in await told(site, "redis_read_only")
        client.execute_command("REPLICAOF NO ONE")
        await until(lambda: not seen(site), "Redis to be well again")
        made.end(port)
        assert "Changes reach processes within 5 s" in await told(site, "redis_lost")


@pytest.mark.gen_test
async def test_a_database_lost_and_one_that_takes_no_writes(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await web(METRICS_PUBLIC="true", SPOOL="on")
    key = await site.key("ingest")
    assert (await send(site, key, body(outcome()))).code == 201
    monkeypatch.setitem(PATIENCE_S, "flush", 0.2)
    with away(database_url):
        assert "Outcomes go to this machine's disk. Nothing is lost." in await told(site, "database_lost")
        assert (await send(site, key, body(outcome()))).code == 202
        await until(lambda: "spool_waits" in seen(site), "it to be looked at")
        assert "1 outcome waits on this machine's disk." in await told(site, "database_lost")
        shown = [one.name for one in shell(site.parts, shared_clock.now()).notices]
        assert shown == ["no_picture", "database_lost"], "what waits is not told twice"
    with read_only(database_url):
        assert "Promote it" in await told(site, "database_read_only")
    await until(lambda: not seen(site), "it to be well again")


@pytest.mark.gen_test
async def test_without_a_spool_it_says_that_outcomes_cannot_be_stored(web: Any, database_url: str) -> None:
    site = await web(METRICS_PUBLIC="true", SPOOL="off")
    with away(database_url):
        assert "Senders are answered 503 and send again." in await told(site, "spool_off")
        assert "What was acknowledged is kept." in await told(site, "database_lost")


@pytest.mark.gen_test
async def test_of_two_hosts_none_takes_writes(web: Any, database_url: str) -> None:
    place = database_url.partition("host=")[2]
    site = await web(
        METRICS_PUBLIC="true", DATABASE_URL=f"{database_url},{place}&target_session_attrs=read-write", SPOOL="on"
    )
    key = await site.key("ingest")
    assert (await send(site, key, body(outcome()))).code == 201
    with read_only(database_url):
        assert "Database starts or fails over since" in await told(site, "database_failing_over")
    await until(lambda: not seen(site), "the new primary to be found")
    assert (await send(site, key, body(outcome()))).code == 201


@pytest.mark.gen_test
async def test_a_slow_database_one_out_of_connections_and_a_process_cut_off_from_the_bus(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeing, "DEAF_S", 0.0)
    with psycopg.connect(database_url, autocommit=True) as admin:
        role, name = sql.Identifier(f"r_{admin.info.dbname}"), sql.Identifier(admin.info.dbname)
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN; GRANT evenkeel TO {}").format(role, role))
        url = database_url.replace("//evenkeel@", f"//r_{admin.info.dbname}@")
        site = await web(METRICS_PUBLIC="true", DATABASE_URL=url, SPOOL="on")
        key = await site.key("ingest")
        assert (await send(site, key, body(outcome()))).code == 201
        await until(lambda: site.parts.bus.listening, "the bus")
        monkeypatch.setitem(PATIENCE_S, "flush", 0.2)
        with admin.transaction():
            admin.execute("LOCK TABLE outcomes IN ACCESS EXCLUSIVE MODE")
            assert (await send(site, key, body(outcome()))).code == 202
            assert "Database slow since" in await told(site, "database_slow")
        await until(lambda: not seen(site), "it to be quick again")
        admin.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 0").format(name))
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND application_name ~ %s"
        admin.execute(end, (admin.info.dbname, "bus$"))
        assert "web.1 is cut off from the bus" in await told(site, "bus_cut")
        admin.execute(end, (admin.info.dbname, "ingest$"))
        assert (await send(site, key, body(outcome()))).code == 202
        assert "Database out of connections since" in await told(site, "database_no_connections")
        admin.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT -1").format(name))
        await until(lambda: not seen(site), "all to be well again")
        await site.web.close()
        admin.execute(sql.SQL("DROP OWNED BY {}; DROP ROLE {}").format(role, role))


@pytest.mark.gen_test
async def test_a_start_without_a_database_says_what_it_waits_for(
    make_env: Callable[..., Any], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.kernel.lifecycle.RETRY_S", 0.05)
    env = make_env()
    with away(database_url):
        site = Site(env, await start_web(env, "web.1"))
        await until(lambda: "database_lost" in seen(site), "it to have tried")
        page = await site.fetch("/", headers={"Accept": "text/html"})
        assert (page.code, page.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
        text = page.body.decode()
        assert "<b>Database lost since " in text
        assert "what was acknowledged is kept." in text
        assert "The database is tried again each second" in text
        refused = await site.fetch("/api/v1/outcomes", method="POST", body=b"[]")
        assert (refused.code, refused.headers["Retry-After"]) == (503, "2")
        assert "Evenkeel is starting. Database lost since" in answer(refused)["detail"]
        assert answer(await site.fetch("/health/ready"))["checks"]["database"][0]["mode"] == "database_lost"
    await asyncio.wait_for(site.web.starting, None)
    await until(lambda: not seen(site), "it to be well")
    await site.close()


@pytest.mark.gen_test
async def test_a_start_on_an_old_schema_says_so(
    make_env: Callable[..., Any], empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env(DATABASE_URL=empty_database_url)
    site = Site(env, await start_web(env, "web.1"))
    await until(lambda: "database_old_schema" in seen(site), "it to have tried")
    assert "python -m alembic upgrade head" in (await site.fetch("/", headers={"Accept": "text/html"})).body.decode()
    await site.close()


NOW = 1_000_000.0


def test_a_connection_that_was_cut_once_is_no_trouble() -> None:
    trouble = DatabaseTrouble()
    found = []
    for one in ("lost", None, "lost", "lost", "slow", None, "disk_full"):
        trouble.found(one)
        found.append((trouble.now() or (None,))[0])
    assert found == [None, None, None, "lost", "slow", None, "disk_full"]


def test_a_question_that_is_not_answered_yet_tells_too() -> None:
    now = 0.0
    trouble = DatabaseTrouble(lambda: now)
    found = []
    with trouble.asking():
        for now in (1.9, 2.1, 4.9, 5.1):  # noqa: B007 - its clock reads it
            found.append((trouble.now() or (None,))[0])
    assert found == [None, "slow", "slow", "lost"]
    assert (trouble.now() or (None,))[0] == "slow", "it was answered, and late"
    with trouble.asking():
        now += 0.1
    assert trouble.now() is None


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (errors.DiskFull(), "disk_full"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (DBAPIError("UPDATE", {}, errors.TooManyConnections()), "no_connections"),
        (psycopg.OperationalError("FATAL:  sorry, too many clients already"), "no_connections"),
        (psycopg.OperationalError("FATAL:  the database system is in recovery mode"), "failing_over"),
        (errors.ReadOnlySqlTransaction(), "read_only"),
        (errors.LockNotAvailable(), "slow"),
        (TimeoutError(), "slow"),
        (ConnectionRefusedError(), "lost"),
        (errors.CheckViolation(), None),
    ],
)
def test_what_a_failure_says_of_the_database(error: Exception, found: str | None) -> None:
    assert trouble_of(error) == found


def picture(**given: Any) -> Picture:
    web = ProcessPicture(1, "web", "web.3", "m1", NOW, given.pop("silent_s", 0.4), 1, None, 0, 0.0, 0)
    web.clock_ahead_s = given.pop("ahead_s", 0.0)
    return Picture(1, NOW, 1, "m1/watch.1", [], [web], 1, None, **given)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (unwatched(None, None, follows=False), "No picture yet: the watch has not begun"),
        (unwatched(picture(), 4.2, follows=False), "Alerts have not been evaluated for 4 s"),
        (unwatched(picture(), 2.9, follows=False), None),
        (silent(picture(silent_s=12.1), 0.5), "web.3 on m1 silent for 12 s"),
        (silent(picture(silent_s=12.1), 4.0), None),
        (silent(picture(silent_s=4.9), 0.5), None),
        (silent(picture(silent_s=12.1, gap=Gap(NOW - 4, 9.0)), 0.5), None),
        (silent(picture(silent_s=12.1, gap=Gap(NOW - 6, 9.0)), 0.5), "web.3 on m1 silent for 12 s"),
        (clocks(picture(ahead_s=900.0)), "The clock of m1 is 15 min ahead of the database's"),
        (clocks(picture(ahead_s=-2.0)), "The clock of m1 is 2 s behind the database's"),
        (clocks(picture(ahead_s=0.9)), None),
    ],
)
def test_what_the_picture_says(found: Any, says: str | None) -> None:
    assert [one.says for one in found] == ([says] if says else [])


def test_what_is_told_of_a_mode_is_whole() -> None:
    """Every place in its words is filled: with a picture of one that is silent, all of them."""
    (one,) = silent(picture(silent_s=12.1), 0.5)
    assert one.do == "On m1: pkill -9 -x ek:web.3. It is started again."
    assert len(BY_NAME) == len(MODES)
    assert Degraded(BY_NAME["redis_full"]).kept.startswith("Signals arrive")
