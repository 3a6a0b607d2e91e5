"""Outcomes over HTTP, for tests."""

from __future__ import annotations

from typing import Any

URL = "/api/v1/outcomes"


async def send(site: Any, key: str, sent: bytes, path: str = URL, **headers: str) -> Any:
    given = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
    return await site.fetch(path, method="POST", key=key, body=sent, headers=given)
