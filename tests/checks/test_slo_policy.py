"""The policy check: faults by line, objectives that traffic cannot judge, services without one."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import psycopg
import pytest

from checks import slo_policy
from checks.check import ROOT, Surroundings, Unavailable
from server.kernel.db import Database
from server.slo.policy.lint import Traffic, against_traffic

SHIPPED = ROOT / "slo.yaml"


def test_the_shipped_file_is_valid() -> None:
    policy, findings = slo_policy.inspect(SHIPPED)
    assert policy is not None
    assert findings == []


def test_a_fault_is_found_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SHIPPED.read_text().replace("target: 0.999", "target: 1.0"))
    policy, (found,) = slo_policy.inspect(path)
    assert policy is None
    line = path.read_text().splitlines().index("    - target: 1.0") + 1
    assert found.where == f"mine.yaml:{line}"
    assert "target" in found.what


def test_a_missing_file_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as raised:
        slo_policy.inspect(tmp_path / "none.yaml")
    assert "SLO_FILE" in raised.value.hint


@pytest.mark.parametrize(
    ("target", "word"), [(Fraction(1), "no budget"), (Fraction(0), "never be missed"), (None, None)]
)
def test_an_objective_outside_the_possible(target: Fraction | None, word: str | None) -> None:
    policy, _ = slo_policy.inspect(SHIPPED)
    assert policy is not None
    objective = policy.objectives[0]
    found = slo_policy.reachable(objective if target is None else replace(objective, target=target))
    assert [str(word) in finding.what for finding in found] == ([True] if word else [])


def test_traffic_without_an_objective_and_too_little_traffic() -> None:
    policy, _ = slo_policy.inspect(SHIPPED)
    assert policy is not None
    seen = {"evenkeel": Traffic(200, 7.0), "checkout": Traffic(5, 7.0), "(other)": Traffic(9, 7.0)}
    found = against_traffic(policy, seen)
    texts = [finding.what for finding in found]
    assert "Held to the provisional objective alone: checkout." in texts
    # 200 in 7 days are 800 in 28: enough for 99 % (one in 100), not for 99.9 %.
    assert [finding.where for finding in found if "single bad" in finding.what] == ["evenkeel-availability"]
    assert not any("(other)" in text for text in texts)


def test_a_provisional_objective_is_a_hint_once_and_none_is_a_warning_each() -> None:
    policy, _ = slo_policy.inspect(SHIPPED)
    assert policy is not None
    seen = {name: Traffic(5, 0.5) for name in "abcdefg"}
    (found,) = against_traffic(policy, seen)
    assert (found.level, found.what) == ("note", "Held to the provisional objective alone: a, b, c, d, e and 2 more.")
    bare = replace(policy, budget_policy=replace(policy.budget_policy, defaults=None))
    assert [(one.level, one.where) for one in against_traffic(bare, seen)] == [("warn", name) for name in "abcdefg"]


@pytest.mark.parametrize(("days", "findings"), [(0.01, 0), (0.99, 0), (1.0, 2)])
def test_the_first_day_says_nothing_of_a_month(days: float, findings: int) -> None:
    policy, _ = slo_policy.inspect(SHIPPED)
    assert policy is not None
    assert len(against_traffic(policy, {"evenkeel": Traffic(3, days)})) == findings


@pytest.mark.gen_test
async def test_traffic_is_read_from_the_rollups(database_url: str) -> None:
    db = Database(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO series (service, version, route, method, status) VALUES ('pay', '', '/x', 'GET', 200)"
        )
        connection.execute("INSERT INTO hours SELECT id, now(), 5, 0, 0, '{}', '{}' FROM series")
    try:
        found = await slo_policy.run(Surroundings(ROOT, db=db))
    finally:
        await db.close()
    assert [(finding.level, finding.what) for finding in found] == [
        ("note", "Held to the provisional objective alone: pay.")
    ]
