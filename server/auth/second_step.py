"""The second step of signing in: a code of an authenticator, or a recovery code, after the right password."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from tornado.web import create_signed_value

from server.auth import people_store, tokens, totp
from server.auth.audit_store import audit
from server.kernel import sealed
from server.kernel.errors import ApiError, invalid
from server.kernel.secret_key import unsigned

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.auth.identity import Identity

PURPOSE = "codes of people"
FIRST_STEP = "evenkeel_first_step"
FIRST_STEP_S = 300  # how long the right password may wait for its code
ISSUER = "Evenkeel"


class CodeNeeded(Exception):
    """The password was right, and a code is needed. `first` proves it for five minutes."""

    def __init__(self, first: str) -> None:
        super().__init__("a code is needed")
        self.first = first


class Started(Struct):
    """Codes that somebody begins to use: nothing is stored until the first one is given."""

    secret: str  # in base 32, to type
    address: str  # otpauth://, for a QR code
    sealed: str  # the secret as the form carries it


def first_step(secret_key: str, row: Any) -> str:
    """What proves that the password of a person's row was given a moment ago."""
    return create_signed_value(secret_key, FIRST_STEP, f"{row.id} {mark(row.password)}").decode()


def who_came(secret_key: str, first: str) -> tuple[int, str] | None:
    """The person's id and the mark of the password that was given; None: it is not ours, or too old."""
    value = unsigned(secret_key, FIRST_STEP, first, FIRST_STEP_S / 86_400)
    if value is None:
        return None
    person_id, _, password = value.decode().partition(" ")
    return int(person_id), password


def mark(hashed: str) -> str:
    """Names a stored password without giving it away: with another one the first step is worth nothing."""
    return hashlib.sha256(hashed.encode()).hexdigest()[:16]


async def takes(connection: AsyncConnection, secret_key: str, row: Any, code: str, now: float) -> bool:
    """Whether it is a code of the person's that has not been used; used up by this. ApiError UNAVAILABLE."""
    typed = totp.tidy(code)
    if len(typed) != totp.DIGITS:
        return await people_store.use_recovery_code(connection, row.id, recovery_digest(row.id, typed))
    try:
        secret = sealed.opened(secret_key, PURPOSE, row.totp_secret)
    except sealed.Unreadable:
        detail = (
            "Codes cannot be checked: SECRET_KEY has changed. Use a recovery code, or have an administrator run "
            "`python -m server user codes-off EMAIL`."
        )
        raise ApiError("UNAVAILABLE", detail) from None
    step = totp.step_of(secret, typed, now, row.totp_step)
    return step is not None and await people_store.use_step(connection, row.id, step)


def start(secret_key: str, person: Identity) -> Started:
    """A new secret to be confirmed by its first code."""
    secret = totp.new_secret()
    kept = sealed.seal(secret_key, PURPOSE, f"{person.id} {secret}")
    return Started(secret, totp.address_of(secret, person.name, ISSUER), kept)


def started(secret_key: str, person: Identity, kept: str) -> Started:
    """The one that was started, as its form carries it. ApiError INVALID."""
    try:
        person_id, _, secret = sealed.opened(secret_key, PURPOSE, kept).partition(" ")
    except sealed.Unreadable:
        person_id, secret = "", ""
    if not sealed.is_sealed(kept) or person_id != str(person.id):
        raise invalid("sealed", "this form is not of yours; begin again")
    return Started(secret, totp.address_of(secret, person.name, ISSUER), kept)


async def turn_on(  # noqa: PLR0917 - what is asked, of whom
    connection: AsyncConnection,
    secret_key: str,
    person: Identity,
    begun: Started,
    code: str,
    now: float,
    request_id: str,
) -> list[str]:
    """From now on a code is needed; recovery codes, to be shown once. ApiError INVALID for a wrong code."""
    step = totp.step_of(begun.secret, totp.tidy(code), now, 0)
    if step is None:
        raise invalid("code", "is not the code of this moment; look whether the clock of your device is right")
    kept = sealed.seal(secret_key, PURPOSE, begun.secret)
    await people_store.change(connection, person.id, totp_secret=kept, totp_step=step)
    await audit(connection, person.actor, "person.codes_on", person.name, None, None, request_id)
    return await new_recovery_codes(connection, person.id)


async def new_recovery_codes(connection: AsyncConnection, person_id: int) -> list[str]:
    """Recovery codes in place of all before; each works once."""
    codes = [totp.new_recovery_code() for _ in range(totp.RECOVERY_CODES)]
    digests = [recovery_digest(person_id, totp.tidy(code)) for code in codes]
    await people_store.replace_recovery_codes(connection, person_id, digests)
    return codes


async def turn_off(
    connection: AsyncConnection, person_id: int, email: str, *, actor: str, request_id: str = ""
) -> None:
    """The password alone is enough again."""
    await people_store.change(connection, person_id, totp_secret=None)
    await people_store.replace_recovery_codes(connection, person_id, [])
    await audit(connection, actor, "person.codes_off", email, None, None, request_id)


async def turn_off_of(connection: AsyncConnection, email: str, *, actor: str) -> bool:
    """As `turn_off`, by the address; False where that person uses no codes. ApiError NOT_FOUND."""
    row = await people_store.by_email(connection, email)
    if row is None:
        raise ApiError("NOT_FOUND", f"There is no {email}. Nothing was done.")
    if row.totp_secret is None:
        return False
    await turn_off(connection, row.id, email, actor=actor)
    return True


def recovery_digest(person_id: int, typed: str) -> bytes:
    return tokens.digest(f"{person_id} {typed}")
