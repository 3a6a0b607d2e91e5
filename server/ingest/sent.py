"""A batch as it was sent: the body, and a header with what else its outcomes depend on.

It is what is counted at once, and what the spool keeps to be counted later: both begin from the same bytes. Series
have no numbers in it, which only the database gives.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from msgspec import Struct

from server.ingest.decode import Decoded, Form, decode, items
from server.ingest.lines.line import LogLine
from server.ingest.outcome import AHEAD_MAX_S, TakenSpan
from server.ingest.series import SendingKey

VERSION = b"\x01"  # of the header. Fields are only added: at its end, with a default
EVER = -(2**62)  # microseconds since 1970: older than any outcome


class SentBatch(Struct, array_like=True):
    """A batch that was admitted. Times are in microseconds, points of time since 1970."""

    body: bytes  # decompressed
    form: Form
    at: int  # when it came: the time of outcomes that have none
    ahead_us: int  # by so much the sender's clock was ahead
    key_id: int
    bound: bool  # the key may send only services that it was given
    keep_rows: bool  # its raw outcomes are stored too
    random: bytes  # 10 bytes, for the ids of requests that have none
    items: int  # those that were accepted
    answer: bytes  # the body of its 201
    digest: bytes  # 16 bytes that it is stored under once: of its Idempotency-Key, else random
    body_digest: bytes  # 16 bytes
    keyed: bool  # it came with an Idempotency-Key
    xid: int = 0  # the transaction whose COMMIT was sent and not answered; 0: there was none
    writer_id: int = 0  # whose it was, with this number of its own; 0: not known
    seq: int = 0
    lines: list[LogLine] = []  # log lines, free of secrets and within their bounds: they go with its outcomes
    item_claims: bytes = b""  # 16 bytes an item, by which each is counted once (server/ingest/item_claims.py)
    timed: bool = True  # False: how long its outcomes took is not known

    @property
    def sender(self) -> SendingKey:
        """Who sent it."""
        return SendingKey(self.key_id, self.bound)

    @property
    def rows(self) -> int:
        """How many outcomes and log lines it brings."""
        return self.items + len(self.lines)

    @property
    def size(self) -> int:
        """Bytes, nearly."""
        return len(self.body) + sum(line.size for line in self.lines)

    def decoded(self) -> Decoded:
        """Its outcomes as they were when it came. Faults are those that only a later version finds."""
        taken = TakenSpan(self.at, EVER, self.at + AHEAD_MAX_S * 1_000_000)
        found = decode(self.body, self.form, taken)
        if self.ahead_us:
            found.shift(-self.ahead_us)
        return found


def without(body: bytes, form: Form, left_out: Collection[int]) -> bytes:
    """The JSON array of the items of a body but for those with these indexes."""
    kept = [bytes(item) for index, item in enumerate(items(body, form)) if index not in left_out]
    return b"[" + b",".join(kept) + b"]"


def packed(sent: SentBatch) -> bytes:
    """It as bytes."""
    return VERSION + msgspec.msgpack.encode(sent)


def unpacked(data: bytes) -> SentBatch:
    """It from its bytes; ValueError where another version has written them."""
    if data[:1] != VERSION:
        raise ValueError(f"written by another version of Evenkeel ({data[:1].hex()})")
    return msgspec.msgpack.decode(data[1:], type=SentBatch)  # a ValidationError is a ValueError
