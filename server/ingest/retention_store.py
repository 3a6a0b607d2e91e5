"""What ages out here: idempotency keys and the counts of intake. Deleted in bites that hold no lock for long."""

from __future__ import annotations

import logging

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

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


async def forget_old(db: Database) -> None:
    """Drop keys and counts that are a day old, of log lines a week; and the oldest keys where there are too many."""
    for drop in (drop_keys, drop_intake, drop_received, drop_line_days):
        await db.in_bites(drop, BITE)
    async with db.act() as connection:
        excess = await keys_over(connection, KEYS_MAX)
    if excess > 0:
        log.warning("%d idempotency keys over %d: the oldest are dropped before their 24 hours", excess, KEYS_MAX)
    while excess > 0:
        async with db.act() as connection:
            excess -= await drop_oldest_keys(connection) or excess
