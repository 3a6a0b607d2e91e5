"""What docs/ gives to Prometheus and Grafana: taken by promtool, about metrics that exist; and the same numbers."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from checks.docs_routes import METRIC, is_metric
from tests.conftest import free_port
from tests.promtool import promtool
from tests.running import Running
from tests.slo.over_http import outcome
from tests.waiting import wait_for

DOCS = Path(__file__).resolve().parents[2] / "docs"
DASHBOARD = json.loads((DOCS / "grafana/evenkeel.json").read_text())
VARIABLES = {"$__rate_interval": "5m", "$service": ".*"}


def targets() -> Iterator[dict[str, Any]]:
    return (target for panel in DASHBOARD["panels"] for target in panel.get("targets", ()))


def test_prometheus_takes_the_files_and_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    promtool("check", "config", "--syntax-only", "scrape.yml", cwd=DOCS / "prometheus")
    assert "SUCCESS" in promtool("check", "rules", "alerts.yml", cwd=DOCS / "prometheus")
    rules = []
    for number, target in enumerate(targets()):
        expression = target["expr"]
        for name, value in VARIABLES.items():
            expression = expression.replace(name, value)
        assert "$" not in expression
        rules.append({"record": f"panel:{number}", "expr": expression})
    assert len(rules) > 15
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert "SUCCESS" in promtool("check", "rules", str(tmp_path / "panels.yml"))


def test_a_dashboard_is_whole() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert {target["datasource"]["uid"] for target in targets()} == {"${datasource}"}
    assert {one["name"] for one in DASHBOARD["templating"]["list"]} == {"datasource", "service"}


@pytest.mark.parametrize(
    "path", [*DOCS.glob("prometheus/*.yml"), *DOCS.glob("grafana/*.json")], ids=lambda path: path.name
)
def test_their_metrics_exist(path: Path) -> None:
    """Also looked at by the check docs_routes."""
    assert [name for name in METRIC.findall(path.read_text()) if not is_metric(name)] == []


class Prometheus:
    """A real one that scrapes each second."""

    def __init__(self, binary: str, directory: Path, target: str, key: str, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        scrape = {
            "job_name": "evenkeel",
            "authorization": {"credentials": key},
            "static_configs": [{"targets": [target]}],
        }
        whole = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}
        (directory / "prometheus.yml").write_text(yaml.safe_dump(whole))
        self.process = subprocess.Popen(
            [
                binary,
                f"--config.file={directory}/prometheus.yml",
                f"--storage.tsdb.path={directory}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=exemplar-storage",
            ],
            stdout=subprocess.DEVNULL,
            stderr=(directory / "prometheus.log").open("wb"),
        )

    def get(self, path: str, **parameters: str) -> Any:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}") as found:
                return json.load(found)["data"]
        except OSError:
            return None  # it has not begun to listen

    def value(self, query: str) -> float | None:
        """The value of an instant query, of the service `shop` where it is of services."""
        found = self.get("query", query=query) or {"result": []}
        values = [one["value"][1] for one in found["result"] if one["metric"].get("service", "shop") == "shop"]
        return float(values[0]) if values else None


@pytest.mark.soak
def test_a_real_prometheus_has_the_same_error_ratio_and_rate(running: Callable[..., Running], tmp_path: Path) -> None:
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("prometheus is not installed; Debian's package has it")
    server = running(WEB_CONCURRENCY="2")
    key = server.key("ingest", "read")
    scraper = Prometheus(binary, tmp_path, server.url.removeprefix("http://"), key, free_port())
    try:
        compare(server, scraper, key)
    finally:
        scraper.process.terminate()
        scraper.process.wait()


def compare(server: Running, scraper: Prometheus, key: str) -> None:
    """Send for a while, then ask both."""
    total = 'sum(evenkeel_service_requests_total{service="shop"})'

    def send(statuses: list[int]) -> None:
        assert server.call("POST", "/api/v1/outcomes", key=key, data=[outcome(each) for each in statuses])[0] == 201

    send([200])
    wait_for(lambda: scraper.value(total) == 1, "the first outcome")
    for _ in range(20):
        send([500] + [200] * 24)
        time.sleep(0.5)
    wait_for(lambda: scraper.value(total) == 501, "all that was sent")
    _, ours = server.get("/api/v1/services/shop/summary?window=2m", key)
    rules = yaml.safe_load((DOCS / "prometheus/alerts.yml").read_text())["groups"][1]["rules"]
    theirs = {rule["record"]: scraper.value(rule["expr"].replace("[5m]", "[2m]")) for rule in rules}
    assert ours["bad"] == 20
    assert theirs["evenkeel:service_error_ratio:rate5m"] == pytest.approx(ours["error_ratio"], rel=0.05)
    assert theirs["evenkeel:service_requests:rate5m"] == pytest.approx(ours["requests_per_second"], rel=0.1)
    bucket = "evenkeel_http_request_duration_seconds_bucket"
    now = time.time()
    found = scraper.get("query_exemplars", query=bucket, start=str(now - 300), end=str(now + 60))
    assert any("request_id" in one["labels"] for series in found for one in series["exemplars"])
