"""What is kept of alerts and silences, and for how long."""

from __future__ import annotations

import pytest
from psycopg.errors import ForeignKeyViolation

from server.alerts import retention_store
from tests.conftest import MakeEnv
from tests.notify.making import notice
from tests.notify.sending import Office, office


async def an_alert(at: Office, name: str, state: str, detected_days: float, resolved_days: float | None) -> None:
    """An alert with an event and a notification."""
    alert = at.desk.alert(objective=name)
    await at.tell(notice(alert))
    at.desk.do("INSERT INTO alert_events (alert_id, kind, text, author) VALUES (%s, 'fired', 'x', '')", alert.id)
    ((incident,),) = at.desk.rows(
        "INSERT INTO incidents (state, severity, title, service, source, onset, onset_method, detected_at, captured)"
        " VALUES ('closed', 2, 'x', 'x', 'alert', now(), 'window', now(), '{}') RETURNING id"
    )
    at.desk.do("INSERT INTO incident_alerts (alert_id, outage, incident_id) VALUES (%s, 1, %s)", alert.id, incident)
    at.desk.do(
        "UPDATE alerts SET state = %s, detected_at = now() - make_interval(secs => %s),"
        " resolved_at = now() - make_interval(secs => %s) WHERE id = %s",
        state,
        detected_days * 86_400,
        None if resolved_days is None else resolved_days * 86_400,
        alert.id,
    )


def kept(at: Office) -> tuple[list[str], int, int]:
    """The alerts, and how many events and notifications there are."""
    names = [name for (name,) in at.desk.rows("SELECT objective FROM alerts ORDER BY id")]
    ((events, messages),) = at.desk.rows(
        "SELECT (SELECT count(*) FROM alert_events), (SELECT count(*) FROM notifications)"
    )
    return names, events, messages


@pytest.mark.gen_test
async def test_alerts_go_with_all_that_hangs_on_them(make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_store, "BITE", 2)
    async with office(make_env()) as at:
        at.desk.target("ops", "webhook", "https://example.com/")
        for number in range(5):
            await an_alert(at, f"old-{number}", "resolved", 402, 400.1)
        await an_alert(at, "young", "resolved", 402, 399.9)
        await an_alert(at, "endless", "firing", 900, None)
        await an_alert(at, "back", "firing", 900, 899)  # resolved once, and back
        assert kept(at)[1:] == (8, 8)
        with pytest.raises(ForeignKeyViolation):
            at.desk.do("DELETE FROM alerts WHERE objective = 'old-0'")  # what hangs on them has to go first
        await retention_store.forget_old(at.db)
        assert kept(at) == (["young", "endless", "back"], 3, 3)
        await retention_store.forget_old(at.db)
        assert kept(at) == (["young", "endless", "back"], 3, 3)


@pytest.mark.gen_test
async def test_silences_go_after_their_end(make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_store, "BITE", 1)
    async with office(make_env()) as at:
        for reason, ends, ended in (
            ("over", "-91 days", None),
            ("over too", "-91 days", "-92 days"),
            ("ended by hand", "30 days", "-91 days"),
            ("over lately", "-89 days", None),
            ("in force", "1 day", None),
        ):
            at.desk.do(
                "INSERT INTO silences (reason, author, created_at, ends_at, ended_at)"
                " VALUES (%s, 'mira', now() - interval '200 days', now() + %s::interval, now() + %s::interval)",
                reason,
                ends,
                ended,
            )
        await retention_store.forget_old(at.db)
        assert at.desk.rows("SELECT reason FROM silences ORDER BY id") == [("over lately",), ("in force",)]
