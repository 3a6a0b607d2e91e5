"""Find: everything that has a page by a few letters, a request by its id; with the database away what is held."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dashboard.find import Findable, found
from tests.dashboard.test_incident_pages import born
from tests.dashboard.visitor import cut_off_reads, look, sign_in
from tests.ingest.making import outcome
from tests.site import Site

Start = Callable[..., Any]


def test_every_word_has_to_be_there_and_what_begins_so_comes_first() -> None:
    places = [
        Findable("nobody can pay · #4", "incident", "/incidents/4", "sev-1 checkout"),
        Findable("old checkout", "service", "/services/old checkout"),
        Findable("Checkout", "service", "/services/Checkout"),
        Findable("batch items", "setting", "/config#B", "INGEST_MAX_BATCH_ITEMS"),
    ]
    assert [one.name for one in found("CHECKOUT", places)] == ["Checkout", "nobody can pay · #4", "old checkout"]
    assert [one.name for one in found(" pay  checkout ", places)] == ["nobody can pay · #4"]
    assert [one.name for one in found("max_batch", places)] == ["batch items"]
    assert found("#5", places) == []
    assert found("", places) == places


async def listed(site: Site, cookie: str, q: str) -> list[tuple[str, str]]:
    """What the palette lists: address and text."""
    shown = (await look(site, f"/find/places?q={q}", cookie)).body.decode()
    return re.findall(r'<a href="([^"]+)" tabindex="-1">([^<]+)<span', shown)


@pytest.mark.gen_test
async def test_each_kind_is_found_and_the_only_one_is_gone_to(web: Start, database_url: str, tmp_path: Path) -> None:
    site = await born(web, database_url, tmp_path)
    cookie = await sign_in(site)
    key = await site.key()
    sent = [outcome(service="checkout", request_id="req-7f3")]
    stored = await site.fetch("/api/v1/outcomes", method="POST", key=key, data=sent)
    assert stored.code == 201, stored.body
    assert [address for address, _ in await listed(site, cookie, "checkout")] == [
        "/incidents/1",
        "/services/checkout",
        "/alerts/1",
        "/objectives/checkout-availability",
    ]
    assert await listed(site, cookie, "batch") == [("/config#INGEST_MAX_BATCH_ITEMS", "batch items")]
    for q, address in (("%231", "/incidents/1"), ("req-7f3", "/requests?id=req-7f3"), ("Objec", "/objectives")):
        gone = await look(site, f"/find?q={q}", cookie)
        assert (gone.code, gone.headers.get("Location")) == (303, address), q
    several = (await look(site, "/find?q=checkout", cookie)).body.decode()
    assert "4 places for" in several
    assert "Nothing is named so" in (await look(site, "/find?q=%3Cb%3Enowhere", cookie)).body.decode()
    assert (await look(site, "/find/places?q=a", "")).code == 401


@pytest.mark.gen_test
async def test_with_the_database_away_it_finds_what_is_in_memory(web: Start, database_url: str, tmp_path: Path) -> None:
    site = await born(web, database_url, tmp_path)
    cookie = await sign_in(site)
    await look(site, "/", cookie)  # the session is known from here on
    await cut_off_reads(site)
    assert ("/objectives/checkout-availability", "checkout-availability") in await listed(site, cookie, "checkout")
