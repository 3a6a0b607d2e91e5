"""The rules for Prometheus, by promtool itself: they are clean, and they fire for what burns."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from server.__main__ import main
from server.live.fold import Fold
from server.slo.ledger.ledger import Ledger
from server.slo.model.budget_policy import Defaults
from server.slo.policy.policy import parse
from server.slo.policy.prometheus import rules
from server.slo.policy.provisional import provisional
from tests.live.rollups import lead
from tests.promtool import promtool
from tests.site import Site
from tests.slo.making import FAST, SHOP, SLOW, file, objective
from tests.slo.over_http import outcome, picture, send

CASE = """
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
{series}
    alert_rule_test:
      - alertname: EvenkeelObjectiveBurns
        eval_time: 10m
        exp_alerts: {alerts}
      - alertname: EvenkeelObjectiveBurns
        eval_time: 65m
        exp_alerts: {alerts}
      - alertname: EvenkeelObjectiveBurns
        eval_time: 75m  # good again for 10 minutes: the short window has ended it
        exp_alerts: []
"""


def test_the_rules_of_any_objectives_are_clean(tmp_path: Path) -> None:
    hostile = '{{ printf "x" }}"}\n- alert: mine\n# \\'
    found = [
        *parse(SHOP).objectives,
        *parse(objective("fast", "slow").replace("works", "own") + FAST + SLOW).objectives,
        provisional(hostile, "default-x", Defaults(Fraction(9, 10), 1)),
    ]
    text = rules(found)
    groups = yaml.safe_load(text)["groups"]
    assert [group["name"] for group in groups] == [f"evenkeel-slo-{one.name}" for one in found]
    assert hostile.splitlines()[0] not in text
    alerts = [(rule["labels"]["severity"], rule["labels"]["tier"]) for rule in groups[2]["rules"] if "alert" in rule]
    assert alerts == [("page", "1h/5m"), ("ticket", "3d/12h")]
    assert not any("for" in rule for group in groups for rule in group["rules"])
    (tmp_path / "rules.yml").write_text(text)
    assert "SUCCESS" in promtool("check", "rules", str(tmp_path / "rules.yml"))
    (tmp_path / "none.yml").write_text(rules([]))
    promtool("check", "rules", str(tmp_path / "none.yml"))


def test_what_burns_fires_and_what_is_calm_or_rare_does_not(tmp_path: Path) -> None:
    (burning,) = parse(objective("fast") + FAST).objectives
    calm, rare = replace(burning, name="calm", service="calm"), replace(burning, name="rare", service="rare")
    (tmp_path / "rules.yml").write_text(rules([burning, calm, rare]))
    lines = [
        f'      - series: \'evenkeel_slo_events_total{{objective="{name}",service="{service}",kind="availability",'
        f'outcome="{result}",instance="{machine}"}}\'\n        values: \'{values}\''
        for name, service, good, bad in (
            ("works", "shop", "0+980x80", "0+20x65 1300+0x15"),  # 2 % is a burn rate of 20
            ("calm", "calm", "0+999x80", "0+1x80"),  # what the objective allows
            ("rare", "rare", "0x80", "0x7 3x55 4x20"),  # four requests in an hour, and all failed
        )
        for result, values in (("good", good), ("bad", bad))
        for machine in ("a", "b")  # two scrapes of the same numbers
    ]
    alert = {
        "exp_labels": {"objective": "works", "service": "shop", "severity": "page", "tier": "1h/5m"},
        "exp_annotations": {
            "summary": "works of shop burns over 1h and 5m",
            "description": "2% is bad; the objective allows 0.1%, and this tier 1.44%.",
        },
    }
    case = CASE.format(series="\n".join(lines), alerts=yaml.safe_dump([alert], default_flow_style=True, width=9999))
    (tmp_path / "case.yml").write_text(case)
    assert "SUCCESS" in promtool("test", "rules", "case.yml", cwd=tmp_path)


def test_a_new_services_first_half_minute_wakes_nobody(tmp_path: Path) -> None:
    """Counters are there before the first outcome; then a few fail in the first half minute, or all and for longer."""
    (first,) = parse(objective("fast") + FAST).objectives
    other = replace(first, name="down", service="down")
    (tmp_path / "rules.yml").write_text(rules([first, other]))
    values = {
        ("works", "good"): "0x20 20 60 100+200x40",
        ("works", "bad"): "0x20 8 8x41",
        ("down", "good"): "0x62",
        ("down", "bad"): "0x20 8+20x41",
    }
    series = "\n".join(
        f'      - series: \'evenkeel_slo_events_total{{objective="{name}",service="{name}",kind="availability",'
        f'outcome="{result}",instance="a"}}\'\n        values: \'{given}\''
        for (name, result), given in values.items()
    )
    burning = {
        "exp_labels": {"objective": "down", "service": "down", "severity": "page", "tier": "1h/5m"},
        "exp_annotations": {
            "summary": "down of down burns over 1h and 5m",
            "description": "100% is bad; the objective allows 0.1%, and this tier 1.44%.",
        },
    }
    at = "      - alertname: EvenkeelObjectiveBurns\n        eval_time: {}\n        exp_alerts: {}\n"
    told = yaml.safe_dump([burning], default_flow_style=True, width=9999).strip()
    cases = "".join(at.format(f"{when}s", alerts) for when, alerts in ((315, "[]"), (330, "[]"), (420, told)))
    text = (
        f"rule_files: [rules.yml]\nevaluation_interval: 15s\ntests:\n  - interval: 15s\n    input_series:\n{series}\n"
    )
    (tmp_path / "case.yml").write_text(f"{text}    alert_rule_test:\n{cases}")
    assert "SUCCESS" in promtool("test", "rules", "case.yml", cwd=tmp_path)


@pytest.mark.gen_test
async def test_every_machine_counts_the_same_events_and_a_scrape_is_clean(
    web: Any, database_url: str, tmp_path: Path
) -> None:
    lead(database_url, 1)
    site: Site = await web(SLO_FILE=file(tmp_path, SHOP))
    other: Site = await web("web.2", SLO_FILE=str(tmp_path / "slo.yaml"))
    key = await site.key("ingest", "read")
    lines = [await events(site, key)]
    assert set(lines[0].values()) == {"0.0"}  # there before the first outcome, or its failure would be no increase
    await send(site, key, [outcome()] * 6 + [outcome(500)] * 3 + [outcome(duration_ms=900)])
    await Fold(site.parts.db, Ledger(site.parts.policies).fold).run(1)
    await picture(site)
    assert (
        await events(site, key)
        == await events(other, key)
        == {
            ("shop-works", "good"): "7.0",
            ("shop-works", "bad"): "3.0",
            ("shop-fast", "good"): "6.0",
            ("shop-fast", "bad"): "1.0",
        }
    )
    scraped = (await site.fetch("/metrics", key=key)).body
    assert b'evenkeel_slo_burn_rate{objective="shop-works",service="shop",window="5m"}' in scraped
    late = outcome(500) | {"timestamp": stamp(-3600)}
    await send(site, key, [late])
    await Fold(site.parts.db, Ledger(site.parts.policies).fold).run(1)
    assert (await events(site, key))["shop-works", "bad"] == "3.0"  # an hour ago is not now
    exclusion = {"service": "shop", "start": stamp(-600), "stop": stamp(600), "reason": "load test"}
    made = await site.fetch("/api/v1/exclusions", method="POST", key=await site.key("act"), data=exclusion)
    assert made.code == 200, made.body
    await send(site, key, [outcome(500)] * 5)
    await Fold(site.parts.db, Ledger(site.parts.policies).fold).run(1)
    assert (await events(site, key))["shop-works", "bad"] == "3.0"  # nothing is added, and nothing taken back
    promtool("check", "metrics", given=scraped)  # last: without it on this machine the test ends here


def stamp(seconds: float) -> str:
    """A time so far from now."""
    from datetime import UTC, datetime, timedelta

    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def events(site: Site, key: str) -> dict[tuple[str, str], str]:
    """The counters of a scrape, by objective and outcome."""
    body = (await site.fetch("/metrics", key=key)).body.decode()
    found = {}
    for line in body.splitlines():
        if line.startswith("evenkeel_slo_events_total{"):
            labels = dict(part.split("=") for part in line.partition("{")[2].partition("}")[0].split(","))
            found[labels["objective"].strip('"'), labels["outcome"].strip('"')] = line.rsplit(" ", 1)[1]
    return found


@pytest.mark.gen_test
async def test_the_rules_are_on_the_api_and_the_command_line(web: Any, tmp_path: Path) -> None:
    path = file(tmp_path, SHOP)
    site: Site = await web(SLO_FILE=path)
    assert (await site.fetch("/api/v1/slos/rules")).code == 401
    assert (await site.fetch("/api/v1/slos/rules", key=await site.key("ingest"))).code == 403
    found = await site.fetch("/api/v1/slos/rules", key=await site.key("read"))
    assert (found.code, found.headers["Content-Type"]) == (200, "application/yaml")
    for arguments, env in ((["slo", "rules", path], {}), (["slo", "rules"], {"SLO_FILE": path})):
        done = CliRunner().invoke(main, arguments, env=env)
        assert (done.exit_code, done.output) == (0, found.body.decode())
    assert CliRunner().invoke(main, ["slo", "rules", str(tmp_path / "none.yaml")]).exit_code == 2
