"""Outcomes sent, and pictures made, over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from server.picture.tick import Tick
from server.slo.judge.evaluate import Evaluation
from tests.picture.ticking import no_alerts
from tests.site import Site


def outcome(status: int = 200, duration_ms: float = 20) -> dict[str, Any]:
    return {"service": "shop", "route": "/pay", "method": "GET", "status": status, "duration_ms": duration_ms}


async def send(site: Site, key: str, outcomes: list[dict[str, Any]]) -> None:
    response = await site.fetch("/api/v1/outcomes", method="POST", key=key, data=outcomes)
    assert response.code == 201, response.body


def seconds(text: str) -> float:
    """A time of the API as Unix seconds."""
    assert text.endswith("Z"), text
    return datetime.fromisoformat(text).timestamp()


async def picture(site: Site) -> None:
    """Make the picture as the watch does, and wait until this process has it."""
    parts = site.parts
    evaluation = Evaluation(parts.db, parts.policies)
    tick = Tick(parts.db, parts.bus, parts.process, evaluation.streams.hear, evaluation.evaluate, no_alerts)
    await tick.run(1)
    await parts.relay.refresh()
