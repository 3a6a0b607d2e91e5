"""Turns: people are answered between slices of ingest, and what would wait too long is refused at once."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ingest.turns import REST_S, SLICE_S, WAIT_MAX_S, Pace, Turns
from server.kernel.errors import ApiError
from tests.ingest import outage
from tests.site import answer
from tests.waiting import until

SIZE = 1000
OUTCOME = {"service": "shop", "route": "/", "method": "GET", "status": 200, "duration_ms": 1}
seen = st.lists(st.tuples(st.integers(1, 10**7), st.floats(1e-6, 1.0)), min_size=1)


@given(seen, st.integers(1, 10**6))
def test_the_pace_lies_between_the_slowest_and_the_fastest_that_was_seen(
    turns: list[tuple[int, float]], size: int
) -> None:
    pace = Pace()
    paces = [pace.seconds(size)]
    for taken, seconds in turns:
        pace.saw(taken, seconds)
        paces.append(size * seconds / taken)
    assert min(paces) * 0.999 <= pace.seconds(size) <= max(paces) * 1.001


@given(st.integers(1000, 10**6), st.floats(1e-5, 0.1))
def test_the_pace_follows_what_has_become_slower(size: int, seconds: float) -> None:
    pace = Pace()
    for _ in range(100):
        pace.saw(size, seconds)
    assert pace.seconds(size) == pytest.approx(seconds, rel=0.05)


async def work(turns: Turns, done: list[int], number: int) -> None:
    """A body that takes a whole slice."""
    await turns.next(SIZE)
    until = time.perf_counter() + SLICE_S
    while time.perf_counter() < until:
        pass
    done.append(number)


async def slow() -> Turns:
    """Turns in which one body of SIZE is a slice."""
    turns = Turns()
    for _ in range(100):
        turns.pace.saw(SIZE, SLICE_S)
    return turns


@pytest.mark.gen_test
async def test_bodies_that_come_together_are_taken_in_their_order_a_slice_a_turn() -> None:
    turns, done = await slow(), list[int]()
    bodies = [asyncio.create_task(work(turns, done, number)) for number in range(30)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert 1 <= len(done) <= 5, "somebody else had a turn after each"
    await asyncio.gather(*bodies)
    assert done == list(range(30))
    assert turns.waiting_bytes == 0


@pytest.mark.gen_test
async def test_small_bodies_share_a_turn() -> None:
    turns, done = await slow(), list[int]()

    async def small() -> None:
        await turns.next(SIZE // 100)
        done.append(1)

    bodies = [asyncio.create_task(small()) for _ in range(50)]
    await asyncio.sleep(0)
    assert len(done) == 50
    await asyncio.gather(*bodies)


@pytest.mark.gen_test
async def test_ingest_rests_between_slices_while_a_page_is_answered() -> None:
    turns, done = await slow(), list[int]()
    turns.others = lambda: True
    began = time.perf_counter()
    await asyncio.gather(*(work(turns, done, number) for number in range(5)))
    assert time.perf_counter() - began >= 4 * (REST_S + SLICE_S)
    assert done == list(range(5))


@pytest.mark.gen_test
async def test_what_would_wait_too_long_is_refused() -> None:
    turns, done = await slow(), list[int]()
    most = int(WAIT_MAX_S / SLICE_S)
    bodies = [asyncio.create_task(work(turns, done, number)) for number in range(most + 50)]
    await asyncio.sleep(0)
    with pytest.raises(ApiError, match="More comes in") as refused:
        await turns.next(SIZE)
    assert (refused.value.status, refused.value.retry_after) == (503, 1)
    for body in bodies:
        body.cancel()
    await asyncio.gather(*bodies, return_exceptions=True)


@pytest.mark.gen_test
async def test_a_sender_is_refused_before_its_body_and_people_are_not(web: Any) -> None:
    site = await web()
    key = await site.key()
    turns = site.parts.intake.turns
    turns.waiting_bytes = int(2 * WAIT_MAX_S / turns.pace.seconds(1))
    refused = await site.fetch("/api/v1/outcomes", method="POST", key=key, data=[OUTCOME])
    assert (refused.code, answer(refused)["code"], refused.headers["Retry-After"]) == (503, "QUEUE_FULL", "1")
    assert outage.seen(site)["overloaded"].says.startswith("Too much load: outcomes are refused since ")
    assert (await site.fetch("/api/v1/services", key=key)).code == 200
    turns.waiting_bytes = 0
    assert (await site.fetch("/api/v1/outcomes", method="POST", key=key, data=[OUTCOME])).code == 201


@pytest.mark.gen_test
async def test_a_page_is_what_ingest_rests_for_and_another_sender_is_not(web: Any) -> None:
    site = await web()
    key = await site.key()
    seen: list[tuple[str, bool]] = []
    turns, identify = site.parts.intake.turns, site.parts.auth.identify
    next_turn = turns.next

    async def watched(handler: Any, **given: Any) -> Any:
        seen.append((handler.request.path, turns.others()))
        return await identify(handler, **given)

    async def taken(size: int) -> None:
        seen.append(("outcomes", turns.others()))
        await next_turn(size)

    site.parts.auth.identify, turns.next = watched, taken
    await site.fetch("/api/v1/services", key=key)
    await until(lambda: not site.parts.in_flight, "the answer to be counted")
    for unlike in ({}, {"X-Twice": "\u00e4"}):  # plain, and by Tornado
        await site.fetch("/api/v1/outcomes", method="POST", key=key, data=[OUTCOME], headers=unlike)
    assert [one for one in seen if one[0] != "/api/v1/outcomes"] == [
        ("/api/v1/services", True),
        ("outcomes", False),
        ("outcomes", False),
    ]
