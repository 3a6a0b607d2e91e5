"""Nobody acknowledges: the next step is told, once; whoever was told hears how it ends."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from server.notify.sender import escalate
from tests.conftest import MakeEnv
from tests.notify.making import ROUTING_KEY, notice
from tests.notify.sending import Office, office


def messages(at: Office) -> list[tuple[str, str]]:
    """Who was told what, in order."""
    query = "SELECT t.name, n.event FROM notifications n JOIN targets t ON t.id = n.target_id ORDER BY n.id"
    return [(name, event) for name, event in at.desk.rows(query)]


def minutes_pass(at: Office, minutes: float) -> None:
    at.desk.do("UPDATE notifications SET created_at = created_at - make_interval(secs => %s)", minutes * 60)


def three_steps(at: Office) -> None:
    at.desk.target("duty", "pagerduty", "https://events.example.com", ROUTING_KEY, 1)
    at.desk.target("chat", "slack", "https://chat.example.com", "", 2)
    at.desk.target("boss", "email", "boss@example.com", "", 3)


@pytest.mark.gen_test
async def test_each_step_once_after_five_minutes(make_env: MakeEnv) -> None:
    async with office(make_env()) as at:
        three_steps(at)
        alert = at.desk.alert()
        await at.tell(notice(alert))
        await escalate(at.db)
        minutes_pass(at, 4.9)
        await escalate(at.db)
        assert messages(at) == [("duty", "trigger")]
        minutes_pass(at, 0.2)
        await asyncio.gather(*(escalate(at.db) for _ in range(4)))  # two watches that both believe to lead
        await escalate(at.db)
        assert messages(at) == [("duty", "trigger"), ("chat", "trigger")]
        ((text,),) = at.desk.rows("SELECT body->>'text' FROM notifications ORDER BY id DESC LIMIT 1")
        assert text.startswith("Not acknowledged: SEV-2 checkout: 4.1 % of requests fail")
        minutes_pass(at, 5.1)
        await escalate(at.db)
        minutes_pass(at, 60)
        await escalate(at.db)
        assert messages(at) == [("duty", "trigger"), ("chat", "trigger"), ("boss", "trigger")]
        assert at.desk.rows("SELECT kind, text FROM alert_events ORDER BY id") == [
            ("escalated", "Not acknowledged for 5 min: step 2 is told, chat."),
            ("escalated", "Not acknowledged for 5 min: step 3 is told, boss."),
        ]
        await at.tell(notice(replace(alert, acknowledged_by="mira"), "acknowledge", "Acknowledged by mira."))
        await at.tell(notice(replace(alert, severity=1), "update", now=9.0))
        await at.tell(notice(replace(alert, state="resolved"), "resolve", "Resolved."))
        assert messages(at)[3:] == [
            ("duty", "acknowledge"),
            ("chat", "acknowledge"),
            ("boss", "acknowledge"),
            ("duty", "update"),
            ("chat", "update"),
            ("duty", "resolve"),
            ("chat", "resolve"),
            ("boss", "resolve"),
        ]


@pytest.mark.parametrize(
    "change",
    [
        "acknowledged_at = now()",
        "state = 'resolving'",
        "state = 'resolved'",
        "silence_id = 1",
        "suppressed_by = 1",
        "urgency = 'ticket'",
    ],
)
@pytest.mark.gen_test
async def test_what_is_not_escalated(make_env: MakeEnv, change: str) -> None:
    async with office(make_env()) as at:
        three_steps(at)
        await at.tell(notice(at.desk.alert()))
        minutes_pass(at, 6)
        at.desk.do(f"UPDATE alerts SET {change}")
        await escalate(at.db)
        assert messages(at) == [("duty", "trigger")]


@pytest.mark.gen_test
async def test_an_acknowledgement_that_comes_at_the_same_moment_wins_or_is_told_to_both(make_env: MakeEnv) -> None:
    """It holds the alert's row: the escalation does not wait for it, and looks again later."""
    async with office(make_env()) as at:
        three_steps(at)
        await at.tell(notice(at.desk.alert()))
        minutes_pass(at, 6)
        async with at.db.act() as pressing:
            await pressing.exec_driver_sql("UPDATE alerts SET acknowledged_at = now()")
            await escalate(at.db)
        await escalate(at.db)
        assert messages(at) == [("duty", "trigger")]


@pytest.mark.gen_test
async def test_a_ticket_wakes_nobody_and_becomes_a_page(make_env: MakeEnv) -> None:
    async with office(make_env()) as at:
        three_steps(at)
        alert = at.desk.alert(urgency="ticket")
        await at.tell(notice(alert))
        minutes_pass(at, 6)
        await escalate(at.db)
        assert messages(at) == [("chat", "trigger")]
        at.desk.do("UPDATE alerts SET urgency = 'page'")
        await at.tell(notice(replace(alert, urgency="page")))
        assert messages(at) == [("chat", "trigger"), ("duty", "trigger")]
        minutes_pass(at, 6)
        await escalate(at.db)
        assert messages(at)[2:] == [("chat", "trigger")], "as a page it is told again in its step"


@pytest.mark.gen_test
async def test_an_alert_that_comes_back_begins_with_the_first_step(make_env: MakeEnv) -> None:
    async with office(make_env()) as at:
        three_steps(at)
        alert = at.desk.alert()
        await at.tell(notice(alert))
        minutes_pass(at, 6)
        await escalate(at.db)
        at.desk.do("UPDATE alerts SET fired_times = 2")
        again = replace(alert, fired_times=2)
        await escalate(at.db)
        await at.tell(notice(again))
        await escalate(at.db)
        assert messages(at) == [("duty", "trigger"), ("chat", "trigger"), ("duty", "trigger")]
        minutes_pass(at, 6)
        await escalate(at.db)
        assert messages(at)[3:] == [("chat", "trigger")]
