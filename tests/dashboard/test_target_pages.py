"""Targets on Setup: added, tested and removed by forms; a secret is shown once, and an address never whole."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import pytest

from server.kernel.sealed import opened
from server.notify.secrets import IN
from tests.dashboard.config_page import text_of
from tests.dashboard.visitor import look, press, said, sign_in
from tests.notify.making import ROUTING_KEY, Desk
from tests.notify.receiver import receiving
from tests.site import Site

Web = Callable[..., Awaitable[Site]]

HOSTILE = "<script>alert(1)</script>"


@pytest.mark.gen_test
async def test_a_webhook_from_adding_to_removing(web: Web) -> None:
    async with receiving() as hook:
        site = await web(NOTIFY_ALLOW_PRIVATE="true")
        cookie = await sign_in(site)
        empty = text_of((await look(site, "/setup", cookie)).body)
        assert "No target yet: nobody is told of an alert." in empty
        fields = {"name": HOSTILE, "kind": "webhook", "address": f"{hook.url}/s3cret", "step": 2}
        made = await press(site, "/setup/targets", cookie, **fields)
        (secret,) = re.findall(r"whsec_[A-Za-z0-9+/]{43}=", made.body.decode())
        assert made.headers["Cache-Control"] == "no-store"
        assert HOSTILE not in made.body.decode()
        (target_id,) = re.findall(r'name="id" value="(\d+)"', made.body.decode())
        page = (await look(site, "/setup", cookie)).body.decode()
        for hidden in (secret, "s3cret", HOSTILE):
            assert hidden not in page
        assert "Nothing sent yet" in page
        tested = await press(site, "/setup/targets/test", cookie, id=target_id)
        assert re.search(r": sent in \d+ ms\.", said(tested, site))
        assert len(hook.came) == 1
        assert "Last sent" in text_of((await look(site, "/setup", cookie)).body)
        hook.answer = lambda came: 404
        tested = await press(site, "/setup/targets/test", cookie, id=target_id)
        assert said(tested, site).endswith(": not sent: HTTP 404 Not Found")
        assert "Gave up" in text_of((await look(site, "/setup", cookie)).body)
        removed = await press(site, "/setup/targets/remove", cookie, id=target_id)
        assert "is removed" in said(removed, site)
        again = await press(site, "/setup/targets/remove", cookie, id=target_id)
        assert said(again, site).startswith("Already removed")


@pytest.mark.gen_test
async def test_what_is_wrong_is_said_and_nothing_is_kept(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    good = {"name": "ops", "kind": "webhook", "address": "https://example.com/hook", "step": 1}
    for wrong in ({"name": ""}, {"kind": "x"}, {"address": "http://example.com"}, {"step": "x"}, {"step": 0}):
        answer = await press(site, "/setup/targets", cookie, **good | wrong)
        page, field = answer.body.decode(), next(iter(wrong))
        assert answer.code == 422, wrong
        (fault,) = re.findall(r'id="form-fault" role="alert"><b>(.*?)</b>', page)
        assert fault.startswith(f"{field}: ")
        assert fault.endswith("Nothing was done.")
        (focused,) = re.findall(r"<[^>]* autofocus[^>]*>", page)
        assert f'name="{field}"' in focused
        for name, value in (good | wrong).items():  # what was typed is not lost
            if name in ("name", "address"):
                assert f'name="{name}" value="{value}"' in page
    hostile = (
        await press(site, "/setup/targets", cookie, **good | {"name": HOSTILE, "secret": "s3cret"})
    ).body.decode()
    assert "secret: give 16 to 255 printable characters" in hostile
    assert HOSTILE not in hostile
    assert "s3cret" not in hostile, "a secret is not sent back"
    assert "No target yet" in text_of((await look(site, "/setup", cookie)).body)
    unknown = await press(site, "/setup/targets/test", cookie, id=99)
    assert said(unknown, site) == "There is no target 99. Nothing was done."


@pytest.mark.gen_test
async def test_pagerduty_is_given_its_secret_afterwards(web: Web, database_url: str) -> None:
    site = await web(PUBLIC_URL="https://evenkeel.example.com")
    cookie = await sign_in(site)
    fields = {"name": "duty", "kind": "pagerduty", "secret": ROUTING_KEY, "step": 1}
    added = await press(site, "/setup/targets", cookie, **fields)
    assert said(added, site).startswith("duty is told of alerts in step 1 now.")
    page = (await look(site, "/setup", cookie)).body.decode()
    assert ROUTING_KEY not in page
    (target_id,) = re.findall(r"https://evenkeel\.example\.com/api/v1/targets/(\d+)/pagerduty", page)
    short = await press(site, "/setup/targets/inbound-secret", cookie, id=target_id, inbound_secret="x")
    assert "inbound_secret" in said(short, site)
    kept = await press(site, "/setup/targets/inbound-secret", cookie, id=target_id, inbound_secret="s" * 40)
    assert said(kept, site) == "Acknowledgements in PagerDuty are taken for duty now."
    desk = Desk(database_url)
    ((stored,),) = desk.rows("SELECT inbound_secret FROM targets")
    assert opened(site.parts.env.secret_key, IN, stored) == "s" * 40
    desk.close()
    assert "s" * 40 not in (await look(site, "/setup", cookie)).body.decode()
