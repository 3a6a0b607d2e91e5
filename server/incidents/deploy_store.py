"""SQL of what was asked of deploys: claimed by an update that only one can make, and tried again."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.incidents.incident import DeployAct
from server.incidents.store import DEPLOYS

CLAIM_S = 60.0  # longer than any try

DUE = "state = 'waiting' AND next_at <= now() AND (claimed_until IS NULL OR claimed_until <= now())"
ANY_DUE = f"EXISTS (SELECT FROM deploy_acts WHERE {DUE})"
CLAIM = text(
    f"""
    UPDATE deploy_acts SET claimed_until = now() + make_interval(secs => :claim), attempt = attempt + 1
    WHERE id = (
        SELECT w.id FROM deploy_acts w
        WHERE {DUE} AND NOT EXISTS (SELECT FROM deploy_acts earlier
                WHERE earlier.service = w.service AND earlier.state = 'waiting' AND earlier.id < w.id)
        ORDER BY w.id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING {DEPLOYS.columns}, attempt
    """
)


class ClaimedDeploy(NamedTuple):
    """What is ours to carry out until the claim ends. `attempt` is 1 for the first try."""

    act: DeployAct
    attempt: int


async def claim(connection: AsyncConnection) -> ClaimedDeploy | None:
    """The next one that waits, in the order of its service; None where none does."""
    row = (await connection.execute(CLAIM, {"claim": CLAIM_S})).one_or_none()
    return None if row is None else ClaimedDeploy(DEPLOYS.read(row), row.attempt)


async def again(connection: AsyncConnection, act_id: int, error: str, wait_s: float) -> None:
    """Give it back, to be tried again after so many seconds."""
    await connection.execute(
        text(
            """
            UPDATE deploy_acts SET claimed_until = NULL, error = :error,
                next_at = now() + make_interval(secs => :wait)
            WHERE id = :id AND state = 'waiting'
            """
        ),
        {"id": act_id, "error": error, "wait": wait_s},
    )
