"""Standard Webhooks: how a POST is signed so that every library of it can check it (https://www.standardwebhooks.com)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode

from server.kernel.errors import invalid

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


def standard_bytes(secret: str) -> bytes:
    """What a secret of the form `whsec_BASE64` stands for; empty for any other, which is a key as it is written."""
    if not secret.startswith(STANDARD):
        return b""
    try:
        return b64decode(secret.removeprefix(STANDARD), validate=True)
    except ValueError:
        return b""
