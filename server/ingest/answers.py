"""What a sender asks and is told."""

from __future__ import annotations

import hashlib
import re

import msgspec
from msgspec import UNSET, Struct, UnsetType

from server.ingest.batch import Claim
from server.ingest.decode import FAULTS_NAMED, Decoded, Fault
from server.kernel.errors import ApiError, invalid

KEY = re.compile(r"[\x21-\x7e]{1,255}")


class PostQuery(Struct):
    """`partial`: store the good items of a batch that has faults."""

    partial: bool = False


class Accepted(Struct):
    """What was stored, durably. With ?partial=true also what was not: the index of every such item, and
    what is wrong with the first 20; repeats of a request get the same, so it is kept and must be small."""

    accepted: int
    refused: list[Fault] | UnsetType = UNSET
    refused_indexes: list[int] | UnsetType = UNSET


def answer(decoded: Decoded, partial: bool) -> bytes:
    """The body of a 201."""
    accepted, faults = len(decoded.outcomes), decoded.faults
    if not partial:
        return msgspec.json.encode(Accepted(accepted))
    return msgspec.json.encode(Accepted(accepted, faults[:FAULTS_NAMED], [fault.index for fault in faults]))


def claim(key: str, scope: str, body: bytes, answered: bytes) -> Claim:
    """The claim of an Idempotency-Key within its scope (API key, path and query); 422 where it is malformed."""
    if not KEY.fullmatch(key):
        raise invalid("Idempotency-Key", "give 1 to 255 printable ASCII characters without spaces")
    return Claim(digest(f"{scope}\n{key}".encode()), digest(body), answered)


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def too_many(limit: int, sent: int) -> ApiError:
    """413 for items."""
    return ApiError(
        "BATCH_TOO_LARGE",
        f"The limit is {limit} items a batch; {sent} were sent. Nothing was stored: send smaller batches.",
        limit=limit,
        sent=sent,
    )
