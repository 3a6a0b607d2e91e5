"""The objectives over real HTTP, from outcomes sent to budgets answered."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from server.live.fold import Fold
from server.slo.ledger.ledger import Ledger
from server.slo.ledger.recount import Recount
from tests.live.rollups import lead
from tests.site import Site, answer
from tests.slo.making import SHOP, file, service
from tests.slo.over_http import outcome, picture, seconds, send


@pytest.mark.gen_test
async def test_from_outcomes_to_the_budget(web: Any, database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    site: Site = await web(SLO_FILE=file(tmp_path, SHOP + service("idle")))
    key = await site.key("ingest", "read")
    empty = answer(await site.fetch("/api/v1/slos", key=key))
    assert empty["evaluated_at"] is None
    assert [each["status"] for each in empty["objectives"]] == [None, None]

    await send(site, key, [outcome()] * 120 + [outcome(500)] * 40 + [outcome(duration_ms=900)] * 40)
    at_once = answer(await site.fetch("/api/v1/slos/shop-works/budget", key=key))
    assert (at_once["good"], at_once["bad"], at_once["excluded"], at_once["total"]) == (160, 40, 0, 200)
    assert at_once["recounting"]
    assert abs(seconds(at_once["exact_since"]) - time.time()) < 60
    ledger = Ledger(site.parts.policies)
    fold = Fold(site.parts.db, ledger.fold)
    await fold.run(1)
    while await Recount(site.parts.db, fold, ledger).once(1):
        pass
    folded = answer(await site.fetch("/api/v1/slos/shop-works/budget", key=key))
    clocks = dict.fromkeys(("from", "to", "exact_since", "oldest", "recounting"))
    assert folded | clocks == at_once | clocks
    assert not folded["recounting"]
    assert 399 < (time.time() - seconds(folded["exact_since"])) / 86_400 <= 400
    assert (folded["judged"], seconds(folded["oldest"]) > time.time() - 900) == (False, True), "nothing is older"
    assert folded["budget_left"] == pytest.approx(1 - 40 / 0.2)
    assert folded["burn_rate"] == pytest.approx(200)
    assert folded["spent"] == pytest.approx(200)
    assert folded["window_s"] == 28 * 86_400
    since, start, end = (seconds(folded[name]) for name in ("counted_since", "from", "to"))
    assert abs(since - time.time()) < 60
    assert 0 <= (end - 1) - start - 28 * 86_400 < 60

    hour = answer(await site.fetch("/api/v1/slos/shop-fast/budget?window=1h", key=key))
    assert (hour["good"], hour["bad"], hour["excluded"], hour["bad_ratio"]) == (120, 40, 40, 0.25)
    assert hour["spent"] == pytest.approx(25 / (28 * 24))

    await send(site, key, [outcome() | {"service": "stranger"}])
    await picture(site)
    listed = answer(await site.fetch("/api/v1/slos", key=key))
    assert [each["name"] for each in listed["objectives"]] == ["shop-works", "shop-fast"]
    assert {each["status"]["state"] for each in listed["objectives"]} == {"burning"}
    assert {each["status"]["since"] for each in listed["objectives"]} == {listed["evaluated_at"]}
    assert abs(seconds(listed["evaluated_at"]) - time.time()) < 60
    assert listed["services"]["shop"] == "burning"
    assert listed["services"]["stranger"] == "no_objective"
    assert listed["policy_revision"] == 1
    one = answer(await site.fetch("/api/v1/slos/shop-fast", key=key))
    assert one == next(each for each in listed["objectives"] if each["name"] == "shop-fast")
    assert one["text"] == "99 % of requests within 300 ms, over 28 days"

    assert [each["status"]["exhausted_in_s"] for each in listed["objectives"]] == [0, 0]


@pytest.mark.gen_test
async def test_no_traffic_says_so(web: Any, tmp_path: Path) -> None:
    site: Site = await web(SLO_FILE=file(tmp_path, SHOP))
    key = await site.key("read")
    found = answer(await site.fetch("/api/v1/slos/shop-works/budget", key=key))
    assert found["state"] == "no_traffic"
    assert [found[name] for name in ("bad_ratio", "burn_rate", "spent", "budget_left", "exhausted_in_s")] == [None] * 5
    listed = answer(await site.fetch("/api/v1/slos", key=key))
    assert [each["status"] for each in listed["objectives"]] == [None, None]


@pytest.mark.gen_test
async def test_what_is_refused(web: Any, tmp_path: Path) -> None:
    site: Site = await web(SLO_FILE=file(tmp_path, SHOP))
    key, sender = await site.key("read"), await site.key("ingest", name="sender")
    for path in ("/api/v1/slos", "/api/v1/slos/shop-works", "/api/v1/slos/shop-works/budget"):
        assert (await site.fetch(path)).code == 401
        assert (await site.fetch(path, key=sender)).code == 403
    for path in ("/api/v1/slos/nothing", "/api/v1/slos/nothing/budget"):
        missing = await site.fetch(path, key=key)
        assert (missing.code, answer(missing)["code"]) == (404, "NOT_FOUND")
    for window in ("0m", "1m", "401d", "1M", "-5m", "5", "٥m", "99999999999d"):
        wrong = await site.fetch(f"/api/v1/slos/shop-works/budget?window={quote(window)}", key=key)
        assert (wrong.code, answer(wrong)["code"]) == (422, "INVALID"), window
        assert answer(wrong)["errors"][0]["field"] == "window"
    unknown = await site.fetch("/api/v1/slos/shop-works/budget?windw=1h", key=key)
    assert answer(unknown)["errors"][0]["field"] == "windw"
    for window in ("5m", "400d"):
        assert (await site.fetch(f"/api/v1/slos/shop-works/budget?window={window}", key=key)).code == 200
