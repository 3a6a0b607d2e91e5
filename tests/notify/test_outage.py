"""A target that is down for ten minutes and a killed watch: each notification arrives, none twice under two keys.

On a real `python -m server`. The short test moves the clocks of the outbox (when it is
tried again, how old it is, when a claim ends) instead of waiting for them; the soak
waits, and moves nothing."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from server.alerts.alert import Alert
from server.alerts.notice import Notice, NoticeEvent
from server.kernel.db import Database
from server.notify.outbox import enqueue
from tests.notify.hook import Hook
from tests.notify.making import Desk, notice
from tests.waiting import wait_for

Start = Callable[..., Any]


SERVICES = tuple(f"s{number}" for number in range(8))


ALERTS = 16  # of the soak


TEN_MINUTES_S = 600.0


def tell(url: str, notices: Sequence[Notice]) -> None:
    """As the board and an acknowledgement do, in a transaction of their own."""

    async def in_a_transaction() -> None:
        db = Database(url, "test")
        async with db.act() as connection:
            await enqueue(connection, notices)
        await db.close()

    asyncio.run(in_a_transaction())


def told(alerts: Sequence[Alert], event: NoticeEvent) -> list[Notice]:
    return [notice(alert, event, f"{event} of {alert.service}.") for alert in alerts]


def alerts_in(desk: Desk) -> list[Alert]:
    """Alerts that are kept as resolved, so that the board of the running watch has nothing to say of them."""
    kept = [desk.alert(objective=f"o{number}", service=f"s{number}", state="resolved") for number in range(ALERTS)]
    return [replace(alert, state="firing") for alert in kept]


def left(desk: Desk) -> int:
    return int(desk.rows("SELECT count(*) FROM notifications WHERE sent_at IS NULL")[0][0])


def all_tried(desk: Desk, times: int, many: int) -> bool:
    """Whether so many were tried so often, and what came of it is marked."""
    tried = "SELECT count(*) FROM notifications WHERE attempts >= %s AND claimed_until IS NULL"
    return bool(desk.rows(tried, times)[0][0] == many)


def watch_pids(desk: Desk) -> list[int]:
    """The newest one, where there is one."""
    query = "SELECT pid FROM processes WHERE kind = 'watch' AND stopped_at IS NULL ORDER BY heartbeat_at DESC LIMIT 1"
    return [int(pid) for (pid,) in desk.rows(query)]


def kill_watch(desk: Desk) -> set[str]:
    """kill -9; the keys of what was marked as sent by then."""
    for pid in watch_pids(desk):
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.3)  # what it had sent to the database arrives there
    return {key for (key,) in desk.rows("SELECT dedup_key FROM notifications WHERE sent_at IS NOT NULL")}


def minutes_pass(desk: Desk, minutes: float) -> None:
    """The clocks of the outbox: what waits is due, and older."""
    desk.do(
        "UPDATE notifications SET next_at = now(), created_at = created_at - make_interval(secs => %s)"
        " WHERE sent_at IS NULL",
        minutes * 60,
    )
    desk.rows("SELECT pg_notify('evenkeel', 'notify 0')")


def in_order(keys: Sequence[str]) -> bool:
    """Whether of each alert the trigger came before the resolve."""
    first = {key: keys.index(key) for key in set(keys)}
    return all(
        first[key] > first[key.replace("/resolve/1/", "/trigger/1/page/")] for key in first if "/resolve/" in key
    )


@contextmanager
def failing(server: Any, key: str) -> Iterator[None]:
    """Every request of SERVICES fails, until the block ends: their alerts fire, and go on firing."""
    over = threading.Event()
    usual = {"route": "/pay", "method": "POST", "status": 502, "duration_ms": 9, "version": "v2"}

    def send() -> None:
        while not over.wait(0.5):
            failed = [usual | {"service": service} for service in SERVICES for _ in range(30)]
            server.call("POST", "/api/v1/outcomes", key=key, data=failed)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        yield
    finally:
        over.set()
        sending.join()


def triggers(desk: Desk) -> int:
    return int(desk.rows("SELECT count(*) FROM notifications WHERE event = 'trigger'")[0][0])


def messages(desk: Desk, event: str) -> dict[tuple[str, str], int]:
    """How many messages of this event there are, by service and target."""
    query = (
        "SELECT a.service, t.name, count(*) FROM notifications n JOIN alerts a ON a.id = n.alert_id"
        " JOIN targets t ON t.id = n.target_id WHERE n.event = %s GROUP BY a.service, t.name"
    )
    return {(service, target): count for service, target, count in desk.rows(query, event)}


def firsts(hook: Hook) -> set[str]:
    """What each target heard first of each alert."""
    heard: dict[tuple[int, str], str] = {}
    for body, key in zip(hook.bodies, hook.keys, strict=True):
        heard.setdefault((body["alert"]["id"], key.rpartition("/")[2]), body["event"])
    return set(heard.values())


def down_for_ten_minutes(desk: Desk) -> None:
    """Tried in vain each minute; nobody acknowledges, so after five of them the next step is told too, in vain."""
    wait_for(lambda: triggers(desk) == len(SERVICES), "all to fire")
    for minute in range(1, 11):
        wait_for(functools.partial(all_tried, desk, minute, len(SERVICES)), f"try {minute} of all")
        minutes_pass(desk, 1)
    wait_for(lambda: triggers(desk) == 2 * len(SERVICES), "the next step to be told")
    old = "SELECT count(*) FROM notifications WHERE created_at < now() - interval '10 min'"
    assert desk.rows(old) == [(len(SERVICES),)]


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_ten_minutes_down_and_a_killed_watch(running: Start, database_url: str) -> None:
    """Real alerts, that the board found and keeps firing, through both watches; told, escalated, acknowledged."""
    server = running(NOTIFY_ALLOW_PRIVATE="true")
    desk, hook = Desk(database_url), Hook()
    for step in (1, 2):
        desk.target(f"step {step}", "webhook", f"http://127.0.0.1:{hook.port}/{step}", step=step)
    key = server.key("ingest", "read", "act")
    key = key.split()[0]
    with failing(server, key):
        down_for_ten_minutes(desk)
        for (alert_id,) in desk.rows("SELECT id FROM alerts"):
            for _ in range(2):  # pressed again, as by who saw no answer
                assert server.call("POST", f"/api/v1/alerts/{alert_id}/acknowledge", key=key)[0] == 200
        hook.stalls_after = len(SERVICES)
        with hook.up():
            minutes_pass(desk, 0)
            wait_for(lambda: len(hook.keys) > len(SERVICES), "some to arrive")
            marked = kill_watch(desk)
            hook.goes_on.set()
            before = list(hook.keys)
            ((killed_at,),) = desk.rows("SELECT now()")
            assert left(desk) > 0, "it was killed midway"
            desk.do("UPDATE notifications SET claimed_until = now() + interval '1 s' WHERE claimed_until > now()")
            wait_for(lambda: left(desk) == 0, "all to arrive")
            seen = "SELECT count(*) FROM alerts WHERE state = 'firing' AND updated_at > %s"
            wait_for(lambda: desk.rows(seen, killed_at) == [(len(SERVICES),)], "the next watch to look at them")
    expected = {(service, target): 1 for service in SERVICES for target in ("step 1", "step 2")}
    for event in ("trigger", "acknowledge"):
        assert messages(desk, event) == expected, "one a target, alert and event, of two watches"
    assert set(hook.keys) == {key for (key,) in desk.rows("SELECT dedup_key FROM notifications")}, "each arrives"
    assert not set(hook.keys[len(before) :]) & marked, "what was marked is never sent again"
    again = {key for key in hook.keys if hook.keys.count(key) > 1}
    assert again <= set(before) - marked, "a second copy only of what was under way when the watch died"
    assert firsts(hook) == {"trigger"}
    desk.close()


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_ten_real_minutes(running: Start, database_url: str) -> None:
    """The same with nothing moved: down for ten minutes by the clock, the watch killed in the third and at the end."""
    running(NOTIFY_ALLOW_PRIVATE="true")
    desk, hook = Desk(database_url), Hook()
    desk.target("ops", "webhook", f"http://127.0.0.1:{hook.port}/hook")
    alerts = alerts_in(desk)
    begun = time.monotonic()
    tell(database_url, told(alerts, "trigger"))
    time.sleep(180)
    kill_watch(desk)
    time.sleep(max(0.0, begun + TEN_MINUTES_S - time.monotonic()))
    tell(database_url, told(alerts, "resolve"))
    hook.takes_s = 0.1
    with hook.up():
        wait_for(lambda: len(hook.keys) >= ALERTS // 2, "some to arrive", 90)
        marked = kill_watch(desk)
        before = list(hook.keys)
        wait_for(lambda: left(desk) == 0, "all to arrive", 180)
    expected = {key for (key,) in desk.rows("SELECT dedup_key FROM notifications")}
    assert len(expected) == 2 * ALERTS
    assert set(hook.keys) == expected
    assert not set(hook.keys[len(before) :]) & marked
    assert in_order(hook.keys)
    desk.close()
