"""Asking the gate, and overriding it, over HTTP."""

from __future__ import annotations

import time
from typing import Any

from server.slo.model.status import ObjectiveStatus, Status
from tests.dashboard.visitor import service, show
from tests.site import Site, answer


async def publish(site: Site, seq: int, *objectives: ObjectiveStatus) -> None:
    """A picture whose objectives were evaluated a moment ago."""
    states = {one.service: one.state for one in objectives}
    await show(site, seq, service("checkout"), slo=Status(1, time.time(), list(objectives), states))


async def ask(site: Site, key: str, **given: str) -> Any:
    asked = {"service": "checkout", "kind": "deploy"} | given
    found = await site.fetch("/api/v1/gate?" + "&".join(f"{name}={value}" for name, value in asked.items()), key=key)
    assert found.code == 200, found.body
    return answer(found)


async def override(site: Site, key: str, **given: Any) -> Any:
    asked = {"service": "checkout", "kind": "deploy", "reason": "the fix", "minutes": 30} | given
    return await site.fetch("/api/v1/gate/overrides", method="POST", key=key, data=asked)


async def rows(site: Site, statement: str) -> list[Any]:
    async with site.parts.db.act() as connection:
        return [tuple(row) for row in await connection.exec_driver_sql(statement)]
