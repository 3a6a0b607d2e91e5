"""What an act's counter shows, read as the pages read it."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dashboard.shared import since
from server.changes import store
from server.kernel import shared_clock
from server.kernel.times import utc
from server.parts import Parts
from server.slo.model.since_act import since_act
from tests.live.writing import Sample, Writer, database


@pytest.mark.gen_test
async def test_it_counts_since_the_newest_act_and_is_judged_in_a_thread(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exact test of many routes takes longer than a process may stop answering."""
    judged_in = list[threading.Thread]()

    def judge(*given: Any) -> Any:
        judged_in.append(threading.current_thread())
        return since_act(*given)

    monkeypatch.setattr(since, "since_act", judge)
    at = int(shared_clock.now()) - 60
    writer = Writer(database_url)
    writer.flush([Sample(at - 30 + n // 4, bad=n % 4 == 0) for n in range(100)])
    writer.flush([Sample(at + 1 + n // 4) for n in range(100)])
    writer.close()
    async with database(database_url) as db:
        async with db.act() as connection:
            await store.record(connection, "deploy", "shop", "v2", "deploy v2", author="ci", at=utc(at))
        found = await since.read(cast(Parts, SimpleNamespace(db=db)), ("shop", 0.0, None))
    assert found is not None
    assert (found.what, found.counts) == ("deploy v2", "0 of 100 (before: 25 of 100)")
    assert found.finding == "better"
    assert judged_in
    assert threading.main_thread() not in judged_in
