"""What limits refuse, and what a new one would have refused, in sentences."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from dashboard.shared.format import FEW, percent, plural
from server.config.registry import SETTINGS, Setting, Value
from server.ingest import preview
from server.ingest.preview import RefusalPreview, RefusedItems
from server.kernel import shared_clock
from server.parts import Parts

ALL_OF_IT = 0.995

KeyName = Callable[[int], str]


class Effect(Struct):
    """What a setting does just now; `felt`: something is missing because of it."""

    text: str
    felt: bool


async def effects(parts: Parts) -> dict[str, Effect]:
    """By setting, what it refused in the last 5 minutes, or what its being off does."""
    async with parts.db.ask() as connection:
        found = await preview.effect(connection, shared_clock.now())
    limits = parts.settings.limits_for(0)
    return {name: effect(setting, limits.value(name), found, parts.auth.key_name) for name, setting in SETTINGS.items()}


def effect(setting: Setting, value: Value, found: list[RefusedItems], name: KeyName) -> Effect:
    """Of one setting; `found` is all that was refused."""
    if not setting.refuses:
        return Effect("" if value else setting.off_effect, not value)
    rows = [one for one in found if one.reason == setting.refuses]
    return Effect(refused(rows, name) if rows else "Refused nothing in 5 min", bool(rows))


def refused(rows: list[RefusedItems], name: KeyName) -> str:
    """`1,204 requests refused in 5 min, 98 % from ci-loadgen`."""
    requests = sum(row.requests for row in rows)
    top = max(rows, key=lambda row: row.requests)
    return f"{plural(requests, 'request')} refused in 5 min, {most(name(top.key_id), top.requests / requests)}"


async def would_refuse(parts: Parts, setting: Setting, value: Value, key_id: int, now: float) -> str:
    """`In the last 5 min this would have refused 41 % of items, 92 % from ci-loadgen.`"""
    if not setting.refuses:
        return "Refuses nothing." if value else f"Refuses nothing: {setting.off_preview}"
    if setting.counted is None:
        return "What this would have refused is not counted."
    async with parts.db.ask() as connection:
        found = await preview.preview(connection, setting.counted, value, key_id or None, now)
    return sentence(found, parts.auth.key_name)


def sentence(found: RefusalPreview, name: KeyName) -> str:
    """In items where their number is known, else in requests."""
    if not found.requests:
        return "Nothing came in the last 5 min, so it would have refused nothing."
    if not found.refused_requests:
        return f"In the last 5 min this would have refused none of {plural(found.requests, 'request')}."
    by = f", {most(name(found.top_key), found.top_share)}" if found.top_key is not None else ""
    if found.refused_items:
        much = part(found.refused_items, found.items, "items")
    else:
        much = part(found.refused_requests, found.requests, "requests")
    return f"In the last 5 min this would have refused {much}{by}."


def part(some: int, whole: int, what: str) -> str:
    """`41 % of items`, under 1,000 `41 of 100 items`."""
    return f"{some:,} of {whole:,} {what}" if whole < FEW else f"{percent(some / whole)} of {what}"


def most(name: str, share: float) -> str:
    """`98 % from ci-loadgen`, or `all from` it."""
    return f"{'all' if share >= ALL_OF_IT else percent(share)} from {name}"
