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

BY_HAND = {"rolls_back": "v2", "incident": 1, "by_hand": True}


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
        cut = await since.count(
            parts, since.ActAsked("the rollback", at - 20.0, ("shop", 0.0, None), "the deploy of v2", at)
        )
    assert found is not None
    assert (found.what, found.counts) == ("deploy v2", "0 of 100 (before: 25 of 100)")
    assert found.finding == "better"
    assert (known.what, known.counts) == ("the rollback", "14 of 156 (before: 10 of 40)"), "of an act that is named"
    assert (cut.counts, cut.verdict, cut.until) == (
        "14 of 56 (before: 10 of 40)",
        "Too few to tell.",
        "the deploy of v2",
    )
    assert judged_in
    assert threading.main_thread() not in judged_in


def test_what_is_done_has_its_receipts_and_from_when_it_counts() -> None:
    asked = DeployAct(7, 1, "roll_back", "checkout", "v1", "v2", "by_hand", "mira", 100.0, None, 3, "git push v1")
    pause = DeployAct(8, 1, "pause", "checkout", "", "", "done", "mira", 90.0, 91.0, receipt="at the gate")
    pressed = Change(3, utc(100.0), "deploy", "checkout", "v1", "version v1", "mira", BY_HAND, state="started")
    (by_hand, paused) = done_acts([], [pause, asked], None, [pressed])
    assert (by_hand.text, by_hand.command, by_hand.deploy) == ("Roll back checkout v2 -> v1", "git push v1", 7)
    assert by_hand.counts_from is None, "nobody has rolled back yet"
    assert (paused.text, paused.receipts, paused.counts_from) == ("Pause deploys of checkout", "at the gate", None)
    marked = replace(pressed, state="finished", finished=utc(140.0))
    (done,) = done_acts([], [replace(asked, state="done", ended_at=140.0, receipt="by hand, mira")], None, [marked])
    assert (done.counts_from, done.command, done.waits, by_hand.waits) == (140.0, "", False, True)
    change = Change(3, utc(50.0), "revision", "evenkeel", "2", "revision 2", "mira", REVISION)
    (made,) = done_acts([change], [], None, [])
    assert (made.text, made.receipts, made.counts_from) == ("batch items 1000 -> 100", "revision 2", 50.0)
    before = cast(ConfigView, SimpleNamespace(revision=SimpleNamespace(revision=1, author="jon")))
    assert done_acts([change], [], before, [])[0].receipts == "revision 2", "what was read before it says nothing of it"


def test_an_act_counts_from_its_effect_against_its_own_outage_until_the_next_change() -> None:
    back = Change(3, utc(100.0), "deploy", "shop", "v1", "", "mira", BY_HAND, state="started")
    assert since.took_effect(back) is None, "nobody has typed it yet"
    assert since.took_effect(replace(back, detail={**BY_HAND, "by_hand": False})) == 100.0, "its target was told"
    assert since.took_effect(replace(back, state="failed", finished=utc(130.0))) is None
    back = replace(back, state="finished", finished=utc(140.0))
    told = Change(4, utc(150.0), "deploy", "shop", "v1", "", "heroku")
    worse = Change(5, utc(300.0), "deploy", "shop", "77aa001", "", "ci")
    other = [
        Change(6, utc(200.0), "deploy", "cart", "v9", "", "ci"),
        Change(7, utc(210.0), "policy", "shop", "", "", ""),
    ]
    onsets = [60.0, 310.0]  # the second by what the next deploy broke
    asked = since.since_known(back, 140.0, ("shop", 310.0, None), [worse, *other, told, back], onsets)
    assert asked == since.ActAsked("the rollback", 140.0, ("shop", 60.0, None), "the deploy of 77aa001", 300.0)
    assert since.since_known(back, 140.0, ("shop", 310.0, None), [*other, told, back], onsets).until == ""


@pytest.mark.gen_test
async def test_pages_count_since_a_rollback_was_marked_done(database_url: str) -> None:
    now = shared_clock.now()
    async with database(database_url) as db:
        async with db.act() as connection:
            await store.record(connection, "deploy", "shop", "v2", "", author="ci", at=utc(now - 120))
            number = await store.record(
                connection, "deploy", "shop", "v1", "", author="mira", at=utc(now - 90), state="started", detail=BY_HAND
            )
        parts = cast(Parts, SimpleNamespace(db=db))
        before = await since.read(parts, ("shop", 0.0, None))
        async with db.act() as connection:
            await store.finish(connection, number, "finished", utc(now - 30))
        after = await since.read(parts, ("shop", 0.0, None))
    assert before is not None
    assert after is not None
    assert (before.what, after.what, after.at) == ("deploy v2", "the rollback", pytest.approx(now - 30, abs=0.001))
