"""SQL of settling a database that came from a backup. All of it in one transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

GAP = 1000  # numbers given since the backup are not given again: of processes, alerts, incidents, keys
WHY = "not sent: the database was restored from a backup"

# Who is connected as one of our processes, whatever the heartbeats of the backup say.
CONNECTED = r"""
SELECT DISTINCT substring(application_name FROM '^evenkeel ((web|watch)\.\d+)') FROM pg_stat_activity
WHERE datname = current_database() AND application_name ~ '^evenkeel (web|watch)\.' ORDER BY 1
"""

# What is counted, by the name that the command says.
STEPS = {
    "messages that waited are not sent": """
        UPDATE notifications SET gave_up_at = now(), claimed_until = NULL, last_error = :why
        WHERE sent_at IS NULL AND gave_up_at IS NULL
        """,
    "deploy acts that waited are not carried out": """
        WITH ended AS (
            UPDATE deploy_acts SET state = 'failed', ended_at = now(), claimed_until = NULL, error = :why
            WHERE state = 'waiting' RETURNING change_id
        )
        UPDATE changes SET state = 'failed', finished = now()
        WHERE state = 'started' AND id IN (SELECT change_id FROM ended)
        """,
    "alerts that paged are acknowledged": """
        UPDATE alerts SET acknowledged_at = now(), acknowledged_by = :actor, acknowledged_as = urgency
        WHERE state <> 'resolved' AND acknowledged_at IS NULL AND fired_at IS NOT NULL
        """,
    "sessions are ended": "UPDATE sessions SET revoked_at = now() WHERE revoked_at IS NULL",
    "processes are gone": "UPDATE processes SET stopped_at = now() WHERE stopped_at IS NULL",
    "leases are free": "UPDATE lease SET renewed_at = NULL, term = term + :gap",
}
SEQUENCES = """
SELECT count(setval(format('%I.%I', schemaname, sequencename)::regclass, last_value + :gap))
FROM pg_sequences WHERE schemaname = current_schema() AND last_value IS NOT NULL
"""
RECORD = """
INSERT INTO changes (kind, service, summary, author, migration)
VALUES ('restart', :service, 'restored from a backup of ' || coalesce(
    (SELECT to_char(max(heartbeat_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS UTC') FROM processes), 'before'
), :actor, 'none')
"""


async def connected(connection: AsyncConnection) -> list[str]:
    """The processes that use this database now."""
    return list((await connection.execute(text(CONNECTED))).scalars())


async def settle(connection: AsyncConnection, actor: str, service: str) -> dict[str, int]:
    """End what a backup would do again; how many of each."""
    given: dict[str, Any] = {"why": WHY, "actor": actor, "gap": GAP, "service": service}
    await connection.execute(text(RECORD), given)  # first: it says when the last heartbeat was
    done = {name: (await connection.execute(text(step), given)).rowcount for name, step in STEPS.items()}
    await connection.execute(text(SEQUENCES), given)
    return done
