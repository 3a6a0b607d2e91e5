"""The settings in force for one caller, as typed values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The ingest limits in force for one key. Bytes, items, items per second (0: no throttle)."""

    max_request_body_bytes: int
    ingest_max_batch_items: int
    ingest_max_items_per_second: int
    ingest_store_outcomes: bool
