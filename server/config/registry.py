"""Every setting that can change at run time: its bounds, what it does and what it risks.

The environment gives the same names a value of its own; a revision outranks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from server.kernel.errors import ConfigurationError

Value = int | bool

WORDS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `minimum` and `maximum` are of whole numbers, both included."""

    name: str
    title: str  # the short name on buttons: batch items
    kind: Literal["integer", "boolean"]
    default: Value
    minimum: int
    maximum: int
    unit: str
    help: str
    risk: str

    def fault(self, value: object) -> str | None:
        """What is wrong with a value, with the bounds; None: nothing."""
        if self.kind == "boolean":
            return None if isinstance(value, bool) else "give true or false"
        if isinstance(value, bool) or not isinstance(value, int) or not self.minimum <= value <= self.maximum:
            return f"give a whole number from {self.minimum} to {self.maximum} ({self.unit})"
        return None

    def shown(self, value: Value) -> str:
        """A value for people: on, off, no limit, or the number."""
        if self.kind == "boolean":
            return "on" if value else "off"
        return "no limit" if value == 0 else str(value)


SETTINGS: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting(
            name="MAX_REQUEST_BODY_BYTES",
            title="body bytes",
            kind="integer",
            default=1024 * 1024,
            minimum=1024,
            maximum=16 * 1024 * 1024,
            unit="bytes",
            help="The largest body of POST /api/v1/outcomes, on the wire and decompressed; more answers 413.",
            risk="Too low refuses senders that batch; each request being read may hold this much memory.",
        ),
        Setting(
            name="INGEST_MAX_BATCH_ITEMS",
            title="batch items",
            kind="integer",
            default=1000,
            minimum=1,
            maximum=20_000,
            unit="items",
            help="The most outcomes in one request; more answers 413 BATCH_TOO_LARGE.",
            risk="Too low refuses senders that batch, and their services become partial; too high delays others.",
        ),
        Setting(
            name="INGEST_MAX_ITEMS_PER_SECOND",
            title="items per second",
            kind="integer",
            default=0,
            minimum=0,
            maximum=1_000_000,
            unit="items/s, 0: no limit",
            help="The throttle of a key: what is above answers 503 with Retry-After and can be sent again.",
            risk="Refused outcomes are missing until they are sent again; their services become partial.",
        ),
        Setting(
            name="INGEST_STORE_OUTCOMES",
            title="store outcomes",
            kind="boolean",
            default=True,
            minimum=0,
            maximum=1,
            unit="on or off",
            help="Off keeps rollups only: counts, ratios, latency and budgets stay exact.",
            risk="While off, outcomes cannot be found by request id, and there are no examples to look at.",
        ),
    )
}


def environment_values(raw: Mapping[str, str]) -> dict[str, Value]:
    """The settings that the environment gives, by name; ConfigurationError names the one that is wrong."""
    given = {name: raw.get(name, "").strip() for name in SETTINGS}
    return {name: parsed(SETTINGS[name], text) for name, text in given.items() if text}


def parsed(setting: Setting, text: str) -> Value:
    """A setting's value from text, as in the environment."""
    value: object = WORDS.get(text.lower()) if setting.kind == "boolean" else number(text)
    fault = setting.fault(value)
    if fault is not None:
        raise ConfigurationError(f"{setting.name} is {text!r}; {fault}.")
    assert isinstance(value, int)
    return value


def number(text: str) -> int | None:
    """Plain digits as a number; `int` alone would also take `1_0` and other scripts' digits."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None


@dataclass(frozen=True, slots=True)
class Limits:
    """The ingest limits in force for one key. Bytes, items, items per second (0: no throttle)."""

    max_request_body_bytes: int
    ingest_max_batch_items: int
    ingest_max_items_per_second: int
    ingest_store_outcomes: bool
