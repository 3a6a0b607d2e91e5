"""Setup, Connect: what came in, what was refused and why, and the line to copy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from dashboard.setup.connect import receiver_lines
from dashboard.setup.ways import WAYS
from server.ingest.received_store import ReceivedSum
from server.routes import API
from tests.dashboard.config_page import text_of
from tests.dashboard.visitor import look, sign_in
from tests.ingest.making import body, outcome, value
from tests.ingest.sending import URL, send
from tests.site import Site
from tests.waiting import until

Web = Callable[..., Awaitable[Site]]
AT = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_a_receiver_is_one_line_with_its_reasons_most_first() -> None:
    sums = [
        ReceivedSum("OTLP traces", "checkout", "accepted", 4, 900, 10, AT, ""),
        ReceivedSum("OTLP traces", "search", "accepted", 1, 1000, 10, AT, ""),
        ReceivedSum("OTLP traces", "checkout", "ABANDONED", 0, 7, 0, AT, "no answer"),
        ReceivedSum("OTLP traces", "", "UNAUTHENTICATED", 3, 0, 10, AT, "Send a valid key"),
        ReceivedSum("OTLP traces", "checkout", "INVALID", 0, 12, 0, AT, "Item 1: status"),
        ReceivedSum("OTLP traces", "checkout", "SPANS_COUNT", 0, 99, 0, AT, "its spans count"),
    ]
    (line,) = receiver_lines(sums)
    assert (line.name, line.requests, line.items, line.refused, line.abandoned) == ("OTLP traces", 5, 1900, 15, 7)
    assert line.keys == ["search", "checkout"]
    assert [(one.code, one.key, one.n) for one in line.refusals] == [
        ("INVALID", "checkout", 12),
        ("UNAUTHENTICATED", "", 3),
        ("SPANS_COUNT", "checkout", 99),
    ]


@pytest.mark.gen_test
async def test_the_page_says_what_came_what_was_refused_and_what_to_copy(web: Web, database_url: str) -> None:
    site = await web(PUBLIC_URL="https://evenkeel.example.com")
    viewer = await sign_in(site, "viewer")
    assert "/setup/connect" in (await look(site, "/", viewer)).body.decode(), "the empty Now leads there"
    key = await site.key("ingest", name="<b>loadgen")
    await send(site, key, body(outcome(), outcome(), outcome(status=1, route="/<script>")), URL + "?partial=true")
    await send(site, "nobody", body(outcome()))
    await site.parts.intake.lane.write()  # or it is being written by itself
    await until(lambda: value(database_url, "SELECT count(*) FROM received") >= 3, "accepted, refused and unknown")
    page = (await look(site, "/setup/connect", viewer)).body
    text = text_of(page)
    assert "1 <b>loadgen · Something in the request is not valid INVALID Item 2, status: give" in text
    assert "1 Who you are is not known UNAUTHENTICATED Send a valid key" in text
    assert b"<b>loadgen" not in page
    assert b"<script>" not in page.replace(b"<script ", b"")
    for way in WAYS:
        assert (f'data-copy="way-{way.name}"' in page.decode()) == (
            not way.path or way.path in {route.path for route in API}
        ), way.name
    assert "curl https://evenkeel.example.com/api/v1/outcomes" in text
    assert "targets: ['evenkeel.example.com']" in text
