"""The gate for Evenkeel's own settings: a revision that loosens a limit is a change like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.gate.answer import Question
from server.gate.asking import decide, read_kept
from server.kernel.names import OWN

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.parts import Parts

# A revision is the act of somebody who says why, and both are written down: of one that is made while a page of
# Evenkeel fires and is acknowledged, that page is taken to be why.
REVISION = Question(OWN, "revision", reason="incident")


async def revision_denied(parts: Parts, connection: AsyncConnection, now: float) -> str | None:
    """Why revisions are denied; None where they are not. What is not known locks nobody out of the settings."""
    kept = await read_kept(connection, parts.policies, REVISION, now)
    answer = decide(parts.relay, parts.policies, REVISION, kept, now)
    return answer.reason if answer.answer == "deny" else None
