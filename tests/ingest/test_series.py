from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ingest.numbering import Numbering
from server.ingest.series import FRESH_S, Book, Caps, SendingKey, Series, Spelling
from server.kernel.db import Database
from server.kernel.names import OTHER
from tests.ingest.making import rows, value

CAPS = Caps(services=2, routes=3, versions=2)


def spelling(service: str = "shop", version: str | None = None, route: str = "/", status: int = 200) -> Spelling:
    return (service, version, route, "GET", status)


def test_names_over_a_cap_are_counted_under_other() -> None:
    book = Book(CAPS)
    for n, one in enumerate([spelling(route=f"/{i}") for i in range(5)]):
        book.add(Series(n + 1, book.named(one)))
    assert {name.route for name in book.active["shop"].series} == {"/0", "/1", "/2", OTHER}
    assert book.named(spelling(route="/1", version="v1")).version == "v1"
    assert book.named(spelling("second")).service == "second"
    book.add(Series(9, book.named(spelling("second"))))
    third = book.named(spelling("third", route="/x", version="v"))
    assert (third.service, third.version, third.route) == (OTHER, "", OTHER)
    assert book.named(spelling("evenkeel")).service == "evenkeel"


def test_a_method_in_another_case_is_the_same_and_an_invented_one_is_other() -> None:
    book = Book(CAPS)
    assert book.named(("shop", None, "/", "get", 200)).method == "GET"
    assert book.named(("shop", None, "/", "x-haxx", 200)).method == OTHER


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("pqrst"), st.sampled_from("xyz")), max_size=60))
def test_the_caps_hold_whatever_comes(sent: list[tuple[str, str, str]]) -> None:
    book = Book(CAPS)
    for n, (service, route, version) in enumerate(sent):
        book.add(Series(n + 1, book.named(spelling(service, version, route))))
    assert len(set(book.active) - {OTHER}) <= CAPS.services
    for active in book.active.values():
        assert len(set(active.routes)) <= CAPS.routes
        assert len(set(active.versions)) <= CAPS.versions


def test_what_is_known_to_be_over_the_cap_asks_again_after_a_minute() -> None:
    book = Book(Caps(services=1, routes=1, versions=1))
    book.load([], 0, 1, now=1000.0)
    book.add(Series(1, book.named(spelling())))
    over = spelling(route="/new")
    assert book.find(over, 1001.0) is None
    book.add(Series(2, book.named(over)))
    found = book.find(over, 1001.0)
    assert found is not None
    assert found.id == 2
    assert book.find(over, 1000.0 + FRESH_S) is None
    assert over not in book.by_spelling


@pytest.mark.gen_test
async def test_processes_number_the_same_series_alike_and_hold_the_caps_together(database_url: str) -> None:
    dbs = [Database(database_url, f"test {n}") for n in range(3)]
    numberings = [Numbering(db, Caps(services=5, routes=4, versions=5), time.time) for db in dbs]
    # Every process meets the routes in another order, several at once.
    orders = [[0, 1, 2, 3, 4, 5, 6, 7], [7, 6, 5, 4, 3, 2, 1, 0], [3, 5, 1, 7, 0, 2, 4, 6]]

    async def meet(numbering: Numbering, order: list[int]) -> None:
        for route in order:
            await numbering.number({spelling(route=f"/{route}"), spelling(route=f"/{route}", status=500)})

    await asyncio.gather(*[meet(n, order) for n, order in zip(numberings, orders, strict=True)])
    routes = value(database_url, "SELECT count(DISTINCT route) FROM series WHERE route <> '(other)'")
    assert routes == 4
    now = time.time()
    for route in range(8):
        found = {n.book.find(spelling(route=f"/{route}"), now) for n in numberings}
        assert len({series.id for series in found if series}) == 1
    for numbering, db in zip(numberings, dbs, strict=True):
        await numbering.close()
        await db.close()


@pytest.mark.gen_test
async def test_old_versions_make_room(database_url: str) -> None:
    db = Database(database_url, "test")
    numbering = Numbering(db, Caps(services=5, routes=5, versions=1), time.time)
    await numbering.number({spelling(version="old")})
    rows(database_url, "UPDATE series SET first_seen_at = now() - interval '2 days' RETURNING id")
    numbering.book.loaded_at = 0
    await numbering.number({spelling(version="new")})
    assert rows(database_url, "SELECT version FROM series ORDER BY id") == [("old",), ("new",)]
    await numbering.close()
    await db.close()


def test_one_key_cannot_take_all_names() -> None:
    book = Book(Caps(services=8, routes=8, versions=8))
    book.load([], 0, senders=2, now=1000.0)
    greedy, late, bound = SendingKey(1), SendingKey(2), SendingKey(3, bound=True)
    for n in range(20):
        book.add(Series(n, book.named(spelling(f"s{n}"), greedy)), 1)
        book.add(Series(n, book.named(spelling("shop", route=f"/{n}"), greedy)), 1)
    assert len(set(book.services)) == 8, "alone it may use them all"
    for n in range(20):
        book.add(Series(100 + n, book.named(spelling(f"late{n}"), late)), 2)
        book.add(Series(100 + n, book.named(spelling("s1", route=f"/late{n}"), late)), 2)
    assert {name for name in book.services if str(name).startswith("late")} == {"late0", "late1"}, (
        "its share: a quarter"
    )
    assert book.named(spelling("mine"), bound).service == "mine", "an administrator named it"
    assert book.named(spelling("more"), greedy).service == OTHER
    assert book.named(spelling("late1"), greedy).service == "late1", "what has a name keeps it"


@pytest.mark.gen_test
async def test_who_brought_a_name_is_known_to_every_process(database_url: str) -> None:
    dbs = [Database(database_url, f"test {n}") for n in range(2)]
    one, other = (Numbering(db, Caps(services=2, routes=8, versions=8), time.time) for db in dbs)
    greedy, late = SendingKey(7), SendingKey(8)
    await one.number({spelling("a"), spelling("b"), spelling("c")}, greedy)
    await other.number({spelling("d")}, late)
    await other.number({spelling("e")}, late)
    assert rows(database_url, "SELECT DISTINCT key_id, count(*) FROM series GROUP BY 1 ORDER BY 1") == [(7, 3), (8, 1)]
    found = other.find(spelling("d"), late)
    assert found is not None
    assert found.name.service == "d"
    for numbering, db in zip((one, other), dbs, strict=True):
        await numbering.close()
        await db.close()
