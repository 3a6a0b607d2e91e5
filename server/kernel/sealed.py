"""Secrets that we must know again: encrypted for the database with keys derived from SECRET_KEY (AES-256-GCM, HKDF)."""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from server.kernel.secret_key import keys_of

PREFIX = "sealed1:"
NONCE_BYTES = 12


class Unreadable(Exception):
    """It was sealed with another SECRET_KEY, or is no longer what was sealed."""


@lru_cache(8)
def derived(secret_key: str, purpose: str) -> bytes:
    """32 bytes for one purpose alone."""
    return HKDF(SHA256(), 32, salt=None, info=f"evenkeel {purpose}".encode()).derive(secret_key.encode())


def seal(secret_key: str, purpose: str, text: str) -> str:
    """The text as it is stored."""
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(derived(secret_key, purpose)).encrypt(nonce, text.encode(), None)
    return PREFIX + urlsafe_b64encode(nonce + sealed).decode()


def is_sealed(stored: str) -> bool:
    """Whether it is what `seal` made."""
    return stored.startswith(PREFIX)


def opens(secret_key: str, purpose: str, stored: str) -> bool:
    """Whether it can be opened; what is not sealed can."""
    try:
        opened(secret_key, purpose, stored)
    except Unreadable:
        return False
    return True


def opened(secret_key: str, purpose: str, stored: str) -> str:
    """The text that was sealed, with the key or one accepted beside it; what never was is itself. Raises Unreadable."""
    if not is_sealed(stored):
        return stored
    for key in keys_of(secret_key):
        try:
            raw = urlsafe_b64decode(stored.removeprefix(PREFIX))
            return AESGCM(derived(key, purpose)).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None).decode()
        except (InvalidTag, ValueError):
            continue
    raise Unreadable
