"""What drills send: their faults are what they say, and hide nowhere else."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from server.drill import plan
from server.drill.run import names
from server.kernel.names import is_drill

START = 1_790_000_000.0


def sent(seconds: int = 60) -> list[plan.Item]:
    return list(plan.requests(plan.service_of("bad-deploy"), "1", START, seconds))


def share(items: list[plan.Item], **said: object) -> float:
    """How many of those that say this fail."""
    found = [one for one in items if all(one.get(name) == value for name, value in said.items())]
    return sum(one["status"] >= 500 for one in found) / len(found)


@given(st.integers(0, 10**9), st.integers(1, 20), st.integers(1, 200))
def test_requests_lie_within_their_seconds_and_are_of_a_drill(start: int, seconds: int, per_second: int) -> None:
    found = list(plan.requests(plan.service_of("x"), "1", start, seconds, per_second))
    assert len(found) == seconds * per_second
    assert all(start * 1000 <= one["timestamp"] <= (start + seconds) * 1000 for one in found)
    assert all(is_drill(one["service"]) and one["status"] == 200 for one in found)


def test_only_the_new_version_fails_on_every_route_and_for_every_client() -> None:
    found = list(plan.bad_deploy(iter(sent()), "2"))
    assert share(found, version="1") == 0
    assert abs(share(found, version="2") - 0.3) < 0.05
    for name, values in (("route", ("/items", "/orders")), ("client", plan.CLIENTS)):
        assert all(abs(share(found, version="2", **{name: value}) - 0.3) < 0.1 for value in values), name


def test_only_calls_of_payments_are_slow() -> None:
    calm, slow = ([list(plan.dependent(iter(sent()), slow=slow))] for slow in (False, True))
    assert all(one["duration_ms"] < 300 for one in calm[0])
    assert Counter(one["dependency"] for one in slow[0] if one["duration_ms"] > 300).keys() == {"payments"}
    assert all(one["duration_ms"] > 300 for one in slow[0] if one["dependency"] == "payments")


def test_an_outage_is_total_and_a_surge_is_one_client() -> None:
    assert share(list(plan.outage(iter(sent())))) == 1
    found = list(plan.surge("drill:x", "1", START, 5))
    assert len(found) == 5 * plan.SURGE_PER_SECOND
    assert {one["client"] for one in found} == {"crawler"}
    assert abs(share(found) - 0.6) < 0.05


def test_each_drill_has_versions_of_its_own() -> None:
    assert len({*plan.versions(START), *plan.versions(START + 60)}) == 4


def test_a_suspect_names_the_cause_by_one_of_its_values() -> None:
    assert names({"route": "/items", "version": "2"}, {"version": "2"})
    assert not names({"route": "/items", "version": "1"}, {"version": "2"})
    assert not names({}, {"version": "2"})
