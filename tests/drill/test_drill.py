"""Drills against a whole service by a pretended clock: found, mended, proven, and nothing left behind."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from server.drill import plan, run
from server.drill.run import Drill, DrillTimes
from server.drill.scenarios import SCENARIOS, Scenario
from server.drill.site import DrillSite, TakenOver
from server.kernel.remote import NotAsked
from server.picture.picture import read_picture
from tests.conftest import made_database, variables
from tests.journey.evening import Clock
from tests.journey.pretended import CLOCK
from tests.running import Running
from tests.slo.making import SHOP, file
from tests.waiting import wait_for

LONG_S = 12 * 60  # by the database's clock, which is the real one, a drill is held to something for 15 minutes


class PretendedClock:
    """Time that has passed once the picture shows it. `stop_at`: when somebody presses Ctrl-C."""

    step_s = 25

    def __init__(self, clock: Clock, url: str) -> None:
        self.clock = clock
        self.url = url
        self.stop_at = float("inf")

    def now(self) -> float:
        return self.clock.at

    def until(self, at: float) -> None:
        if at > self.stop_at:
            raise KeyboardInterrupt
        wait_for(lambda: self.picture() >= self.clock.at, "a picture of what was sent")
        self.clock.set(at)

    def picture(self) -> float:
        """When the newest was made."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT body FROM picture").fetchone()
        return 0.0 if row is None else read_picture(bytes(row[0]))[0].at


class Ground:
    """A running service, the clock that it goes by, and a key to drill with."""

    def __init__(self, running: Running, clock: PretendedClock) -> None:
        self.running = running
        self.clock = clock
        self.key = running.key("read", "act", "admin", name="mira")
        self.site = DrillSite(running.url, self.key)
        self.said: list[str] = []

    def drill(self, scenario: Scenario) -> DrillTimes:
        return Drill(scenario, self.clock, self.said.append, auto=True).run()

    def get(self, path: str) -> Any:
        status, body = self.running.get(path, self.key)
        assert status == 200, body
        return body

    def post(self, path: str, **data: Any) -> Any:
        status, body = self.running.call("POST", path, key=self.key, data=data)
        assert status in (200, 201), body
        return body


@pytest.fixture(scope="module")
def ground(cluster: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    databases = made_database(cluster, template)
    url = next(databases)
    directory = tmp_path_factory.mktemp("drill")
    clock = Clock(directory / "clock", int(time.time()) // 60 * 60 - LONG_S)
    # Evenkeel itself is held to nothing: on a busy machine it is slow, and no drill begins beside its incident.
    given = variables(url, directory, SLO_FILE=file(directory, SHOP), **{CLOCK: str(directory / "clock")})
    running = Running(given, directory / "server.log", module="tests.journey.pretended")
    try:
        wait_for(running.ready, "the server to be ready")
        yield Ground(running, PretendedClock(clock, url))
    finally:
        running.stop()
        next(databases, None)


def test_a_bad_deploy_is_found_named_rolled_back_and_proven_and_production_has_none_of_it(ground: Ground) -> None:
    found = ground.drill(SCENARIOS["bad-deploy"](ground.site, ground.clock.now()))
    assert found.wrong == "", ground.said
    times = [found.detect, found.suspect, found.mitigate, found.recover]
    assert None not in times
    assert times == sorted(times, key=float)
    assert found.lines()[0].startswith("time to detect:")
    room = ground.get(f"/api/v1/incidents/{found.incident}")
    assert (room["incident"]["state"], room["incident"]["drill"]) == ("closed", True)
    assert [one["state"] for one in room["deploys"]] == ["done"]
    assert ground.get("/api/v1/incidents/measures") == {"months": [], "quarter": []}
    assert ground.get("/api/v1/alerts/measures")["fired"] == 0
    assert not any("drill" in one["name"] for one in ground.get("/api/v1/slos")["objectives"])
    assert ground.get("/api/v1/slos/drill-bad-deploy-works")["service"] == "drill:bad-deploy"
    assert 'service="drill:' not in ground.running.get("/metrics", ground.key)[1]
    assert all(one["revoked_at"] for one in ground.get("/api/v1/keys") if one["name"].startswith("DRILL"))
    assert ground.running.get("/api/v1/gate?service=evenkeel&kind=deploy", ground.key)[1]["answer"] != "deny"


def test_a_drill_that_begins_again_ends_the_first_and_keeps_its_incident(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = SCENARIOS["total-outage"](ground.site, ground.clock.now())
    first = scenario.begin

    def taken() -> None:
        first()
        ground.site.make_key("DRILL total-outage sender", scenario.service)
        ground.site.want("POST", "/api/v1/incidents", {"title": "of the second", "service": scenario.service})
        key = scenario.made["sender"].secret
        wait_for(lambda: ground.running.get("/api/v1/outcomes", key)[0] == 401, "the first key to be refused")

    monkeypatch.setattr(scenario, "begin", taken)
    with pytest.raises(TakenOver):
        ground.drill(scenario)
    (theirs,) = ground.site.incidents(scenario.service)
    ground.site.act(theirs["id"], "resolve", reason="DRILL")
    ground.site.act(theirs["id"], "close")
    for one in ground.get("/api/v1/keys"):
        if one["name"].startswith("DRILL"):
            ground.site.revoke(one["id"])


def test_who_stops_a_drill_leaves_no_limit_key_or_incident(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "IMPORTS_PER_SECOND", 1)
    monkeypatch.setattr(run, "CALM_S", ground.clock.step_s)
    scenario = SCENARIOS["bad-revision"](ground.site, ground.clock.now())
    ground.clock.stop_at = ground.clock.now() + ground.clock.step_s  # the fault has just begun
    with pytest.raises(KeyboardInterrupt):
        ground.drill(scenario)
    ground.clock.stop_at = float("inf")
    config = ground.get("/api/v1/config")
    reasons = [one["reason"] for one in config["history"]]
    assert reasons[:2] == ["DRILL: over", "DRILL bad-revision: too small on purpose, for a key of the drill's own"]
    assert all(one["revoked_at"] for one in ground.get("/api/v1/keys") if one["name"].startswith("DRILL"))
    assert ground.get("/api/v1/incidents")["incidents"] == []


def test_it_does_not_begin_while_production_has_an_incident(ground: Ground) -> None:
    ground.post("/api/v1/incidents", title="nobody can pay", service="shop")
    with pytest.raises(NotAsked, match=re.escape("of production is open (nobody can pay)")):
        ground.drill(SCENARIOS["total-outage"](ground.site, ground.clock.now()))


def test_an_incident_of_a_drill_is_in_no_backlog_and_no_gauge_and_merges_with_none_of_production(
    ground: Ground,
) -> None:
    made = [ground.post("/api/v1/incidents", title=of, service=of) for of in ("drill:x", "cart")]
    drill, real = (one["incident"] for one in made)
    assert [drill["drill"], real["drill"]] == [True, False]
    action = {"act": "action", "title": "add a test", "owner": "mira", "priority": 0, "due_at": "2036-01-01T00:00:00Z"}
    for one in (drill, real):
        ground.post(f"/api/v1/incidents/{one['id']}/acts", **action)
    assert [one["service"] for one in ground.get("/api/v1/actions")["actions"]] == ["cart"]
    metrics = ground.running.get("/metrics", ground.key)[1]
    assert 'evenkeel_incidents_open{severity="2"} 2.0' in metrics, "nobody can pay, and cart"
    assert re.search(r'evenkeel_preventive_actions_open\{overdue="false",priority="0"\} 1\.0', metrics)
    status, said = ground.running.call(
        "POST", f"/api/v1/incidents/{drill['id']}/merge", key=ground.key, data={"into": real["id"]}
    )
    assert (status, "one of them is a drill" in said["detail"]) == (409, True)


def test_it_needs_a_key_that_can_make_keys(ground: Ground) -> None:
    site = DrillSite(ground.running.url, ground.running.key("read"))
    with pytest.raises(NotAsked, match="read, act and admin"):
        site.make_key("DRILL", "drill:x")
