"""A tick that looks first at what there is, beside one that asks for everything: the same picture, each second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from server.alerts.board import Board
from server.incidents.keeper import Keeper
from server.jobs import tick_of
from server.kernel import shared_clock
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.notify.outbox import enqueue
from server.picture.picture import Picture
from server.picture.tick import Tick
from server.process.glance import Glance
from server.process.process import Process
from server.slo.judge.evaluate import Evaluation
from tests.live.rollups import lead
from tests.live.writing import Sample, Writer, database
from tests.slo.ledgers import policies
from tests.slo.making import SHOP

SHOWN = ("services", "alerts", "incidents", "maintenance", "restarts", "revision", "targets", "other_series")
COMES = {
    "maintenance": "INSERT INTO maintenance_windows (services, start, stop, reason, author, started_at) VALUES"
    " ('{shop}', now(), now() + interval '1 h', 'r', 'x', now())",
    "targets": "INSERT INTO targets (name, kind, address, created_by) VALUES ('ops', 'webhook', 'a', 'x')",
    "revision": "INSERT INTO revisions (number, values, kind, author, reason) VALUES (7, '[]', 'change', 'x', 'y')",
    "restarts": "INSERT INTO processes (kind, name, host, pid, version, heartbeat_at) VALUES"
    " ('web', 'a', 'h', 1, '0', now() - interval '1 min'), ('web', 'a', 'h', 2, '0', now())",
    "incidents": """INSERT INTO incidents (state, severity, title, service, source, onset, onset_method, detected_at,
        captured) VALUES ('suspected', 2, 't', 'else', 'person', now(), 'person', now(),
        '{"at": 1, "onset": 1, "onset_method": "person", "text": ""}')""",
}
UNREADABLE = """
INSERT INTO alerts (objective, service, state, urgency, tier, severity, onset, onset_method, detected_at, evidence)
VALUES ('o', 'shop', 'firing', 'page', 'fast', 2, now(), 'run', now(), '{}')
"""
EXCLUSION = """
INSERT INTO exclusions (service, start, stop, reason, author)
VALUES ('shop', now() - interval '1 h', now() + interval '1 h', 'r', 'x')
"""


def shown(picture: Picture | None) -> dict[str, Any]:
    """What it says, but for ages."""
    assert picture is not None
    assert picture.slo is not None
    found = {name: msgspec.to_builtins(getattr(picture, name)) for name in SHOWN}
    return found | {
        "objectives": msgspec.to_builtins(picture.slo.objectives),
        "processes": [(each.id, each.kind, each.name, each.revision, each.rss_bytes) for each in picture.processes],
    }


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Database]]:
    """Who asks, on the pool for questions."""
    asked: list[Database] = []
    real = Database.ask

    def ask(self: Database) -> Any:
        asked.append(self)
        return real(self)

    with monkeypatch.context() as patched:
        patched.setattr(Database, "ask", ask)
        yield asked


@pytest.mark.gen_test
async def test_it_asks_for_nothing_that_is_not_there_and_misses_nothing(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(database_url, 1)
    writer, now = Writer(database_url), [shared_clock.now() // 60 * 60 + 5.25]
    monkeypatch.setattr(shared_clock, "now", lambda: now[0])
    async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
        bus, process, glance = Bus(db, None), Process(db, "watch", "watch.1"), Glance(db, "tick")
        await process.register()
        await process._beat()
        writer.connection.execute("UPDATE objectives SET counted = true")  # as the job `recount` does
        evaluation = Evaluation(db, held)
        board, keeper = Board(db, held, lambda: evaluation.evidence, enqueue), Keeper(db, bus, held)
        seeing = tick_of(db, bus, process, held, glance)
        asking = Tick(db, bus, process, evaluation.streams.hear, evaluation.evaluate, board.step, keeper.keep)

        async def second(seconds: int = 1) -> int:
            """Both ticks, that many seconds on; how often the one that sees has asked."""
            for _ in range(seconds):
                now[0] += 1
                with counted(monkeypatch) as asked:
                    await seeing.run(1)
                await asking.run(1)
                assert shown(seeing.picture) == shown(asking.picture)
            return len(asked)

        await second(6)
        assert await second() == 0
        writer.flush([Sample(int(now[0]), service="shop")])
        await second()
        assert seeing.picture is not None
        assert [each.n for each in seeing.picture.services] == [1]
        writer.connection.execute(UNREADABLE)
        await seeing.run(1)
        assert writer.one("SELECT count(*) FROM alerts WHERE state <> 'resolved'") == 0, "it was seen, and ended"
        for comes in COMES.values():
            writer.connection.execute(comes.encode())
            await second()
        found = seeing.picture
        assert all((found.maintenance, found.restarts, found.incidents))
        assert (found.revision, found.targets) == (7, 1)
        writer.flush([Sample(int(now[0]), service="shop", bad=True) for _ in range(100)])
        await second()
        assert found.slo is not None
        assert "burning" in found.slo.services.values(), "at the first tick after it"
        writer.connection.execute(EXCLUSION)
        await second()
        assert set(found.slo.services.values()) == {"no_traffic"}
        await process._connection.close()
        await glance.close()
        await bus.close()
