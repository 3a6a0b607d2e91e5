"""The audit cannot be rewritten, not even by us."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from server.auth.audit_store import audit, recent_acts
from server.kernel.db import Database

pytestmark = pytest.mark.gen_test


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"])
async def test_acts_stay_as_they_were_written(make_env: Any, statement: str) -> None:
    db = Database(make_env().database_url)
    try:
        async with db.act() as connection:
            after = {"at": datetime(2026, 1, 1, tzinfo=UTC), "n": 1}
            await audit(connection, "mira@example.com", "config.change", "revision 14", {"n": 0}, after, "req-1")
        with pytest.raises(DBAPIError):
            async with db.act() as connection:
                await connection.execute(text(statement))
        async with db.act() as connection:
            (act,) = await recent_acts(connection)
        assert (act.actor, act.action, act.subject) == ("mira@example.com", "config.change", "revision 14")
        assert (act.before, act.after) == ({"n": 0}, {"at": "2026-01-01T00:00:00Z", "n": 1})
        assert act.request_id == "req-1"
    finally:
        await db.close()
