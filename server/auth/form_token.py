"""The token in every form: bound to the session, or to the visit of who has none, and another one on each page."""

from __future__ import annotations

import hashlib
import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

from server.kernel.sealed import derived
from server.kernel.secret_key import keys_of

NONCE_BYTES = 16
TOKEN_BYTES = NONCE_BYTES + hashlib.sha256().digest_size


def form_token(secret_key: str, whose: str) -> str:
    """A token for the forms of one session or visit; no two are alike, so that compression gives none away."""
    nonce = os.urandom(NONCE_BYTES)
    return urlsafe_b64encode(nonce + proof(secret_key, whose, nonce)).decode()


def is_of(token: str, secret_key: str, whose: str) -> bool:
    """Whether the token was made for this session or visit."""
    try:
        raw = urlsafe_b64decode(token)
    except ValueError:
        return False
    return len(raw) == TOKEN_BYTES and any(
        hmac.compare_digest(raw[NONCE_BYTES:], proof(key, whose, raw[:NONCE_BYTES])) for key in keys_of(secret_key)
    )


def proof(secret_key: str, whose: str, nonce: bytes) -> bytes:
    return hmac.digest(derived(secret_key, "forms"), nonce + whose.encode(), "sha256")
