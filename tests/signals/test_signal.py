"""What is concluded from what Alertmanager says: real recordings, and whatever order posts come in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from server.receivers.alertmanager import read
from server.signals.signal import Signal, SignalTally, heard
from server.slo.model.budget_policy import SignalPolicy
from tests.signals.told import START, TRUTH, WEBHOOKS, alert, group, recorded, standing

POLICY = SignalPolicy()
NOW = START + 100.0


class Kept:
    """What the store keeps, of one sender, in memory."""

    def __init__(self) -> None:
        self.rows: dict[int, Signal] = {}

    def hear(self, body: dict[str, Any], now: float = NOW) -> list[Signal]:
        found = heard(list(self.rows.values()), read(json.dumps(body).encode()), "am", POLICY, now)
        for one in found:
            number = one.id or len(self.rows) + 1
            self.rows[number] = replace(one, id=number)
        return found

    def states(self) -> list[str]:
        return [one.state for one in self.rows.values()]


@pytest.mark.parametrize("name", TRUTH)
def test_each_recording_says_what_was_true(name: str) -> None:
    kept, now = Kept(), 1_796_000_000.0  # after all of them
    for body in recorded(name):
        kept.hear(body, now)
        kept.hear(body, now)  # Alertmanager repeats, and two of a cluster say the same
    told = [(one.labels, one.state, one.starts_at) for one in kept.rows.values()]
    assert standing(told) == TRUTH[name]
    later = [one.standing(now + 13 * 3600 + 1, POLICY) for one in kept.rows.values()]
    assert "firing" not in later, "what is not told any more is not called firing"
    assert later.count("ended") == [state for _, state in TRUTH[name]].count("ended"), "nor has it ended"


def test_every_recording_is_in_the_table() -> None:
    assert {path.stem for path in WEBHOOKS.glob("*.json")} == set(TRUTH)


def test_the_annotation_of_a_restart_is_the_newest() -> None:
    kept = Kept()
    for body in recorded("prometheus-restart-annotation"):
        kept.hear(body)
    assert [one.summary for one in kept.rows.values()] == ["two 1"]


def test_what_fires_again_with_the_same_start_is_another_one() -> None:
    kept = Kept()
    kept.hear(group(alert()))
    kept.hear(group(alert(end=START + 50)))
    kept.hear(group(alert(end=START + 50)))
    assert kept.states() == ["ended"]
    kept.hear(group(alert()))
    assert kept.states() == ["ended", "firing"]


def test_silence_of_a_group_that_is_not_whole_says_nothing() -> None:
    kept = Kept()
    kept.hear(group(alert(i="1"), alert(i="2")))
    kept.hear(group(alert(i="1"), truncated=1))
    kept.hear(group(alert(i="1"), key="another"))
    assert kept.states() == ["firing", "firing"]
    kept.hear(group(alert(i="1"), key="another"), NOW)
    kept.hear(group(alert(i="1"), key='{}:{alertname="HighErr"}'), NOW + 9)
    assert kept.states() == ["firing", "absent"]
    assert kept.rows[2].over_at == NOW + 9


def test_an_end_that_is_told_after_all_takes_the_place_of_absent() -> None:
    kept = Kept()
    kept.hear(group(alert(i="1"), alert(i="2")))
    kept.hear(group(alert(i="1")), NOW + 9)
    kept.hear(group(alert(i="2", end=START + 70), truncated=1), NOW + 20)
    assert (kept.states(), kept.rows[2].over_at) == (["firing", "ended"], START + 70)


def test_posts_out_of_order() -> None:
    kept = Kept()
    kept.hear(group(alert(start=START + 60)))
    kept.hear(group(alert(start=START, end=START + 30)))  # late: of the one before
    assert sorted(kept.states()) == ["ended", "firing"]
    firing = next(one for one in kept.rows.values() if one.state == "firing")
    assert firing.starts_at == START + 60
    kept.hear(group(alert(start=START + 50)))  # another Prometheus saw it earlier: the same one
    assert len(kept.rows) == 2
    kept.hear(group(alert(start=START + 90)))  # a new one: nobody told the end of the last
    assert sorted(kept.states()) == ["absent", "ended", "firing"]


def test_the_end_of_one_of_a_pair_has_the_start_of_the_other() -> None:
    kept = Kept()
    kept.hear(group(alert(start=START + 20)))
    for _ in range(2):  # two of a cluster say the same
        kept.hear(group(alert(start=START, end=START + 50)))  # the other's start, which no firing told
    assert [(one.state, one.since, one.over_at) for one in kept.rows.values()] == [("ended", START, START + 50)]
    kept.hear(group(alert(start=START)))  # that one fires on
    assert kept.states() == ["ended", "firing"]


def test_an_end_lies_neither_in_the_future_nor_before_the_beginning() -> None:
    kept = Kept()
    kept.hear(
        group(alert(i="1", end=NOW + 1e6), alert(i="2", start=NOW + 1e6, end=NOW + 2e6), alert(i="3", end=START - 9))
    )
    found = [(one.labels["i"], one.since, one.over_at) for one in kept.rows.values()]
    assert sorted(found) == [("1", START, NOW), ("2", NOW, NOW), ("3", START, START)]


@pytest.mark.parametrize(
    ("labels", "service", "opens"),
    [
        ({"service": "a", "job": "b", "severity": "CRITICAL"}, "a", True),
        ({"service": "", "job": "b", "namespace": "c", "severity": "warning"}, "b", False),
        ({"service": "", "namespace": "c", "severity": "page"}, "c", True),
        ({"service": "", "severity": ""}, "", False),
    ],
)
def test_the_service_and_whether_it_opens_an_incident(labels: dict[str, str], service: str, opens: bool) -> None:
    (one,) = Kept().hear(group(alert(**labels)))
    assert (one.service, one.opens) == (service, opens)


ALERTS = st.builds(
    lambda i, start, end: alert(i=i, start=START + start, end=None if end is None else START + end),
    st.sampled_from("123"),
    st.integers(0, 3),
    st.none() | st.integers(0, 9),
)
GROUPS = st.builds(
    lambda alerts, truncated, key: group(*alerts, truncated=truncated, key=key),
    st.lists(ALERTS, max_size=4),
    st.integers(0, 1),
    st.sampled_from(["g", "h"]),
)


@given(st.lists(GROUPS, max_size=8))
def test_of_an_alert_one_fires_at_a_time_and_repeats_change_nothing(groups: list[dict[str, Any]]) -> None:
    kept = Kept()
    for number, one in enumerate(groups):
        ended = {row.id: row for row in kept.rows.values() if row.state == "ended"}
        kept.hear(one, NOW + number)
        firing = [row.fingerprint for row in kept.rows.values() if row.state == "firing"]
        assert len(firing) == len(set(firing))
        assert all(kept.rows[number] == row for number, row in ended.items()), "an end is final"
        before = dict(kept.rows)
        kept.hear(one, NOW + number)
        assert kept.rows == before


def test_only_ends_that_are_told_are_measured() -> None:
    assert SignalTally(2, ended=2).measured
    assert not SignalTally(2, ended=1, absent=1).measured
    assert not SignalTally(2, ended=1, not_heard=1).measured
    assert not SignalTally(3).says, "those that may open none say nothing of the end"
