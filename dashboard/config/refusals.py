"""What limits refuse, and what a new one would have refused, in sentences."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from msgspec import Struct

from dashboard.shared.format import FEW, percent, plural
from server.config.registry import Value
from server.ingest import preview
from server.ingest.preview import Preview, Refused
from server.ingest.tally import SLOT_S
from server.parts import Parts

# Which setting refuses with which reason; store outcomes refuses nothing.
REASONS = {
    "PAYLOAD_TOO_LARGE": "MAX_REQUEST_BODY_BYTES",
    "BATCH_TOO_LARGE": "INGEST_MAX_BATCH_ITEMS",
    "THROTTLED": "INGEST_MAX_ITEMS_PER_SECOND",
}
ALL_OF_IT = 0.995

KeyName = Callable[[int], str]


class Refusal(NamedTuple):
    """Something was refused from a second up to another, Unix seconds."""

    start: int
    end: int


def spans(slots: Iterable[int], gap_s: int) -> list[Refusal]:
    """Slots of SLOT_S, oldest first, as spans; what is `gap_s` or less apart is one."""
    found: list[Refusal] = []
    for slot in slots:
        if found and slot - found[-1].end <= gap_s:
            found[-1] = Refusal(found[-1].start, slot + SLOT_S)
        else:
            found.append(Refusal(slot, slot + SLOT_S))
    return found


class Effect(Struct):
    """What a setting does just now."""

    text: str


async def effects(parts: Parts) -> dict[str, Effect]:
    """By setting, what it refused in the last 5 minutes."""
    async with parts.db.ask() as connection:
        found = await preview.effect(connection, time.time())
    by_setting: dict[str, list[Refused]] = {}
    for one in found:
        if one.reason in REASONS:
            by_setting.setdefault(REASONS[one.reason], []).append(one)
    told = {name: Effect(refused(rows, parts.auth.key_name)) for name, rows in by_setting.items()}
    if not parts.settings.limits_for(0).ingest_store_outcomes:
        told["INGEST_STORE_OUTCOMES"] = Effect("Raw outcomes are not kept: none can be looked up by request id.")
    return told


def refused(rows: list[Refused], name: KeyName) -> str:
    """`1,204 requests refused in 5 min, 98 % from ci-loadgen`."""
    requests = sum(row.requests for row in rows)
    top = max(rows, key=lambda row: row.requests)
    return f"{plural(requests, 'request')} refused in 5 min, {most(name(top.key_id), top.requests / requests)}"


async def would_refuse(parts: Parts, setting: str, value: Value, key_id: int, now: float) -> str:
    """`In the last 5 min this would have refused 41 % of items, 92 % from ci-loadgen.`"""
    if setting == "INGEST_STORE_OUTCOMES":
        return (
            "Refuses nothing."
            if value
            else "Refuses nothing: counts and budgets stay exact, raw outcomes are not kept."
        )
    async with parts.db.ask() as connection:
        found = await preview.preview(connection, setting, value, key_id or None, now)
    return sentence(found, parts.auth.key_name)


def sentence(found: Preview, name: KeyName) -> str:
    """In items where their number is known, else in requests."""
    if not found.requests:
        return "Nothing came in the last 5 min, so it would have refused nothing."
    if not found.refused_requests:
        return f"In the last 5 min this would have refused none of {plural(found.requests, 'request')}."
    by = f", {most(name(found.top_key), found.top_share)}" if found.top_key is not None else ""
    if found.refused_items:
        told = part(found.refused_items, found.items, "items")
    else:
        told = part(found.refused_requests, found.requests, "requests")
    return f"In the last 5 min this would have refused {told}{by}."


def part(some: int, whole: int, what: str) -> str:
    """`41 % of items`, under 1,000 `41 of 100 items`."""
    return f"{some:,} of {whole:,} {what}" if whole < FEW else f"{percent(some / whole)} of {what}"


def most(name: str, share: float) -> str:
    """`98 % from ci-loadgen`, or `all from` it."""
    return f"{'all' if share >= ALL_OF_IT else percent(share)} from {name}"
