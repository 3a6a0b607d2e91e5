"""The monthly report against counting one by one, at the edges of months; and as Markdown and CSV of hostile names."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from server.kernel.errors import ApiError
from server.kernel.times import utc
from server.live.fold import Fold
from server.review.csv_form import as_csv
from server.review.markdown import markdown
from server.review.monthly import MonthlyReport
from server.review.reading import monthly, months_kept
from server.slo.ledger.exclusion import ExclusionAsked
from server.slo.ledger.exclusions import make
from server.slo.ledger.ledger import Ledger
from tests.live.rollups import lead
from tests.live.writing import Sample, Writer, database
from tests.site import Site, answer
from tests.slo.ledgers import policies
from tests.slo.making import SHOP, file


def at(year: int, month: int, day: int = 1, second: int = 0) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) + second


FEBRUARY, MARCH = at(2028, 2), at(2028, 3)
NOW = at(2028, 3, 2, 40_000) + 0.5
# Around the edges of a leap February, one of the leap day itself, and the last ones just now.
LEAP_DAY = at(2028, 2, 29, 3600)
SECONDS = (FEBRUARY - 1, FEBRUARY, FEBRUARY + 1, LEAP_DAY, MARCH - 1, MARCH, int(NOW) - 1, int(NOW))


def spread(times: tuple[int, ...], *, bad: Callable[[int, int], bool]) -> list[Sample]:
    return [Sample(second, 400_000 if i % 3 == 0 else 10_000, bad(second, i)) for second in times for i in range(10)]


@pytest.mark.gen_test
async def test_a_report_equals_a_count_one_by_one(database_url: str, tmp_path: Path) -> None:
    samples = spread(SECONDS, bad=lambda second, i: (second + i) % 4 == 0)
    lead(database_url, 1)
    async with (
        database(database_url) as db,
        policies(db, database_url, tmp_path, SHOP) as held,
    ):
        with closing(Writer(database_url)) as writer:
            writer.flush(samples[::2])
            await Fold(db, Ledger(held).fold).run(1)
            taken = ExclusionAsked("shop", utc(LEAP_DAY), utc(LEAP_DAY + 60), "load test")
            await make(db, held, taken, actor="test", request_id="", now=NOW)
            writer.flush(samples[1::2])  # not folded: counted, and taken out, too
            async with db.ask() as connection:
                whole = await monthly(connection, held, "shop", "2028-02", NOW)
                so_far = await monthly(connection, held, "shop", "2028-03", NOW)
                with pytest.raises(ApiError, match="has not begun"):
                    await monthly(connection, held, "shop", "2028-04", NOW)
                with pytest.raises(ApiError, match="not kept whole"):
                    await monthly(connection, held, "shop", "2027-01", NOW)
    for report, start, end in ((whole, FEBRUARY, MARCH), (so_far, MARCH, int(NOW) + 1)):
        assert (report.start.timestamp(), report.stop.timestamp()) == (start, end)
        every = [s for s in samples if start <= s.second < end]
        inside = [s for s in every if s.second != LEAP_DAY]
        rolling = [s for s in samples if (end - 28 * 86_400) // 60 * 60 <= s.second < end and s.second != LEAP_DAY]
        works, fast = report.objectives
        bad = sum(s.bad for s in inside)
        slow = sum(not s.bad and s.duration_us > 300_000 for s in inside)
        good = sum(not s.bad for s in inside)
        assert (works.total, works.bad, works.excluded) == (len(inside), bad, 0)
        assert (fast.total, fast.bad, fast.excluded) == (good, slow, sum(s.bad for s in every))
        assert works.month_budget_spent == pytest.approx(bad / (0.001 * len(inside)))
        assert (works.left_out_total, works.left_out_bad) == (
            len(every) - len(inside),
            sum(s.bad for s in every) - bad,
        )
        assert works.month_budget_spent_without_exclusions == pytest.approx(
            sum(s.bad for s in every) / (0.001 * len(every))
        )
        assert works.rolling_budget_left == pytest.approx(1 - sum(s.bad for s in rolling) / (0.001 * len(rolling)))
        assert fast.month_budget_spent == pytest.approx(slow / (0.01 * good))
    assert (whole.complete, so_far.complete) == (True, False)
    assert [one.what for one in whole.exclusions] == ["everything"]
    assert so_far.exclusions == []
    for report in (whole, so_far):
        assert report.worst
        assert all(report.start <= one.start < one.end <= report.stop for one in report.worst), (
            "one stretch, two months"
        )


@pytest.mark.gen_test
async def test_a_report_keeps_the_targets_of_its_month(database_url: str, tmp_path: Path) -> None:
    async with database(database_url) as db:
        async with policies(db, database_url, tmp_path, SHOP):
            pass
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("UPDATE policy_revisions SET at = %s", (datetime(2028, 1, 9, tzinfo=UTC),))
        async with policies(db, database_url, tmp_path, SHOP.replace("0.999", "0.9")) as held:
            with psycopg.connect(database_url, autocommit=True) as connection:
                connection.execute("UPDATE policy_revisions SET at = to_timestamp(%s) WHERE number = 2", (MARCH,))
            targets = []
            for month in ("2028-01", "2028-02", "2028-03"):
                async with db.ask() as snapshot:
                    report = await monthly(snapshot, held, "shop", month, NOW)
                targets.append((report.policy_revision, report.objectives[0].target))
    assert targets == [(1, 0.999), (1, 0.999), (2, 0.9)]


@pytest.mark.gen_test
async def test_the_months_are_those_in_which_something_was_counted(database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
        with closing(Writer(database_url)) as writer:
            writer.flush([Sample(at(2027, 12, 31, 86_399)), Sample(MARCH)])
        await Fold(db, Ledger(held).fold).run(1)
        async with db.ask() as connection:
            assert await months_kept(connection, held, NOW) == {"shop": ["2028-03", "2027-12"]}


HOSTILE = '=cmd|"/C calc"!A1\n| x | [a](http://evil) <img src=x> `b` @all'


@pytest.mark.gen_test
async def test_over_http_as_json_markdown_and_csv_with_hostile_names(web: Any, tmp_path: Path) -> None:
    site: Site = await web(SLO_FILE=file(tmp_path, SHOP))
    key = await site.key("read")
    now = int(time.time())
    month = datetime.now(UTC).strftime("%Y-%m")
    with psycopg.connect(site.env.database_url or "", autocommit=True) as connection:
        connection.execute(
            "INSERT INTO exclusions (service, route, start, stop, reason, author)"
            " VALUES ('shop', %s, now() - interval '1 min', now(), %s, %s)",
            ("+" + HOSTILE, HOSTILE, "-" + HOSTILE),
        )
        evidence = '{"objective": "shop-works"}'
        connection.execute(
            "INSERT INTO alerts (objective, service, state, urgency, tier, severity, onset, onset_method, detected_at,"
            " fired_at, acknowledged_at, acknowledged_by, resolved_at, evidence) VALUES ('shop-works', 'shop',"
            " 'resolved', 'page', '1h/5m', 2, to_timestamp(%s), 'change point', to_timestamp(%s), to_timestamp(%s),"
            " to_timestamp(%s), %s,"
            " to_timestamp(%s), %s)",
            (now - 100, now - 88, now - 85, now - 55, "@" + HOSTILE, now - 28, evidence),
        )
    address = f"/api/v1/reports/shop/{month}"
    told = await site.fetch(address, key=key)
    report = msgspec.json.decode(told.body, type=MonthlyReport)
    (alert,) = report.alerts
    assert (alert.time_to_detect_s, alert.time_to_acknowledge_s, alert.time_to_resolve_s) == (12, 30, 72)
    with psycopg.connect(site.env.database_url or "", autocommit=True) as connection:
        connection.execute("UPDATE alerts SET onset_method = 'window', onset = onset - interval '3 days'")
    (slow,) = msgspec.json.decode((await site.fetch(address, key=key)).body, type=MonthlyReport).alerts
    found = (slow.onset_method, slow.time_to_detect_s, slow.time_to_acknowledge_s, slow.time_to_resolve_s)
    assert found == ("window", None, 30, 60), "a long window began days before anything failed"
    assert report.exclusions[0].reason == HOSTILE

    table = await site.fetch(address + "?format=csv", key=key)
    assert table.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert table.headers["Content-Disposition"] == f'attachment; filename="shop-{month}.csv"'
    rows = list(csv.DictReader(io.StringIO(table.body.decode(), newline="")))
    assert {row["record"] for row in rows} == {"objective", "alert", "exclusion"}
    (out,) = [row for row in rows if row["record"] == "exclusion"]
    assert (out["reason"], out["route"], out["author"]) == ("'" + HOSTILE, "'+" + HOSTILE, "'-" + HOSTILE)
    assert all(cell[:1] not in tuple("=+-@\t\r") or isfloat(cell) for row in rows for cell in row.values())
    assert out["from"].endswith("Z")

    text = await site.fetch(address + "?format=markdown", key=key)
    assert text.headers["Content-Type"] == "text/markdown; charset=utf-8"
    (line,) = [line for line in text.body.decode().splitlines() if "evil" in line and "exclu" not in line][:1]
    cells = line.replace("\\|", "").strip("|").split("|")
    assert len(cells) == 6, "no name makes a cell or a row of its own"
    assert "\\<img src=x\\> \\`b\\` \\@all" in line
    assert "\\[a\\]\\(http\\:" in line

    assert (await site.fetch("/api/v1/reports/nobody/" + month, key=key)).code == 404
    assert answer(await site.fetch("/api/v1/reports/shop/2026-13", key=key))["errors"][0]["field"] == "month"
    assert (await site.fetch(address + "?format=xls", key=key)).code == 422
    assert (await site.fetch(address)).code == 401


def isfloat(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_numbers_stay_numbers_and_text_that_begins_like_a_formula_does_not() -> None:
    report = msgspec.json.decode(
        b'{"service": "-1+1", "month": "2028-02", "from": "2028-02-01T00:00:00Z", "to": "2028-03-01T00:00:00Z",'
        b'"complete": true, "made_at": "2028-03-02T00:00:00Z", "policy_revision": 1, "worst": [], "alerts": [],'
        b'"changes": {"deploy": 3}, "exclusions": [], "objectives": [{"name": "o", "title": "o",'
        b'"text": "\xef\xbc\x9dx","target": 0.9, "window_days": 28, "provisional": true, "total": 10, "bad": 3,'
        b'"excluded": 0,'
        b'"left_out_total": 0, "left_out_bad": 0, "bad_ratio": 0.3, "month_budget_spent": 3.0,'
        b'"month_budget_spent_without_exclusions": 3.0, "rolling_budget_left": -2.0,'
        b'"rolling_budget_left_without_exclusions": null, "exact_since": "2028-02-03T00:00:00Z", "recounting": true}]}',
        type=MonthlyReport,
    )
    first, second = csv.DictReader(io.StringIO(as_csv(report)))
    assert (first["rolling_budget_left"], first["rolling_budget_left_without_exclusions"]) == ("-2.0", "")
    assert (first["service"], first["text"], first["provisional"]) == ("'-1+1", "'\N{FULLWIDTH EQUALS SIGN}x", "true")
    assert (second["record"], second["kind"], second["changes"]) == ("change", "deploy", "3")
    assert "| 2028-02-03T00:00:00Z, being recounted |" in markdown(report)
    assert "-200 %" in markdown(report)
