"""Incidents born from signals: of whom they are, when they seem over, and what opens the lock of Resolve."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from server.incidents import store
from server.incidents.birth import REOPEN_S, Standing
from server.incidents.ending import ending_of
from server.incidents.keeper import followed
from server.incidents.proof import CLEAN_S, proof
from server.incidents.signalled import OPEN_MOST, signal_arrivals
from server.incidents.timeline_store import timeline
from server.receivers.alertmanager import read
from server.signals import store as signals_store
from server.signals.signal import SignalSender, SignalTally, WaitingSignal
from server.slo.model.budget_policy import SignalPolicy
from tests.alerts.making import NOW, burning
from tests.dashboard.visitor import look, sign_in
from tests.incidents.test_api import Incidents, started
from tests.incidents.test_rules import POLICY, at, page
from tests.signals.told import NO_END, alert, group, recorded, rfc

Start = Callable[..., Any]
ENDED = SignalTally(2, ended=2, ended_at=NOW, quiet_since=NOW)


def waiting(service: str, number: int = 1, *, opens: bool = True) -> WaitingSignal:
    return WaitingSignal(number, "HighErr", service, "page" if opens else "warning", opens, NOW)


def homes(*signals: WaitingSignal, standing: list[Standing]) -> list[int | None]:
    return [one.incident.id if one.incident else None for one in signal_arrivals(signals, standing, POLICY, NOW)]


def test_a_signal_joins_its_service_its_cause_or_its_symptom() -> None:
    own = [Standing(at("declared"), {"checkout"})]
    assert homes(waiting("checkout"), waiting("bank"), waiting("search"), standing=own) == [1, 1, None]
    assert homes(waiting("bank", opens=False), waiting("search", opens=False), standing=own) == [1], "no new one"


def test_a_resolved_one_is_reopened_by_what_may_open_one_alone() -> None:
    over = [Standing(at("resolved", resolved_at=NOW), {"checkout"})]
    assert homes(waiting("checkout"), standing=over) == [1]
    assert homes(waiting("checkout", opens=False), standing=over) == []


def test_what_names_no_service_is_one_trouble() -> None:
    assert homes(waiting("", 1), waiting("", 2), standing=[]) == [None]
    assert homes(waiting(""), standing=[Standing(at("declared", source="person", service=""), set())]) == [None]


def test_a_storm_of_services_opens_so_many_and_no_more() -> None:
    assert len(homes(*[waiting(f"s{n}", n) for n in range(1000)], standing=[])) == OPEN_MOST
    known = [Standing(at("suspected", id=n, source="signal"), {f"x{n}"}) for n in range(OPEN_MOST)]
    assert homes(waiting("another"), waiting("x7"), standing=known) == [7]


@pytest.mark.parametrize(
    ("tally", "waits", "words"),
    [
        (SignalTally(2, firing=1, ended=1, ended_at=NOW), "signals", "1 signal still fires."),
        (SignalTally(3, absent=1, not_heard=1, ended=1, ended_at=NOW), "signals", "1 absent, 1 not heard of"),
        (SignalTally(1, ended=1, ended_at=NOW - CLEAN_S + 60), "time", "1 signal ended, quiet for 2 min of 3 min."),
        (SignalTally(2, ended=2, ended_at=NOW - CLEAN_S), "nothing", "2 signals ended, quiet for 3 min. No data of"),
        (SignalTally(5), "sight", "No alert says when it is over"),
    ],
)
def test_the_lock_of_an_incident_without_requests(tally: SignalTally, waits: str, words: str) -> None:
    found = proof(ending_of(at("monitoring"), [], None, tally), NOW)
    assert (found.waits, found.given) == (waits, waits == "nothing")
    assert words in found.text


def test_it_is_over_once_that_was_told_and_quiet_for_long() -> None:
    after, said = followed(at("mitigating"), [], ENDED, NOW + 1)
    assert (after.state, after.over_at, said) == ("monitoring", NOW, "Recovering: every signal has ended.")
    suspected = at("suspected")
    assert followed(suspected, [], ENDED, NOW + REOPEN_S)[0] is suspected, "its labels may have changed"
    after, _ = followed(suspected, [], ENDED, NOW + REOPEN_S + 1)
    assert (after.state, after.over_at) == ("resolved", NOW)


@pytest.mark.parametrize("silent", [{"absent": 1}, {"not_heard": 1}])
def test_what_is_only_silent_is_no_recovery(silent: dict[str, int]) -> None:
    tally = SignalTally(2, ended=1, ended_at=NOW, quiet_since=NOW, **silent)
    incident = at("mitigating")
    assert followed(incident, [], tally, NOW + 9999)[0] is incident
    after, said = followed(at("suspected"), [], tally, NOW + 9999)
    assert (after.state, after.over_at, said) == ("resolved", None, "Not heard of any more before anybody declared it.")


def test_requests_prove_an_end_that_signals_do_not_tell_but_not_one_that_they_deny() -> None:
    over = [page("checkout", 7, state="resolved", resolved_at=NOW)]
    assert followed(at("mitigating"), over, SignalTally(1, absent=1, quiet_since=NOW), NOW)[0].state == "monitoring"
    firing = SignalTally(1, firing=1, begun_at=NOW - 60)
    assert followed(at("mitigating"), over, firing, NOW)[0].state == "mitigating"
    assert proof(ending_of(at("monitoring"), over, None, firing), NOW).text == "1 signal still fires."
    assert proof(ending_of(at("monitoring"), over, None, SignalTally(1, absent=1)), NOW).waits == "sight"


def test_another_signal_says_that_it_is_not_over_and_one_that_lags_does_not() -> None:
    incident = at("monitoring", over_at=NOW)
    lags = SignalTally(1, firing=1, begun_at=NOW - 60)
    assert followed(incident, [], lags, NOW + 1)[0] is incident
    after, _ = followed(incident, [], replace(lags, begun_at=NOW + 1), NOW + 1)
    assert (after.state, after.over_at) == ("investigating", None)


class Hooked:
    """A room, and Alertmanager's posts at times of the test's own."""

    def __init__(self, room: Incidents) -> None:
        self.room = room

    async def hear(self, body: dict[str, Any], now: float) -> None:
        async with self.room.site.parts.db.act() as connection:
            await signals_store.keep(
                connection, read(json.dumps(body).encode()), SignalSender("am"), SignalPolicy(), now
            )
        await self.room.look(now)

    async def state(self, number: int = 1) -> str:
        return str((await self.room.get(f"/{number}"))["incident"]["state"])


@pytest.mark.gen_test
async def test_from_a_signal_to_the_end(web: Start, database_url: str, tmp_path: Path) -> None:
    room = await started(web, database_url, tmp_path)
    am, now = Hooked(room), time.time() - 3600
    await am.hear(
        group(alert(service="search", start=now - 40), alert("Slow", service="search", severity="warning")), now
    )
    await room.look(now + 1)
    (born,) = (await room.get())["incidents"]
    assert (born["state"], born["source"], born["severity"], born["title"]) == (
        "suspected",
        "signal",
        2,
        "search: HighErr",
    )
    assert (born["onset_method"], born["time_to_detect_s"]) == ("signal", pytest.approx(40, abs=0.01))
    detail = await room.get("/1")
    assert [(one["name"], one["opens"], one["state"]) for one in detail["signals"]] == [
        ("HighErr", True, "firing"), ("Slow", False, "firing"),
    ]  # fmt: skip
    assert detail["captured"]["text"] == "HighErr is high"
    assert "1 signal still fires" in (await room.act(1, "resolve", 409))["detail"]
    await room.act(1, "accept")
    await am.hear(group(alert("Other", severity="critical", service="search", start=now + 60), truncated=1), now + 60)
    assert await room.lines(1, "signal") == ["Joined: search: Other.", "Joined: search: Slow."]
    await am.hear(group(alert(service="search", start=now - 40, end=now + 90), truncated=1), now + 100)
    assert await am.state() == "declared"
    await am.hear(
        group(alert("Other", severity="critical", service="search", start=now + 60, end=now + 110)), now + 120
    )
    assert await am.state() == "monitoring"
    page = (await look(room.site, "/incidents/1", await sign_in(room.site))).body.decode()
    assert 'href="https://prometheus.example/graph"' in page
    assert "2 signals ended, quiet for" in page
    assert 'href="/services/search"' not in page, "it has no page: nothing was ever sent of it"
    done = await room.act(1, "resolve")
    assert done["incident"]["time_to_recover_s"] == pytest.approx(150, abs=0.01)
    ends = [one["text"] for one in (await room.get("/1/timeline"))["lines"] if one["origin"] == "signal"]
    assert ends == ["Slow is absent: nobody says that it ended.", "Other ended.", "HighErr ended."]
    async with room.site.parts.db.ask() as connection:
        incident = await store.one(connection, 1)
        assert incident is not None
        then = await timeline(connection, incident, set(), now, known=now + 100)
    assert [line.text for line in then if line.origin == "signal"] == ["HighErr ended."], "what was known then"


@pytest.mark.gen_test
async def test_signals_and_alerts_of_a_service_are_one_incident(web: Start, database_url: str, tmp_path: Path) -> None:
    room = await started(web, database_url, tmp_path)
    am, now = Hooked(room), time.time() - 300
    await room.at(now, burning())
    await am.hear(group(alert(), alert("Slow", severity="info", service="checkout")), now + 1)
    await am.hear(group(alert(service="payments", severity="warning"), key="p"), now + 2)
    detail = await room.get("/1")
    assert (len(detail["alerts"]), len(detail["signals"])) == (1, 2)
    listed = (await look(room.site, "/incidents", await sign_in(room.site))).body.decode()
    assert "Signals in no incident" in listed
    await am.hear(group(alert("Down", service="search"), key="s"), now + 3)
    await room.post("/2/merge", {"into": 1})
    assert len((await room.get("/1"))["signals"]) == 3


@pytest.mark.gen_test
async def test_a_change_of_labels_and_a_silent_end_close_nothing_at_once(
    web: Start, database_url: str, tmp_path: Path
) -> None:
    room = await started(web, database_url, tmp_path)
    am, now = Hooked(room), time.time() - 3600
    first, second, third = bodies = recorded("label-changes")
    later_s = now - 15 - datetime.fromisoformat(first["alerts"][0]["startsAt"]).timestamp()
    for one in (each for body in bodies for each in body["alerts"]):
        one["labels"]["severity"] = "page"
        for name in ("startsAt", "endsAt"):
            if one[name] != NO_END:
                one[name] = rfc(datetime.fromisoformat(one[name]).timestamp() + later_s)
    await am.hear(first, now)
    await am.hear(second, now + 15)
    assert await am.state() == "suspected", "the same with other labels comes 3 s later"
    await am.hear(third, now + 18)
    assert (await am.state(), len((await room.get())["incidents"])) == ("suspected", 1)
    await room.act(1, "accept")
    await am.hear(group(key="another"), now + 20)
    third["alerts"] = []
    await am.hear(third, now + 25)  # gone without a word
    assert await am.state() == "declared"
    assert "1 absent" in (await room.act(1, "resolve", 409))["detail"]
    done = await room.act(1, "resolve", reason="the graph is flat")
    assert (done["incident"]["state"], done["incident"]["time_to_recover_s"]) == ("resolved", None)


@pytest.mark.gen_test
async def test_ten_thousand_signals_are_one_incident_at_the_first_look(
    web: Start, database_url: str, tmp_path: Path
) -> None:
    room = await started(web, database_url, tmp_path)
    am, now = Hooked(room), time.time() - 300
    await am.hear(group(*(alert(i=str(number)) for number in range(10_000))), now)
    assert await room.lines(1, "state") == ["Suspected: SEV-2 checkout: HighErr and 9,997 more."]
    page = (await look(room.site, "/incidents/1", await sign_in(room.site))).body.decode()
    assert "9,980 more" in page
