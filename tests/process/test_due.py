"""What is due: one statement a second asks it for all jobs that can say, and only those are run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import psycopg
import pytest

from server.jobs import jobs
from server.kernel.bus import Bus
from server.process import watch as watch_module
from server.process.glance import Glance
from server.process.process import Process
from server.process.watch import Job, Watch
from server.slo.policy.policies import Policies
from tests.conftest import MakeEnv
from tests.live.writing import database
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.gen_test

REVISION = "INSERT INTO revisions (number, values, kind, author, reason) VALUES ({}, '[{}]', 'change', 'x', 'y')"
VALUE = '{{"setting": "s", "scope": "all", "value": 1, "until": {}}}'
# One after the other: what comes, and the jobs that then have something to do for the first time.
COMES = (
    ("UPDATE objectives SET counted = NOT counted WHERE id = 1", {"recount"}),
    (
        "INSERT INTO writers (id, process_id) VALUES (7, 1); INSERT INTO deltas (writer_id, seq, series_id, second, n,"
        " bad, duration_us, fast, sketch) VALUES (7, 1, 1, now(), 1, 0, 1, '{}', '{}')",
        {"fold"},
    ),
    (REVISION.format(2, VALUE.format("null")), set()),
    (REVISION.format(3, VALUE.format("extract_later")).replace("extract_later", "32503680000"), set()),
    (REVISION.format(4, VALUE.format("1.5")), {"expiry"}),
    (
        "INSERT INTO rollouts (revision, newest, base, state, state_by, state_at, share, bake_s, chosen, known)"
        " VALUES (4, 4, 3, 'paused', '', now(), 0.5, 60, '{}', '{}')",
        {"bake"},
    ),
    (
        "INSERT INTO incidents (state, severity, title, service, source, onset, onset_method, detected_at, captured)"
        " VALUES ('suspected', 2, 't', 'shop', 'alert', now(), 'given', now(), '{}')",
        {"kept pictures", "scope", "reminders"},
    ),
    (
        "INSERT INTO alerts (objective, service, state, urgency, tier, severity, onset, onset_method, detected_at,"
        " evidence) VALUES ('o', 'shop', 'firing', 'page', 'fast', 2, now(), 'run', now(), '{}')",
        {"escalation"},
    ),
    (
        "INSERT INTO targets (name, kind, address, created_by) VALUES ('ops', 'webhook', 'a', 'x');"
        " INSERT INTO notifications (target_id, event, dedup_key, body) SELECT id, 'trigger', 'k', '{}' FROM targets",
        {"notify due"},
    ),
    (
        "INSERT INTO maintenance_windows (services, start, stop, reason, author, expected)"
        " VALUES ('{shop}', now() - interval '1 s', now() + interval '1 h', 'r', 'x', 'e')",
        {"maintenance"},
    ),
    (
        "INSERT INTO processes (kind, name, host, pid, version, started_at) VALUES"
        " ('web', 'a', 'h', 1, '0', now() - interval '3 min'), ('web', 'a', 'h', 2, '0', now() - interval '1 min')",
        {"restarts"},
    ),
    (
        "INSERT INTO deploy_acts (incident_id, service, act, state, asked_by, asked_at)"
        " SELECT id, 'shop', 'pause', 'waiting', 'x', now() FROM incidents",
        {"deploy acts"},
    ),
    (
        "INSERT INTO alertmanagers (address, host, created_by) VALUES ('a', 'h', 'x');"
        " INSERT INTO silences (service, reason, author, ends_at) VALUES ('shop', 'r', 'x', now() + interval '1 h')",
        {"silence copies"},
    ),
    (
        "INSERT INTO flag_sources (name, service, address, host, header, created_by)"
        " VALUES ('f', 'shop', 'a', 'h', '', 'x')",
        {"flags"},
    ),
)


async def test_each_job_is_due_when_there_is_something_for_it(database_url: str, make_env: MakeEnv) -> None:
    """Until it has looked at the series for as long as a transaction can last, `deploys` always is."""
    env = make_env()
    async with database(database_url) as db:
        bus, process = Bus(db, None), Process(db, "watch", "watch.1")
        policies = Policies(env, db, bus, process)
        await policies.start()
        glance = Glance(db, "watch")
        asked = [job for job in jobs(env, db, bus, process, policies, glance) if job.due]

        async def due() -> set[str]:
            given = {name: value for job in asked for name, value in job.given().items()}
            found = await glance.look({job.name: job.due for job in asked}, given, PATIENCE_S)
            return {name for name, value in found.items() if value}

        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("UPDATE objectives SET counted = true")
            before = await due()
            assert before == {"deploys"}
            for comes, names in COMES:
                connection.execute(comes.encode())
                assert await due() - before == names
                before |= names
        assert before == {job.name for job in asked}
        await glance.close()
        await policies.close()
        await bus.close()


async def test_only_what_is_due_is_run_and_all_where_nobody_can_tell(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "LOOK_S", 0.02)
    monkeypatch.setattr(watch_module, "STATEMENT_S", 0.2)
    ran: list[str] = []

    def noting(name: str) -> Callable[[int], Awaitable[None]]:
        async def run(term: int) -> None:
            ran.append(name)

        return run

    some = Job("some", 0.01, noting("some"), 1, due="EXISTS (SELECT FROM changes)")
    never = Job("never", 0.01, noting("never"), 1, due=":no", given=lambda: {"no": False})
    async with database(database_url) as db:
        process = Process(db, "watch", "only")
        await process.register()
        watch = Watch(db, process, [some, never])
        await watch.start()
        await until(lambda: len(ran) == 2, "the first runs, which ask nothing")
        with psycopg.connect(database_url) as connection:
            connection.execute("INSERT INTO changes (kind, service, summary, author) VALUES ('flag', '', '', '')")
            connection.commit()
            await until(lambda: ran.count("some") >= 3, "what is due to be run")
            assert ran.count("never") == 1
            connection.execute("LOCK TABLE changes IN ACCESS EXCLUSIVE MODE")
            await until(lambda: ran.count("never") >= 2, "all to be run while a table is locked")
        await watch.close()
