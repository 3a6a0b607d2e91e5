"""What a live page reads from the database: seldom, in the background, and never waited for long."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dashboard.shared import memo
from dashboard.shared.memo import Memo, Memos
from server.parts import Parts
from tests.waiting import PATIENCE_S


def parts() -> Parts:
    return cast(Parts, SimpleNamespace())


class Source:
    """What is read: a number that grows, as slowly or as badly as told."""

    def __init__(self) -> None:
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.fault: Exception | None = None

    async def read(self, _: Parts, *key: Any) -> int:
        self.reads += 1
        await self.gate.wait()
        if self.fault:
            raise self.fault
        return self.reads


@pytest.mark.gen_test
async def test_a_value_is_kept_and_read_at_once_for_another_version() -> None:
    source, here = Source(), parts()
    kept = Memo(source.read, kept_s=1000)
    assert [await kept.get(here, 1), await kept.get(here, 1)] == [1, 1]
    assert await kept.get(here, 2) == 2
    assert source.reads == 2


@pytest.mark.gen_test
async def test_an_old_value_is_shown_while_it_is_read_again() -> None:
    source, here = Source(), parts()
    kept = Memo(source.read, kept_s=0)
    assert await kept.get(here) == 1
    source.gate.clear()
    for _ in range(3):
        assert await kept.get(here) == 1
        await asyncio.sleep(0)
    assert source.reads == 2, "one read at a time"
    source.gate.set()
    async with asyncio.timeout(PATIENCE_S):
        while await kept.get(here) == 1:
            await asyncio.sleep(0)


@pytest.mark.gen_test
async def test_who_looks_after_a_while_is_not_shown_what_was_then(monkeypatch: pytest.MonkeyPatch) -> None:
    source, here = Source(), parts()
    kept = Memo(source.read, kept_s=0)
    assert await kept.get(here) == 1
    monkeypatch.setattr(memo, "OLD_S", 0)
    assert await kept.get(here) == 2


@pytest.mark.gen_test
async def test_a_database_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo, "PATIENCE_S", 0.05)
    source, here = Source(), parts()
    source.gate.clear()
    kept = Memo(source.read, kept_s=1000)
    assert await asyncio.wait_for(kept.get(here), 1) is None
    source.gate.set()
    assert await kept.get(here) == 1


@pytest.mark.gen_test
async def test_a_failed_read_leaves_what_was_known() -> None:
    source, here = Source(), parts()
    kept = Memo(source.read, kept_s=0)
    assert await kept.get(here) == 1
    source.fault = OSError("away")
    assert await kept.get(here, "new") == 1
    source.fault = None
    assert await kept.get(here, "newer") == 3


@pytest.mark.gen_test
async def test_another_process_starts_afresh() -> None:
    source = Source()
    kept = Memo(source.read, kept_s=1000)
    assert await kept.get(parts()) == 1
    assert await kept.get(parts()) == 2


@pytest.mark.gen_test
async def test_keys_are_apart_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo, "KEYS_MAX", 2)
    source, here = Source(), parts()
    kept = Memos(source.read, kept_s=1000)
    assert [await kept.get(here, key) for key in "abab"] == [1, 2, 1, 2]
    await kept.get(here, "c")
    assert await kept.get(here, "a") == 4, "the one asked for longest ago made room"


@pytest.mark.gen_test
async def test_the_first_value_may_be_waited_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo, "PATIENCE_S", 0.01)
    source, here = Source(), parts()
    kept = Memos(source.read, kept_s=1000)
    source.gate.clear()
    asyncio.get_running_loop().call_later(0.1, source.gate.set)
    await kept.first(here, "a", PATIENCE_S)
    assert await kept.get(here, "a") == 1
    await kept.first(here, "a", PATIENCE_S)
    assert source.reads == 1, "one that is known is not waited for"
