"""Changing settings, and reading what a page says of them."""

from __future__ import annotations

import html
import re
import time
from typing import Any

from server.auth.identity import Identity
from server.config import service, store
from server.config.view import ConfigView, config_view
from server.parts import Parts
from tests.site import Site

JON = Identity("person", 99, "jon@example.com", frozenset({"read", "act"}), "commander")


BATCH = "INGEST_MAX_BATCH_ITEMS"


async def change(site: Site, value: int, **given: Any) -> int:
    """Jon sets the batch limit; the new revision's number."""
    async with site.parts.db.act() as connection:
        expected = (await store.current(connection))[0].number
    usual: dict[str, Any] = {"values": {BATCH: value}, "reason": "surge", "request_id": ""}
    saved = await service.change(site.parts, JON, expected=expected, **(usual | given))
    return saved.revision


async def in_force(parts: Parts) -> ConfigView:
    return await config_view(parts, time.time())


def text_of(body: bytes) -> str:
    """What a page says, in one line, without its markup."""
    plain = re.sub(r"<style.*?</style>|<[^>]+>", " ", body.decode())
    return " ".join(html.unescape(plain).split())
