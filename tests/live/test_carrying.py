"""What carries a request id or a trace id, over all services, in the API and on its page."""

from __future__ import annotations

import re
import time
from typing import Any

import psycopg
import pytest

from server.ingest.lines.line import LogLine
from server.kernel.db import Database
from server.live import line_store
from server.live.carrying import carrying
from tests.dashboard.visitor import look, sign_in
from tests.ingest.making import body, outcome, rows
from tests.ingest.test_lines import post
from tests.site import answer

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
NOW_US = int(time.time() * 1_000_000) - 5_000_000


def line(service: str, after_ms: int, message: str, **given: Any) -> LogLine:
    return LogLine(service, NOW_US + after_ms * 1000, message, **given)


@pytest.mark.gen_test
async def test_one_page_shows_outcomes_and_lines_of_all_services_in_order_of_time(web: Any, database_url: str) -> None:
    site = await web()
    await post(
        site,
        line("edge", 0, "GET /pay begins", request_id="r-1", trace_id=TRACE),
        line("payments", 400, "card <b>declined</b>", severity=17, level="ERROR", trace_id=TRACE, instance="p-2"),
        line("payments", 300, "asking the bank", trace_id=TRACE),
        line("other", 200, "of nobody", trace_id="f" * 32),
        outcomes=body(
            outcome(service="edge", request_id="r-1", status=502, timestamp=NOW_US // 1000 + 500, trace_id=TRACE),
            outcome(service="payments", request_id=TRACE, timestamp=NOW_US // 1000 + 450),
            outcome(service="other", request_id="r-2"),
        ),
        key="one",
    )
    key, cookie = await site.key("read"), await sign_in(site, "viewer")
    for wanted in ("r-1", TRACE):
        found = answer(await site.fetch(f"/api/v1/outcomes?request_id={wanted}", key=key))
        assert [one["service"] for one in found["outcomes"]] == ["edge", "payments"]
        told = ["GET /pay begins", "asking the bank", "card <b>declined</b>"]
        assert [one["message"] for one in found["lines"]] == told
        page = (await look(site, f"/requests?id={wanted}", cookie)).body.decode()
        assert "2 outcomes, 3 log lines of 2 services" in page
        places = [page.index(text) for text in (told[0], told[1], "card &lt;b&gt;declined", "of-outcome")]
        assert places == sorted(places)
        assert re.search(r"\+400 ms", page)
    assert "lines" not in answer(await site.fetch("/api/v1/outcomes?service=edge", key=key))
    gone = await look(site, f"/find?q={TRACE}", cookie)
    assert gone.headers["Location"] == f"/requests?id={TRACE}"
    await site.parts.intake.lines.write()
    service = (await look(site, "/services/payments?window=1h", cookie)).body.decode()
    assert "2 log lines today" in service
    assert "card &lt;b&gt;declined" in service
    assert "asking the bank" not in service


SCANS = """
SELECT coalesce(sum(seq_scan), 0)::int, coalesce(sum(idx_scan), 0)::int FROM pg_stat_xact_user_tables
WHERE relname ~ '^(outcomes|service_lines)_'
"""


@pytest.mark.gen_test
async def test_an_id_is_looked_up_by_filters_alone(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO service_lines SELECT now() - make_interval(secs => i), now(), 9, false, 's', '', '', '',"
            " md5(i::text), md5((i + 7)::text), repeat('x', 200) FROM generate_series(1, 3000) AS i"
        )
        connection.execute("ANALYZE service_lines")
    db = Database(database_url, "test")
    async with db.ask() as asked:
        found = await carrying(asked, asked, "c4ca4238a0b923820dcc509a6f75849b", time.time(), 72)  # md5 of 1
        assert len(found.lines) == 2, "its own, and the one that has it as the trace of that"
        plain, by_index = (await asked.exec_driver_sql(SCANS)).one()
        assert (plain, by_index > 0) == (0, True)
        assert await line_store.newest_errors(asked, "s", found.lines[0].timestamp, 5) == []
    await db.close()
    assert rows(database_url, "SELECT count(*) FROM service_lines") == [(3000,)]
