"""Sessions: opened by signing in, kept by the server for 30 days, ended by anyone who may.

The cookie is signed, so that a guess costs no query, HttpOnly and SameSite=Lax, and like any other Secure and
`__Host-` on TLS. A session that nobody uses ends after IDLE_DAYS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tornado.web import RequestHandler, create_signed_value

from server.auth import people_store, store, tokens
from server.auth.audit_store import audit
from server.auth.people_store import SESSION_DAYS
from server.auth.proxies import cookie_name
from server.kernel.errors import ApiError
from server.kernel.secret_key import keys_of, unsigned
from server.kernel.settings import Environment

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.auth.identity import Identity

AGENT_CHARACTERS = 300

SESSION_COOKIE = "evenkeel_session"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks to come in: the address and browser, and the request."""

    address: str
    agent: str
    request_id: str


async def open_session(connection: AsyncConnection, user_id: int, email: str, visitor: Visitor) -> str:
    """A new session; its token."""
    token = tokens.new_token("es")
    shown = "".join(c for c in visitor.agent[:AGENT_CHARACTERS] if c.isprintable())
    session_id = await people_store.add_session(connection, tokens.digest(token), user_id, visitor.address, shown)
    after = {"session": session_id, "address": visitor.address, "agent": shown}
    await audit(connection, email, "session.open", email, None, after, visitor.request_id)
    return token


async def revoke_session(connection: AsyncConnection, session_id: int, by: Identity, request_id: str = "") -> None:
    """End a session: one's own, or as an administrator anybody's. ApiError NOT_FOUND, FORBIDDEN.

    Every process refuses it, and ends its streams, within 5 s.
    """
    session = await people_store.session_by_id(connection, session_id)
    if session is None:
        raise ApiError("NOT_FOUND", f"Session {session_id} is not open. Nothing was done.")
    if "admin" not in by.scopes and not (by.kind == "person" and session.user_id == by.id):
        raise ApiError("FORBIDDEN", "Only an administrator may end the session of somebody else. Nothing was done.")
    await people_store.revoke_sessions(connection, session_id=session_id)
    before = {"session": session_id, "address": session.address, "agent": session.agent}
    await audit(connection, by.actor, "session.revoke", session.email, before, None, request_id)
    await store.signal(connection, "sessions")


def write_session(handler: RequestHandler, env: Environment, token: str) -> None:
    """Set the session cookie with the token, signed."""
    handler.set_cookie(
        cookie_name(SESSION_COOKIE, handler.request, env.public_url),
        create_signed_value(env.secret_key, SESSION_COOKIE, token).decode(),
        expires_days=SESSION_DAYS,
        path="/",
        httponly=True,
        samesite="Lax",
    )


def read_session(handler: RequestHandler, env: Environment) -> str:
    """The session's token; empty where there is none or it was not signed by us."""
    value = handler.get_cookie(cookie_name(SESSION_COOKIE, handler.request, env.public_url))
    signed = unsigned(env.secret_key, SESSION_COOKIE, value, SESSION_DAYS)
    return signed.decode("ascii", "replace") if signed else ""


def signed_before(handler: RequestHandler, env: Environment) -> bool:
    """Whether the session's cookie was signed with a key that is only accepted: it ends with that unless renewed."""
    key, *accepted = keys_of(env.secret_key)
    if not accepted or not read_session(handler, env):
        return False
    value = handler.get_cookie(cookie_name(SESSION_COOKIE, handler.request, env.public_url))
    return unsigned(key, SESSION_COOKIE, value, SESSION_DAYS) is None


def clear_session(handler: RequestHandler, env: Environment) -> None:
    """Delete the session cookie."""
    handler.clear_cookie(
        cookie_name(SESSION_COOKIE, handler.request, env.public_url), path="/", httponly=True, samesite="Lax"
    )
