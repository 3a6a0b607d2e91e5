"""The verdict on a new version: on its routes, beside the one before or after it, and what follows from it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from server.live.fold import Fold
from server.live.service import ServicePart, VersionCount
from server.slo.judge.evaluate import Evaluation
from server.slo.judge.judgement import likely
from server.slo.judge.versions import version_verdicts
from server.slo.ledger.ledger import Ledger
from server.slo.model.status import VersionVerdict
from tests.live.rollups import lead
from tests.live.writing import Sample, Writer, database
from tests.slo.judge.test_evaluate import NOW, named
from tests.slo.judging import live_service
from tests.slo.ledgers import policies
from tests.slo.making import SHOP


def row(version: str, route: str, slot: int, n: int, bad: int, last: float = NOW) -> VersionCount:
    return VersionCount("shop", "v2", NOW - 1200, version, route, slot, n, bad, int(last))


def verdict(*rows: VersionCount) -> VersionVerdict | None:
    return version_verdicts(rows, NOW).get("shop")


def test_replaced_at_once_it_is_compared_with_the_hour_before_on_its_routes() -> None:
    gone = NOW - 1200
    found = verdict(
        row("v1", "GET /pay", -3, 1_000, 1, gone),
        row("v1", "GET /pay", -1, 830, 0, gone),
        row("v1", "GET /old", -1, 5_000, 900, gone),  # the new one does not serve it
        row("v2", "GET /pay", 0, 300, 8),
        row("v2", "GET /pay", 1, 158, 4),
        row("v2", "GET /new", 1, 900, 90),  # nor the old one that
    )
    assert found is not None
    assert (found.finding, found.worse, found.other, found.beside) == ("worse", True, "v1", False)
    assert found.text == "12 of 458 fail since v2, 1 of 1,830 before"


def test_where_both_run_what_hits_both_at_once_is_no_versions_fault() -> None:
    """An outage of a dependency in the second slot, for both."""
    rows = [
        row("v1", "GET /pay", -1, 5_000, 5),
        row("v1", "GET /pay", 0, 900, 1),
        row("v1", "GET /pay", 1, 900, 300),
        row("v2", "GET /pay", 1, 900, 310),
    ]
    found = verdict(*rows)
    assert found is not None
    assert (found.finding, found.beside) == ("no_difference", True)
    rows[-1] = row("v2", "GET /pay", 1, 900, 700)
    found = verdict(*rows)
    assert found is not None
    assert (found.worse, found.text) == (True, "700 of 900 of v2 fail, 300 of 900 of v1 beside it")


def test_what_ran_before_it_in_the_same_minute_ran_not_beside_it() -> None:
    """Replaced at once six seconds into a minute, whose counts hold both."""
    first = NOW // 60 * 60 - 60 + 6

    def counted(version: str, slot: int, n: int, bad: int, last: float) -> VersionCount:
        return VersionCount("shop", "v2", first, version, "GET /pay", slot, n, bad, int(last))

    rows = [counted("v1", -1, 4_000, 0, first - 66), counted("v1", 0, 120, 0, first - 6)]
    found = version_verdicts([*rows, counted("v2", 0, 458, 120, NOW)], NOW)["shop"]
    assert (found.beside, found.text) == (False, "120 of 458 fail since v2, 0 of 4,000 before")
    rows.append(counted("v1", 0, 900, 0, first + 54))
    assert version_verdicts([*rows, counted("v2", 0, 458, 120, NOW)], NOW)["shop"].beside
    told_of = counted("v2", 0, 458, 120, NOW)._replace(began=int(first) + 54)  # its first outcome came a minute later
    assert not version_verdicts([*rows, told_of], NOW)["shop"].beside


def test_a_version_that_is_gone_is_no_risk_and_without_another_there_is_no_verdict() -> None:
    rows = [row("v1", "GET /pay", -1, 900, 0), row("v2", "GET /pay", 0, 900, 90, NOW - 900)]
    found = verdict(*rows)
    assert found is not None
    assert (found.finding, found.worse) == ("worse", False)
    assert verdict(rows[1]) is None
    assert version_verdicts([], NOW) == {}


def test_it_is_likely_where_it_runs_alone_by_now() -> None:
    found = verdict(row("v1", "GET /pay", -1, 1_830, 1), row("v2", "GET /pay", 0, 458, 12))
    alone = live_service("shop", n=60, bad=2, versions=[ServicePart("v2", 60, 2)])
    assert likely(alone, found) == "version v2"
    assert likely(alone, None) == ""
    better = verdict(row("v1", "GET /pay", -1, 1_830, 100), row("v2", "GET /pay", 0, 458, 0))
    assert better is not None
    assert (better.finding, likely(alone, better)) == ("better", "")


@pytest.mark.gen_test
async def test_a_worse_version_is_at_risk_and_names_itself_when_every_process_was_replaced(
    database_url: str, tmp_path: Path
) -> None:
    lead(database_url, 1)
    writer = Writer(database_url)
    async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
        evaluation, fold = Evaluation(db, held), Fold(db, Ledger(held).fold)
        writer.flush([Sample(int(NOW) - 1500, bad=number < 1, version="v1") for number in range(1830)])
        await fold.run(1)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("UPDATE series SET first_seen_at = to_timestamp(%s)", (NOW - 3000,))
            writer.flush([Sample(int(NOW) - 30, bad=number < 12, version="v2") for number in range(458)])
            connection.execute("UPDATE series SET first_seen_at = to_timestamp(%s) WHERE version = 'v2'", (NOW - 600,))
        await fold.run(1)
        found = await evaluation.evaluate([live_service("shop")], NOW)
        while not found.versions:  # read beside the tick where it takes long
            found = await evaluation.evaluate([live_service("shop")], NOW)
    shown = found.versions["shop"]
    assert (shown.version, shown.other, shown.worse) == ("v2", "v1", True)
    assert (shown.bad, shown.n, shown.other_bad, shown.other_n) == (12, 458, 1, 1830)
    assert found.services["shop"] in ("at_risk", "burning")
    assert named(found, "shop-works").state in ("at_risk", "burning")
    assert named(found, "shop-fast").state not in ("at_risk", "burning"), "of latency it says nothing"
    burning = next(one for one in evaluation.evidence if one.objective == "shop-works")
    assert (burning.tier is None) or burning.likely == "version v2"
