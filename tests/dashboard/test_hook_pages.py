"""Hooks on their page: made and removed by forms; the secret is shown once."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import pytest

from tests.changes.test_hooks import github
from tests.dashboard.config_page import text_of
from tests.dashboard.visitor import look, press, said, sign_in
from tests.receivers.test_told_change import deployment
from tests.site import Site

Web = Callable[..., Awaitable[Site]]
PAGE = "/setup/hooks"


@pytest.mark.gen_test
async def test_a_hook_from_making_to_removing(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    assert "None yet" in text_of((await look(site, PAGE, cookie)).body)
    wrong = await press(site, f"{PAGE}/make", cookie, name="", services="<b>shop")
    assert (wrong.code, 'value="&lt;b&gt;shop"' in wrong.body.decode()) == (422, True)
    made = (await press(site, f"{PAGE}/make", cookie, name="<i>gh", services="<b>shop, cart")).body.decode()
    (secret,) = re.findall(r"whsec_[A-Za-z0-9+/]{43}=", made)
    await github(site, secret, deployment(), path="?service=cart")
    page = (await look(site, PAGE, cookie)).body.decode()
    assert not [hidden for hidden in (secret, "<b>shop", "<i>gh", "never") if hidden in page]
    (number,) = re.findall(r'name="id" value="(\d+)"', page)
    removed = await press(site, f"{PAGE}/remove", cookie, id=number)
    assert said(removed, site) == "<i>gh is removed: what it signs is refused, with 403."
    assert (await look(site, PAGE, await sign_in(site, "responder"))).code == 403
