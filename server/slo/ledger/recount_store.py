"""SQL of the recounts: what is asked for, which part of it is next, and how far back a ledger is exact."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.times import utc
from server.slo.model.objective import Objective

HOUR_S = 3600
EVER_S, NEVER_S = 0, 4_102_444_800  # 1970 and 2100: a new ledger is recounted as far as anything is kept

CHANGED = text("""
UPDATE objectives SET counted = NOT counted, exact_since = CASE WHEN counted THEN exact_since END
WHERE counted <> (id = ANY(CAST(:ids AS integer[]))) RETURNING id, counted
""")
DROP = text("DELETE FROM recounts WHERE objective_id = ANY(CAST(:ids AS integer[]))")
ASK = text("""
INSERT INTO recounts (objective_id, start, stop, reason)
SELECT *, :reason FROM unnest(CAST(:ids AS integer[]), CAST(:starts AS timestamptz[]), CAST(:stops AS timestamptz[]))
""")
# A row of this reason lies within one hour.
WIDEN = text("""
UPDATE recounts SET start = least(recounts.start, given.start), stop = greatest(recounts.stop, given.stop)
FROM unnest(CAST(:ids AS integer[]), CAST(:starts AS timestamptz[]), CAST(:stops AS timestamptz[]))
    AS given (id, start, stop)
WHERE objective_id = given.id AND reason = 'unmeasured'
    AND date_trunc('hour', recounts.start, 'UTC') = date_trunc('hour', given.start, 'UTC')
RETURNING given.id, extract(epoch FROM given.start)::bigint
""")
UNFINISHED = text("""
SELECT objective_id FROM recounts WHERE reason = 'new'
UNION SELECT given.id
FROM unnest(CAST(:ids AS integer[]), CAST(:services AS text[])) AS given (id, service)
JOIN objectives ON objectives.id = given.id AND NOT counted
WHERE EXISTS (
    SELECT FROM series WHERE series.service = given.service
    AND EXISTS (SELECT FROM hours WHERE series_id = series.id))
""")
ASKED = """EXISTS (SELECT FROM recounts)
    OR EXISTS (SELECT FROM objectives WHERE counted <> (id = ANY(CAST(:recounted AS integer[]))))"""
NEXT = text("""
SELECT id, objective_id, extract(epoch FROM start)::bigint, extract(epoch FROM stop)::bigint, reason = 'new'
FROM recounts ORDER BY stop DESC, id LIMIT 1
""")
NEWEST_HOUR = text("""
SELECT extract(epoch FROM max(newest.hour))::bigint FROM series CROSS JOIN LATERAL (
    SELECT hour FROM hours WHERE series_id = series.id AND hour < :stop ORDER BY hour DESC LIMIT 1
) AS newest WHERE service = :service
""")


def weights_statement(table: str, unit: str) -> str:
    return f"""
SELECT extract(epoch FROM {unit})::bigint, count(*), sum(n)::bigint
FROM series JOIN {table} ON series_id = series.id
WHERE service = :service AND {unit} >= :start AND {unit} < :stop GROUP BY {unit} ORDER BY {unit} DESC
"""


HOUR_WEIGHTS = text(weights_statement("hours", "hour"))
MINUTE_WEIGHTS = text(weights_statement("minutes", "minute"))

ADVANCE = text("UPDATE recounts SET stop = :stop WHERE id = :id")
FINISH = text("DELETE FROM recounts WHERE id = :id")
OLDEST = text("""
SELECT coalesce((
    SELECT min(minute) FROM ledger_minutes
    WHERE objective_id = :id AND minute >= first.hour AND minute < first.hour + interval '1 hour'
        AND good + bad + excluded > 0
), first.hour)
FROM (SELECT min(hour) AS hour FROM ledger_hours WHERE objective_id = :id AND good + bad + excluded > 0) AS first
""")
EXACT = text("UPDATE objectives SET exact_since = :at WHERE id = :id")
EXACT_AT_MOST = text("""
UPDATE objectives SET exact_since = greatest(coalesce(exact_since, created_at), :at) WHERE id = :id
""")
CUT_GONE = text("DELETE FROM recounts WHERE objective_id = :id AND stop <= :at")
CUT = text("UPDATE recounts SET start = greatest(start, :at) WHERE objective_id = :id")
# What an exclusion takes out of hours whose minutes are gone cannot be counted any more.
EXCLUDED_BEFORE = text("""
SELECT extract(epoch FROM max(least(stop, :edge)))::bigint FROM exclusions
WHERE service = :service AND revoked_at IS NULL AND start < :edge
""")
EXACTNESS = text("""
SELECT o.id, coalesce(o.exact_since, o.created_at), o.counted,
    (SELECT max(stop) FROM recounts WHERE objective_id = o.id AND reason = 'new'),
    EXISTS (SELECT FROM recounts WHERE objective_id = o.id)
FROM objectives o WHERE id = ANY(CAST(:ids AS integer[]))
""")


class Asked(NamedTuple):
    """What is to be recounted of a ledger: [start, stop), Unix seconds. `new`: the whole of it."""

    id: int
    objective_id: int
    start: int
    stop: int
    new: bool


class Weight(NamedTuple):
    """An hour or a minute of a service: how many series, how many outcomes."""

    at: int
    series: int
    n: int


class Exactness(NamedTuple):
    """From when on a ledger is exact, Unix seconds, and whether older parts are being recounted."""

    since: float
    recounting: bool


async def ask_new(connection: AsyncConnection, ids: Iterable[int]) -> None:
    """From now on the fold adds to these ledgers and no others: ask for what the new ones have missed."""
    changed = list(await connection.execute(CHANGED, {"ids": list(ids)}))
    if changed:
        await connection.execute(DROP, {"ids": [row.id for row in changed]})
        await ask(connection, "new", [(row.id, EVER_S, NEVER_S) for row in changed if row.counted])


async def ask_unmeasured(connection: AsyncConnection, minutes: Iterable[tuple[int, int]]) -> None:
    """Ask for minutes (objective, Unix seconds) of which not every process has measured the threshold."""
    by_hour: dict[tuple[int, int], list[int]] = {}
    for number, minute in minutes:
        by_hour.setdefault((number, minute // HOUR_S), []).append(minute)
    given = [(number, min(found), max(found) + 60) for (number, _), found in by_hour.items()]
    if not given:
        return
    widened = {(row[0], row[1]) for row in await connection.execute(WIDEN, spans(given))}
    await ask(connection, "unmeasured", [each for each in given if each[:2] not in widened])


async def ask(connection: AsyncConnection, reason: str, given: Sequence[tuple[int, int, int]]) -> None:
    """Ask for a recount of each (objective, start, stop), Unix seconds."""
    if given:
        await connection.execute(ASK, spans(given) | {"reason": reason})


def spans(given: Sequence[tuple[int, int, int]]) -> dict[str, list[object]]:
    """(objective, start, stop) as the lists that the statements unnest."""
    return {
        "ids": [number for number, _, _ in given],
        "starts": [utc(start) for _, start, _ in given],
        "stops": [utc(stop) for _, _, stop in given],
    }


async def unfinished(connection: AsyncConnection, objectives: Iterable[Objective]) -> set[int]:
    """The ledgers whose past is still to be counted; also of these that the fold does not add to yet, where some of
    what was folded before is theirs."""
    asked = list(objectives)
    values = {"ids": [each.id for each in asked], "services": [each.service for each in asked]}
    return {row[0] for row in await connection.execute(UNFINISHED, values)}


async def next_asked(connection: AsyncConnection) -> Asked | None:
    """What is newest of all that is asked for."""
    row = (await connection.execute(NEXT)).first()
    return Asked(*row) if row else None


async def newest_hour(connection: AsyncConnection, service: str, stop: int) -> int | None:
    """The newest hour before `stop` in which something of the service was counted."""
    found: int | None = (await connection.execute(NEWEST_HOUR, {"service": service, "stop": utc(stop)})).scalar_one()
    return found


async def weights(
    connection: AsyncConnection, service: str, start: int, stop: int, *, by_minute: bool = False
) -> list[Weight]:
    """The hours or minutes of [start, stop) in which something was counted, newest first."""
    values = {"service": service, "start": utc(start), "stop": utc(stop)}
    return [Weight(*row) for row in await connection.execute(MINUTE_WEIGHTS if by_minute else HOUR_WEIGHTS, values)]


async def advance(connection: AsyncConnection, asked: Asked, stop: int) -> None:
    """All from `stop` on is done."""
    await connection.execute(ADVANCE, {"id": asked.id, "stop": utc(stop)})


async def finish(connection: AsyncConnection, asked: Asked, exact_since: float) -> None:
    """Drop what was asked for; a whole ledger is exact from `exact_since` on, Unix seconds."""
    await connection.execute(FINISH, {"id": asked.id})
    if asked.new:
        await connection.execute(EXACT, {"id": asked.objective_id, "at": utc(exact_since)})


async def end(connection: AsyncConnection, asked: Asked, at: int) -> None:
    """Drop what was asked for, done down to `at`: nothing older can be counted exactly."""
    values = {"id": asked.objective_id, "at": utc(at)}
    await connection.execute(FINISH, {"id": asked.id})
    for statement in (EXACT if asked.new else EXACT_AT_MOST, CUT_GONE, CUT):
        await connection.execute(statement, values)


async def excluded_before(connection: AsyncConnection, service: str, edge: int) -> int | None:
    """When the last exclusion ends that began before `edge`, at most `edge`."""
    values = {"service": service, "edge": utc(edge)}
    found: int | None = (await connection.execute(EXCLUDED_BEFORE, values)).scalar_one()
    return found


async def exactness(connection: AsyncConnection, ids: Iterable[int], now: float) -> dict[int, Exactness]:
    """How far back each ledger is exact."""
    found = {}
    for number, since, counted, done_to, waiting in await connection.execute(EXACTNESS, {"ids": list(ids)}):
        if not counted:
            exact = now
        elif done_to is not None:
            exact = min(now, done_to.timestamp())
        else:
            exact = since.timestamp()
        found[number] = Exactness(exact, waiting or not counted)
    return found


async def oldest(connection: AsyncConnection, objective_id: int) -> datetime | None:
    """The first minute with an outcome in a ledger, its hour where minutes are not kept any more; None: it is empty."""
    found: datetime | None = (await connection.execute(OLDEST, {"id": objective_id})).scalar_one()
    return found
