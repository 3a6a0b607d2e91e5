"""Killed between an act and its receipt: what reaches outside its incident is done once or not at all, on a real
process with kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg

from server.alerts import store as alerts_store
from server.incidents.keeper import Keeper
from server.kernel.bus import Bus
from server.picture.picture import Picture
from tests.alerts.making import board, burning
from tests.running import Running
from tests.slo.making import availability, file, service
from tests.waiting import PATIENCE_S, wait_for

POLICY = "".join(service(name) + availability(f"{name}-availability", name) for name in ("checkout", "payments"))
ROLL_BACK = {"act": "roll_back_deploy", "service": "cart", "version": "v1", "rolls_back": "v2", "armed": True}
# By incident: two that alerts have made, and three declared by hand.
ACTS: tuple[tuple[int, dict[str, Any]], ...] = (
    (1, {"act": "acknowledge"}),
    (2, {"act": "silence", "reason": "we work on it"}),
    (3, {"act": "roll_back_config", "from": 2, "to": 1}),
    (4, ROLL_BACK),
    (5, {"act": "lower_batch_items", "value": 100}),
)


async def born(url: str) -> None:
    """An incident of checkout and one of payments, as the watch would make them."""
    async with board(url, ("checkout", "payments")) as (second, policies):
        db = second.board.db
        keeper, now = Keeper(db, Bus(db, None), policies), time.time() - 20
        for at, said in ((now, [burning()]), (now + 1, [burning(), burning("payments")])):
            await second.at(at, *said)
            async with db.ask() as connection:
                alerts = await alerts_store.listed(connection, "all")
            await keeper.keep(Picture(1, at, 1, "watch", [], [], 1, None, alerts=alerts))
        async with db.act() as connection:  # open for 15 minutes yet, however long the server takes to start again
            await connection.exec_driver_sql("UPDATE alerts SET flapping = true")


class Killed:
    """A server of which every process is killed, and starts again."""

    def __init__(self, server: Running, url: str) -> None:
        self.server, self.url = server, url
        self.key = server.key("read", "act", "admin")
        self.database = psycopg.connect(url, autocommit=True)

    def one(self, query: str) -> Any:
        return self.database.execute(query).fetchone()

    def post(self, path: str, data: Any, key: str = "") -> Any:
        return self.server.call("POST", path, key=self.key, data=data, headers={"Idempotency-Key": key} if key else {})

    def press(self, act: tuple[int, dict[str, Any]]) -> Any:
        """The same press each time; OSError where the server dies under it."""
        number, asked = act
        path, key = f"/api/v1/incidents/{number}/acts", f"press-{asked['act']}"
        status, body = self.post(path, asked, key)
        while status == 503:  # it has waited for a lock as long as an act may: the machine is busy
            status, body = self.post(path, asked, key)
        assert status == 200, body
        return body

    def kill(self) -> None:
        dead = self.server.children()
        for pid in dead:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not set(dead) & set(self.server.children()), "the dead to be taken away")

    def kill_within(self, *acts: tuple[int, dict[str, Any]]) -> None:
        """Kill it when these acts have done what they do outside and write their lines, or wait for one that does."""
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE '%web%'"
        )
        with ThreadPoolExecutor(len(acts)) as threads:
            with psycopg.connect(self.url) as holding:
                holding.execute("LOCK TABLE incident_entries IN EXCLUSIVE MODE")
                pressed = [threads.submit(self.press, act) for act in acts]
                wait_for(lambda: self.one(waiting) == (len(acts),), "the acts to wait for their lines")
                self.kill()
            assert all(isinstance(each.exception(), OSError) for each in pressed)
        self.server.wait_ready()

    def state(self) -> tuple[Any, ...]:
        """Acknowledged alerts, silences, revisions, deploys asked for, lines of acts, and audited acts."""
        return tuple(
            self.one(f"SELECT count(*) FROM {what}")[0]
            for what in (
                "alerts WHERE acknowledged_at IS NOT NULL",
                "silences",
                "revisions",
                "deploy_acts",
                "incident_entries WHERE key IS NOT NULL",
                "audit WHERE action LIKE 'incident.%' AND action <> 'incident.declare'",
            )
        )


@contextmanager
def deployer(answer: Callable[[], None]) -> Iterator[tuple[str, list[str]]]:
    """What deploys, and the ids under which it was told; before it answers, it calls."""
    told: list[str] = []

    class Told(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Webhook-Id"].startswith("deploy-act-"):  # no probe of a check
                told.append(self.headers["Webhook-Id"])
                answer()
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Not in the output of tests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Told)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", told
    server.shutdown()
    server.server_close()


def test_killed_between_an_act_and_its_receipt_it_is_neither_lost_nor_done_twice(
    running: Callable[..., Running], database_url: str, tmp_path: Path
) -> None:
    asyncio.run(born(database_url))
    server = running(SLO_FILE=file(tmp_path, POLICY), NOTIFY_ALLOW_PRIVATE="true", WEB_CONCURRENCY="1")
    it = Killed(server, database_url)
    answered, died = Event(), Event()

    def dies_once() -> None:
        answered.wait(PATIENCE_S)
        if not died.is_set():
            it.kill()
            died.set()

    with deployer(dies_once) as (url, told):
        it.post("/api/v1/deploy-targets", {"service": "cart", "kind": "webhook", "address": url})
        for version in ("v1", "v2"):
            it.post("/api/v1/changes", {"service": "cart", "kind": "deploy", "version": version})
        for title in ("all is slow", "cart failing", "too much comes"):
            it.post("/api/v1/incidents", {"title": title})
        change = {"values": {"MAX_REQUEST_BODY_BYTES": 2048}, "reason": "a slip"}
        assert server.call("PATCH", "/api/v1/config", key=it.key, data=change, headers={"If-Match": '"1"'})[0] == 200

        it.kill_within(*ACTS)
        assert it.state() == (0, 0, 2, 0, 0, 0), "nothing of an act stands without the rest of it"
        assert [it.press(act)["already"] for act in ACTS] == [False] * len(ACTS)
        answered.set()
        assert died.wait(PATIENCE_S), "the deploy target was told, and killed"
        server.wait_ready()
        assert all(it.press(act)["already"] for act in ACTS)
        assert it.state() == (1, 1, 4, 1, 5, 5)
        receipt = "SELECT max(revision) FROM receipts"
        wait_for(lambda: it.one(receipt) == (4,), "the receipt of a process that began after the act")
        it.database.execute("UPDATE deploy_acts SET claimed_until = now()")  # the claim of the dead ends by itself
        wait_for(lambda: it.one("SELECT state FROM deploy_acts") == ("done",), "the roll back to be done")
        assert len(set(told)) == 1, "one roll back, however often it is told"
    it.database.close()
