"""SECRET_KEY and the keys accepted beside it, so that it can be changed without signing anybody out.

The key itself signs and encrypts; what was signed or encrypted with an accepted one is still taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from tornado.web import decode_signed_value


class SecretKey(str):
    """The key, which knows those accepted beside it."""

    __slots__ = ("accepted",)
    accepted: tuple[str, ...]

    def __new__(cls, key: str, accepted: Sequence[str] = ()) -> SecretKey:
        made = super().__new__(cls, key)
        made.accepted = tuple(accepted)
        return made


def keys_of(secret_key: str) -> tuple[str, ...]:
    """The key and those accepted beside it, itself first."""
    return (str(secret_key), *(secret_key.accepted if isinstance(secret_key, SecretKey) else ()))


def unsigned(secret_key: str, name: str, value: str | None, max_age_days: float) -> bytes | None:
    """What was signed under this name with one of the keys, and at most so long ago; else None."""
    if not value:
        return None
    found = (decode_signed_value(key, name, value, max_age_days=max_age_days) for key in keys_of(secret_key))
    return next((text for text in found if text is not None), None)
