"""SQL of where silences are written back, and of how each stands there."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from msgspec import Struct
from sqlalchemy import func, insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.times import Instant
from server.signals.silence_copy import SilenceCopy
from server.tables.codec import Rows
from server.tables.signals import alertmanagers

CLAIM_S = 60.0  # longer than any try
LONGEST_S = 60.0  # between two tries

# What is of one service and of nothing else that only we know.
OF_A_SERVICE = "s.service NOT IN ('', '(matchers)') AND s.objective = '' AND s.matchers = '[]'"
STANDS = "a.removed_at IS NULL AND s.ends_at > clock_timestamp()"
DUE = f"""c.gone_at IS NULL AND c.next_at <= clock_timestamp()
    AND (c.claimed_until IS NULL OR c.claimed_until <= clock_timestamp()) AND {STANDS}
    AND (s.ended_at IS NOT NULL OR c.ends_at IS DISTINCT FROM s.ends_at) AND c.number < :labels"""
ANY_DUE = f"EXISTS (SELECT FROM alertmanagers a, silences s WHERE {STANDS} AND {OF_A_SERVICE})"
WANT = text(
    f"""
    INSERT INTO silence_copies (alertmanager_id, silence_id, number)
    SELECT a.id, s.id, n FROM alertmanagers a, silences s, generate_series(0, :labels - 1) n
    WHERE {STANDS} AND s.ended_at IS NULL AND {OF_A_SERVICE}
    ON CONFLICT DO NOTHING
    """
)
CLAIM = text(
    f"""
    UPDATE silence_copies c
    SET claimed_until = clock_timestamp() + make_interval(secs => :claim), attempts = c.attempts + 1
    FROM silences s, alertmanagers a
    WHERE s.id = c.silence_id AND a.id = c.alertmanager_id AND c.id = (
        SELECT c.id FROM silence_copies c JOIN silences s ON s.id = c.silence_id
            JOIN alertmanagers a ON a.id = c.alertmanager_id
        WHERE {DUE} ORDER BY c.next_at, c.id LIMIT 1 FOR UPDATE OF c SKIP LOCKED)
    RETURNING c.id, c.silence_id, c.number, c.remote_id, c.attempts, s.service, s.reason, s.author,
        extract(epoch FROM s.created_at)::float8 AS created_at, extract(epoch FROM s.ends_at)::float8 AS ends_at,
        s.ended_at IS NOT NULL AS over
    """
)
FARING = text(
    """
    SELECT c.silence_id, bool_and(c.remote_id <> '') AS there, coalesce(max(c.error), '') AS error
    FROM silence_copies c JOIN alertmanagers a ON a.id = c.alertmanager_id
    WHERE a.removed_at IS NULL AND c.silence_id = ANY(:ids) GROUP BY c.silence_id
    """
)


class AlertmanagerTarget(Struct):
    """Where silences are written back. `host` is what is shown of its address."""

    id: int
    address: str  # sealed
    host: str
    created_by: str
    created_at: Instant


TARGETS = Rows(alertmanagers, AlertmanagerTarget)


class CopyFaring(NamedTuple):
    """How a silence stands in Alertmanager; `error` of the last try, where it failed."""

    there: bool
    error: str


async def in_force(connection: AsyncConnection) -> AlertmanagerTarget | None:
    """Where silences are written back; None: nowhere."""
    return TARGETS.one(await connection.execute(TARGETS.select().where(alertmanagers.c.removed_at.is_(None))))


async def put(connection: AsyncConnection, address: str, host: str, by: str) -> AlertmanagerTarget:
    """Write silences back there from now on, in the place of where it was before."""
    await remove(connection)
    values = {"address": address, "host": host, "created_by": by}
    rows = await connection.execute(insert(alertmanagers).values(values).returning(*TARGETS.selected))
    return TARGETS.read(rows.one())


async def remove(connection: AsyncConnection) -> str | None:
    """Write them back nowhere, and forget the address; the host that it was, None where there was none."""
    await connection.execute(text("LOCK TABLE alertmanagers IN SHARE ROW EXCLUSIVE MODE"))
    gone = update(alertmanagers).where(alertmanagers.c.removed_at.is_(None))
    done = await connection.execute(gone.values(removed_at=func.now(), address="").returning(alertmanagers.c.host))
    host: str | None = done.scalar_one_or_none()
    return host


async def want(connection: AsyncConnection, labels: int) -> None:
    """Note which silences are to stand there, one for each of so many labels; safe to repeat."""
    await connection.execute(WANT, {"labels": labels})


async def claim(connection: AsyncConnection, labels: int) -> SilenceCopy | None:
    """One that is to be written or ended there, ours until the claim ends; None: none is.

    Of the first so many labels: what was made for others, when the policy named more, ends there by its time.
    """
    row = (await connection.execute(CLAIM, {"claim": CLAIM_S, "labels": labels})).one_or_none()
    return None if row is None else SilenceCopy(**row._mapping)


async def stands(connection: AsyncConnection, copy_id: int, remote_id: str, ends_at: float) -> None:
    """It is there, until a time, Unix seconds."""
    await _end(
        connection, copy_id, "remote_id = :remote, ends_at = to_timestamp(:ends)", remote=remote_id, ends=ends_at
    )


async def gone(connection: AsyncConnection, copy_id: int) -> None:
    """It has ended there."""
    await _end(connection, copy_id, "gone_at = clock_timestamp()")


async def failed(connection: AsyncConnection, one: SilenceCopy, error: str) -> None:
    """It is tried again, later from try to try."""
    wait_s = min(LONGEST_S, 2.0 ** min(one.attempts, 10))
    statement = """
        UPDATE silence_copies SET claimed_until = NULL, error = :error,
            next_at = clock_timestamp() + make_interval(secs => :wait)
        WHERE id = :id
        """
    await connection.execute(text(statement), {"error": error, "wait": wait_s, "id": one.id})


async def _end(connection: AsyncConnection, copy_id: int, assigned: str, **given: object) -> None:
    statement = f"UPDATE silence_copies SET {assigned}, claimed_until = NULL, error = '' WHERE id = :id"
    await connection.execute(text(statement), given | {"id": copy_id})


async def faring(connection: AsyncConnection, silence_ids: Collection[int]) -> dict[int, CopyFaring]:
    """How each of these silences stands in the Alertmanager of now; one that is not written back is missing."""
    rows = await connection.execute(FARING, {"ids": sorted(silence_ids)})
    return {row.silence_id: CopyFaring(row.there, row.error) for row in rows}


async def try_now(connection: AsyncConnection) -> None:
    """Do not wait any longer for the next try of any."""
    await connection.execute(text("UPDATE silence_copies SET next_at = clock_timestamp() WHERE gone_at IS NULL"))


async def forget_old(connection: AsyncConnection) -> None:
    """Forget those whose silence is forgotten."""
    await connection.execute(text("DELETE FROM silence_copies WHERE silence_id NOT IN (SELECT id FROM silences)"))
