"""A target: one place that alerts are sent to."""

from __future__ import annotations

from msgspec import Struct


class Target(Struct):
    """One target with its secrets: for those who send and verify, never for an answer or a log."""

    id: int
    name: str
    kind: str
    address: str
    secret: str
    inbound_secret: str
    step: int
