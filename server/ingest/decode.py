"""Bytes to typed outcomes: one native pass where all is well, item by item where it is not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Literal, NamedTuple

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import asdict

from server.config.registry import SETTINGS
from server.ingest.native import compiled
from server.ingest.outcome import Outcome, TakenSpan, microseconds, time_fault
from server.kernel.errors import ApiError
from server.kernel.field_fault import field_and_reason

Form = Literal["array", "lines"]

FAULTS_NAMED = 20
ITEMS_MAX = SETTINGS["INGEST_MAX_BATCH_ITEMS"].maximum

MEDIA: dict[str, Form] = {
    "application/json": "array",
    "application/x-ndjson": "lines",
    "application/ndjson": "lines",
    "application/jsonl": "lines",
    "application/x-jsonlines": "lines",
}

# What bytes can make a decoder raise: a fault of the body's, never ours.
BROKEN = (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError)

# A backslash and what belongs to it: a pair of surrogates, half of one, or anything else.
ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)

one = msgspec.json.Decoder(Outcome)
array = msgspec.json.Decoder(list[Outcome])
raw_array = msgspec.json.Decoder(list[Raw])


Refuses = Callable[[str], str]  # a service to what is wrong with sending it; empty: nothing is


def nothing(_service: str) -> str:
    """Nothing is wrong with any service."""
    return ""


class ItemFault(Struct, frozen=True):
    """What is wrong with one item of a batch."""

    index: int
    field: str
    reason: str


class Census(NamedTuple):
    """The time of each outcome, the oldest and the newest of them, and how many there are of each service."""

    times: list[int]
    oldest: int
    newest: int
    services: Mapping[str, int]


class Decoded(Struct):
    """The good outcomes, the time of each in microseconds since 1970, and the faults of the others."""

    outcomes: list[Outcome]
    times: list[int]
    faults: list[ItemFault]
    items: int  # all that were sent
    newest: int  # of the times as they were sent
    services: Mapping[str, int]  # of the good outcomes

    def shift(self, us: int) -> None:
        """Move what was sent with a time by so many microseconds."""
        moved = zip(self.outcomes, self.times, strict=True)
        self.times = [at if outcome.timestamp is None else at + us for outcome, at in moved]


def decode(body: bytes, form: Form, taken: TakenSpan, most: int = ITEMS_MAX, refuses: Refuses = nothing) -> Decoded:
    """The outcomes in a body; raises ApiError BAD_REQUEST where it is not JSON, INVALID where it is no array.

    Of more items than `most`, the outcomes are there only where nothing is wrong with them, so that it is
    known whose they are; faults are not looked for. The caller refuses them by their number. `refuses` says what is
    wrong with sending outcomes of a service.
    """
    try:
        outcomes = array.decode(body) if form == "array" else one.decode_lines(body)
        found = census(outcomes, taken.now)
    except BROKEN:
        return decode_each(body, form, taken, most, refuses)
    decoded = Decoded(outcomes, found.times, [], len(outcomes), found.newest, found.services)
    if len(outcomes) > most:
        return decoded
    late = outcomes and (found.oldest < taken.oldest or found.newest > taken.newest)
    refused = any(map(refuses, found.services))
    # JSON has no other way to write a NUL, which PostgreSQL's text cannot hold. One byte is found 60 times as fast.
    nul = b"\\" in body and b"\\u0000" in body
    if refused or late or nul:
        return decode_each(body, form, taken, most, refuses)
    return decoded


def census(outcomes: list[Outcome], now: int) -> Census:
    """What is to know of outcomes beside themselves; those without a time are of now."""
    if compiled is not None:
        found = compiled.census(outcomes, now)
        if found is not None:
            return Census(*found)
    return census_in_python(outcomes, now)


def census_in_python(outcomes: list[Outcome], now: int) -> Census:
    """`census`, where nothing is compiled."""
    times = [now if o.timestamp is None else microseconds(o.timestamp) for o in outcomes]
    services = Counter(map(attrgetter("service"), outcomes))
    return Census(times, min(times, default=0), max(times, default=0), services)


def decode_each(
    body: bytes, form: Form, taken: TakenSpan, most: int = ITEMS_MAX, refuses: Refuses = nothing
) -> Decoded:
    """The slow way, which names every fault; more items than `most` are only counted."""
    sent = items(body, form)
    if len(sent) > most:
        return Decoded([], [], [], len(sent), 0, {})
    outcomes: list[Outcome] = []
    times: list[int] = []
    faults: list[ItemFault] = []
    for index, item in enumerate(sent):
        result = decode_one(item, index, taken, refuses)
        if isinstance(result, ItemFault):
            faults.append(result)
        else:
            outcomes.append(result[0])
            times.append(result[1])
    services = Counter(map(attrgetter("service"), outcomes))
    return Decoded(outcomes, times, faults, len(sent), max(times, default=0), services)


def items(body: bytes, form: Form) -> Sequence[Raw | bytes]:
    """Each item's own bytes."""
    if form == "lines":
        return list(filter(bytes.strip, body.split(b"\n")))
    try:
        return raw_array.decode(body if b"\\u" not in body else ESCAPE.sub(whole_character, body))
    except msgspec.ValidationError:
        raise ApiError("INVALID", "The body is not a JSON array of outcomes; nothing was stored.") from None
    except BROKEN as error:
        raise ApiError("BAD_REQUEST", f"The body is not JSON: {error}. Nothing was stored.") from None


def whole_character(escape: re.Match[bytes]) -> bytes:
    """An escape of JSON; half a character as NUL, so that it spoils its item and not the array."""
    return rb"\u0000" if escape["half"] else escape[0]


def decode_one(item: Raw | bytes, index: int, taken: TakenSpan, refuses: Refuses) -> tuple[Outcome, int] | ItemFault:
    try:
        outcome = one.decode(item)
        at = taken.now if outcome.timestamp is None else microseconds(outcome.timestamp)
    except msgspec.ValidationError as error:
        return ItemFault(index, *field_and_reason(str(error), Outcome))
    except BROKEN as error:
        return ItemFault(index, "", f"is not JSON: {error}")
    reason = time_fault(at, taken)
    if reason:
        return ItemFault(index, "timestamp", reason)
    for field, value in asdict(outcome).items():
        if isinstance(value, str) and "\0" in value:
            return ItemFault(index, field, "contains a NUL or half a character (a lone surrogate)")
    refusal = refuses(outcome.service)
    return ItemFault(index, "service", refusal) if refusal else (outcome, at)


def faults_error(faults: list[ItemFault], items: int) -> ApiError:
    """422 for a batch with faults, naming the first ones."""
    first = faults[0]
    more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
    return ApiError(
        "INVALID",
        f"Item {first.index}: {first.field or 'item'}: {first.reason}{more}. "
        f"Nothing of the {items} items was stored; ?partial=true stores the good ones.",
        errors=[{"index": f.index, "field": f.field, "reason": f.reason} for f in faults[:FAULTS_NAMED]],
        faults=len(faults),
    )
