"""Exclusions on the page of an objective, over real HTTP: told before, done once, told after, undone."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest

from server.live.fold import Fold
from server.slo.ledger.ledger import Ledger
from server.slo.model.status import Status
from tests.dashboard.objective_page import seen, standing
from tests.dashboard.visitor import Web, look, press, said, service, show, sign_in
from tests.live.rollups import lead
from tests.live.writing import Sample, Writer
from tests.site import Site
from tests.slo.making import SHOP, file

ADDRESS = "/objectives/shop-works"


def typed(at: float) -> str:
    """A time as a browser's field sends it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M")


async def counted(web: Web, url: str, tmp_path: Path) -> tuple[Site, int]:
    """A site whose shop failed 40 of 100 in one minute, on /pay, 30 minutes ago; and that minute."""
    lead(url, 1)
    site = await web(SLO_FILE=file(tmp_path, SHOP))
    minute = int(time.time()) // 60 * 60 - 1800
    writer = Writer(url)
    writer.flush([Sample(minute + 5, bad=i < 40) for i in range(100)])
    writer.flush([Sample(minute + 5, route="/cart") for _ in range(50)])
    writer.close()
    await Fold(site.parts.db, Ledger(site.parts.policies).fold).run(1)
    held = standing("shop-works", budget_left=0.6)
    held.good, held.bad = 110, 40
    await show(site, 1, service("shop"), slo=Status(1, 1.0, [held], {}))
    return site, minute


def form(minute: int, **given: Any) -> dict[str, Any]:
    return {"start": typed(minute), "stop": typed(minute + 60), "reason": "load test"} | given


@pytest.mark.gen_test
async def test_it_is_told_before_done_once_and_undone(web: Web, database_url: str, tmp_path: Path) -> None:
    site, minute = await counted(web, database_url, tmp_path)
    cookie = await sign_in(site)
    preview = await seen(site, f"{ADDRESS}/exclusions/preview?{urlencode(form(minute, route='/pay'))}", cookie)
    assert "Takes out 100 outcomes that were counted so far, 40 of them failed." in preview
    assert "Budget left: shop-works -26,567 % → 100 %." in preview
    assert ". 1 min of the 24 h that the policy allows within 28 days; nothing of it is used yet." in preview
    assert rows(database_url) == [], "a preview changes nothing"
    without_scripts = await seen(site, f"{ADDRESS}?{urlencode(form(minute, route='/pay'))}", cookie)
    assert "Takes out 100 outcomes" in without_scripts
    assert re.search(r'<details class="exclude" id="exclude" open>', without_scripts)

    assert "40 of 150" in await seen(site, ADDRESS, cookie)
    done = await press(site, f"{ADDRESS}/exclusions", cookie, **form(minute, route="/pay"))
    assert (done.code, done.headers["Location"]) == (303, f"{ADDRESS}#exclusions")
    assert said(done, site).startswith("Left out: shop, route /pay, from ")
    body = await seen(site, ADDRESS, cookie)
    assert "load test" in body
    assert "No stretch of failures spent" in body, "what is told of the past is read anew"
    assert "100<span" in body.replace("\n", "")
    assert "40 failed" in body
    again = await press(site, f"{ADDRESS}/exclusions", cookie, **form(minute, route="/pay"))
    assert said(again, site).startswith("Already excluded by ")
    ((number, _),) = rows(database_url)
    back = await press(site, f"{ADDRESS}/exclusions/revoke", cookie, id=number)
    assert said(back, site).startswith("Counted again: shop")
    body = await seen(site, ADDRESS, cookie)
    assert "counted again" in body
    assert "40 of 150" in body
    for told in ("left out of the budget", "counted again"):
        assert f"{told}: route /pay, from" in await seen(site, "/changes?service=shop", cookie)
    assert said(await press(site, f"{ADDRESS}/exclusions/revoke", cookie, id=number), site).startswith(
        "Already revoked"
    )


@pytest.mark.gen_test
async def test_a_refusal_keeps_the_draft_and_says_why(web: Web, database_url: str, tmp_path: Path) -> None:
    site, minute = await counted(web, database_url, tmp_path)
    cookie = await sign_in(site)
    hostile = '"><script>alert(1)</script>'
    for given, why in (
        ({"route": "/none"}, "shop has no route /none"),
        ({"stop": typed(minute)}, "stop: is not after `start`"),
        ({"start": typed(minute - 40 * 86_400)}, "minutes are kept for 35 days"),
        ({"start": "yesterday"}, "From: is a time in UTC"),
        ({"start": typed(minute - 25 * 3600)}, "the policy allows 24 h"),
        ({"reason": ""}, "reason"),
    ):
        answer = await press(site, f"{ADDRESS}/exclusions", cookie, **form(minute, version=hostile) | given)
        assert answer.code == 422, given
        body = answer.body.decode()
        assert why in unescape(body), given
        assert 'value="&#34;&gt;&lt;script&gt;' in body
        assert "<script>alert" not in body
        assert rows(database_url) == []
    told = await seen(
        site, f"{ADDRESS}/exclusions/preview?{urlencode(form(minute - 25 * 3600, stop=typed(minute)))}", cookie
    )
    assert "It would be refused" in told


@pytest.mark.gen_test
async def test_a_viewer_looks_and_does_nothing(web: Web, database_url: str, tmp_path: Path) -> None:
    site, minute = await counted(web, database_url, tmp_path)
    viewer = await sign_in(site, "viewer")
    body = await seen(site, ADDRESS, viewer)
    assert "Nothing is taken out" in body
    assert "/exclusions" not in body
    assert (await press(site, f"{ADDRESS}/exclusions", viewer, **form(minute))).code == 403
    assert (await look(site, f"{ADDRESS}/exclusions/preview", viewer)).code == 403
    assert rows(database_url) == []


def rows(url: str) -> list[tuple[int, str]]:
    with psycopg.connect(url) as connection:
        return [(row[0], row[1]) for row in connection.execute("SELECT id, reason FROM exclusions ORDER BY id")]
