"""Maintenance on the pages, over real HTTP: planned in a form, shown where it is, ended."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from server.picture import store as picture_store
from tests.dashboard.visitor import look, press, said, service, show, sign_in
from tests.live.rollups import lead
from tests.site import Site
from tests.slo.making import SHOP, file

Web = Callable[..., Awaitable[Site]]
PAGE = "/changes/maintenance"


def typed(at: float) -> str:
    """A time as a browser's field sends it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M")


async def seen(site: Site, path: str, cookie: str) -> str:
    """The text of a page."""
    found = await look(site, path, cookie)
    assert found.code == 200, path
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found.body.decode())))


@pytest.mark.gen_test
async def test_a_person_plans_it_sees_it_and_ends_it(web: Web, database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    site = await web(SLO_FILE=file(tmp_path, SHOP))
    cookie, now = await sign_in(site), time.time()
    given: dict[str, Any] = {
        "start": typed(now),
        "stop": typed(now + 3600),
        "services": "shop",
        "reason": "<b>disk</b>",
    }
    wrong = await press(site, f"{PAGE}/plan", cookie, **given | {"stop": typed(now - 3600), "expected": "503"})
    assert wrong.code == 422
    for kept in ("stop: is not after `start`", 'value="503"', 'value="shop" checked', "&lt;b&gt;disk"):
        assert kept in wrong.body.decode()
    done = await press(site, f"{PAGE}/plan", cookie, **given, expected="shop answers 503")
    assert (done.code, done.headers["Location"]) == (303, PAGE)
    assert said(done, site).startswith("Maintenance of shop has begun: ")

    async with site.parts.db.ask() as connection:
        running = await picture_store.maintenance(connection)
    await show(site, 1, service("shop"), service("cart"), service("drill:bad-deploy"), maintenance=running)
    offered = re.findall(r'name="services" value="([^"]+)"', (await look(site, PAGE, cookie)).body.decode())
    assert ("cart" in offered, "drill:bad-deploy" in offered) == (True, False), "nobody plans a drill's"
    told = "until .*: <b>disk</b> Expected: shop answers 503 · out of the budget, told to nobody, shown here"
    assert re.search(f"Maintenance of shop {told}", await seen(site, "/", cookie))
    assert re.search(f"Maintenance {told}", await seen(site, "/services/shop", cookie))
    assert "Expected" not in await seen(site, "/services/cart", cookie)
    assert "Maintenance shop: <b>disk</b>" in await seen(site, "/changes", cookie)
    assert "running" in await seen(site, PAGE, cookie)
    assert "End now" not in await seen(site, PAGE, await sign_in(site, "viewer"))

    number = running[0].id
    longer = await press(site, f"{PAGE}/extend", cookie, id=number, stop=typed(now + 3600), minutes=30)
    assert "goes on until" in said(longer, site)
    far = await press(site, f"{PAGE}/extend", cookie, id=number, stop=typed(now + 3600), minutes=99_999_999_999)
    assert "minutes: leads beyond" in said(far, site)
    for answer in ("Maintenance of shop has ended.", "Already ended by "):
        ended = await press(site, f"{PAGE}/end", cookie, id=number)
        assert said(ended, site).startswith(answer)
    over = await seen(site, PAGE, cookie)
    assert "Nothing is planned." in over
    assert "<b>disk</b>" in over
