"""What real servers write of real requests is stored as their clients and the upstream saw it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from server.__main__ import main
from server.receivers.route_template import route_of
from tests.conftest import variables
from tests.ingest.making import rows, value
from tests.soak.web_servers import SERVERS, SLOW_S, Served, is_here, serving
from tests.waiting import wait_for

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]
COUNT = "SELECT count(*)::int FROM outcomes"
STORED = "SELECT route, status, bad, duration_us FROM outcomes JOIN series ON series.id = series_id"
TIMED = {("nginx", False): False, ("apache2", False): False}  # the usual form of these has no time taken
EXACT = 0.1


def needed(name: str) -> None:
    if not is_here(name):
        pytest.skip(f"{name} is not installed: apt-get install {name}")


@pytest.mark.parametrize("documents", [True, False], ids=["as documented", "another form of its own"])
@pytest.mark.parametrize("name", SERVERS)
def test_the_log_of_a_server_is_what_its_clients_saw(
    name: str, documents: bool, database_url: str, tmp_path: Path
) -> None:
    needed(name)
    place = Path(f"/tmp/ek-{os.getpid()}-{name}-{documents}")  # where a server's own user can read
    place.mkdir()
    try:
        with serving(name, place, documents=documents) as served:
            served.all_kinds()
            if name == "nginx":
                pushed(served)
            last = ("/slow?left", "/brew") if name == "nginx" else ("/slow?left",)  # whose clients wait for no line
            wait_for(lambda: all(one in served.log.read_text(errors="replace") for one in last), "the last lines")
        done = CliRunner().invoke(
            main, ["import", str(served.log), "--service", "shop"], env=variables(database_url, tmp_path)
        )
        assert done.exit_code == 0, done.output
        judge(served, rows(database_url, STORED), timed=TIMED.get((name, documents), True))
    finally:
        shutil.rmtree(place)


def pushed(served: Served) -> None:
    """A line that a client makes odd: quotes in its agent, and a method that nobody has."""
    subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-A", 'a "b" \\ c', "-X", "BREW", f"http://127.0.0.1:{served.port}/brew"],
        check=True,
    )


def judge(served: Served, stored: list[tuple[Any, ...]], *, timed: bool) -> None:
    """Hold what is stored to what the clients saw."""
    stored = [one for one in stored if one[0] != "/brew"]
    kept = Counter((route, status) for route, status, _, _ in stored)
    left_as, left_bad = served.left
    for asked in served.asked:
        if asked.status is not None:
            assert asked.status == {"/away": served.away}.get(asked.path, asked.status)
            key = (route_of(asked.path) if asked.status != 404 else "(not found)", asked.status)
            assert kept[key] > 0, (key, kept)
            kept[key] -= 1
    rest = Counter({status: count for (_, status), count in kept.items() if count})
    assert rest.total() == sum(asked.status is None for asked in served.asked), kept
    assert set(rest) <= left_as
    bad = {(route, status) for route, status, is_bad, _ in stored if is_bad}
    wanted = {("/fail", 500), ("/away", served.away)} | ({("/slow", status) for status in rest} if left_bad else set())
    assert bad == wanted
    whole = [took for route, status, _, took in stored if route == "/slow" and status == 200]
    if timed:
        assert all(abs(took / 1e6 - SLOW_S) < EXACT or took / 1e6 > SLOW_S for took in whole)
        assert all(took is not None for *_, took in stored)
    else:
        assert set(whole) == {None}


@pytest.mark.parametrize("name", ["nginx", "apache2"])
def test_a_log_is_followed_while_its_server_rotates_it(name: str, database_url: str, tmp_path: Path) -> None:
    """By renaming and the server's signal, and by copying, under requests; killed and started again meanwhile."""
    needed(name)
    place = Path(f"/tmp/ek-{os.getpid()}-{name}-rotated")
    place.mkdir()
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    env |= variables(database_url, tmp_path)
    started: list[subprocess.Popen[bytes]] = []

    def follow(log: Path) -> None:
        command = [sys.executable, "-m", "server", "import", str(log), "--service", "shop", "--follow"]
        started.append(subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    try:
        with serving(name, place, documents=True) as served:
            follow(served.log)
            stop = threading.Event()
            asking = threading.Thread(target=lambda: [served.ask(f"/ok/{n}") for n in until(stop)])
            asking.start()
            for n in range(3):
                wait_for(lambda n=n: value(database_url, COUNT) > 20 * (n + 1), "some outcomes")
                served.log.rename(served.log.with_name(f"access.log.{3 - n}"))
                served.process.send_signal(signal.SIGUSR1)
                if n == 1:
                    started[-1].kill()
                    follow(served.log)
                wait_for(served.log.exists, "the new log")
            stop.set()
            asking.join()
            wait_for(lambda: value(database_url, COUNT) >= len(served.asked), "all of them")
            shutil.copy(served.log, served.log.with_name("access.log.0"))
            os.truncate(served.log, 0)
            for n in range(30):
                served.ask(f"/ok/{n}")
            wait_for(lambda: value(database_url, COUNT) >= len(served.asked), "those after the cut")
        started[-1].send_signal(signal.SIGTERM)
        assert started[-1].wait(30) == 0
        assert value(database_url, COUNT) == len(served.asked)
    finally:
        for process in started:
            process.kill()
            process.wait()
        shutil.rmtree(place)


def until(stop: threading.Event) -> Any:
    """Numbers, until it is set."""
    n = 0
    while not stop.is_set():
        yield n
        n += 1
        time.sleep(0.02)
