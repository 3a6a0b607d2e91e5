"""Acts of Setup: keys, people, sessions. Each says what it did on the page that it stands on."""

from __future__ import annotations

from typing import TypedDict

from dashboard.shared.act import ActPage, whole
from dashboard.shared.proven import ProvenAct
from server.auth import people
from server.auth.keys import create_key, revoke_key
from server.auth.people_store import Person
from server.auth.second_step import turn_off
from server.http.operation import Scope
from server.ingest.first_outcome import first_outcome
from server.kernel.errors import ApiError, invalid


class By(TypedDict):
    """Who acts and in which request, as the audit is told."""

    actor: str
    request_id: str


class AdminAct(ProvenAct):
    """What the acts of administrators share: a refusal is told on Setup, where what was typed was wrong."""

    acts: Scope | None = "admin"
    back = "/setup"

    @property
    def by(self) -> By:
        """Who acts, for the audit."""
        assert self.identity is not None
        return {"actor": self.identity.actor, "request_id": self.request_id}


class KeyCreate(AdminAct):
    """POST /setup/keys: the answer shows the key, this once."""

    async def act(self) -> None:
        name, scopes = self.get_body_argument("name", ""), self.get_body_arguments("scope")
        services = self.get_body_argument("services", "").split(",")
        sampled = share(self.get_body_argument("sampled", ""))
        async with self.parts.db.act() as connection:
            made = await create_key(connection, name, scopes, services, **self.by, sampled=sampled)
        command = first_outcome(self.parts.env.public_url, made.key)
        self.show("setup/key.html", made, title="A new key · Evenkeel", page="setup", command=command)


def share(text: str) -> float:
    """What somebody typed as a share, all where it is nothing; ApiError INVALID."""
    try:
        return float(text.strip() or 1)
    except ValueError:
        raise invalid("sampled", "give the share of requests whose spans are sent, such as 0.1") from None


class KeyRevoke(AdminAct):
    """POST /setup/keys/revoke."""

    async def act(self) -> str:
        async with self.parts.db.act() as connection:
            key = await revoke_key(connection, whole(self, "id"), **self.by)
        return f"{key.name} ({key.prefix}…) is revoked; every process refuses it within 5 s."


class PersonCreate(AdminAct):
    """POST /setup/people."""

    async def act(self) -> str:
        email, role = self.get_body_argument("email", ""), self.get_body_argument("role", "")
        people.checked_email(email)
        password = self.get_body_argument("password", "", strip=False)
        hashed = await self.parts.auth.passwords.hash(password, email, self.parts.env.public_url)
        async with self.parts.db.act() as connection:
            person = await people.create_person(connection, email, hashed, role, **self.by)
        return f"{person.email} can sign in now, as {person.role}."


class PersonChange(AdminAct):
    """POST /setup/people/change: `do` is role, disable, enable, codes_off, erase or password."""

    async def act(self) -> str:
        person_id, do = whole(self, "id"), self.get_body_argument("do", "")
        if do == "password":
            return await self.password(person_id)
        async with self.parts.db.act() as connection:
            if do == "role":
                role = self.get_body_argument("role", "")
                return sentence(await people.change_role(connection, person_id, role, **self.by), f"is {role} now")
            if do == "disable":
                return sentence(
                    await people.disable_person(connection, person_id, **self.by), "is signed out everywhere"
                )
            if do == "codes_off":
                person = await people.held(connection, person_id)
                await turn_off(connection, person.id, person.email, **self.by)
                return sentence(person, "signs in with the password alone now")
            if do == "erase":
                person = await people.erase_person(connection, person_id, **self.by)
                return f"{person.email} is erased; what they did stands under person:{person.id}."
            if do == "enable":
                return sentence(await people.enable_person(connection, person_id, **self.by), "may sign in again")
        raise ApiError("INVALID", "Choose what to do.")

    async def password(self, person_id: int) -> str:
        async with self.parts.db.act() as connection:
            email = (await people.held(connection, person_id)).email
        password = self.get_body_argument("password", "", strip=False)
        hashed = await self.parts.auth.passwords.hash(password, email, self.parts.env.public_url)
        async with self.parts.db.act() as connection:
            person = await people.set_password(connection, person_id, hashed, **self.by)
        return sentence(person, "has a new password; sessions with the old one have ended")


class SessionRevoke(ActPage):
    """POST /setup/sessions/revoke: one's own, or as an administrator anybody's."""

    acts: Scope | None = "read"
    back = "/setup"

    async def act(self) -> str:
        assert self.identity is not None
        await self.parts.auth.revoke_session(whole(self, "id"), self.identity, self.request_id)
        return "The session has ended; its pages say so within 5 s."


def sentence(person: Person, what: str) -> str:
    """`mira@example.com is admin now.`"""
    return f"{person.email} {what}."
