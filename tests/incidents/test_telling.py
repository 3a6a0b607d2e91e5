"""What targets are told of an incident: by its rules, and to real receivers from its acts and the watch's reminder."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from server.incidents.act import IncidentAct, Moment
from server.incidents.acts import Accept, PostUpdate, Reopen, Resolve
from server.incidents.proof import Proof
from server.incidents.reminding import remind
from server.incidents.room import IncidentRoom
from server.incidents.telling import overdue, tellings
from server.notify.outbox import enqueue
from server.notify.sender import Sender
from tests.alerts.making import NOW
from tests.incidents.test_rules import at as incident_at
from tests.notify.making import ROUTING_KEY, Desk, notice
from tests.notify.receiver import receiving
from tests.notify.smtp import mail_box
from tests.site import Site, answer
from tests.waiting import until

Start = Callable[..., Any]
UNPROVEN = Proof("alerts")


def told(incident: Any, act: IncidentAct) -> list[tuple[str, str]]:
    before, after = IncidentRoom(incident), IncidentRoom(incident)
    act.apply(after, Moment("mira", NOW, UNPROVEN))
    return [(one.event, one.text) for one in tellings(before, after, NOW)]


def test_what_is_told_of_an_act() -> None:
    assert told(incident_at("suspected"), Accept()) == [
        ("declared", "SEV-2 checkout failing: declared. Commander: mira.")
    ]
    investigating = incident_at("investigating", declared_at=NOW)
    assert told(investigating, PostUpdate("We are on it.")) == [("posted", "SEV-2 checkout failing: We are on it.")]
    prefilled = "SEV-2 checkout failing. Mitigating."
    assert told(investigating, PostUpdate(prefilled)) == [("posted", prefilled)]
    assert told(replace(investigating, drill=True), PostUpdate(prefilled))[0][1].startswith("DRILL SEV-2")
    assert told(investigating, Resolve("seen")) == [("resolved", "SEV-2 checkout failing: resolved, after 1 min.")]
    assert [event for event, _ in told(incident_at("resolved", declared_at=NOW), Reopen("again"))] == ["reopened"]


def test_an_overdue_update_is_one_reminder_an_interval() -> None:
    room = IncidentRoom(incident_at("mitigating", update_due_at=NOW))
    keys = [found.key if (found := overdue(room, NOW + s)) else None for s in (-1, 0, 1799, 1800, 3599)]
    assert keys[0] is None
    assert keys[1] == keys[2] != keys[3] == keys[4]
    assert overdue(IncidentRoom(incident_at("resolved", update_due_at=NOW)), NOW + 1) is None


@asynccontextmanager
async def sending(site: Site) -> AsyncIterator[None]:
    task = asyncio.create_task(Sender(site.env, site.parts.db, site.parts.bus).run(1))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.gen_test
async def test_targets_hear_of_an_incident_and_nobody_is_paged_twice(web: Start, database_url: str) -> None:
    desk = Desk(database_url)
    async with receiving() as chat, receiving() as boss, receiving() as duty, mail_box() as box:
        smtp = {"SMTP_URL": f"smtp://127.0.0.1:{box.port}", "SMTP_FROM": "evenkeel@example.com"}
        site = await web(NOTIFY_ALLOW_PRIVATE="true", PUBLIC_URL="https://e.example", **smtp)
        desk.target("chat", "webhook", chat.url)
        desk.target("boss", "slack", boss.url, "", step=2)
        desk.target("duty", "pagerduty", duty.url, ROUTING_KEY)
        desk.target("mail", "email", "mail@example.com", "")
        key = await site.key("read", "act")

        async def post(path: str, data: Any) -> Any:
            found = await site.fetch(f"/api/v1/incidents{path}", method="POST", key=key, data=data)
            assert found.code in (200, 201), found.body
            return answer(found)

        async with sending(site):
            alert = desk.alert(detected_at=float(int(time.time())) + 1)
            number = (await post("", {"title": "checkout failing", "service": "checkout"}))["incident"]["id"]
            desk.do("INSERT INTO incident_alerts (alert_id, outage, incident_id) VALUES (%s, 1, %s)", alert.id, number)
            async with site.parts.db.act() as connection:
                await enqueue(connection, [notice(alert)])
            await post(f"/{number}/acts", {"act": "update", "text": "We are on it.\nNext in 30 min."})
            desk.do("UPDATE incidents SET update_due_at = now() - interval '1 s'")
            for _ in range(3):
                await remind(site.parts.db, site.parts.bus)
            await post(f"/{number}/acts", {"act": "resolve", "reason": "seen by hand"})
            left = "SELECT count(*) FROM notifications WHERE sent_at IS NULL"
            await until(lambda: desk.rows(left) == [(0,)], "all to be sent")

        of_it = [came.json for came in chat.came if came.json["incident"]]
        assert [one["event"] for one in of_it] == ["declared", "posted", "overdue", "resolved"]
        assert of_it[1]["text"] == "SEV-2 checkout failing: We are on it.\nNext in 30 min."
        assert of_it[1]["link"] == f"https://e.example/incidents/{number}"
        assert (of_it[1]["alert"], of_it[1]["incident"]["commander"]) == (None, "key:test")
        assert boss.came == [], "a step that nobody has told yet"
        assert [came.json["dedup_key"][:9] for came in duty.came] == ["evenkeel-"], "of the alert alone"
        first, *rest = sorted(box.came, key=lambda mail: "alert" in mail["Subject"])  # that one's place nothing says
        assert first["Subject"] == f"SEV-2: checkout failing, incident {number}"
        beneath = [mail for mail in rest if mail["In-Reply-To"] == first["Message-ID"]]
        assert [mail["Subject"] for mail in beneath] == [first["Subject"]] * 3
        lines = answer(await site.fetch(f"/api/v1/incidents/{number}/timeline", key=key))["lines"]
        assert [one["text"] for one in lines if one["kind"] == "reminder"] == [
            "The update is overdue: 2 targets reminded."
        ]
    desk.close()


@pytest.mark.gen_test
async def test_what_is_told_stands_beneath_the_mail_of_its_alert(web: Start, database_url: str) -> None:
    desk = Desk(database_url)
    async with mail_box() as box:
        smtp = {"SMTP_URL": f"smtp://127.0.0.1:{box.port}", "SMTP_FROM": "evenkeel@example.com"}
        site = await web(**smtp)
        desk.target("mail", "email", "mail@example.com", "", step=2)
        key = await site.key("read", "act")
        alert = desk.alert()
        async with site.parts.db.act() as connection:
            await enqueue(connection, [notice(alert)])
        data = {"title": "checkout failing", "service": "checkout"}
        number = answer(await site.fetch("/api/v1/incidents", method="POST", key=key, data=data))["incident"]["id"]
        desk.do("DELETE FROM notifications WHERE incident_id = %s", number)
        desk.do("UPDATE incidents SET detected_at = now() - interval '1 min'")
        desk.do("INSERT INTO incident_alerts (alert_id, outage, incident_id) VALUES (%s, 1, %s)", alert.id, number)
        said = {"act": "update", "text": "We are on it."}
        await site.fetch(f"/api/v1/incidents/{number}/acts", method="POST", key=key, data=said)
        async with sending(site):
            await until(lambda: len(box.came) == 2, "both mails")
        page, update = sorted(box.came, key=lambda mail: mail["In-Reply-To"] or "")
        assert update["In-Reply-To"] == page["Message-ID"]
        assert update["Subject"] == page["Subject"] == f"SEV-2: checkout, alert {alert.id}"
    desk.close()
