"""SQL of readiness, on a connection of its own, so that a full pool is not taken for a dead database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from server.kernel.connection import opened
from server.kernel.db import Database


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What the database says about itself."""

    read_only: bool  # a standby, or a primary that was fenced
    schema: str | None  # Alembic's revision; None: there is no schema
    lease_age_s: float | None  # None: no watch has held it, or it was given up


async def look(db: Database) -> DatabaseState:
    """Connect, ask, disconnect; raises what psycopg raises."""
    async with opened(db, "health") as connection:
        cursor = await connection.execute(
            """
            SELECT current_setting('transaction_read_only') = 'on',
                to_regclass('alembic_version') IS NOT NULL AND to_regclass('lease') IS NOT NULL
            """
        )
        read_only, has_schema = row(await cursor.fetchone())
        if not has_schema:
            return DatabaseState(read_only, None, None)
        cursor = await connection.execute(
            """
            SELECT (SELECT version_num FROM alembic_version),
                (SELECT extract(epoch FROM clock_timestamp() - renewed_at)::float8 FROM lease WHERE name = 'watch')
            """
        )
        return DatabaseState(read_only, *row(await cursor.fetchone()))


def row(found: Any) -> Any:
    assert found is not None, "a SELECT without FROM has one row"
    return found
