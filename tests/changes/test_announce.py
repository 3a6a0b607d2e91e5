"""A change that is told of is one change, whoever is first: the pipeline or the first outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server.changes.deploys import Deploys
from server.kernel.db import Database
from tests.site import Site, answer

Web = Callable[..., Awaitable[Site]]


async def tell(site: Site, key: str, **given: Any) -> Any:
    asked = {"service": "checkout", "kind": "deploy", "version": "a2"} | given
    return await site.fetch("/api/v1/changes", method="POST", key=key, data=asked)


async def seen(db: Database, *versions: str) -> None:
    """Their first outcomes came."""
    async with db.act() as connection:
        for version in versions:
            await connection.exec_driver_sql(
                "INSERT INTO series (service, version, route, method, status) VALUES ('checkout', %s, '/', 'GET', 200)",
                (version,),
            )


async def recorded(site: Site, key: str) -> list[tuple[str, str, str]]:
    found = answer(await site.fetch("/api/v1/changes", key=key))["changes"]
    return [(one["version"], one["author"], one["summary"]) for one in reversed(found)]


@pytest.mark.gen_test
async def test_an_announced_deploy_and_its_first_outcome_are_one_change_in_either_order(web: Web) -> None:
    site = await web()
    key, watch = await site.key("read", "act", name="ci"), Deploys(site.parts.db)
    await seen(site.parts.db, "a1")
    first = await tell(site, key, summary="faster cart")
    assert (first.code, answer(first)["already"]) == (201, False)
    await seen(site.parts.db, "a2")
    await watch.run()
    assert await recorded(site, key) == [("a2", "key:ci", "faster cart")]
    await seen(site.parts.db, "a3")
    await watch.run()
    assert (await recorded(site, key))[1] == ("a3", "evenkeel", "first seen: a3")
    late = await tell(site, key, version="a3", summary="smaller cart")
    assert (late.code, answer(late)["already"]) == (200, True)
    assert await recorded(site, key) == [("a2", "key:ci", "faster cart"), ("a3", "key:ci", "smaller cart")]
    repeated = await tell(site, key, version="a3", summary="again")
    assert (repeated.code, answer(repeated)["change"]["summary"]) == (200, "smaller cart")
    back = await tell(site, key, version="a2", rolls_back="a3")
    assert (back.code, answer(back)["change"]["summary"]) == (201, "version a2 (rolls back a3)")
    assert (await tell(site, key, version="a2", rolls_back="a3")).code == 200
    await watch.run()
    assert len(await recorded(site, key)) == 3


@pytest.mark.gen_test
async def test_told_many_times_and_seen_at_once_it_is_still_one(web: Web) -> None:
    site = await web()
    key, watches = await site.key("read", "act", name="ci"), [Deploys(site.parts.db) for _ in range(3)]
    await seen(site.parts.db, "a1")
    await seen(site.parts.db, "a2")
    await asyncio.gather(*(tell(site, key) for _ in range(6)), *(watch.run() for watch in watches))
    assert [(version, author) for version, author, _ in await recorded(site, key)] == [("a2", "key:ci")]
    acts = answer(await site.fetch("/api/v1/audit", key=await site.key("admin")))["acts"]
    assert [one["subject"] for one in acts if one["action"] == "change.announce"] == ["deploy of checkout"]


@pytest.mark.gen_test
async def test_a_deploy_of_an_older_version_rolls_the_newer_one_back_without_saying_so(web: Web) -> None:
    site = await web()
    key, watch = await site.key("read", "act", name="ci"), Deploys(site.parts.db)
    await seen(site.parts.db, "a1")  # the first of all: no deploy of it was ever recorded
    await seen(site.parts.db, "a2")
    await watch.run()
    for version, summary in (
        ("a1", "version a1 (rolls back a2)"),
        ("a3", "version a3"),
        ("a2", "version a2 (rolls back a3)"),
    ):
        told = await tell(site, key, version=version)
        assert (told.code, answer(told)["change"]["summary"]) == (201, summary)
    again = await tell(site, key, version="a2")
    assert (again.code, answer(again)["change"]["detail"]["rolls_back"]) == (200, "a3"), "told twice it is one"
    assert (await tell(site, key, version="a2", rolls_back="a3")).code == 200
    forward = await tell(site, key, version="a3")
    assert answer(forward)["change"]["summary"] == "version a3", "newer, though it ran before"
    assert (await tell(site, key, version="a2", kind="flag")).code == 201


@pytest.mark.gen_test
async def test_a_deploy_that_died_before_its_first_outcome_can_be_rolled_back(web: Web) -> None:
    """Nothing is known of a3, and a2 is the newest deploy: going back to a2 is a change all the same."""
    site = await web()
    key = await site.key("read", "act", name="ci")
    await tell(site, key)
    back = await tell(site, key, rolls_back="a3")
    assert (back.code, answer(back)["change"]["detail"]) == (201, {"announced": "a2", "rolls_back": "a3"})


@pytest.mark.gen_test
async def test_scales_and_flags_are_changes_and_what_cannot_be_one_is_refused(web: Web) -> None:
    site = await web()
    key = await site.key("read", "act", name="ci")
    for version in ("4 processes", "8 processes", "4 processes"):
        assert (await tell(site, key, kind="scale", version=version)).code == 201
    assert (await tell(site, key, kind="scale", version="4 processes")).code == 200
    assert [one[2] for one in await recorded(site, key)] == ["4 processes", "8 processes", "4 processes"]
    for said, code in (("cart cache emptied", 201), ("cart cache emptied", 200), ("disk swapped", 201)):
        assert (await tell(site, key, kind="other", version="", summary=said)).code == code, said
    for wrong in (
        {"kind": "revision"},
        {"version": ""},
        {"kind": "other", "version": "", "summary": ""},
        {"service": "(other)"},
        {"rolls_back": "a2"},
        {"kind": "flag", "rolls_back": "a1"},
        {"summary": "a\u0000b"},
        {"surprise": 1},
    ):
        assert (await tell(site, key, **wrong)).code == 422, wrong
    assert (await tell(site, await site.key("read", "ingest"))).code == 403
