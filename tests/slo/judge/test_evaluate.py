"""How objectives stand each second: reaction, states, ranges, and what outlives a watch."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from server.live.fold import Fold
from server.live.service import LiveService
from server.slo.judge.evaluate import Evaluation
from server.slo.ledger.ledger import Ledger
from server.slo.ledger.recount import Recount
from server.slo.model.budget import budget_low
from server.slo.model.counts import Counts
from server.slo.model.status import ObjectiveStatus, Status
from tests.live.rollups import lead
from tests.live.writing import Sample, Writer, database
from tests.slo.judging import delta, live_service
from tests.slo.ledgers import policies
from tests.slo.making import SHOP, availability, service

NOW = 1_790_000_000 // 3600 * 3600 + 1234.5


async def evaluated(evaluation: Evaluation, now: float, *services: LiveService) -> Status:
    return await evaluation.evaluate(services, now)


def named(status: Status, name: str) -> ObjectiveStatus:
    return next(objective for objective in status.objectives if objective.name == name)


def outcomes(count: int, *, bad: int = 0, ago_s: int = 10, **given: Any) -> list[Sample]:
    return [Sample(int(NOW) - ago_s, bad=number < bad, **given) for number in range(count)]


@pytest.mark.gen_test
async def test_a_burn_is_seen_at_the_next_tick_before_and_after_the_fold(database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    writer = Writer(database_url)
    async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
        evaluation, fold = Evaluation(db, held), Fold(db, Ledger(held).fold)
        writer.flush(outcomes(1000))
        assert named(await evaluated(evaluation, NOW), "shop-works").state == "ok"
        writer.flush(outcomes(100, bad=100, ago_s=0))
        unfolded = named(await evaluated(evaluation, NOW + 1), "shop-works")
        await fold.run(1)
        folded = named(await evaluated(evaluation, NOW + 2), "shop-works")
    for status in (unfolded, folded):
        assert (status.state, status.good, status.bad) == ("burning", 1000, 100)
        assert status.burn_5m == pytest.approx(100 / 1100 / 0.001)
    assert unfolded.since == folded.since == NOW + 1


@pytest.mark.gen_test
async def test_a_handful_is_not_a_burn_and_judges_no_budget(database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    writer = Writer(database_url)
    async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
        evaluation = Evaluation(db, held)
        writer.flush(outcomes(20, bad=2))
        few = named(await evaluated(evaluation, NOW), "shop-works")
        writer.flush(outcomes(28, bad=28))
        enough = named(await evaluated(evaluation, NOW), "shop-works")
    assert (few.state, few.judged, few.decided_by) == ("ok", False, [])
    assert (enough.state, enough.tier, enough.decided_by) == ("burning", "1h/5m", [3600, 300])
    assert [(w.window_s, w.bad, w.total) for w in enough.windows][:3] == [(300, 30, 48), (1800, 30, 48), (3600, 30, 48)]
    assert few.budget_left == pytest.approx(1 - 2 / 0.02)
    assert few.exhausted_in_s == 0


@pytest.mark.gen_test
async def test_an_onset_told_from_a_window_is_not_before_the_first_failure(database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    writer = Writer(database_url)
    async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
        evaluation, fold = Evaluation(db, held), Fold(db, Ledger(held).fold)
        writer.flush(outcomes(1000, ago_s=2000))
        writer.flush(outcomes(100, bad=40, ago_s=1000) + outcomes(40, bad=30))
        await evaluated(evaluation, NOW)
        unfolded = next(one for one in evaluation.evidence if one.objective == "shop-works")
        await fold.run(1)
        await evaluated(evaluation, NOW + 1)
        folded = next(one for one in evaluation.evidence if one.objective == "shop-works")
    minute = (int(NOW) - 1000) // 60 * 60
    for one in (unfolded, folded):
        assert (one.tier, one.onset_method) == ("1h/5m", "window")
    assert unfolded.onset is not None
    assert NOW - 1860 <= unfolded.onset <= NOW - 1000
    assert folded.onset == minute


@pytest.mark.gen_test
async def test_latency_counts_good_outcomes_only(database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    writer = Writer(database_url)
    async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
        writer.flush(outcomes(80, duration_us=300_000) + outcomes(20, duration_us=300_001) + outcomes(50, bad=50))
        fast = named(await evaluated(Evaluation(db, held), NOW), "shop-fast")
    assert (fast.good, fast.bad, fast.excluded) == (80, 20, 50)
    assert fast.burn_1h == pytest.approx(20)
    assert fast.threshold_ms == 300


@pytest.mark.gen_test
async def test_no_traffic_and_no_objective_are_never_ok(database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    writer = Writer(database_url)
    async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
        evaluation = Evaluation(db, held)
        empty = await evaluated(evaluation, NOW, live_service("stranger"))
        writer.flush(outcomes(100, ago_s=7200))
        quiet = await evaluated(evaluation, NOW + 10, live_service("stranger", silent_s=30, usual_per_second=2.0))
    assert empty.services == {"shop": "no_traffic", "stranger": "no_objective"}
    works = named(empty, "shop-works")
    assert (works.budget_left, works.burn_5m, works.burn_1h, works.exhausted_in_s) == (None, None, None, None)
    assert quiet.services == {"shop": "no_traffic", "stranger": "blind"}
    assert named(quiet, "shop-works").budget_left == 1  # over its window there was traffic


@pytest.mark.gen_test
async def test_blind_and_partial_give_a_range(database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    writer = Writer(database_url)
    async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
        evaluation = Evaluation(db, held)
        writer.flush(outcomes(9_990, bad=0) + outcomes(5, bad=5))
        silent = live_service("shop", silent_s=10, usual_per_second=0.45)  # 4.5 expected: 5
        blind = named(await evaluated(evaluation, NOW, silent), "shop-works")
        with psycopg.connect(database_url) as connection:
            for slot, service_, reason, requests, items in (
                (NOW - 30, "shop", "BATCH_TOO_LARGE", 2, 4000),
                (NOW - 1800, "shop", "THROTTLED", 3, 0),  # items not known: one a request
                (NOW - 30, "shop", "INVALID", 1, 100),  # the sender's own bug
                (NOW - 30, "shop", "accepted", 1, 100),
                (NOW - 7200, "shop", "THROTTLED", 1, 500),  # long ago
            ):
                connection.execute(
                    "INSERT INTO intake VALUES (to_timestamp(%s), 1, 1, %s, %s, %s, %s, 0, '{}', '{}')",
                    (slot // 10 * 10, service_, reason, requests, items),
                )
        partial = named(
            await evaluated(evaluation, NOW + 1, live_service("shop", accepted_items=100, refused_items=4000)),
            "shop-works",
        )
        healthy = named(await evaluated(evaluation, NOW + 2, live_service("shop")), "shop-works")
    assert blind.state == "blind"
    assert blind.budget_worst == pytest.approx(1 - 10 / 10.0)
    assert blind.budget_best == pytest.approx(1 - 5 / 10.0)
    assert partial.state == "partial"
    assert partial.budget_worst == pytest.approx(1 - (5 + 4003) / ((9995 + 4003) * 0.001))
    assert partial.budget_best == pytest.approx(1 - 5 / ((9995 + 4003) * 0.001))
    assert (healthy.state, healthy.budget_worst, healthy.budget_best) == ("ok", None, None)


@pytest.mark.gen_test
async def test_a_burn_while_refused_has_a_range_and_refusal_outranks_silence(database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    writer = Writer(database_url)
    async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
        evaluation = Evaluation(db, held)
        writer.flush(outcomes(1000, bad=500))
        burning = named(await evaluated(evaluation, NOW, live_service("shop", refused_items=1000)), "shop-works")
        other = await evaluated(
            evaluation, NOW, live_service("mail", refused_items=10, silent_s=43, usual_per_second=5.0)
        )
    assert burning.state == "burning"
    assert burning.budget_worst == pytest.approx(1 - 1500 / 2.0)
    assert burning.budget_best == pytest.approx(1 - 500 / 2.0)
    assert other.services["mail"] == "partial"


@pytest.mark.parametrize(
    ("good", "bad", "state"),
    [
        (495, 4, "ok"),  # 4 of 499 at 99 %: 20 % left, too little traffic
        (496, 4, "ok"),  # 20 % left of 500, but too few failures
        (495, 5, "at_risk"),  # nothing left of 500
        (494, 5, "ok"),  # 499: not judged
        (595, 5, "at_risk"),  # 17 % left
        (995, 5, "ok"),  # 50 % left
    ],
)
def test_a_budget_is_judged_by_enough_traffic_and_failures(good: int, bad: int, state: str) -> None:
    assert budget_low(Counts(good, bad), Fraction(1, 100)) == (state == "at_risk")


@pytest.mark.gen_test
async def test_since_outlives_the_watch(database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    writer = Writer(database_url)
    async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
        writer.flush(outcomes(100, bad=50))
        before = await Evaluation(db, held).evaluate([], NOW)
        after = await Evaluation(db, held).evaluate([], NOW + 60, before)
    assert named(after, "shop-works").since == NOW
    assert after.evaluated_at == NOW + 60


@pytest.mark.gen_test
async def test_what_was_published_is_not_changed_by_the_watch_that_goes_on_from_it(
    database_url: str, tmp_path: Path
) -> None:
    lead(database_url, 1)
    async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
        old, new = Evaluation(db, held), Evaluation(db, held)
        old.streams.hear([delta(int(NOW) - 40, 100, 60)])
        before = await old.evaluate([], NOW)
        published = msgspec.json.encode(before)
        new.streams.hear([delta(int(NOW) + second, 100, 60) for second in range(-30, 0)])
        after = await new.evaluate([], NOW + 60, before)
    assert after.memories != before.memories
    assert msgspec.json.encode(before) == published


@pytest.mark.gen_test
async def test_a_new_objective_counts_from_the_tick_after_it_is_stored(database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    later = tmp_path / "later"
    later.mkdir()
    async with (
        database(database_url) as db,
        policies(db, database_url, tmp_path, service("shop") + availability("one", "shop")) as held,
    ):
        evaluation = Evaluation(db, held)
        await evaluated(evaluation, NOW)
        async with policies(db, database_url, later, SHOP), db.act() as connection:
            await held.follow(connection)
        status = await evaluated(evaluation, NOW + 1)
    assert status.policy_revision == 2
    assert [objective.name for objective in status.objectives] == ["shop-works", "shop-fast"]


@pytest.mark.gen_test
async def test_a_budget_is_not_known_while_its_ledger_is_recounted(database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    writer = Writer(database_url)
    async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
        ledger = Ledger(held)
        evaluation, fold = Evaluation(db, held), Fold(db, ledger.fold)
        writer.flush(outcomes(6000, bad=3))
        await fold.run(1)  # begins the ledgers, whose past is now asked for
        waiting = named(await evaluated(evaluation, NOW), "shop-works")
        while await Recount(db, fold, ledger).once(1):
            pass
        done = named(await evaluated(evaluation, NOW + 1), "shop-works")
    assert (waiting.recounting, waiting.budget_left, waiting.judged) == (True, None, False)
    assert waiting.burn_1h == pytest.approx(0.5)
    assert (done.recounting, done.budget_left) == (False, pytest.approx(0.5))
