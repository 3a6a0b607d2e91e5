"""SECRET_KEY is changed: nobody is signed out, and nothing that was stored is lost."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from click.testing import CliRunner
from tornado.httpclient import HTTPResponse

from checks import secret_key
from checks.check import ROOT, Surroundings
from server.__main__ import main
from server.auth import second_step
from server.kernel import sealed
from server.kernel.errors import ConfigurationError
from server.kernel.redaction import redact
from server.notify import secrets
from tests.conftest import MakeEnv
from tests.dashboard.visitor import look, sign_in
from tests.notify.making import Desk
from tests.site import Site

OLD, NEW = "the-key-of-before-0001", "the-key-of-today-00002"
CODES, HOOK = "JBSWY3DPEHPK3PXP", "s3cret-of-sixteen-and-more"


def cookie_in(answer: HTTPResponse) -> str:
    """The session's cookie that an answer sets; empty where it sets none."""
    set_ = [text for text in answer.headers.get_list("Set-Cookie") if "evenkeel_session=" in text]
    return set_[0].partition(";")[0] if set_ else ""


async def findings(site: Site) -> list[str]:
    return [one.what for one in await secret_key.run(Surroundings(ROOT, site.env, site.parts.db))]


async def may_act(site: Site, cookie: str, form: HTTPResponse) -> bool:
    """Whether a form that was shown before is taken: here one that ends no session, since there is none like it."""
    token = re.search(r'name="_xsrf" value="([^"]+)"', form.body.decode())
    assert token is not None
    sent = await site.fetch(
        "/account/password", method="POST", body=f"_xsrf={token[1]}&old=x&new=y",
        headers={"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    return "This form is too old" not in sent.body.decode()


@pytest.mark.gen_test
async def test_the_key_is_changed_without_signing_anybody_out(web: Any, database_url: str) -> None:
    old = await web(SECRET_KEY=OLD)
    cookie = await sign_in(old)
    form = await look(old, "/account", cookie)
    desk = Desk(database_url)
    desk.do("UPDATE users SET totp_secret = %s", sealed.seal(OLD, second_step.PURPOSE, CODES))
    desk.target("hook", "webhook", "https://hook.example/", sealed.seal(OLD, secrets.OUT, HOOK))

    # Both keys are accepted: first by processes that still sign with the old one, beside those that sign with the new.
    first = await web(SECRET_KEY=OLD, SECRET_KEYS_ACCEPTED=NEW)
    both = await web(SECRET_KEY=NEW, SECRET_KEYS_ACCEPTED=f" {OLD} , another-key-of-long-ago")
    assert await may_act(both, cookie, form)
    shown = await look(both, "/", cookie)
    anew = cookie_in(shown)
    assert (shown.code, bool(anew)) == (200, True)
    assert cookie_in(await look(both, "/", anew)) == "", "once is enough"
    assert (await look(first, "/", anew)).code == 200
    assert await findings(both) == ["2 stored secrets open with a key of SECRET_KEYS_ACCEPTED, not with SECRET_KEY."]

    reseal = CliRunner(env=dict(both.env.raw))
    done = await asyncio.to_thread(reseal.invoke, main, ["reseal"])
    assert "2 secrets are encrypted with SECRET_KEY now, 0 were already." in done.output
    done = await asyncio.to_thread(reseal.invoke, main, ["reseal"])
    assert "0 secrets are encrypted with SECRET_KEY now, 2 were already." in done.output
    assert await findings(both) == []

    # The old one is gone.
    new = await web(SECRET_KEY=NEW)
    assert await findings(new) == []
    assert (await look(new, "/", anew)).code == 200
    assert (await look(new, "/", cookie)).code == 302
    ((row,),) = desk.rows("SELECT totp_secret FROM users")
    assert sealed.opened(NEW, second_step.PURPOSE, row) == CODES
    assert not sealed.opens(OLD, second_step.PURPOSE, row)
    desk.close()


def test_what_no_key_opens_is_said_and_stays(database_url: str, make_env: MakeEnv) -> None:
    desk = Desk(database_url)
    stored = sealed.seal("a-key-that-nobody-has", secrets.OUT, HOOK)
    desk.target("hook", "webhook", "https://hook.example/", stored)
    done = CliRunner(env=dict(make_env(SECRET_KEY=NEW, SECRET_KEYS_ACCEPTED=OLD).raw)).invoke(main, ["reseal"])
    assert done.exit_code == 1
    assert "1 open with none of the keys" in done.output
    assert desk.rows("SELECT secret FROM targets") == [(stored,)]
    desk.close()


def test_an_accepted_key_is_as_long_as_any_and_in_no_text(make_env: MakeEnv) -> None:
    with pytest.raises(ConfigurationError, match="SECRET_KEYS_ACCEPTED has a key shorter than 16"):
        make_env(SECRET_KEYS_ACCEPTED=f"{OLD},tiny-1")
    make_env(SECRET_KEYS_ACCEPTED=f"{OLD}, planted-and-accepted-1")
    assert "planted-and-accepted-1" not in redact("said planted-and-accepted-1 twice")
