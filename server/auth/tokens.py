"""Secrets that we hand out: 256 random bits behind a prefix that says what they open.

Only SHA-256 digests are stored. A slow hash would add nothing: there is nothing
to guess in 256 random bits. The prefixes also let logs blot them out.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Literal

from server.kernel.secret_key import keys_of

Kind = Literal["ek", "es", "el"]  # API key, session, sign-in link

SHAPE = re.compile(r"e[ksl]_[A-Za-z0-9_-]{43}", re.ASCII)
PREFIX_CHARACTERS = 9  # what is kept to recognise a key by: 36 of its 256 bits


def new_token(kind: Kind) -> str:
    """A new secret, such as `ek_` and 43 url-safe characters."""
    return f"{kind}_{secrets.token_urlsafe(32)}"


def well_formed(kind: Kind, token: str) -> bool:
    """Whether it can be a secret of this kind, so that no query is spent on what cannot."""
    return token.startswith(f"{kind}_") and SHAPE.fullmatch(token) is not None


def digest(token: str) -> bytes:
    """What is stored and looked up: SHA-256, 32 bytes."""
    return hashlib.sha256(token.encode()).digest()


def own_check_mark(secret_key: str) -> str:
    """What Evenkeel's own checks show to be known by; nobody without SECRET_KEY can make it."""
    return hmac.new(secret_key.encode(), b"own check", "sha256").hexdigest()


def is_own_check(mark: str, secret_key: str) -> bool:
    """Whether a request with this mark is one of our own checks'."""
    return bool(mark) and any(
        hmac.compare_digest(mark.encode(), own_check_mark(key).encode()) for key in keys_of(secret_key)
    )
