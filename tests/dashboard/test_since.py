"""What an act's counter shows, read as the pages read it."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from dashboard.incidents.done import done_acts
from dashboard.shared import since
from server.changes import store
from server.changes.store import Change
from server.config.view import ConfigView
from server.incidents.incident import DeployAct
from server.kernel import shared_clock
from server.kernel.times import utc
from server.parts import Parts
from server.slo.model.since_act import since_act
from tests.live.writing import Sample, Writer, database

REVISION = {"kind": "change", "restores": None, "differences": [{"text": "batch items 1000 -> 100"}]}


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
        parts = cast(Parts, SimpleNamespace(db=db))
        found = await since.read(parts, ("shop", 0.0, None))
        known = await since.count(parts, since.ActAsked("the rollback", at - 20.0, ("shop", at - 40.0, None)))
    assert found is not None
    assert (found.what, found.counts) == ("deploy v2", "0 of 100 (before: 25 of 100)")
    assert found.finding == "better"
    assert (known.what, known.counts) == ("the rollback", "14 of 156 (before: 10 of 40)"), "of an act that is named"
    assert judged_in
    assert threading.main_thread() not in judged_in


def test_what_is_done_has_its_receipts_and_from_when_it_counts() -> None:
    asked = DeployAct(7, 1, "roll_back", "checkout", "v1", "v2", "by_hand", "mira", 100.0, command="git push v1")
    pause = DeployAct(8, 1, "pause", "checkout", "", "", "done", "mira", 90.0, 91.0, receipt="at the gate")
    (by_hand, paused) = done_acts([], [pause, asked], None)
    assert (by_hand.text, by_hand.command, by_hand.deploy) == ("Roll back checkout v2 -> v1", "git push v1", 7)
    assert by_hand.counts_from is None, "nobody has rolled back yet"
    assert (paused.text, paused.receipts, paused.counts_from) == ("Pause deploys of checkout", "at the gate", None)
    (done,) = done_acts([], [replace(asked, state="done", ended_at=140.0, receipt="by hand, mira")], None)
    assert (done.what, done.counts_from, done.command) == ("the rollback", 140.0, "")
    change = Change(3, utc(50.0), "revision", "evenkeel", "2", "revision 2", "mira", REVISION)
    (made,) = done_acts([change], [], None)
    assert (made.text, made.receipts, made.what) == ("batch items 1000 -> 100", "revision 2", "revision 2")
    before = cast(ConfigView, SimpleNamespace(revision=SimpleNamespace(revision=1, author="jon")))
    assert done_acts([change], [], before)[0].receipts == "revision 2", "what was read before it says nothing of it"
