"""What ages out here: idempotency keys, items that are counted once, the counts of intake. Deleted in small bites."""

from __future__ import annotations

import logging

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.ingest.item_claims import KEPT_S as ITEMS_KEPT_S
from server.ingest.item_claims import item_of
from server.ingest.log_place_store import drop_places
from server.kernel import shared_clock
from server.kernel.db import Database

BITE = 10_000  # rows in one transaction
LARGE_BYTES = 1 << 30  # below, keys are not counted

log = logging.getLogger("evenkeel.ingest")

KEYS_MAX = 20_000_000  # about 3 GB: above it the oldest go before their 24 hours


async def drop_keys(connection: AsyncConnection) -> int:
    """Delete one bite of the idempotency keys that are 24 hours old; how many."""
    done = await connection.execute(
        text(
            "DELETE FROM idempotency WHERE digest = ANY (ARRAY(SELECT digest FROM idempotency"
            " WHERE at < now() - interval '24 hours' ORDER BY at LIMIT :bite))"
        ),
        {"bite": BITE},
    )
    return done.rowcount


async def drop_item_claims(connection: AsyncConnection) -> int:
    """Delete one bite of the items that are known for long enough; how many."""
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


async def drop_intake(connection: AsyncConnection) -> int:
    """Delete one bite of the intake counts that are a day old; how many."""
    done = await connection.execute(
        text(
            "DELETE FROM intake WHERE ctid = ANY (ARRAY("
            "SELECT ctid FROM intake WHERE slot < now() - interval '1 day' ORDER BY slot LIMIT :bite))"
        ),
        {"bite": BITE},
    )
    return done.rowcount


async def drop_received(connection: AsyncConnection) -> int:
    """Delete one bite of the counts by receiver that are a day old; how many."""
    done = await connection.execute(
        text(
            "DELETE FROM received WHERE ctid = ANY (ARRAY("
            "SELECT ctid FROM received WHERE slot < now() - interval '1 day' ORDER BY slot LIMIT :bite))"
        ),
        {"bite": BITE},
    )
    return done.rowcount


async def drop_line_days(connection: AsyncConnection) -> int:
    """Delete one bite of the counts of log lines that are a week old; how many."""
    done = await connection.execute(
        text(
            "DELETE FROM line_days WHERE ctid = ANY (ARRAY("
            "SELECT ctid FROM line_days WHERE day < current_date - 7 ORDER BY day LIMIT :bite))"
        ),
        {"bite": BITE},
    )
    return done.rowcount


async def drop_meters(connection: AsyncConnection) -> int:
    """Delete one bite of the meters that were not heard of for a week; how many."""
    done = await connection.execute(
        text(
            "DELETE FROM meters WHERE series = ANY (ARRAY("
            "SELECT series FROM meters WHERE heard_at < now() - interval '7 days' ORDER BY heard_at LIMIT :bite))"
        ),
        {"bite": BITE},
    )
    return done.rowcount


async def drop_telemetry_services(connection: AsyncConnection) -> int:
    """Delete one bite of what is known of services whose telemetry did not come for a week; how many."""
    done = await connection.execute(
        text(
            "DELETE FROM telemetry_services WHERE service = ANY (ARRAY(SELECT service FROM telemetry_services"
            " WHERE greatest(spans_at, sampled_at, measured_at) < now() - interval '7 days' LIMIT :bite))"
        ),
        {"bite": BITE},
    )
    return done.rowcount


DROPS = (
    drop_keys,
    drop_intake,
    drop_received,
    drop_line_days,
    drop_item_claims,
    drop_meters,
    drop_telemetry_services,
    drop_places,
)


async def forget_old(db: Database) -> None:
    """Drop keys and counts that are a day old, of log lines, meters and who sends telemetry a week, items after some
    hours, keys over KEYS_MAX."""
    for drop in DROPS:
        await db.in_bites(drop, BITE)
    async with db.act() as connection:
        excess = await keys_over(connection, KEYS_MAX)
    if excess > 0:
        log.warning("%d idempotency keys over %d: the oldest are dropped before their 24 hours", excess, KEYS_MAX)
    while excess > 0:
        async with db.act() as connection:
            excess -= await drop_oldest_keys(connection) or excess
