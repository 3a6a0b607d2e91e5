"""Codes of an authenticator: TOTP as in RFC 6238, and recovery codes.

Written here and not taken from a library: it is twenty lines over the standard library's HMAC, held by the RFC's own
test vectors, and who checks a second factor should be able to read all of it.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b32decode, b32encode
from urllib.parse import quote

STEP_S = 30
DIGITS = 6
AROUND = 1  # steps of clock difference that are taken, each way
SECRET_BYTES = 20
RECOVERY_CODES = 10


def new_secret() -> str:
    """160 random bits in base 32, as authenticators take them."""
    return b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def code_at(secret: str, step: int, digits: int = DIGITS, digest: str = "sha1") -> str:
    """The code of one step of 30 s since 1970 (RFC 4226 with the step as its counter)."""
    mac = hmac.digest(b32decode(secret), step.to_bytes(8, "big"), digest)
    at = mac[-1] & 0xF
    number = int.from_bytes(mac[at : at + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**digits:0{digits}}"


def step_of(secret: str, code: str, now: float, used: int) -> int | None:
    """The step whose code it is, near `now` (Unix seconds) and after the last one `used`; None: of none."""
    present = int(now) // STEP_S
    for step in range(present - AROUND, present + AROUND + 1):
        if step > used and hmac.compare_digest(code_at(secret, step).encode(), code.encode()):
            return step
    return None


def address_of(secret: str, email: str, issuer: str) -> str:
    """The `otpauth://` address that authenticators read from a QR code."""
    label = quote(f"{issuer}:{email}", safe="")
    return f"otpauth://totp/{label}?secret={secret}&issuer={quote(issuer, safe='')}"


def new_recovery_code() -> str:
    """80 random bits: `ABCD-EFGH-IJKL-MNOP`."""
    text = b32encode(secrets.token_bytes(10)).decode()
    return "-".join(text[place : place + 4] for place in range(0, len(text), 4))


def tidy(code: str) -> str:
    """A code as typed, without blanks and dashes, in capitals."""
    return "".join(code.split()).replace("-", "").upper()
