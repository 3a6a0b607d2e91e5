"""Ten minutes of load while everything breaks once: nothing that was acknowledged is lost or counted twice."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.process.test_crash import counted, ledger
from tests.process.test_disk_full import mounted
from tests.soak.clients import KINDS, Answer, Client
from tests.soak.faults import FAULTS, Fault
from tests.soak.place import Place, made
from tests.waiting import wait_for

CALM_S = 8.0
GAP_MAX_S = 2.0
DISK_MIB = 2048  # what the load needs twice over


@dataclass(frozen=True)
class Seen:
    """A fault and the answers from its beginning until all had settled, and somebody was answered again. Monotonic
    seconds."""

    fault: Fault
    begun: float
    healed: float
    settled: float

    def line(self, answers: list[Answer]) -> str:
        ended = self.ended(answers)
        here = [each for each in answers if self.begun <= each.at <= ended]
        statuses = Counter(each.status for each in here)
        return (
            f"| {self.fault.name} | {self.gap_s(answers):.2f} | {max(each.took_s for each in here):.2f} |"
            f" {statuses[201]:,} | {statuses[202]:,} | {statuses[503] + statuses[409]:,} | {statuses[0]:,} |"
            f" {self.settled - self.healed:.1f} |"
        )

    def ended(self, answers: list[Answer]) -> float:
        """When it was over for senders too: a moment after a frozen process goes on, none of its has an answer yet."""
        return min(each.at for each in answers if each.at >= self.settled and each.status in (201, 202))

    def gap_s(self, answers: list[Answer]) -> float:
        """The longest time in which nobody's outcomes were acknowledged."""
        ended = self.ended(answers)
        times = sorted(each.at for each in answers if each.status in (201, 202))
        times = [at for at in times if self.begun - 1 <= at <= ended]
        return max(after - before for before, after in itertools.pairwise(times))


@pytest.fixture
def place() -> Iterator[Place]:
    root = Path(tempfile.mkdtemp(prefix="ek-", dir="/var/tmp"))  # a real disk: the spool waits for its syncs
    root.chmod(0o755)
    with mounted(root / "disk", DISK_MIB) as disk, made(root, disk) as place:
        yield place
    shutil.rmtree(root)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_every_fault_under_load(place: Place) -> None:
    key = place.server.key("ingest", "read")
    clients = [Client(place.server, key, kind) for kind in KINDS for _ in range(2)]
    for client in clients:
        client.start()
    time.sleep(CALM_S)
    seen = [broken(place, fault) for fault in FAULTS]
    for client in clients:
        client.ending.set()
    for client in clients:
        client.join(60)
        assert not client.is_alive(), "a client still waits for its acknowledgement"
    wait_for(place.settled, "the spools to be replayed")
    answers = [answer for client in clients for answer in client.answers]
    told(seen, answers)
    assert not [each for client in clients for each in client.failed], "no answer but 201, 202, 409 and 503"
    nothing_lost_or_doubled(place, clients)
    slow = {each.fault.name: each.gap_s(answers) for each in seen if each.fault.of_database}
    assert not {name: gap for name, gap in slow.items() if gap > GAP_MAX_S}


def broken(place: Place, fault: Fault) -> Seen:
    """Inject, heal, wait until all has settled, and be calm for a while."""
    begun = time.monotonic()
    with fault.inject(place):
        time.sleep(fault.lasts_s)
    healed = time.monotonic()
    try:
        wait_for(place.settled, "all to settle", 120)
    except AssertionError as failure:
        raise AssertionError(f"{fault.name}: {failure}: {place.state()}") from None
    settled = time.monotonic()
    time.sleep(CALM_S)
    return Seen(fault, begun, healed, settled)


def told(seen: list[Seen], answers: list[Answer]) -> None:
    """Print the table, which docs/degrade.md shows."""
    print("\n| fault | longest gap (s) | slowest answer (s) | 201 | 202 | 503, 409 | broken | settled after (s) |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for each in seen:
        print(each.line(answers))


def stored_rows(place: Place, connection: psycopg.Connection[Any]) -> list[tuple[str, int]]:
    """Request id and status of each raw outcome, wherever it is."""
    of_series = dict(connection.execute("SELECT id, status FROM series WHERE service = 'loaded'").fetchall())
    url = place.second.url if place.second else place.cluster.url
    with psycopg.connect(url) as there:
        found = there.execute("SELECT request_id, series_id FROM outcomes WHERE series_id = ANY(%s)", [list(of_series)])
        return [(str(one), of_series[series]) for one, series in found]


def nothing_lost_or_doubled(place: Place, clients: list[Client]) -> None:
    acknowledged = {one for client in clients for one in client.acknowledged}
    unsure = {one for client in clients for one in client.unsure}
    with place.connect() as connection:
        rows = stored_rows(place, connection)
        found = Counter(one for one, _ in rows)
        assert not {one: n for one, n in found.items() if n > 1}, "nothing is there twice"
        assert not acknowledged - set(found), "nothing that was acknowledged is lost"
        assert set(found) - acknowledged <= unsure, "what else is there got no answer"
        bad = sum(status >= 500 for _, status in rows)
        wait_for(lambda: counted(connection) == (len(rows), bad), "the rollups to agree")
        wait_for(lambda: ledger(connection) == (len(rows) - bad, bad), "the ledger to agree")
    print(f"\n{len(acknowledged):,} acknowledged, {len(rows):,} stored, {len(unsure):,} without an answer")
