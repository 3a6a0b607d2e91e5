"""An act on an ended session: nothing is done, and what was entered is kept until it can be sent again."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlencode

import pytest
from sqlalchemy import text
from tornado.httpclient import HTTPResponse

from dashboard.routes import PAGES
from dashboard.shared.kept import KeptForm, seal, unseal
from dashboard.shared.page import Page
from tests.dashboard.visitor import PASSWORD, Web, press, sign_in
from tests.site import Site
from tests.slo.making import SHOP, file

SILENCE = {"what": "objective:shop-works", "minutes": "60", "reason": "load <test>", "next": "/alerts"}
FORMS = [
    re.sub(r"\(\?P<\w+>[^)]*\)", "1", pattern)
    for pattern, page in PAGES
    if issubclass(page, Page) and page.takes("POST") and page.acts is not None and page.leads_to_sign_in
]


async def ended(site: Site) -> str:
    """The cookie of a session that has ended."""
    cookie = await sign_in(site)
    await press(site, "/sign-out", cookie)
    return cookie


def kept_in(answer: HTTPResponse) -> str:
    found = re.search(r'name="kept" value="([^"]+)"', answer.body.decode())
    return unescape(found[1]) if found else ""


@pytest.mark.gen_test
async def test_every_form_says_that_nothing_was_done_and_keeps_what_was_entered(web: Web) -> None:
    site = await web()
    cookie = await ended(site)
    assert len(FORMS) > 20
    for address in FORMS:
        answer = await press(site, address, cookie, reason="load <test>", scope=["read", "act"])
        assert answer.code == 401, address
        assert "You were signed out. Nothing was done." in answer.body.decode(), address
        kept = unseal(site.env.secret_key, kept_in(answer))
        assert kept is not None, address
        assert (kept.action, kept.fields) == (
            address,
            [("reason", "load <test>"), ("scope", "read"), ("scope", "act")],
        )


@pytest.mark.gen_test
async def test_after_signing_in_it_is_sent_as_it_was_and_only_then(web: Web, tmp_path: object) -> None:
    site = await web(SLO_FILE=file(tmp_path, SHOP))  # type: ignore[arg-type]
    cookie = await ended(site)
    refused = await press(site, "/alerts/silence", cookie, **SILENCE)
    async with site.parts.db.ask() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM silences"))).scalar() == 0
        (email,) = (await connection.execute(text("SELECT email FROM users"))).scalars()
    wrong = await press(site, "/sign-in", cookie, email=email, password="no", next="/alerts", kept=kept_in(refused))
    again = await press(site, "/sign-in", cookie, email=email, password=PASSWORD, next="/alerts", kept=kept_in(wrong))
    page = again.body.decode()
    assert again.code == 200
    assert "nothing was done" in page
    assert "<dd>load &lt;test&gt;</dd>" in page
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
    session = next(c for c in again.headers.get_list("Set-Cookie") if c.startswith("evenkeel_session=")).partition(";")
    done = await site.fetch(
        "/alerts/silence",
        method="POST",
        headers={"Cookie": session[0], "Content-Type": "application/x-www-form-urlencoded"},
        body=urlencode({name: unescape(value) for name, value in fields.items()}),
    )
    assert (done.code, done.headers["Location"]) == (303, "/alerts")
    async with site.parts.db.ask() as connection:
        assert (await connection.execute(text("SELECT reason FROM silences"))).scalar() == "load <test>"


def test_passwords_are_typed_again_and_what_comes_back_was_ours() -> None:
    assert seal("k" * 16, KeptForm("/account/password", "/account", [("new_password", "x")])) == ""
    assert seal("k" * 16, KeptForm("/alerts/silence", "/", [("reason", "x" * 70_000)])) == ""
    sealed = seal("k" * 16, KeptForm("/alerts/silence", "/", [("reason", "x")]))
    assert unseal("k" * 16, sealed) == KeptForm("/alerts/silence", "/", [("reason", "x")])
    assert unseal("other" * 4, sealed) is None
    assert unseal("k" * 16, "") is None
