"""A real Alertmanager, configured as docs/connect/alertmanager.md says, tells a real Evenkeel."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.conftest import ROOT, free_port
from tests.signals.told import rfc
from tests.site import Site, answer
from tests.waiting import until

ALERTMANAGER, AMTOOL = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager"), shutil.which("amtool")
(CONFIG,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/connect/alertmanager.md").read_text(), re.DOTALL)
needed = pytest.mark.skipif(not (ALERTMANAGER and AMTOOL), reason="there is no alertmanager and amtool here")


class Alertmanager:
    """A running one, and what it is told of alerts."""

    def __init__(self, config: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        assert ALERTMANAGER is not None
        arguments = [f"--config.file={config}", f"--storage.path={config.parent / 'data'}", "--cluster.listen-address="]
        listen = f"--web.listen-address={self.url.removeprefix('http://')}"
        with (config.parent / "alertmanager.log").open("wb") as log:
            self.process = subprocess.Popen([ALERTMANAGER, *arguments, listen], stdout=log, stderr=log)

    def post(self, start: float, end: float | None = None) -> bool:
        """Whether it took an alert that fires for a long time yet, or has ended."""
        labels = {"alertname": "HighErr", "severity": "critical", "job": "checkout"}
        ends = time.time() + 600 if end is None else end
        sent = [
            {"labels": labels, "startsAt": rfc(start), "endsAt": rfc(ends), "generatorURL": "http://prom.example/g"}
        ]
        asked = Request(
            f"{self.url}/api/v2/alerts", json.dumps(sent).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with urlopen(asked, timeout=5) as response:
                return bool(response.status == 200)
        except OSError:  # it has not started yet
            return False


@pytest.fixture
def alertmanager() -> Iterator[Callable[[Path], Alertmanager]]:
    running: list[Alertmanager] = []

    def start(config: Path) -> Alertmanager:
        running.append(Alertmanager(config))
        return running[-1]

    yield start
    for one in running:
        one.process.terminate()
        one.process.wait()


def configured(site: Site, key: str, tmp_path: Path) -> Path:
    """The configuration of the page for this site, in a hurry."""
    (tmp_path / "key").write_text(key + "\n")
    text = CONFIG.replace("https://evenkeel.example.com", site.url).replace("group_wait: 30s", "group_wait: 0s")
    text = text.replace("group_interval: 5m", "group_interval: 1s")
    text = text.replace("/etc/alertmanager/evenkeel.key", str(tmp_path / "key"))
    (tmp_path / "alertmanager.yml").write_text(text)
    return tmp_path / "alertmanager.yml"


@needed
def test_amtool_finds_the_page_valid(tmp_path: Path) -> None:
    (tmp_path / "alertmanager.yml").write_text(CONFIG)
    assert AMTOOL is not None
    subprocess.run([AMTOOL, "check-config", tmp_path / "alertmanager.yml"], check=True, capture_output=True)


@needed
@pytest.mark.gen_test
async def test_a_real_one_tells_that_it_fires_and_that_it_ended(
    web: Callable[..., Any], alertmanager: Callable[[Path], Alertmanager], tmp_path: Path
) -> None:
    site = await web()
    key = await site.key("ingest", "read")
    sender, start = alertmanager(configured(site, key, tmp_path)), round(time.time()) - 60.0
    await until(lambda: sender.post(start), "Alertmanager to take an alert")

    async def told(state: str) -> dict[str, Any]:
        while True:
            found = answer(await site.fetch(f"/api/v1/signals?state={state}", key=key))["signals"]
            if found:
                return dict(found[0])
            await asyncio.sleep(0.02)

    one = await told("firing")
    assert (one["name"], one["service"], one["opens"], one["starts_at"]) == ("HighErr", "checkout", True, rfc(start))
    assert one["link"] == "http://prom.example/g"
    assert sender.post(start, round(time.time()) - 1.0)
    over = await told("ended")
    assert (over["id"], over["over_at"] is not None) == (one["id"], True)
