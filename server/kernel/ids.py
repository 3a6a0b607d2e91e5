"""Ids: of requests, UUIDv7 (RFC 9562, section 5.7), cheap enough for one an outcome; and numbers in addresses."""

from __future__ import annotations

import os
import re

from server.kernel import shared_clock

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)  # of a caller's own id, which is kept


def uuid7() -> str:
    """A new UUIDv7 as text: 48 bits of Unix milliseconds, then 74 random bits."""
    return uuid7_from(int(shared_clock.now() * 1000), os.urandom(10))


def uuid7_from(milliseconds: int, random: bytes) -> str:
    """A UUIDv7 from its parts: Unix milliseconds and 10 random bytes."""
    value = bytearray(milliseconds.to_bytes(6, "big") + random)
    value[6] = 0x70 | value[6] & 0x0F
    value[8] = 0x80 | value[8] & 0x3F
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def number_in(text: str, digits: int = 9) -> int | None:
    """The number of a row in an address, where it is one of at most so many digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None
