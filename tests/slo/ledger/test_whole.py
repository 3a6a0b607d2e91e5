"""The whole service as processes: a burn on the API, and a policy that cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from tests.conftest import variables
from tests.running import Running
from tests.slo.making import SHOP, file
from tests.slo.policy.test_provisional import DEFAULTS
from tests.waiting import PATIENCE_S, wait_for


def test_a_burn_is_on_the_api(running: Any, tmp_path: Path, database_url: str) -> None:
    server: Running = running(SLO_FILE=file(tmp_path, SHOP + DEFAULTS))
    key = server.key("ingest", "read")

    def status() -> dict[str, Any]:
        status, body = server.get("/api/v1/slos/shop-works", key=key)
        assert status == 200
        return body["status"] or {"state": None}

    wait_for(lambda: status()["state"] == "no_traffic", "the first evaluation")
    good = [{"service": "shop", "route": "/", "method": "GET", "status": 200, "duration_ms": 5}] * 70
    bad = [outcome | {"status": 500} for outcome in good[:30]]
    assert server.call("POST", "/api/v1/outcomes", key=key, data=good + bad)[0] == 201
    wait_for(lambda: status()["state"] == "burning", "the burn to be seen")

    def folded() -> tuple[int, int]:
        with psycopg.connect(database_url) as connection:
            row = connection.execute(
                "SELECT coalesce(sum(good), 0)::int, coalesce(sum(bad), 0)::int FROM ledger_minutes"
                " JOIN objectives ON id = objective_id WHERE name = 'shop-works'"
            ).fetchone()
        assert row is not None
        return row[0], row[1]

    wait_for(lambda: folded() == (70, 30), "the ledger")
    _, budget = server.get("/api/v1/slos/shop-works/budget", key=key)
    assert (budget["good"], budget["bad"]) == (70, 30)

    # A service that nobody has heard of: whatever it is asked meanwhile, the gate does not let it out unseen.
    assert server.call("POST", "/api/v1/outcomes", key=key, data=[bad[0] | {"service": "new"}] * 1000)[0] == 201
    answers = []

    def counted() -> bool:
        answers.append(server.get("/api/v1/gate?service=new&kind=deploy", key=key)[1])
        return bool(answers[-1]["budget"]) and answers[-1]["budget"]["left"] is not None

    wait_for(counted, "the new service to be counted")
    assert {one["answer"] for one in answers[:-1]} <= {"unknown", "deny"}
    assert not [one for one in answers if one["rules"][0]["rule"] in ("no_traffic", "no_objective")]


def test_a_first_start_with_a_wrong_policy_ends_saying_where(database_url: str, tmp_path: Path) -> None:
    path = file(tmp_path, SHOP.replace("0.999", "1"))
    server = Running(variables(database_url, tmp_path, SLO_FILE=path), tmp_path / "log")
    try:
        assert server.process.wait(PATIENCE_S) == 2
        said = f"{path}:34: SLO shop-works: spec.objectives[0].target: is 1; give a number above 0 and below 1"
        assert said in server.output()
    finally:
        server.stop()
