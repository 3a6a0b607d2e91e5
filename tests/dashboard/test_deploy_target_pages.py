"""Deploy targets on their page: set up, tested and removed by forms; a secret is shown once, an address never whole."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import pytest

from tests.dashboard.config_page import text_of
from tests.dashboard.visitor import look, press, said, sign_in
from tests.notify.receiver import receiving
from tests.site import Site

Web = Callable[..., Awaitable[Site]]
PAGE = "/setup/deploy-targets"


@pytest.mark.gen_test
async def test_a_webhook_from_setting_up_to_removing(web: Web) -> None:
    async with receiving() as hook:
        site = await web(NOTIFY_ALLOW_PRIVATE="true")
        cookie = await sign_in(site)
        assert "every service is rolled back by hand" in text_of((await look(site, PAGE, cookie)).body)
        fields = {"service": "<b>shop", "kind": "webhook", "address": f"{hook.url}/s3cret"}
        made = (await press(site, f"{PAGE}/put", cookie, **fields)).body.decode()
        (secret,) = re.findall(r"whsec_[A-Za-z0-9+/]{43}=", made)
        page = (await look(site, PAGE, cookie)).body.decode()
        assert not [hidden for hidden in (secret, "s3cret", "<b>shop") if hidden in page]
        assert "pause, resume, roll back" in page
        tested = await press(site, f"{PAGE}/test", cookie, service="<b>shop")
        assert said(tested, site) == "<b>shop: Webhook would do it."
        assert hook.came[0].body.count(b'"act":"test"') == 1
        hook.answer = lambda came: 404
        tested = await press(site, f"{PAGE}/test", cookie, service="<b>shop")
        assert said(tested, site).startswith("<b>shop: it would not work: it answers HTTP 404")
        removed = await press(site, f"{PAGE}/remove", cookie, service="<b>shop")
        assert "rolled back by hand" in said(removed, site)
        for act in ("remove", "test"):
            again = await press(site, f"{PAGE}/{act}", cookie, service="<b>shop")
            assert said(again, site) == "<b>shop has no deploy target. Nothing was done."


@pytest.mark.gen_test
async def test_what_is_wrong_is_said_beside_what_was_typed(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    good = {"service": "shop", "kind": "heroku", "address": "shop-production", "secret": "HRKU-s3cret"}
    for wrong in ({"service": ""}, {"kind": "x"}, {"address": "not an app"}, {"secret": ""}):
        answered = await press(site, f"{PAGE}/put", cookie, **good | wrong)
        page, field = answered.body.decode(), next(iter(wrong))
        assert answered.code == 422, wrong
        assert re.search(rf'id="form-fault" role="alert"><b>{field}: ', page), wrong
        assert "s3cret" not in page
        assert 'value="shop-production"' in page or field == "address"
    assert said(await press(site, f"{PAGE}/put", cookie, **good), site).startswith("shop is paused and rolled back")
    for stranger in ("viewer", "responder"):
        refused = await look(site, PAGE, await sign_in(site, stranger))
        assert refused.code == 403
