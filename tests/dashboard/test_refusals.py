"""What limits refuse, in sentences: items where they are known, else requests, and who is hit most."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from sqlalchemy import text

from dashboard.config.refusals import Effect, effect, refused, sentence, would_refuse
from dashboard.service.page import spans
from server.config.registry import SETTINGS
from server.ingest.preview import RefusalPreview, RefusedItems
from tests.dashboard.visitor import look, service, show, sign_in
from tests.site import Site

Web = Callable[..., Awaitable[Site]]
NAMES = {1: "ci-loadgen", 2: "shop"}.__getitem__


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (RefusalPreview(0, 0, 0, 0, None, 0.0), "Nothing came in the last 5 min, so it would have refused nothing."),
        (RefusalPreview(7, 70, 0, 0, None, 0.0), "In the last 5 min this would have refused none of 7 requests."),
        (
            RefusalPreview(400, 120_000, 90, 49_200, 1, 0.92),
            "In the last 5 min this would have refused 41 % of items, 92 % from ci-loadgen.",
        ),
        (
            RefusalPreview(2, 10, 1, 9, 2, 1.0),
            "In the last 5 min this would have refused 9 of 10 items, all from shop.",
        ),
        # Bodies that were refused before anything was read have no items that are known.
        (RefusalPreview(20, 0, 3, 0, None, 0.0), "In the last 5 min this would have refused 3 of 20 requests."),
    ],
)
def test_a_preview_in_a_sentence(found: RefusalPreview, told: str) -> None:
    assert sentence(found, NAMES) == told


def test_an_effect_names_the_key_that_is_hit_most_by_requests() -> None:
    rows = [RefusedItems("BATCH_TOO_LARGE", 1, 24, 90_000), RefusedItems("BATCH_TOO_LARGE", 2, 1180, 900)]
    assert refused(rows, NAMES) == "1,204 requests refused in 5 min, 98 % from shop"
    assert refused(rows[:1], NAMES) == "24 requests refused in 5 min, all from ci-loadgen"


@pytest.mark.parametrize(
    ("setting", "value", "text", "felt"),
    [
        ("INGEST_MAX_BATCH_ITEMS", 1000, "24 requests refused in 5 min, all from ci-loadgen", True),
        ("INGEST_MAX_ITEMS_PER_SECOND", 0, "Refused nothing in 5 min", False),
        ("INGEST_STORE_OUTCOMES", True, "", False),
        ("INGEST_STORE_OUTCOMES", False, "Raw outcomes are not kept: none can be looked up by request id.", True),
    ],
)
def test_a_setting_has_the_effect_of_what_is_refused_with_its_code(
    setting: str, value: int, text: str, felt: bool
) -> None:
    found = [RefusedItems("BATCH_TOO_LARGE", 1, 24, 90_000), RefusedItems("INVALID", 2, 3, 3)]
    assert effect(SETTINGS[setting], value, found, NAMES) == Effect(text, felt)


@pytest.mark.gen_test
async def test_a_preview_of_what_refuses_nothing_and_of_what_nobody_counts(web: Web) -> None:
    parts = (await web()).parts
    store, batch = SETTINGS["INGEST_STORE_OUTCOMES"], SETTINGS["INGEST_MAX_BATCH_ITEMS"]
    said = [await would_refuse(parts, store, value, 0, time.time()) for value in (True, False)]
    assert said == ["Refuses nothing.", "Refuses nothing: counts and budgets stay exact, raw outcomes are not kept."]
    uncounted = replace(batch, counted=None)
    assert await would_refuse(parts, uncounted, 5, 0, time.time()) == "What this would have refused is not counted."


def test_slots_become_spans_and_short_gaps_are_closed() -> None:
    assert spans([], 5) == []
    assert spans([100, 110, 130, 300], 5) == [(100, 120), (130, 140), (300, 310)]
    assert spans([100, 110, 130, 300], 60) == [(100, 140), (300, 310)]


@pytest.mark.gen_test
async def test_a_refusal_that_is_over_stays_on_the_page_of_each_service_that_its_key_sends(web: Web) -> None:
    site = await web()
    slot = int(time.time()) // 10 * 10 - 120
    lines = [
        (slot - 1000, 1, "shop", "accepted"),  # before the charted range: key 1 sends shop
        (slot, 1, "", "PAYLOAD_TOO_LARGE"),
        (slot + 10, 2, "", "PAYLOAD_TOO_LARGE"),  # of another service's sender
        (slot + 20, 1, "shop", "INVALID"),  # its own fault, not a limit
        (slot + 30, 0, "", "PAYLOAD_TOO_LARGE"),  # of nobody known
        (slot + 40, 3, "shop", "THROTTLED"),
    ]
    insert = text(
        "INSERT INTO intake (slot, process_id, key_id, service, reason, requests, items, bytes, item_sizes, byte_sizes)"
        " VALUES (to_timestamp(:slot), 1, :key, :service, :reason, 1, 1, 1, '{}', '{}')"
    )
    async with site.parts.db.act() as connection:
        names = ("slot", "key", "service", "reason")
        await connection.execute(insert, [dict(zip(names, line, strict=True)) for line in lines])
    await show(site, 1, service("shop"))
    page = (await look(site, "/services/shop?window=15m", await sign_in(site))).body.decode()
    found = re.search(r'data-spans="(.*?)"', page)
    assert found is not None
    assert found[1].split() == [f"{slot}-{slot + 10}", f"{slot + 40}-{slot + 50}"]
    assert page.count("refused by a limit") in (1, 2)  # minutes of the table
