"""The outcomes that benchmarks send: the same ones each time, over 200 series."""

from __future__ import annotations

import json
import random

SERIES = 200


def bodies(count: int, items: int) -> list[bytes]:
    """So many JSON arrays of so many outcomes each."""
    chance = random.Random(1)
    return [json.dumps([outcome(chance) for _ in range(items)]).encode() for _ in range(count)]


def outcome(chance: random.Random) -> dict[str, object]:
    place = chance.randrange(SERIES)
    return {
        "service": f"service-{place % 5}",
        "route": f"/api/route/{place // 5}",
        "method": "GET",
        "status": 500 if place == 0 else 200,
        "version": "5f2c1a9",
        "duration_ms": round(chance.lognormvariate(3, 1), 3),
    }
