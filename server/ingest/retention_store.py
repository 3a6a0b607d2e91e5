"""What ages out here: idempotency keys, items that are counted once, the counts of intake. Deleted in small bites."""

from __future__ import annotations

import logging
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.ingest.access_log.log_place_store import drop_places
from server.ingest.item_claims import KEPT_S as ITEMS_KEPT_S
from server.ingest.item_claims import item_of
from server.kernel import shared_clock
from server.kernel.db import Database

BITE = 10_000  # rows in one transaction
LARGE_ROWS_BITE = 500  # of rows that may have 100 kB
LARGE_BYTES = 1 << 30  # below, keys are not counted

log = logging.getLogger("evenkeel.ingest")

KEYS_MAX = 20_000_000  # about 3 GB: above it the oldest go before their 24 hours


class Aged(NamedTuple):
    """Rows of a table that are old by a condition: by what they are deleted, in which order they are found, and how
    many at once."""

    table: str
    key: str
    condition: str
    order: str
    bite: int = BITE

    async def drop(self, connection: AsyncConnection) -> int:
        """Delete one bite of them; how many."""
        old = f"SELECT {self.key} FROM {self.table} AS aged WHERE {self.condition} ORDER BY {self.order} LIMIT :bite"
        done = await connection.execute(
            text(f"DELETE FROM {self.table} WHERE {self.key} = ANY (ARRAY({old}))"), {"bite": self.bite}
        )
        return done.rowcount


async def drop_item_claims(connection: AsyncConnection) -> int:
    """Delete one bite of the items that the release before has claimed, once they are known for long enough."""
    before = item_of(int(shared_clock.now()) - ITEMS_KEPT_S, b"")
    done = await connection.execute(
        text(
            "DELETE FROM item_claims WHERE item = ANY (ARRAY("
            "SELECT item FROM item_claims WHERE item < :before ORDER BY item LIMIT :bite))"
        ),
        {"before": before, "bite": BITE},
    )
    return done.rowcount


async def drop_oldest_keys(connection: AsyncConnection) -> int:
    """Delete one bite of the oldest idempotency keys; how many."""
    done = await connection.execute(
        text(
            "DELETE FROM idempotency WHERE digest = ANY (ARRAY(SELECT digest FROM idempotency ORDER BY at LIMIT :bite))"
        ),
        {"bite": BITE},
    )
    return done.rowcount


async def keys_over(connection: AsyncConnection, most: int) -> int:
    """How many keys there are above the most, nearly; 0 or less where there are not."""
    size = await connection.execute(text("SELECT pg_relation_size('idempotency')"))
    if size.scalar_one() < LARGE_BYTES:
        return 0
    await connection.execute(text("ANALYZE idempotency"))
    rows = await connection.execute(text("SELECT reltuples::bigint FROM pg_class WHERE oid = 'idempotency'::regclass"))
    return int(rows.scalar_one()) - most


# Of a service that has sent nothing in the 400 days of which the hours are kept (server/live/retention_store.py).
UNHEARD = "(SELECT true FROM hours JOIN series s ON s.id = series_id WHERE s.service = aged.service LIMIT 1) IS NULL"
AGED = (
    Aged("idempotency", "digest", "at < now() - interval '24 hours'", "at"),
    Aged(
        "item_chunks",
        "ctid",
        f"second < extract(epoch FROM now())::bigint - {ITEMS_KEPT_S}",
        "second",
        LARGE_ROWS_BITE,
    ),
    Aged("intake", "ctid", "slot < now() - interval '1 day'", "slot"),
    Aged("received", "ctid", "slot < now() - interval '1 day'", "slot"),
    Aged("line_days", "ctid", "day < current_date - 7", "day"),
    Aged("meters", "series", "heard_at < now() - interval '7 days'", "heard_at"),
    Aged(
        "telemetry_services",
        "service",
        "greatest(spans_at, sampled_at, measured_at) < now() - interval '7 days'",
        "service",
    ),
    Aged("service_totals", "service", UNHEARD, "service"),
    # What people have set stays.
    Aged("route_patterns", "ctid", f"author = '' AND at < now() - interval '400 days' AND {UNHEARD}", "service"),
)


async def forget_old(db: Database) -> None:
    """Drop keys and counts that are a day old, of log lines, meters and who sends telemetry a week, items after some
    hours, keys over KEYS_MAX; and what is known of services that are gone."""
    for each in AGED:
        await db.in_bites(each.drop, each.bite)
    for drop in (drop_item_claims, drop_places):
        await db.in_bites(drop, BITE)
    async with db.act() as connection:
        excess = await keys_over(connection, KEYS_MAX)
    if excess > 0:
        log.warning("%d idempotency keys over %d: the oldest are dropped before their 24 hours", excess, KEYS_MAX)
    while excess > 0:
        async with db.act() as connection:
            excess -= await drop_oldest_keys(connection) or excess
