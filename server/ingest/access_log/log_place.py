"""How far a log is stored, and whether it is the same log: what makes that each of its lines counts once.

A log is known by what it says, not by its name, so that it is the same after it was rotated, copied or packed: by its
first line and, where several begin with the same, by what stands before the place up to which it is stored.
"""

from __future__ import annotations

import hashlib

from msgspec import Struct

from server.ingest.access_log.log_file import TAIL_BYTES, OpenLog


class LogPlace(Struct, frozen=True):
    """The bytes and lines of a log that are stored. `tail` is the digest of the last of them; `inode` 0: of no file."""

    end: int = 0
    lines: int = 0
    tail: bytes = b""
    inode: int = 0

    def is_in(self, log: OpenLog, *, live: bool) -> bool:
        """Whether it is a place in this log. Of live ones two may begin alike, and are told apart by their files."""
        if live and self.end < TAIL_BYTES and self.inode != log.inode:
            return False
        return log.tail_at(self.end) == self.tail


def known_by(service: str, head: bytes, *, moved: bool) -> bytes:
    """16 bytes of a service and the first line of a log of it; of one whose times are moved, others."""
    return digest(service.encode(), b"moved" if moved else b"", head)


def chunk_digest(known: bytes, number: int, start: int, *, timed: bool) -> bytes:
    """What the outcomes of a chunk are stored under once: those with a latency, or those without.

    `number` is of the log, among those that begin alike.
    """
    return digest(known, b"%d %d %d" % (number, start, timed))


def digest(*parts: bytes) -> bytes:
    return hashlib.blake2b(b"\0".join(parts), digest_size=16, person=b"evenkeel log").digest()
