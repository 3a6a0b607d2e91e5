"""The session cookie as a browser receives it."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any
from unittest.mock import Mock

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import Application, RequestHandler

from server.auth.cookies import SESSION_COOKIE, clear_session, read_session, write_session


def handler(cookie: str = "") -> RequestHandler:
    headers = HTTPHeaders({"Cookie": cookie} if cookie else {})
    start = RequestStartLine("GET", "/", "HTTP/1.0")
    return RequestHandler(Application(), HTTPServerRequest(start_line=start, headers=headers, connection=Mock()))


def sent(made: RequestHandler) -> Any:
    (morsel,) = made._new_cookie.values()
    return SimpleCookie(morsel.OutputString())[SESSION_COOKIE]


@pytest.mark.parametrize(("url", "secure"), [("https://evenkeel.example.com", True), ("http://localhost", "")])
def test_flags_and_that_only_our_signature_is_read(make_env: Any, url: str, secure: object) -> None:
    env = make_env(PUBLIC_URL=url)
    made = handler()
    write_session(made, env, "es_token")
    cookie = sent(made)
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (True, "Lax", "/", secure)
    assert cookie["expires"]
    signed = f"{SESSION_COOKIE}={cookie.coded_value}"
    assert read_session(handler(signed), env) == "es_token"
    assert read_session(handler(signed), make_env(PUBLIC_URL=url, SECRET_KEY="another-key-for-tests")) == ""
    assert read_session(handler(f"{SESSION_COOKIE}=es_token"), env) == ""
    cleared = handler(signed)
    clear_session(cleared, env)
    assert sent(cleared).value == ""
