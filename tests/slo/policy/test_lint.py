"""Lint: what is odd about a valid policy, and the command that says so."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from server.__main__ import main
from server.slo.policy.lint import Traffic, against_traffic, lint
from server.slo.policy.policy import parse
from tests.slo.making import FAST, SHOP, SLOW, availability, file, objective, service, tier

SEVERITIES = """
---
apiVersion: evenkeel/v1
kind: ErrorBudgetPolicy
metadata:
  name: ours
spec:
  severities:
    - {severity: 2, badRatio: 0.2}
    - {severity: 3, badRatio: 0}
"""


def said(source: str) -> list[str]:
    return [f"{one.where}: {one.what}" for one in lint(parse(source))]


def test_nothing_is_odd_about_a_plain_policy() -> None:
    assert said(SHOP) == []


def test_default_tiers_that_cannot_fire_are_told_with_the_arithmetic() -> None:
    found = said(service("shop") + availability("works", "shop", target=0.9, days=30))
    assert found == [
        "works: The default tier 1h/5m is left out: 14.4 x (1 - 0.9) = 1.44 > 1: even a total outage burns at 10."
    ]


def test_alert_policies_that_wake_nobody_or_look_too_far_back() -> None:
    only = objective("slow").replace("28d", "2d") + SLOW
    assert said(only) == [
        "works: None of its alert policies has severity page: only the fast test can wake somebody.",
        "works: The tier 3d/12h looks back further than the window of 2d.",
    ]


def test_twins_missing_severities_and_what_nobody_asks_for() -> None:
    source = SHOP + availability("again", "shop") + availability("stricter", "shop", target=0.9999) + FAST + SEVERITIES
    assert said(source) == [
        "again: It says the same as shop-works: each burn makes two alerts.",
        "severities: No impact is SEV-1; a total outage is SEV-2.",
        *(f"fast: line {n}: nothing asks for the AlertPolicy fast." for n in line_of(source, "name: fast\n")),
    ]


def line_of(source: str, text: str) -> list[int]:
    return [number for number, line in enumerate(source.splitlines(), 1) if line.strip() == text.strip()]


def test_traffic_tells_of_budgets_that_are_never_judged_and_services_that_never_send() -> None:
    policy = parse(SHOP + service("idle") + availability("idle-works", "idle"))
    found = {one.where: one.what for one in against_traffic(policy, {"shop": Traffic(700, 7.0)})}
    # 2,800 in 28 days: 2.8 may fail at 99.9 %, 28 at 99 %.
    assert found == {
        "shop-works": "At present traffic its budget allows 2.8 bad outcomes; below 5 it is not judged.",
        "idle-works": "idle has sent nothing within 7 days: the objective sees nothing.",
    }


def run(*arguments: str, directory: Path) -> tuple[int, str]:
    away = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "DATA_DIR": str(directory)}
    done = CliRunner().invoke(main, ["slo", *arguments], env=away)
    return done.exit_code, done.output


def test_the_command_says_by_its_status_what_it_found(tmp_path: Path) -> None:
    code, said = run("lint", file(tmp_path, SHOP), directory=tmp_path)
    assert (code, "nothing to look at" in said, "no database answers" in said) == (0, True, True)
    code, said = run("lint", file(tmp_path, SHOP + tier("idle", 2, "1h", "5m")), directory=tmp_path)
    assert (code, "nothing asks for the AlertPolicy idle" in said) == (1, True)
    path = file(tmp_path, SHOP.replace("0.999", "1"))
    code, said = run("lint", path, directory=tmp_path)
    assert (code, f"{path}:34: SLO shop-works: spec.objectives[0].target: is 1;" in said) == (2, True)
    assert run("lint", str(tmp_path / "none.yaml"), directory=tmp_path)[0] == 2
    (tmp_path / "odd.yaml").write_bytes(b"\xff\xfe")
    assert run("lint", str(tmp_path / "odd.yaml"), directory=tmp_path)[0] == 2
