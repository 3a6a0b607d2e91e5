"""Signatures: of what we send to webhooks, and of what PagerDuty sends to us."""

from __future__ import annotations

import hashlib
import hmac

VERSION = "v1"
SIGNATURES_MAX = 10  # more in one header are not looked at


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """`v1=HEX`: HMAC-SHA256 over `TIMESTAMP.BODY`, so that an old message cannot be passed off as new."""
    return f"{VERSION}={mac(secret, b'%d.' % timestamp + body)}"


def signed_by(secret: str, header: str, body: bytes) -> bool:
    """Whether one of PagerDuty's signatures (`v1=HEX,v1=HEX`, several while its secret is changed) is of this body."""
    expected = f"{VERSION}={mac(secret, body)}".encode()
    given = [one.strip().encode() for one in header.split(",")[:SIGNATURES_MAX]]
    matches = [hmac.compare_digest(expected, one) for one in given]  # every one, so that time tells nothing
    return any(matches)


def mac(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
