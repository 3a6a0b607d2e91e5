"""The outcomes that benchmarks send: the same ones each time, over 200 series; every second request with random ids."""

from __future__ import annotations

import json
import os
import random
from typing import NamedTuple

SERIES = 200
HOLE = "00000000-0000-4000-8000-000000000000"


class Body(NamedTuple):
    """A JSON array as bytes, in pieces: between two of them comes the request id of a client, another each time."""

    pieces: list[bytes]

    def fresh(self) -> bytes:
        """The body to be sent now."""
        filled = [self.pieces[0]]
        for piece in self.pieces[1:]:
            filled += (random_id(), piece)
        return b"".join(filled)


def bodies(count: int, items: int) -> list[Body]:
    """So many JSON arrays of so many outcomes each; every second one brings request ids of its own (UUIDv4)."""
    chance = random.Random(1)
    return [Body(encoded(chance, items, ids=number % 2 == 1).split(HOLE.encode())) for number in range(count)]


def encoded(chance: random.Random, items: int, *, ids: bool) -> bytes:
    given = {"request_id": HOLE} if ids else {}
    return json.dumps([outcome(chance) | given for _ in range(items)]).encode()


def random_id() -> bytes:
    """A UUIDv4, as clients make them."""
    text = os.urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}".encode()


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
