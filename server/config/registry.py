"""Every setting that can change at run time: its bounds, what it does, what it refuses, which way is looser.

A setting is a field of `Limits`, and stands nowhere else; what differs from one to another
is asked of it. The environment gives the same names, in capitals, a value of its own; a
revision outranks it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_type_hints

from server.kernel.errors import ConfigurationError

Value = int | bool
# What is counted of what came in, so that it is known what a new limit on it would have refused.
Counted = Literal["bytes of a request", "items of a request", "items per second"]

WORDS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}


def zero_is_no_limit(value: Value) -> float:
    """How much a limit lets in that 0 takes away."""
    return float(value) or math.inf


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `minimum` and `maximum` are of whole numbers, both included."""

    title: str  # the short name on buttons: batch items
    default: Value
    minimum: int
    maximum: int
    unit: str
    help: str
    risk: str
    refuses: str = ""  # the error code of what it refuses; empty: it refuses nothing
    counted: Counted | None = None  # what a preview looks at; None: nobody counts what it would have refused
    lets_in: Callable[[Value], float] = float  # how much a value lets in: more is looser
    # Whether looser is more load. A limit on one request is none: a sender may always send the same in smaller ones.
    adds_load: bool = True
    off_preview: str = ""  # of a switch: what a page says of turning it off
    off_effect: str = ""  # of a switch: what a page says while it is off
    name: str = ""  # its field in Limits, in capitals

    @property
    def kind(self) -> Literal["integer", "boolean"]:
        return "boolean" if isinstance(self.default, bool) else "integer"

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
        return "no limit" if math.isinf(self.lets_in(value)) else str(value)


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings in force for one key."""

    max_request_body_bytes: Annotated[
        int,
        Setting(
            title="body bytes",
            default=1024 * 1024,
            minimum=1024,
            maximum=16 * 1024 * 1024,
            unit="bytes",
            help="The largest body of POST /api/v1/outcomes, on the wire and decompressed; more answers 413.",
            risk="Too low refuses senders that batch; each request being read may hold this much memory.",
            refuses="PAYLOAD_TOO_LARGE",
            counted="bytes of a request",
            adds_load=False,
        ),
    ]
    ingest_max_batch_items: Annotated[
        int,
        Setting(
            title="batch items",
            default=1000,
            minimum=1,
            maximum=20_000,
            unit="items",
            help="The most outcomes in one request; more answers 413 BATCH_TOO_LARGE.",
            risk="Too low refuses senders that batch, and their services become partial; too high delays others.",
            refuses="BATCH_TOO_LARGE",
            counted="items of a request",
            adds_load=False,
        ),
    ]
    ingest_max_items_per_second: Annotated[
        int,
        Setting(
            title="items per second",
            default=0,
            minimum=0,
            maximum=1_000_000,
            unit="items/s, 0: no limit",
            help="The throttle of a key: what is above answers 503 with Retry-After and can be sent again.",
            risk="Refused outcomes are missing until they are sent again; their services become partial.",
            refuses="THROTTLED",
            counted="items per second",
            lets_in=zero_is_no_limit,
        ),
    ]
    ingest_store_outcomes: Annotated[
        bool,
        Setting(
            title="store outcomes",
            default=True,
            minimum=0,
            maximum=1,
            unit="on or off",
            help="Off keeps rollups only: counts, ratios, latency and budgets stay exact.",
            risk="While off, outcomes cannot be found by request id, and there are no examples to look at.",
            off_preview="counts and budgets stay exact, raw outcomes are not kept.",
            off_effect="Raw outcomes are not kept: none can be looked up by request id.",
        ),
    ]

    def value(self, name: str) -> Value:
        """The value of a setting by its name."""
        found: Value = getattr(self, name.lower())
        return found


SETTINGS: Mapping[str, Setting] = {
    field.upper(): replace(hint.__metadata__[0], name=field.upper())
    for field, hint in get_type_hints(Limits, include_extras=True).items()
}


def limits_of(values: Mapping[str, Value]) -> Limits:
    """Limits from a value for each setting, by name."""
    return Limits(**{name.lower(): value for name, value in values.items()})  # type: ignore[arg-type]


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
