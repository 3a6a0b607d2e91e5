"""The session cookie as a browser receives it."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any
from unittest.mock import Mock
from urllib.parse import urlencode

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import Application, RequestHandler, decode_signed_value

from server.auth.form_token import form_token
from server.auth.people import create_person
from server.auth.sessions import SESSION_COOKIE, clear_session, read_session, write_session
from server.process.serve import warn


def handler(cookie: str = "") -> RequestHandler:
    headers = HTTPHeaders({"Cookie": cookie} if cookie else {})
    start = RequestStartLine("GET", "/", "HTTP/1.0")
    return RequestHandler(Application(), HTTPServerRequest(start_line=start, headers=headers, connection=Mock()))


def sent(made: RequestHandler) -> Any:
    (morsel,) = made._new_cookie.values()
    return SimpleCookie(morsel.OutputString())[SESSION_COOKIE]


def test_flags_and_that_only_our_signature_is_read(make_env: Any) -> None:
    env = make_env()
    made = handler()
    write_session(made, env, "es_token")
    cookie = sent(made)
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
    assert cookie["expires"]
    signed = f"{SESSION_COOKIE}={cookie.coded_value}"
    assert read_session(handler(signed), env) == "es_token"
    assert read_session(handler(signed), make_env(SECRET_KEY="another-key-for-tests")) == ""
    assert read_session(handler(f"{SESSION_COOKIE}=es_token"), env) == ""
    cleared = handler(signed)
    clear_session(cleared, env)
    assert sent(cleared).value == ""


HTTPS = {"X-Forwarded-Proto": "https"}
KEEP_TO_TLS = "max-age=31536000"


@pytest.mark.parametrize(
    ("given", "headers", "secure"),
    [
        ({"PUBLIC_URL": "https://evenkeel.example.com"}, {}, True),
        ({"TRUSTED_PROXIES": "1"}, HTTPS, True),
        ({"TRUSTED_PROXIES": "1"}, {"X-Forwarded-Proto": "http"}, False),
        ({}, HTTPS, False),  # anybody can send that header
        ({}, {}, False),
    ],
)
@pytest.mark.gen_test
async def test_over_tls_every_cookie_is_secure_and_browsers_keep_to_it(
    web: Any, given: dict[str, str], headers: dict[str, str], secure: bool
) -> None:
    site = await web(**given)
    form = await site.fetch("/sign-in", headers=headers)
    (visit,) = form.headers.get_list("Set-Cookie")
    token = form_token(site.env.secret_key, f"visit {visit.partition('=')[2].partition(';')[0]}")
    hashed = await site.parts.auth.passwords.hash("correct horse battery")
    async with site.parts.db.act() as connection:
        await create_person(connection, "mira@example.com", hashed, "admin", actor="test")
    asked = {"_xsrf": token, "email": "mira@example.com", "password": "correct horse battery"}
    sent_with = headers | {"Cookie": visit.partition(";")[0], "Content-Type": "application/x-www-form-urlencoded"}
    signed_in = await site.fetch("/sign-in", method="POST", headers=sent_with, body=urlencode(asked))
    assert signed_in.code == 303
    (session,) = signed_in.headers.get_list("Set-Cookie")
    cookie = sent_with["Cookie"] + "; " + session.partition(";")[0]
    signed = decode_signed_value(
        site.env.secret_key, SESSION_COOKIE, session.partition("=")[2].partition(";")[0].strip('"')
    )
    assert signed is not None
    token = form_token(site.env.secret_key, f"session {signed.decode()}")
    act = urlencode({"_xsrf": token, "name": "", "scope": "read"})
    told = await site.fetch("/setup/keys", method="POST", headers=sent_with | {"Cookie": cookie}, body=act)
    out = await site.fetch("/sign-out", method="POST", headers=sent_with | {"Cookie": cookie}, body=f"_xsrf={token}")
    cookies = [visit, session, *told.headers.get_list("Set-Cookie"), *out.headers.get_list("Set-Cookie")]
    prefix = "__Host-" if secure else ""
    names = {one.partition("=")[0] for one in cookies}
    assert names == {prefix + name for name in ("evenkeel_visit", SESSION_COOKIE, "evenkeel_said")}
    assert not any("domain=" in one.lower() for one in cookies)
    assert {"path=/" in one.lower() for one in cookies} == {True}
    assert {"; Secure" in one for one in cookies} == {secure}
    lost = await site.fetch("/api/v1/no-such", headers=headers)
    for answer in (form, signed_in, lost):
        assert answer.headers.get("Strict-Transport-Security") == (KEEP_TO_TLS if secure else None)


@pytest.mark.parametrize(("url", "warned"), [("", True), ("https://evenkeel.example.com", False)])
def test_the_start_warns_without_a_public_url(
    make_env: Any, caplog: pytest.LogCaptureFixture, url: str, warned: bool
) -> None:
    warn(make_env(PUBLIC_URL=url))
    assert ("PUBLIC_URL is not set" in caplog.text) is warned
