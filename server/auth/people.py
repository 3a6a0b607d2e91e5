"""People: made, listed, given a role, disabled. Each act is audited in the caller's transaction."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from server.auth import people_store, signin_store, store
from server.auth.audit_store import audit
from server.auth.identity import checked_role
from server.auth.people_store import Person
from server.kernel.errors import ApiError, invalid

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.auth.identity import Identity

EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,189}")


def checked_email(email: str) -> str:
    """The address in lower case without blanks around it, or ApiError INVALID."""
    email = email.strip().lower()
    if not EMAIL.fullmatch(email):
        raise invalid("email", "give an e-mail address, such as mira@example.com")
    return email


async def create_person(
    connection: AsyncConnection, email: str, hashed: str, role: str, *, actor: str, request_id: str = ""
) -> Person:
    """A new person; `hashed` is from `Passwords.hash`. ApiError INVALID, or CONFLICT where the address is taken."""
    email, role = checked_email(email), checked_role(role)
    person = await people_store.add(connection, email, hashed, role)
    if person is None:
        raise ApiError("CONFLICT", f"{email} exists already. Nothing was done.")
    await audit(connection, actor, "person.create", email, None, {"role": role}, request_id)
    return person


async def change_role(
    connection: AsyncConnection, person_id: int, role: str, *, actor: str, request_id: str = ""
) -> Person:
    """Another role, in force everywhere within 5 s. ApiError NOT_FOUND, INVALID, or CONFLICT for the last admin."""
    checked_role(role)
    person = await held(connection, person_id)
    if person.role == role:
        return person
    if person.role == "admin":
        await not_the_last_admin(connection, person)
    changed = await people_store.change(connection, person_id, role=role)
    await audit(connection, actor, "person.role", person.email, {"role": person.role}, {"role": role}, request_id)
    await store.signal(connection, "sessions")
    return changed


async def disable_person(connection: AsyncConnection, person_id: int, *, actor: str, request_id: str = "") -> Person:
    """End all sessions and let nobody in under this address. ApiError NOT_FOUND, or CONFLICT for the last admin."""
    person = await held(connection, person_id)
    if person.disabled_at is not None:
        return person
    await not_the_last_admin(connection, person)
    changed = await people_store.change(connection, person_id, disabled_at=people_store.NOW)
    ended = await people_store.revoke_sessions(connection, user_id=person_id)
    after = {"disabled": True, "sessions_ended": ended}
    await audit(connection, actor, "person.disable", person.email, {"disabled": False}, after, request_id)
    await store.signal(connection, "sessions")
    return changed


async def enable_person(connection: AsyncConnection, person_id: int, *, actor: str, request_id: str = "") -> Person:
    """Undo a disabling; the person signs in anew. ApiError NOT_FOUND."""
    person = await held(connection, person_id)
    if person.disabled_at is None:
        return person
    changed = await people_store.change(connection, person_id, disabled_at=None)
    await audit(connection, actor, "person.enable", person.email, {"disabled": True}, {"disabled": False}, request_id)
    return changed


async def set_password(
    connection: AsyncConnection, person_id: int, hashed: str, *, actor: str, request_id: str = ""
) -> Person:
    """Another password; sessions opened with the old one end. ApiError NOT_FOUND."""
    person = await held(connection, person_id)
    await people_store.change(connection, person_id, password=hashed)
    ended = await people_store.revoke_sessions(connection, user_id=person_id)
    await audit(connection, actor, "person.password", person.email, None, {"sessions_ended": ended}, request_id)
    await store.signal(connection, "sessions")
    return person


async def change_own_password(connection: AsyncConnection, by: Identity, hashed: str, *, request_id: str = "") -> int:
    """Another password of one's own; every other session of the person ends. How many did."""
    await people_store.change(connection, by.id, password=hashed)
    ended = await people_store.revoke_other_sessions(connection, by.id, by.session_id)
    await audit(connection, by.actor, "person.password", by.name, None, {"sessions_ended": ended}, request_id)
    await store.signal(connection, "sessions")
    return ended


async def erase_person(connection: AsyncConnection, person_id: int, *, actor: str, request_id: str = "") -> Person:
    """Forget somebody; what they did keeps an id, in the audit too. ApiError NOT_FOUND, CONFLICT for the last admin."""
    person = await held(connection, person_id)
    await not_the_last_admin(connection, person)
    await audit(connection, actor, "person.erase", f"person:{person_id}", None, None, request_id)
    await people_store.erase(connection, person_id, person.email)
    await store.signal(connection, "sessions")
    return person


async def held(connection: AsyncConnection, person_id: int) -> Person:
    """The person, with nobody else changing people until this transaction ends."""
    await signin_store.alone_on_people(connection)
    person = await people_store.by_id(connection, person_id)
    if person is None:
        raise ApiError("NOT_FOUND", f"There is no person {person_id}. Nothing was done.")
    return person


async def not_the_last_admin(connection: AsyncConnection, person: Person) -> None:
    if person.role == "admin" and not await people_store.other_admins(connection, person.id):
        raise ApiError("CONFLICT", f"{person.email} is the last administrator; make another one first.")
