"""Provisional objectives: the first outage of a service that nobody configured is seen."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.kernel.names import OTHER, OWN
from server.live.fold import Fold
from server.picture.tick import Tick
from server.slo.judge.evaluate import Evaluation
from server.slo.ledger.ledger import Ledger
from server.slo.ledger.recount import Recount
from server.slo.model.budget_policy import Defaults
from server.slo.model.objective import Objective
from server.slo.policy.policy import parse
from server.slo.policy.provisional import with_defaults
from tests.live.rollups import lead
from tests.picture.ticking import no_alerts
from tests.site import Site, answer
from tests.slo.ledgers import process
from tests.slo.making import SHOP, availability, file, service
from tests.slo.over_http import outcome, picture, send
from tests.waiting import until

DEFAULTS = """
---
apiVersion: evenkeel/v1
kind: ErrorBudgetPolicy
metadata:
  name: ours
spec:
  defaults:
    target: 0.95
    window: 7d
"""
POLICY = parse(SHOP + DEFAULTS)
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")  # of an objective, as the file would have to write it


def made(*services: str, most: int = 1000) -> dict[str, Objective]:
    """The provisional objectives of some services, by service."""
    found = with_defaults(POLICY, services, most)
    assert found[:2] == POLICY.objectives
    return {one.service: one for one in found[2:]}


def test_a_service_that_sends_gets_one_and_a_configured_one_none() -> None:
    found = made("shop", "cart", OTHER)
    assert list(found) == ["cart"]
    one = found["cart"]
    assert (one.name, one.kind, one.target, one.window_days) == ("default-cart", "availability", Fraction(19, 20), 7)
    assert one.provisional
    assert "provisional" in one.title


def test_without_defaults_nothing_is_added() -> None:
    assert with_defaults(parse(SHOP), ["cart"], 1000) == parse(SHOP).objectives


def test_together_they_are_bounded() -> None:
    assert len(made(*(f"s{n}" for n in range(50)), most=12)) == 10


def test_a_name_that_the_file_has_is_not_taken() -> None:
    policy = parse(service("a") + availability("default-cart", "a") + DEFAULTS)
    names = [one.name for one in with_defaults(policy, ["cart"], 1000)]
    assert len(set(names)) == 2
    assert names[1].startswith("default-cart-")


HOSTILE = st.text(max_size=200) | st.sampled_from(["Cart", "cart ", "cart", "CART", "cart-", "c" * 39, "c" * 200])


@given(st.lists(HOSTILE, max_size=20))
def test_any_services_have_objectives_of_their_own_that_do_not_depend_on_the_others(services: list[str]) -> None:
    found = made(*services)
    assert set(found) == set(services) - {"shop", OTHER, ""}
    names = [one.name for one in found.values()]
    assert len(set(names)) == len(names)
    assert all(NAME.fullmatch(name) for name in names)
    for each, one in found.items():
        assert made(each) == {each: one}


def test_a_service_named_like_the_digest_of_another_takes_nothing_from_it() -> None:
    hostile = made("Cart")["Cart"].name.removeprefix("default-")
    found = made("Cart", hostile)
    assert found["Cart"].name == f"default-{hostile}" != found[hostile].name


@pytest.mark.gen_test
async def test_the_first_outage_of_a_new_service_is_seen(
    web: Any, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.slo.policy.policies.POLL_S", 0.05)
    lead(database_url, 1)
    site: Site = await web(SLO_FILE=file(tmp_path, SHOP + DEFAULTS))
    other: Site = await web("web.2", SLO_FILE=str(tmp_path / "slo.yaml"))
    key = await site.key("ingest", "read")
    await send(site, key, [outcome(500) | {"service": "Kasse/1"}] * 50)
    await until(lambda: None not in (held(site), held(other)), "both to have it")
    one = held(site)
    assert one == held(other)
    assert one is not None
    assert one.id

    await picture(site)
    listed = answer(await site.fetch("/api/v1/slos", key=key))
    assert listed["services"]["Kasse/1"] == "burning"
    shown = next(each for each in listed["objectives"] if each["service"] == "Kasse/1")
    assert (shown["provisional"], shown["status"]["provisional"], shown["status"]["bad"]) == (True, True, 50)
    assert [each["provisional"] for each in listed["objectives"] if each["service"] == "shop"] == [False, False]
    await Fold(site.parts.db, Ledger(site.parts.policies).fold).run(1)
    budget = answer(await site.fetch(f"/api/v1/slos/{shown['name']}/budget", key=key))
    assert (budget["good"], budget["bad"]) == (0, 50)

    # Somebody configures it: the provisional one goes, everywhere.
    configured = SHOP + DEFAULTS + service("Kasse/1") + availability("kasse", "Kasse/1")
    async with process(database_url, file(tmp_path, configured, "new.yaml")) as newer:
        await newer.start()
        assert {o.name for o in newer.objectives if o.service != OWN} == {"shop-works", "shop-fast", "kasse"}
        await until(lambda: other.parts.policies.objective("kasse") is not None, "the other to have it")
        assert not any(o.provisional for o in other.parts.policies.objectives if o.service != OWN)


@pytest.mark.gen_test
async def test_a_new_service_is_unknown_to_the_gate_until_it_is_counted_at_the_second_tick(
    web: Any, database_url: str, tmp_path: Path
) -> None:
    lead(database_url, 1)
    site: Site = await web(SLO_FILE=file(tmp_path, SHOP + DEFAULTS))
    parts, key = site.parts, await site.key("ingest", "read")
    evaluation, ledger = Evaluation(parts.db, parts.policies), Ledger(parts.policies)
    tick = Tick(parts.db, parts.bus, parts.process, evaluation.streams.hear, evaluation.evaluate, no_alerts)
    fold = Fold(parts.db, ledger.fold)

    async def gate() -> tuple[str, str]:
        found = answer(await site.fetch("/api/v1/gate?service=Kasse/1&kind=deploy", key=key))
        return found["answer"], found["rules"][0]["text"]

    await tick.run(1)
    await parts.relay.refresh()
    await send(site, key, [outcome(500) | {"service": "Kasse/1"}] * 1000)
    await fold.run(1)
    assert await gate() == ("unknown", "the objective of Kasse/1 is not counted yet")
    await tick.run(1)
    await parts.relay.refresh()
    found, why = await gate()
    assert (found, "is being recounted" in why) == ("unknown", True)
    recount = Recount(parts.db, fold, ledger)
    while await recount.once(1):
        pass
    await tick.run(1)
    await parts.relay.refresh()
    assert evaluation.last is not None
    counted = next(one for one in evaluation.last.objectives if one.service == "Kasse/1")
    assert (counted.bad, counted.state, counted.recounting) == (1000, "burning", False)
    assert "no traffic" not in (await gate())[1]


def held(site: Site) -> Objective | None:
    """The objective of the new service in a process. Evenkeel's own requests make a second one."""
    return next((o for o in site.parts.policies.objectives if o.service == "Kasse/1"), None)


@pytest.mark.gen_test
async def test_processes_that_meet_a_service_at_once_begin_one_ledger(database_url: str, tmp_path: Path) -> None:
    import asyncio

    path = file(tmp_path, SHOP + DEFAULTS)
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name in ("cart", "pay"):
            connection.execute(
                "INSERT INTO series (service, version, route, method, status) VALUES (%s, '', '/', 'GET', 200)", (name,)
            )
        connection.execute(
            "INSERT INTO series (service, version, route, method, status, first_seen_at)"
            " VALUES ('gone', '', '/', 'GET', 200, now() - interval '40 days')"
        )
        async with process(database_url, path) as a, process(database_url, path) as b, process(database_url, path) as c:
            await asyncio.gather(*(each.start() for each in (a, b, c)))
            await until(lambda: all(len(each.objectives) == 4 for each in (a, b, c)), "all four everywhere")
            assert a.objectives == b.objectives == c.objectives
            assert {one.service for one in a.objectives} == {"shop", "cart", "pay"}
            assert connection.execute("SELECT count(*) FROM objectives").fetchone() == (4,)


@pytest.mark.gen_test
async def test_a_fold_that_fails_leaves_no_ledger_that_does_not_exist(database_url: str, tmp_path: Path) -> None:
    async with process(database_url, file(tmp_path, SHOP + DEFAULTS)) as policies:
        await policies.start()
        await policies.close()  # it follows no longer: only the test acts
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO series (service, version, route, method, status) VALUES ('cart', '', '/', 'GET', 200)"
            )
        async with policies.db.act() as open_:
            await policies.follow(open_)
        assert [one.service for one in policies.objectives] == ["shop", "shop"]  # nothing is begun by a reader
        async with policies.db.act() as open_:
            found, begun = await policies._begun(open_)
        assert begun
        assert found is not None
        async with policies.db.act() as open_:
            await policies.follow(open_)
        assert policies.objectives == found.objectives
        assert replace(policies.objectives[2], id=0) == made_with(Defaults(Fraction(19, 20), 7))


def made_with(defaults: Defaults) -> Objective:
    assert POLICY.budget_policy.defaults == defaults
    return made("cart")["cart"]
