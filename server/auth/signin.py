"""Signing in: the same for known and unknown accounts, slowed after failures; and the first administrator's link.

The more failures, the longer the wait, never for ever. Nobody is locked out: an
attacker who could lock a commander out at 3 a.m. would need no password.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.auth import people_store, signin_store, tokens
from server.auth.passwords import Passwords
from server.auth.people import EMAIL, create_person
from server.auth.second_step import CodeNeeded, first_step, mark, takes, who_came
from server.auth.sessions import Visitor, open_session
from server.auth.signin_store import WINDOW_S
from server.kernel import shared_clock
from server.kernel.db import Database
from server.kernel.errors import ApiError
from server.kernel.settings import Environment
from server.telemetry import metrics

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

log = logging.getLogger("evenkeel.auth")

LINK_LIFETIME_S = 24 * 3600
LINK_PATH = "/welcome"  # the page that asks for address and password; opening it changes nothing


async def sign_in(  # noqa: PLR0917 - what is asked, of whom
    db: Database, secret_key: str, passwords: Passwords, email: str, password: str, visitor: Visitor
) -> str:
    """A session's token. Raises CodeNeeded, ApiError UNAUTHENTICATED, TOO_MANY_ATTEMPTS with the seconds to wait."""
    row = await with_password(db, passwords, email, password, visitor)
    if row.totp_secret is not None:
        raise CodeNeeded(first_step(secret_key, row))
    async with db.act() as connection:
        token = await open_session(connection, row.id, row.email, visitor)
    metrics.signed_in("ok")
    return token


async def sign_in_with_code(db: Database, secret_key: str, first: str, code: str, visitor: Visitor) -> str:
    """A session's token, for who has given the password. ApiError UNAUTHENTICATED, TOO_MANY_ATTEMPTS."""
    came = who_came(secret_key, first)
    if came is None:
        raise ApiError("UNAUTHENTICATED", "The password was given too long ago. Sign in again.")
    person_id, password = came
    async with db.act() as connection:
        attempt = await count(connection, {f"code:{person_id}": CODE})
    async with db.act() as connection:
        row = await people_store.row_by_id(connection, person_id)
        usable = row is not None and row.disabled_at is None and mark(row.password) == password
        if not usable or row.totp_secret is None:
            raise ApiError("UNAUTHENTICATED", "The password has changed. Sign in again.")
        right = await takes(connection, secret_key, row, code, shared_clock.now())
        if right:
            await signin_store.clear_failures(connection, f"code:{person_id}", attempt)
            token = await open_session(connection, row.id, row.email, visitor)
    if not right:
        metrics.signed_in("wrong")
        fields = {"account": row.email, "address": visitor.address}
        log.warning("code refused", extra={"request_id": visitor.request_id, "fields": fields})
        raise ApiError("UNAUTHENTICATED", "The code is wrong, or was used already.")
    metrics.signed_in("ok")
    return token


async def with_password(db: Database, passwords: Passwords, email: str, password: str, visitor: Visitor) -> Any:
    """The row of whose password it is. ApiError UNAUTHENTICATED, or TOO_MANY_ATTEMPTS with the seconds to wait."""
    email = email.strip().lower()
    if not EMAIL.fullmatch(email):
        email = "(not an address)"  # it may be a password in the wrong field: neither stored nor logged
    account, attempt = await count_attempt(db, email, visitor.address)
    async with db.act() as connection:
        row = await people_store.by_email(connection, email)
    stored = row.password if row is not None and row.disabled_at is None else None
    try:
        right = await passwords.verify(stored, password)
    except Exception:
        await take_back(db, attempt)  # nothing was tried: strangers who keep us busy slow nobody down
        raise
    if row is None or not right:
        metrics.signed_in("wrong")
        fields = {"account": email if row else "unknown", "address": visitor.address}
        log.warning("sign-in refused", extra={"request_id": visitor.request_id, "fields": fields})
        raise ApiError("UNAUTHENTICATED", "The e-mail address or the password is wrong.")
    async with db.act() as connection:
        await signin_store.clear_failures(connection, account, attempt)
    return row


async def count_attempt(db: Database, email: str, address: str) -> tuple[str, list[int]]:
    """Count the attempt as a failure until it is known to be none; what it was counted under, and the rows.

    Raises TOO_MANY_ATTEMPTS.
    """
    async with db.act() as connection:
        # Where somebody has signed in before, only failures from there slow them down: not an attacker's.
        known = await signin_store.known_address(connection, email, address)
        account = f"account:{email} {address}" if known else f"account:{email}"
        return account, await count(connection, {account: ACCOUNT, f"address:{address}": ADDRESS})


async def count(connection: AsyncConnection, subjects: dict[str, Slowdown]) -> list[int]:
    """Count a failure for each subject; the rows. Counted before the try, so that many at once cannot outrun it.

    Raises TOO_MANY_ATTEMPTS, with nothing counted, where one of them must wait.
    """
    await signin_store.alone_on(connection, list(subjects))
    wait = 0.0
    for subject, rule in subjects.items():
        failures, now = await signin_store.failures(connection, subject)
        wait = max(wait, wait_s(failures, now, rule))
    if wait > 0:
        metrics.signed_in("slowed")
        seconds = int(wait) + 1
        detail = f"Too many failed attempts. Wait {seconds} s and try again; nobody is locked out."
        raise ApiError("TOO_MANY_ATTEMPTS", detail, retry_after=seconds)
    return await signin_store.add_failures(connection, list(subjects))


async def take_back(db: Database, attempt: list[int]) -> None:
    """Delete the failures counted for an attempt that was not one."""
    async with db.act() as connection:
        await signin_store.drop_failures(connection, attempt)


async def accept_link(
    db: Database, passwords: Passwords, visitor: Visitor, *, link: str, email: str, password: str
) -> str:
    """Make the first administrator from a link that works once; the new session's token.

    ApiError INVALID for a bad address or password (the link still works), CONFLICT
    where the link was used, has expired, or people exist already, TOO_MANY_ATTEMPTS.
    """
    await try_link(db, link, visitor.address)  # before the hash, which only its holder may cost us
    hashed = await passwords.hash(password, email)
    async with db.act() as connection:
        await signin_store.alone_on_people(connection)
        role = await usable_role(connection, link)
        person = await create_person(connection, email, hashed, role, actor="link", request_id=visitor.request_id)
        await signin_store.use_link(connection, tokens.digest(link))
        return await open_session(connection, person.id, person.email, visitor)


async def try_link(db: Database, link: str, address: str) -> None:
    """Check the link before the hash. ApiError CONFLICT where it does not work, which counts as a failure of the
    address; TOO_MANY_ATTEMPTS."""
    if not tokens.well_formed("el", link):
        raise no_such_link()
    async with db.act() as connection:
        attempt = await count(connection, {f"address:{address}": ADDRESS})
    async with db.act() as connection:
        await usable_role(connection, link)
    await take_back(db, attempt)


async def usable_role(connection: AsyncConnection, link: str) -> str:
    """The role that the link gives; ApiError CONFLICT."""
    role = await signin_store.link_role(connection, tokens.digest(link))
    if role is None or await people_store.count(connection):
        raise no_such_link()
    return role


def no_such_link() -> ApiError:
    return ApiError("CONFLICT", "This link was used or has expired. Ask an administrator to add you.")


@dataclass(frozen=True, slots=True)
class Slowdown:
    """`free` failures cost nothing; each further one doubles the wait, from 1 s up to `longest_s`."""

    free: int
    longest_s: float


ACCOUNT = Slowdown(free=5, longest_s=60.0)
ADDRESS = Slowdown(free=20, longest_s=60.0)  # an office shares one
CODE = Slowdown(free=5, longest_s=600.0)  # only who has the password is slowed by it


def wait_s(failures: Sequence[float], now: float, rule: Slowdown) -> float:
    """Seconds to wait, 0 to `longest_s`. `failures` are Unix seconds in any order."""
    counted = [at for at in failures if at > now - WINDOW_S]
    beyond = len(counted) - rule.free
    if beyond < 0:
        return 0.0
    delay = min(rule.longest_s, 2.0 ** min(beyond, 30))
    return min(rule.longest_s, max(0.0, max(counted, default=now - delay) + delay - now))


async def first_admin_link(db: Database, env: Environment) -> str | None:
    """A new link that works once, for 24 hours and only while there are no people; None where there are.

    The token is in the query string, which is never logged.
    """
    async with db.act() as connection:
        if await people_store.count(connection):
            return None
        token = tokens.new_token("el")
        await signin_store.add_link(connection, tokens.digest(token), "admin", LINK_LIFETIME_S)
    return f"{env.public_url}{LINK_PATH}?token={token}"


async def link_works(db: Database, token: str) -> bool:
    """Whether a link can still be used."""
    if not tokens.well_formed("el", token):
        return False
    async with db.act() as connection:
        role = await signin_store.link_role(connection, tokens.digest(token))
        return role is not None and not await people_store.count(connection)
