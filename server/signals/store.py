"""SQL of signals: what a group that is told changes, and what incidents and people ask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.db import Database
from server.receivers.alertmanager import ToldGroup, ToldSignal
from server.signals.signal import Signal, SignalSender, SignalStanding, SignalTally, WaitingSignal, heard, within_reach
from server.slo.model.budget_policy import SignalPolicy
from server.tables.codec import Rows
from server.tables.signals import signals

SIGNALS = Rows(signals, Signal)
# A sender's groups are taken one after the other: two equal ones at once are one.
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('signals/' || :sender, 0))")
SHOWN_FIRST = "ORDER BY signals.state <> 'firing', NOT signals.opens, signals.id DESC"
WAITING = "state = 'firing' AND incident_id IS NULL"
ANY_WAITING = f"EXISTS (SELECT FROM signals WHERE {WAITING})"
WAITING_MOST = 20_000  # in one look; the others wait for the next
BITE = 500
KEPT_DAYS = 400  # after it was last heard of, as long as alerts
KEPT_ALONE_DAYS = 30  # of those in no incident


async def keep(
    connection: AsyncConnection, told: ToldGroup, sender: SignalSender, policy: SignalPolicy, now: float
) -> list[ToldSignal]:
    """Keep what its sender may tell of a group at `now`, Unix seconds; which those are."""
    await connection.execute(ONE_AT_A_TIME, {"sender": sender.name})
    mine, known = within_reach(told, await _known(connection, told, sender.name), sender, policy)
    found = heard(known, mine, sender.name, policy, now)
    changed, new = [one for one in found if one.id], [one for one in found if not one.id]
    if changed:  # before the new ones: of a fingerprint one fires at a time
        await _hold(connection, "id = ANY(:ids)", ids=[one.id for one in changed])
        # What incidents say of it stays theirs.
        assigned = SIGNALS.assignments(("incident_id", "joined_at"))
        statement = f"UPDATE signals SET {assigned} FROM {SIGNALS.record} WHERE signals.id = r.id"
        await connection.execute(text(statement), SIGNALS.given(changed))
    if new:
        await connection.execute(text(SIGNALS.insert()), SIGNALS.given(new))
    return mine.signals


async def _hold(connection: AsyncConnection, which: str, **given: Any) -> None:
    """Whoever changes several signals holds them first, by id: no two wait for each other."""
    await connection.execute(text(f"SELECT id FROM signals WHERE {which} ORDER BY id FOR UPDATE"), given)


async def _known(connection: AsyncConnection, told: ToldGroup, sender: str) -> list[Signal]:
    statement = f"""
        SELECT {SIGNALS.columns} FROM signals
        WHERE sender = :sender AND fingerprint = ANY(:fingerprints)
            AND (state = 'firing' OR starts_at = ANY(SELECT to_timestamp(s) FROM unnest(CAST(:starts AS float8[])) s))
        UNION ALL
        SELECT {SIGNALS.columns} FROM signals
        WHERE sender = :sender AND state = 'firing' AND group_key = :group AND NOT fingerprint = ANY(:fingerprints)
        """
    given = {
        "sender": sender,
        "group": told.key,
        "fingerprints": sorted({one.fingerprint for one in told.signals}),
        "starts": sorted({one.starts_at for one in told.signals}),
    }
    return SIGNALS.every(await connection.execute(text(statement), given))


async def listed(  # noqa: PLR0917 - what is asked for, then how it stands now
    connection: AsyncConnection,
    service: str | None,
    standing: SignalStanding | None,
    before: int | None,
    limit: int,
    now: float,
    policy: SignalPolicy,
) -> list[Signal]:
    """Signals, the newest first. `before` is the id of the last one already seen; `standing` None: every."""
    unheard = "heard_at < to_timestamp(:unheard)"
    which = {
        None: "true",
        "firing": f"state = 'firing' AND NOT {unheard}",
        "not heard of": f"state = 'firing' AND {unheard}",
        "ended": "state = 'ended'",
        "absent": "state = 'absent'",
    }[standing]
    statement = f"""
        SELECT {SIGNALS.columns} FROM signals
        WHERE {which} AND (CAST(:service AS text) IS NULL OR service = :service)
            AND (CAST(:before AS bigint) IS NULL OR signals.id < :before)
        ORDER BY signals.id DESC LIMIT :limit
        """
    given = {"unheard": heard_since(now, policy), "service": service, "before": before, "limit": limit}
    if standing in (None, "ended", "absent"):
        given.pop("unheard")
    return SIGNALS.every(await connection.execute(text(statement), given))


def heard_since(now: float, policy: SignalPolicy) -> float:
    """What was heard before is not heard of."""
    return now - policy.not_heard_hours * 3600


async def waiting(
    connection: AsyncConnection, near: Iterable[str], now: float, policy: SignalPolicy
) -> list[WaitingSignal]:
    """What may join an incident, being of a service that is `near` one, or open one; the longest known first."""
    statement = f"""
        SELECT id, name, service, severity, opens, extract(epoch FROM least(starts_at, first_heard_at))::float8 AS since
        FROM signals WHERE {WAITING} AND heard_at >= to_timestamp(:unheard) AND (opens OR service = ANY(:near))
        ORDER BY id LIMIT :most
        """
    given = {"unheard": heard_since(now, policy), "near": sorted(near), "most": WAITING_MOST}
    rows = await connection.execute(text(statement), given)
    return [WaitingSignal(row.id, row.name, row.service, row.severity, row.opens, row.since) for row in rows]


async def any_waiting(connection: AsyncConnection) -> bool:
    """Whether any signal fires outside of incidents."""
    return bool((await connection.execute(text(f"SELECT {ANY_WAITING}"))).scalar_one())


async def alone(connection: AsyncConnection, now: float, policy: SignalPolicy, most: int) -> tuple[list[Signal], int]:
    """Signals that fire in no incident, at most so many, and how many there are."""
    where = f"{WAITING} AND heard_at >= to_timestamp(:unheard)"
    given = {"unheard": heard_since(now, policy)}
    statement = f"SELECT {SIGNALS.columns} FROM signals WHERE {where} {SHOWN_FIRST} LIMIT :most"
    found = SIGNALS.every(await connection.execute(text(statement), given | {"most": most}))
    total = await connection.execute(text(f"SELECT count(*) FROM signals WHERE {where}"), given)
    return found, int(total.scalar_one())


async def firing_now(connection: AsyncConnection) -> dict[bool, int]:
    """Of how many signals the end is not known, by whether they are in an incident."""
    statement = "SELECT incident_id IS NOT NULL, count(*) FROM signals WHERE state = 'firing' GROUP BY 1"
    return {row[0]: row[1] for row in await connection.execute(text(statement))}


async def several(connection: AsyncConnection, ids: Sequence[int]) -> list[Signal]:
    """These signals, by id."""
    statement = f"SELECT {SIGNALS.columns} FROM signals WHERE id = ANY(:ids) ORDER BY signals.id"
    return SIGNALS.every(await connection.execute(text(statement), {"ids": list(ids)}))


async def join(connection: AsyncConnection, ids: Sequence[int], incident_id: int, now: float) -> None:
    """Put signals that are in no incident into one."""
    await _hold(connection, "id = ANY(:ids)", ids=list(ids))
    statement = f"""
        UPDATE signals SET incident_id = :incident, joined_at = to_timestamp(:now)
        WHERE id = ANY(:ids) AND {WAITING}
        """
    await connection.execute(text(statement), {"ids": list(ids), "incident": incident_id, "now": now})


async def move(connection: AsyncConnection, source: int, target: int) -> None:
    """Put the signals of one incident into another."""
    await _hold(connection, "incident_id = :source", source=source)
    statement = "UPDATE signals SET incident_id = :target WHERE incident_id = :source"
    await connection.execute(text(statement), {"source": source, "target": target})


async def of_incident(connection: AsyncConnection, incident_id: int, most: int) -> list[Signal]:
    """The signals of an incident, those that fire first, at most so many."""
    statement = f"SELECT {SIGNALS.columns} FROM signals WHERE incident_id = :id {SHOWN_FIRST} LIMIT :most"
    return SIGNALS.every(await connection.execute(text(statement), {"id": incident_id, "most": most}))


async def tallies(
    connection: AsyncConnection, incident_ids: Iterable[int], now: float, policy: SignalPolicy
) -> dict[int, SignalTally]:
    """How the signals of each of these incidents stand at `now`; of an incident without one there is none."""
    rows = await connection.execute(
        text(
            """
            SELECT incident_id, count(*) AS total,
                count(*) FILTER (WHERE opens AND state = 'firing' AND heard_at >= to_timestamp(:unheard)) AS firing,
                count(*) FILTER (WHERE opens AND state = 'firing' AND heard_at < to_timestamp(:unheard)) AS not_heard,
                count(*) FILTER (WHERE opens AND state = 'absent') AS absent,
                count(*) FILTER (WHERE opens AND state = 'ended') AS ended,
                extract(epoch FROM max(over_at) FILTER (WHERE opens AND state = 'ended'))::float8 AS ended_at,
                extract(epoch FROM max(over_at) FILTER (WHERE opens))::float8 AS quiet_since,
                extract(epoch FROM max(first_heard_at) FILTER (WHERE opens AND state = 'firing'))::float8 AS begun_at
            FROM signals WHERE incident_id = ANY(:ids) GROUP BY incident_id
            """
        ),
        {"ids": list(incident_ids), "unheard": heard_since(now, policy)},
    )
    return {row.incident_id: SignalTally(*row[1:]) for row in rows}


async def without_end(connection: AsyncConnection, incident_id: int) -> int:
    """Of how many signals of an incident that may open one no end was told."""
    statement = "SELECT count(*) FROM signals WHERE incident_id = :id AND opens AND state <> 'ended'"
    return int((await connection.execute(text(statement), {"id": incident_id})).scalar_one())


async def services(connection: AsyncConnection, incident_ids: Iterable[int]) -> dict[int, set[str]]:
    """The services whose signals are in each incident."""
    statement = "SELECT DISTINCT incident_id, service FROM signals WHERE incident_id = ANY(:ids)"
    found: dict[int, set[str]] = {}
    for row in await connection.execute(text(statement), {"ids": list(incident_ids)}):
        found.setdefault(row.incident_id, set()).add(row.service)
    return found


async def drop_old(connection: AsyncConnection) -> int:
    """Delete one bite of what was last heard of long ago; how many."""
    done = await connection.execute(
        text(
            """
            DELETE FROM signals WHERE id = ANY (ARRAY(
                SELECT id FROM signals
                WHERE heard_at < now() - make_interval(days => :alone)
                    AND (incident_id IS NULL OR heard_at < now() - make_interval(days => :days))
                ORDER BY heard_at LIMIT :bite))
            """
        ),
        {"days": KEPT_DAYS, "alone": KEPT_ALONE_DAYS, "bite": BITE},
    )
    return done.rowcount


async def forget_old(db: Database) -> None:
    """Drop what is older than people look back, some of it at a time."""
    await db.in_bites(drop_old, BITE)
