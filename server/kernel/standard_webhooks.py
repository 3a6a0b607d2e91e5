"""Standard Webhooks: how a POST is signed so that every library of it can check it (https://www.standardwebhooks.com)."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode

from server.kernel.errors import invalid

TOLERANCE_S = 300.0  # of the time in a signature, either way
SECONDS = re.compile(r"[0-9]{1,12}")
SIGNATURES_MAX = 10  # more in one header are not looked at
STANDARD = "whsec_"  # before a secret in base64
STANDARD_BYTES = range(24, 65)


def new_secret() -> str:
    """A secret that every library takes."""
    return STANDARD + b64encode(secrets.token_bytes(32)).decode()


def checked_secret(secret: str) -> str:
    """The secret, or ApiError INVALID where it looks like one of theirs and is none."""
    if secret.startswith(STANDARD) and len(standard_bytes(secret)) not in STANDARD_BYTES:
        raise invalid("secret", f"after {STANDARD} give 24 to 64 bytes in base64")
    return secret


def headers(secret: str, key: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a POST; `key` is the same when it is sent again, `timestamp` in Unix seconds."""
    return {
        "webhook-id": key,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": standard_signature(secret, key, timestamp, body),
    }


def standard_signature(secret: str, key: str, timestamp: int, body: bytes) -> str:
    """`v1,BASE64`: HMAC-SHA256 over `KEY.TIMESTAMP.BODY`, as Standard Webhooks says. There is no dot in our keys."""
    signed = f"{key}.{timestamp}.".encode() + body
    made = hmac.new(standard_bytes(secret) or secret.encode(), signed, hashlib.sha256).digest()
    return f"v1,{b64encode(made).decode()}"


def signed_by(secret: str, key: str, timestamp: str, signatures: str, body: bytes) -> bool:
    """Whether one of the signatures of a header (`v1,BASE64 v1,BASE64`, several while a secret is changed) is of this
    body by this secret; those of other versions are passed over."""
    if not SECONDS.fullmatch(timestamp):
        return False
    made = standard_signature(secret, key, int(timestamp), body).encode()
    given = [one.encode() for one in signatures.split(" ")[:SIGNATURES_MAX]]
    matches = [hmac.compare_digest(made, one) for one in given]  # every one, so that time tells nothing
    return any(matches)


def is_recent(timestamp: str, now: float) -> bool:
    """Whether a signature was made within TOLERANCE_S of `now`, Unix seconds: an older one may be somebody else's."""
    return bool(SECONDS.fullmatch(timestamp)) and abs(int(timestamp) - now) <= TOLERANCE_S


def standard_bytes(secret: str) -> bytes:
    """What a secret of the form `whsec_BASE64` stands for; empty for any other, which is a key as it is written."""
    if not secret.startswith(STANDARD):
        return b""
    try:
        return b64decode(secret.removeprefix(STANDARD), validate=True)
    except ValueError:
        return b""
