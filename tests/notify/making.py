"""Alerts and targets in the database, and notices of them."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import psycopg
from msgspec.structs import replace

from server.alerts.alert import Alert
from server.alerts.notice import Notice, NoticeEvent, key_of
from server.alerts.words import message
from server.slo.model.status import Evidence

SECRET = "s3cret-of-sixteen-and-more"
ROUTING_KEY = "R0" + "A" * 30


def evidence(**given: Any) -> Evidence:
    usual: dict[str, Any] = {
        "objective": "checkout-availability",
        "service": "checkout",
        "kind": "availability",
        "target": 0.999,
        "threshold_ms": None,
        "at": 1_800_000_000.0,
        "known": True,
        "tier": "fast",
        "urgency": "page",
        "due": True,
        "onset": 1_799_999_980.0,
        "onset_method": "change point",
        "bad": 41,
        "total": 1000,
        "bad_ratio": 0.041,
        "spent": 0.02,
        "budget_left": 0.31,
        "likely": "version 5f2c1a9",
    }
    return Evidence(**(usual | given))


def an_alert(**given: Any) -> Alert:
    usual: dict[str, Any] = {
        "id": 1,
        "objective": "checkout-availability",
        "service": "checkout",
        "state": "firing",
        "urgency": "page",
        "tier": "fast",
        "severity": 2,
        "onset": 1_799_999_980.0,
        "onset_method": "change point",
        "detected_at": 1_800_000_000.0,
        "evidence": evidence(),
        "fired_times": 1,
    }
    return Alert(**(usual | given))


def notice(alert: Alert, event: NoticeEvent = "trigger", text: str = "", now: float = 1_800_000_000.0) -> Notice:
    return Notice(alert, event, text or message(alert), key_of(alert, event, now))


class Desk:
    """A plain connection to the test's database."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True, options="-c timezone=UTC")

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), values).fetchall()

    def do(self, statement: str, *values: object) -> None:
        self.connection.execute(statement.encode(), values)

    def target(self, name: str, kind: str, address: str, secret: str = SECRET, step: int = 1) -> int:
        """A target; its id."""
        query = (
            "INSERT INTO targets (name, kind, address, secret, step, created_by)"
            " VALUES (%s, %s, %s, %s, %s, 'test') RETURNING id"
        )
        return int(self.rows(query, name, kind, address, secret, step)[0][0])

    def alert(self, **given: Any) -> Alert:
        """An alert that fires, kept as the board keeps it."""
        alert = an_alert(**({"detected_at": float(int(time.time()))} | given))
        query = (
            "INSERT INTO alerts (objective, service, state, urgency, tier, severity, onset, onset_method, detected_at,"
            " fired_at, fired_times, evidence) VALUES (%s, %s, %s, %s, %s, %s, to_timestamp(%s), %s, to_timestamp(%s),"
            " now(), %s, %s) RETURNING id"
        )
        values = (
            alert.objective,
            alert.service,
            alert.state,
            alert.urgency,
            alert.tier,
            alert.severity,
            alert.onset,
            alert.onset_method,
            alert.detected_at,
            alert.fired_times,
            msgspec.json.encode(alert.evidence).decode(),
        )
        return replace(alert, id=int(self.rows(query, *values)[0][0]))

    def close(self) -> None:
        self.connection.close()
