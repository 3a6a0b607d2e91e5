"""Who is calling: a bearer key, or a session's cookie where that is allowed.

Keys and sessions are checked from memory; what is revoked anywhere is refused
here within 5 s, usually at once (bus topics `keys`, `sessions`).
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable

from tornado.web import RequestHandler

from server.auth import people_store
from server.auth.credential_cache import (
    KEPT_WITHOUT_DATABASE_S,
    SENDS_WITHOUT_DATABASE_S,
    KeyCache,
    Listener,
    SessionCache,
)
from server.auth.identity import Identity
from server.auth.passwords import Passwords
from server.auth.sessions import Visitor, read_session, revoke_session
from server.auth.signin import accept_link, sign_in, sign_in_with_code, with_password
from server.auth.tokens import well_formed
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.settings import Environment

__all__ = ["Authenticator", "Identity"]


class Authenticator:
    """One process's knowledge of who may come in. Make it inside the running loop."""

    kept_s = KEPT_WITHOUT_DATABASE_S  # how long keys and sessions work after they were last read
    sends_s = SENDS_WITHOUT_DATABASE_S  # how long keys still send outcomes

    def __init__(self, env: Environment, db: Database, bus: Bus) -> None:
        self.env = env
        self.db = db
        self.bus = bus
        self.keys = KeyCache(db)
        self.sessions = SessionCache(db)
        self.passwords = Passwords()
        bus.subscribe("keys", self.keys.fresh.signal)
        bus.subscribe("sessions", self.sessions.fresh.signal)

    async def start(self) -> None:
        """Read the keys and keep them fresh; raises the database's error while it is away."""
        await self.keys.fresh.start()
        await self.sessions.fresh.start()

    async def close(self) -> None:
        await self.keys.fresh.close()
        await self.sessions.fresh.close()
        self.passwords.close()

    async def identify(
        self, handler: RequestHandler, *, allow_session: bool, allow_basic: bool = False
    ) -> Identity | None:
        """Whose request it is; None: nobody's. Where a key is sent, the cookie is not looked at.

        `allow_basic`: the key may also come as user or password of HTTP Basic, which some senders alone can do.

        Raises ApiError UNAVAILABLE where the database is away and who calls is not known.
        """
        authorization = handler.request.headers.get("Authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            if allow_basic and scheme.lower() == "basic":
                return await self.keys.find(basic_key(token.strip()))
            return await self.keys.find(bearer(authorization))
        if not allow_session:
            return None
        token = read_session(handler, self.env)
        return await self.sessions.find(token) if token else None

    async def sign_in(self, email: str, password: str, address: str, agent: str, request_id: str = "") -> str:
        """A new session's token, for `sessions.write_session`.

        Raises CodeNeeded, ApiError UNAUTHENTICATED, TOO_MANY_ATTEMPTS (with the seconds to wait), UNAVAILABLE.
        """
        visitor = Visitor(address, agent, request_id)
        return await sign_in(self.db, self.env.secret_key, self.passwords, email, password, visitor)

    async def sign_in_with_code(self, first: str, code: str, address: str, agent: str, request_id: str = "") -> str:
        """A new session's token, after CodeNeeded. Raises ApiError UNAUTHENTICATED, TOO_MANY_ATTEMPTS, UNAVAILABLE."""
        return await sign_in_with_code(self.db, self.env.secret_key, first, code, Visitor(address, agent, request_id))

    async def prove(self, identity: Identity, password: str, address: str, request_id: str = "") -> None:
        """Who is signed in gives the password once more. Raises ApiError UNAUTHENTICATED, TOO_MANY_ATTEMPTS."""
        await with_password(self.db, self.passwords, identity.name, password, Visitor(address, "", request_id))
        async with self.db.act() as connection:
            await people_store.session_proved(connection, identity.session_id)
        await self.sessions.fresh.quietly()

    async def accept_link(
        self, link: str, email: str, password: str, *, address: str, agent: str, request_id: str = ""
    ) -> str:
        """Make the first administrator; a new session's token. Raises ApiError INVALID, CONFLICT."""
        visitor = Visitor(address, agent, request_id)
        return await accept_link(self.db, self.passwords, visitor, link=link, email=email, password=password)

    async def sign_out(self, identity: Identity, request_id: str = "") -> None:
        """End the session that the identity came with. ApiError NOT_FOUND where it has ended already."""
        await self.revoke_session(identity.session_id, identity, request_id)

    async def revoke_session(self, session_id: int, by: Identity, request_id: str = "") -> None:
        """End a session, here at once and everywhere within 5 s. ApiError NOT_FOUND, FORBIDDEN."""
        async with self.db.act() as connection:
            await revoke_session(connection, session_id, by, request_id)
        await self.sessions.fresh.quietly()

    def key_name(self, key_id: int) -> str:
        """A key's name for people; `key 7` where it is not known, `no valid key` for 0."""
        return self.keys.name(key_id) if key_id else "no valid key"

    def on_revoked(self, session_id: int, listener: Listener) -> Callable[[], None]:
        """Call `listener(session_id)` once it is revoked, expired or its person disabled; returns how to stop."""
        return self.sessions.on_revoked(session_id, listener)

    @property
    def age_s(self) -> float:
        """Seconds since the keys were read; infinite before the first time."""
        return self.keys.fresh.age_s


def bearer(authorization: str) -> str:
    """The key of such a header; empty where there is none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def basic_key(credentials: str) -> str:
    """The key in HTTP Basic credentials: the password, whatever the user is called, or the user, as in the address of a
    drain; '' where they cannot be read."""
    try:
        user, _, password = b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:
        return ""
    return password if well_formed("ek", password) else user
