"""A dead target is a finding, and so is having none."""

from __future__ import annotations

import pytest

from checks import notify_targets
from checks.check import ROOT, Surroundings
from server.kernel.db import Database
from server.selfcheck.findings import status_of
from tests.conftest import MakeEnv
from tests.notify.making import Desk


@pytest.mark.gen_test
async def test_how_targets_fare(database_url: str, make_env: MakeEnv) -> None:
    db, desk = Database(database_url), Desk(database_url)
    around = Surroundings(ROOT, make_env(), db)
    try:
        (none,) = await notify_targets.run(around)
        assert (none.level, none.what) == ("warn", "There is no target: nobody is told of an alert.")
        duty = desk.target("duty", "pagerduty", "https://events.example.com")
        assert [finding.level for finding in await notify_targets.run(around)] == ["warn"], "tickets go nowhere"
        ops = desk.target("ops", "webhook", "https://ops.example.com/s3cret")
        assert await notify_targets.run(around) == []
        alert = desk.alert()
        waiting = (
            "INSERT INTO notifications (alert_id, target_id, event, dedup_key, body, last_error, created_at)"
            " VALUES (%s, %s, 'trigger', %s, '{}', 'HTTP 503', now() - make_interval(secs => %s))"
        )
        desk.do(waiting, alert.id, ops, "a", 100)
        assert await notify_targets.run(around) == [], "not for so long yet"
        desk.do(waiting, alert.id, ops, "b", 130)
        (failing,) = await notify_targets.run(around)
        assert failing.level == "fail"
        assert failing.what.startswith("Nothing has arrived for 13")
        assert failing.what.endswith("2 wait: HTTP 503.")
        assert failing.where == "target ops"
        desk.do("UPDATE notifications SET sent_at = now()")
        assert await notify_targets.run(around) == []
        given_up = (
            "INSERT INTO notifications (alert_id, target_id, event, dedup_key, body, last_error, gave_up_at)"
            " VALUES (%s, %s, 'trigger', 'c', '{}', 'HTTP 404', now())"
        )
        desk.do(given_up, alert.id, duty)
        (dead,) = await notify_targets.run(around)
        assert dead.what == "The last message was given up: HTTP 404."
        desk.do("UPDATE targets SET removed_at = now() WHERE id = %s", duty)
        assert status_of(await notify_targets.run(around)) == "pass"
    finally:
        desk.close()
        await db.close()
