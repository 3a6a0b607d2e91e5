"""Signing in and out over HTTP: refusals, the slowdown, where it leads, and the first administrator's link."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import func, select
from tornado.httpclient import HTTPResponse

from server.auth.people import create_person
from server.auth.signin import first_admin_link
from server.tables.people import sessions, users
from tests.dashboard.visitor import PASSWORD, look, press, sign_in
from tests.site import Site

Web = Callable[..., Awaitable[Site]]


async def person(site: Site, email: str = "mira@example.com") -> str:
    hashed = await site.parts.auth.passwords.hash(PASSWORD)
    async with site.parts.db.act() as connection:
        await create_person(connection, email, hashed, "commander", actor="test")
    return email


def session_cookie(answer: HTTPResponse) -> str:
    """The session that an answer hands out; empty where it hands out none."""
    found = [c for c in answer.headers.get_list("Set-Cookie") if c.startswith("evenkeel_session=")]
    return found[0].partition(";")[0] if found else ""


@pytest.mark.gen_test
async def test_signing_in_leads_to_where_one_was_going(web: Web) -> None:
    site = await web()
    email = await person(site)
    answer = await press(site, "/sign-in", email=f" {email.upper()} ", password=PASSWORD, next="/config?x=1")
    assert (answer.code, answer.headers["Location"]) == (303, "/config?x=1")
    attributes = next(c for c in answer.headers.get_list("Set-Cookie") if c.startswith("evenkeel_session="))
    assert "HttpOnly" in attributes
    assert "SameSite=Lax" in attributes
    assert (await look(site, "/config", session_cookie(answer))).code == 200


@pytest.mark.gen_test
async def test_next_never_leads_away(web: Web) -> None:
    site = await web()
    email = await person(site)
    for away in ("//evil.example", "https://evil.example/", "/\\evil.example"):
        answer = await press(site, "/sign-in", email=email, password=PASSWORD, next=away)
        assert (answer.code, answer.headers["Location"]) == (303, "/")
        shown = await site.fetch(f"/sign-in?next={away}")
        assert b"evil" not in shown.body


@pytest.mark.gen_test
async def test_a_wrong_password_says_so_and_keeps_what_was_typed_but_the_password(web: Web) -> None:
    site = await web()
    email = await person(site)
    known = await press(site, "/sign-in", email=email, password="not the password", next="/setup")
    unknown = await press(site, "/sign-in", email="nobody@example.com", password="not the password")
    text = known.body.decode()
    assert (known.code, unknown.code) == (401, 401)
    assert "The e-mail address or the password is wrong." in text
    assert "The e-mail address or the password is wrong." in unknown.body.decode()
    assert f'value="{email}"' in text
    assert 'name="next" value="/setup"' in text
    assert "not the password" not in text
    assert not session_cookie(known)


@pytest.mark.gen_test
async def test_many_failures_slow_the_account_down_for_the_right_password_too(web: Web) -> None:
    site = await web()
    email = await person(site)
    for _ in range(6):
        answer = await press(site, "/sign-in", email=email, password="wrong wrong wrong")
    answer = await press(site, "/sign-in", email=email, password=PASSWORD)
    assert answer.code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert "Wait" in answer.body.decode()
    assert not session_cookie(answer)


@pytest.mark.gen_test
async def test_a_form_without_its_token_signs_nobody_in(web: Web) -> None:
    site = await web()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await site.fetch("/sign-in", method="POST", headers=form, body=f"email=a@b.c&password={PASSWORD}")
    assert answer.code == 403
    assert "Nothing was done" in answer.body.decode()


@pytest.mark.gen_test
async def test_hostile_text_in_the_form_is_text(web: Web) -> None:
    site = await web()
    answer = await press(site, "/sign-in", email='"><script>alert(1)</script>', password="x", next='/"><script>')
    assert answer.code == 401
    assert "<script>" not in answer.body.decode().replace("<script src=", "")


@pytest.mark.gen_test
async def test_signing_out_is_a_form_and_ends_the_session(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    assert (await look(site, "/sign-out", cookie)).code == 302
    assert (await look(site, "/", cookie)).code == 200, "a link to it does nothing"
    answer = await press(site, "/sign-out", cookie)
    assert (answer.code, answer.headers["Location"]) == (303, "/sign-in?out=1")
    again = await look(site, "/", cookie)
    assert (again.code, again.headers["Location"]) == (302, "/sign-in?next=%2F")
    assert (await press(site, "/sign-out", cookie)).code == 303, "twice is once"


@pytest.mark.gen_test
async def test_who_is_signed_in_is_led_on(web: Web) -> None:
    site = await web()
    answer = await look(site, "/sign-in?next=/setup", await sign_in(site))
    assert (answer.code, answer.headers["Location"]) == (302, "/setup")


@pytest.mark.gen_test
async def test_the_first_administrators_link_acts_once_and_not_by_being_opened(web: Web) -> None:
    site = await web()
    link = await first_admin_link(site.parts.db, site.env)
    assert link is not None
    path, token = link.removeprefix(site.env.public_url), link.partition("token=")[2]
    for _ in range(3):  # a chat program fetches links too
        assert (await site.fetch(path)).code == 200
    short = await press(site, "/welcome", token=token, email="mira@example.com", password="short")
    assert short.code == 422
    assert "mira@example.com" in short.body.decode(), "what was typed is kept, and the link still works"
    made = await press(site, "/welcome", token=token, email="mira@example.com", password=PASSWORD)
    assert (made.code, made.headers["Location"]) == (303, "/")
    assert "Keys" in (await look(site, "/setup", session_cookie(made))).body.decode(), "an administrator"
    assert (await site.fetch(path)).code == 404
    second = await press(site, "/welcome", token=token, email="eve@example.com", password=PASSWORD)
    assert second.code == 409
    async with site.parts.db.ask() as connection:
        assert (await connection.execute(select(func.count()).select_from(users))).scalar_one() == 1
        assert (await connection.execute(select(func.count()).select_from(sessions))).scalar_one() == 1


@pytest.mark.gen_test
async def test_a_link_that_is_none_is_refused(web: Web) -> None:
    site = await web()
    for token in ("", "el_short", "el_" + "A" * 43, "%00"):
        assert (await site.fetch(f"/welcome?token={token}")).code == 404
