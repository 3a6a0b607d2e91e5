"""Verdicts on changes: over HTTP and on the page, from what was really counted."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from server.live.change_store import ChangeCount
from server.live.service import VersionCount
from server.slo.judge.changes import change_verdicts
from tests.dashboard.config_page import text_of
from tests.dashboard.visitor import look, sign_in
from tests.site import Site, answer

Web = Callable[..., Awaitable[Site]]
NOW = int(time.time()) // 60 * 60

SERIES = """
INSERT INTO series (service, version, route, method, status, first_seen_at)
VALUES ('shop', %s, '/pay', 'POST', 200, to_timestamp(%s)) RETURNING id
"""
MINUTE = """
INSERT INTO minutes (series_id, minute, n, bad, duration_us, fast) VALUES (%s, to_timestamp(%s), %s, %s, 0, '{}')
"""
CHANGE = """
INSERT INTO changes (at, kind, service, version, summary, author, detail)
VALUES (to_timestamp(%s), %s, 'shop', %s, 'made', 'mira', NULL)
"""


def past(url: str) -> None:
    """v1, then v2 which fails more, then a scale after which nothing fails, a flag with it; last a policy."""
    with psycopg.connect(url) as connection:
        first = {"v1": NOW - 3000, "v2": NOW - 2400}
        ids = {name: connection.execute(SERIES, (name, at)).fetchone() for name, at in first.items()}
        for name, ago_s, n, bad in (
            ("v1", 3000, 1830, 1),
            ("v2", 2400, 458, 12),
            ("v2", 1500, 1000, 0),
            ("v2", 900, 500, 0),
            ("v2", 300, 1000, 0),
        ):
            found = ids[name]
            assert found is not None
            connection.execute(MINUTE, (found[0], NOW - ago_s, n, bad))
        for ago_s, kind, version in (
            (2410, "deploy", "v2"),
            (2000, "restart", ""),
            (1810, "scale", "8 processes"),
            (1200, "migration", "0020"),
            (600, "flag", "new-cart on"),
            (590, "policy", "2"),
        ):
            connection.execute(CHANGE, (NOW - ago_s, kind, version))


@pytest.mark.gen_test
async def test_each_change_says_what_fails_since_and_before(web: Web, database_url: str) -> None:
    site = await web()
    past(database_url)
    found = answer(await site.fetch("/api/v1/changes?service=shop", key=await site.key("read")))["changes"]
    verdicts = {one["kind"]: one["verdict"] for one in found if one["service"] == "shop"}
    assert verdicts["policy"] is None
    assert verdicts["deploy"]["text"] == "12 of 458 fail since, 1 of 1,830 before"
    assert (verdicts["deploy"]["finding"], verdicts["deploy"]["other"]) == ("worse", "v1")
    assert verdicts["deploy"]["p"] < 1e-4
    assert verdicts["restart"] is None, "nothing came between it and the scale"
    assert verdicts["scale"]["text"] == "0 of 1,500 fail since, 12 of 458 before", "until the next one, from the last"
    assert verdicts["scale"]["finding"] == "better"
    assert verdicts["flag"]["finding"] == "no_difference"
    assert verdicts["migration"]["text"] == "0 of 500 fail since, 0 of 1,000 before", "it ends the time of none"
    page = text_of((await look(site, "/changes", await sign_in(site, "viewer"))).body)
    assert "12 of 458 fail since, 1 of 1,830 before, same routes · fails more: by chance in <0.01" in page
    assert "0 of 1,000 fail since, 0 of 1,500 before, same routes · no difference seen" in page


@pytest.mark.gen_test
async def test_a_deploy_is_compared_with_what_came_before_it_alone(web: Web, database_url: str) -> None:
    """a1, then 80 s later a2, then a1 again: a2 came later and says nothing of the first, which came back after it."""
    site = await web()
    with psycopg.connect(database_url) as connection:
        for version, first_ago_s, minutes in (
            ("a1", 1790, [(1800, 340, 0), (1740, 340, 0), (1620, 500, 0)]),
            ("a2", 1705, [(1740, 300, 100), (1680, 306, 102), (1620, 100, 90)]),
        ):
            found = connection.execute(SERIES, (version, NOW - first_ago_s)).fetchone()
            assert found is not None
            for ago_s, n, bad in minutes:
                connection.execute(MINUTE, (found[0], NOW - ago_s, n, bad))
        for ago_s, version in ((1790, "a1"), (1710, "a2"), (1610, "a1")):
            connection.execute(CHANGE, (NOW - ago_s, "deploy", version))
    told = answer(await site.fetch("/api/v1/changes?service=shop", key=await site.key("read")))["changes"]
    newest, second, first = (one["verdict"] for one in told if one["service"] == "shop")
    assert first is None, "a version that came later makes no deploy look better"
    assert second["text"] == "292 of 706 fail since, 0 of 340 before", "what it replaced ran not beside it"
    assert (newest["other"], newest["finding"], newest["beside"]) == ("a2", "better", False)


def row(slot: int, n: int, bad: int, route: str = "POST /pay", kind: str = "scale") -> Any:
    return ChangeCount(1, kind, float(NOW), VersionCount("shop", "x", 0.0, "v1", route, slot, n, bad, NOW))


def test_where_one_side_counted_nothing_or_no_route_is_common_there_is_nothing_to_say() -> None:
    assert change_verdicts([row(0, 100, 9)]) == {}
    assert change_verdicts([row(0, 1000, 500, "POST /pay"), row(-1, 1000, 0, "GET /home")]) == {}


def test_a_version_that_ran_before_is_judged_by_what_it_counted_since() -> None:
    def counted(version: str, slot: int, n: int, bad: int) -> Any:
        found = row(slot, n, bad, kind="deploy")
        return found._replace(counted=found.counted._replace(newest="v1", version=version))

    back = [counted("v1", -5, 1000, 900), counted("v2", -1, 1000, 500), counted("v1", 0, 400, 0)]
    verdict = change_verdicts(back)[1]
    assert (verdict.finding, verdict.bad, verdict.n) == ("better", 0, 400)
    assert verdict.sure == "fails less: by chance in <0.01 % of cases"
