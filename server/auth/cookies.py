"""The session cookie: signed, so that a guess costs no query; HttpOnly, SameSite=Lax, like any other Secure on TLS."""

from __future__ import annotations

from tornado.web import RequestHandler, create_signed_value, decode_signed_value

from server.kernel.settings import Environment

SESSION_COOKIE = "evenkeel_session"
SESSION_DAYS = 30


def write_session(handler: RequestHandler, env: Environment, token: str) -> None:
    """Hand the session's token to the browser."""
    handler.set_cookie(
        SESSION_COOKIE,
        create_signed_value(env.secret_key, SESSION_COOKIE, token).decode(),
        expires_days=SESSION_DAYS,
        path="/",
        httponly=True,
        samesite="Lax",
    )


def read_session(handler: RequestHandler, env: Environment) -> str:
    """The session's token; empty where there is none or it was not signed by us."""
    value = handler.get_cookie(SESSION_COOKIE)
    signed = decode_signed_value(env.secret_key, SESSION_COOKIE, value, max_age_days=SESSION_DAYS) if value else None
    return signed.decode("ascii", "replace") if signed else ""


def clear_session(handler: RequestHandler) -> None:
    """Take the cookie back."""
    handler.clear_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="Lax")
