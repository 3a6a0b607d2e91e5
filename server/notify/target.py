"""A target: one place that alerts are sent to."""

from __future__ import annotations

from msgspec import Struct


class Target(Struct):
    """One target with its secrets as they are stored, sealed: opened by those who send and verify (secrets.py)."""

    id: int
    name: str
    kind: str
    address: str
    secret: str
    inbound_secret: str
    step: int
