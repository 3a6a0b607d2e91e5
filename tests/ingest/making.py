"""What ingest's tests make: outcomes, decoded batches, and a database to look at."""

from __future__ import annotations

import json
import time
from typing import Any

import psycopg

from server.ingest.decode import Decoded, decode
from server.ingest.outcome import span
from server.ingest.partitions import ensure_partitions
from server.kernel.db import Database


def outcome(**given: Any) -> dict[str, Any]:
    """One outcome as sent."""
    return {"service": "checkout", "route": "/pay", "method": "GET", "status": 200, "duration_ms": 12.5} | given


def body(*outcomes: dict[str, Any]) -> bytes:
    return json.dumps(list(outcomes)).encode()


def decoded(*outcomes: dict[str, Any], now: float | None = None) -> Decoded:
    """Outcomes as they come out of the decoder; a fault fails the test."""
    result = decode(body(*outcomes), "array", span(now or time.time(), 7))
    assert not result.faults
    return result


async def ready_database(url: str) -> Database:
    """A database with today's partitions."""
    db = Database(url, "test")
    await ensure_partitions(db, time.time(), 7)
    return db


def rows(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a query answers, on a connection of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement, values).fetchall()  # type: ignore[call-overload,no-any-return]


def value(url: str, statement: str, *values: Any) -> Any:
    """The one value that a query answers."""
    return rows(url, statement, *values)[0][0]
