"""What we knew: pictures kept each 5 s while an incident is open, and the room as it stood then."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from server.kernel import shared_clock
from server.picture import kept, kept_store
from server.picture import store as picture_store
from server.picture.picture import OpenIncident, Picture, RunningMaintenance
from tests.alerts.making import burning
from tests.dashboard.visitor import look, service, sign_in
from tests.incidents.test_api import Incidents, started
from tests.slo.ledger.test_exclusions import instant

Start = Callable[..., Any]

pytestmark = pytest.mark.gen_test


class Past:
    """An incident with pictures; `publish` is the watch's second."""

    def __init__(self, room: Incidents, url: str) -> None:
        self.room, self.url, self.seq = room, url, 0
        self.db = room.site.parts.db

    async def publish(self, at: float, bad: int, **given: Any) -> None:
        self.seq += 1
        picture = Picture(self.seq, at, 1, "watch", [service("checkout", bad=bad)], [], 1, None, **given)
        async with self.db.act() as connection:
            assert await picture_store.write(connection, 1, self.seq, msgspec.json.encode(picture))

    async def keep(self, at: float, bad: int, **given: Any) -> None:
        await self.publish(at, bad, **given)
        await kept.keep(self.db)

    def times(self) -> list[float]:
        with psycopg.connect(self.url) as connection:
            rows = connection.execute("SELECT extract(epoch FROM at)::float FROM kept_pictures ORDER BY at")
            return [row[0] for row in rows]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for seconds makes no picture old."""
    monkeypatch.setattr(kept_store, "FRESH_S", 600.0)


async def test_one_each_5_s_while_an_incident_is_open_and_without_names(
    web: Start, database_url: str, tmp_path: Path
) -> None:
    past = Past(await started(web, database_url, tmp_path), database_url)
    now = float(int(time.time()))
    await past.keep(now, 1)
    assert past.times() == [], "no incident is open"
    number = (await past.room.post("", {"title": "mira@example.com cannot pay"}, 201))["incident"]["id"]
    written = OpenIncident(number, 2, "mira@example.com cannot pay", "", "declared", now, "mira@example.com")
    window = RunningMaintenance(1, ["checkout"], now, now + 60, "mira@example.com's disk", "jon@example.com")
    for s in (1, 1, 3, 5, 10):  # at 3 s hardly later, and twice at 1 s as by two watches
        await past.keep(now + s, s, incidents=[written], maintenance=[window])
    assert past.times() == [now + 1, now + 5, now + 10]
    with psycopg.connect(database_url) as connection:
        bodies = [zlib.decompress(row[0]) for row in connection.execute("SELECT body FROM kept_pictures")]
        assert all(b"@example.com" not in body for body in bodies), "what people wrote can be erased in its own table"
        connection.execute("UPDATE picture SET at = now() - interval '601 s'")
    await kept.keep(past.db)
    assert len(past.times()) == 3, "a picture that stands still is not the present"
    await past.publish(now + 20, 1)
    await past.room.act(number, "resolve", reason="seen")
    await kept.keep(past.db)
    assert len(past.times()) == 3


async def test_the_oldest_go_by_age_and_by_size(
    web: Start, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = Past(await started(web, database_url, tmp_path), database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO kept_pictures (at, body)"
            " SELECT now() - make_interval(days => d, secs => 1), 'four' FROM generate_series(0, 40, 10) AS d"
        )
    monkeypatch.setattr(kept_store, "BITE", 1)
    await kept.forget(past.db)
    assert len(past.times()) == 3, "30 days"
    monkeypatch.setattr(kept_store, "MOST_BYTES", 8)
    await kept.forget(past.db)
    assert len(past.times()) == 2, "what is beyond 8 bytes"


async def test_the_room_as_it_stood_then(web: Start, database_url: str, tmp_path: Path) -> None:
    room = await started(web, database_url, tmp_path)
    past, began = Past(room, database_url), time.time() - 60
    await room.at(began, burning())
    (born,) = (await room.get())["incidents"]
    number, site = born["id"], room.site
    assert (await site.fetch(f"/api/v1/incidents/{number}/picture", key=room.key)).code == 404, "nothing is kept"
    open_ = OpenIncident(number, 2, born["title"], "checkout", "suspected", began, "")
    await past.keep(began + 30, 12, incidents=[open_])
    await room.act(number, "accept")
    await room.act(number, "note", text="restarted it")
    note = next(one for one in (await room.get(f"/{number}/timeline"))["lines"] if one["kind"] == "note")
    noted_at = shared_clock.now()
    open_.state = "declared"
    await past.keep(noted_at, 3, incidents=[open_])
    with psycopg.connect(database_url) as connection:  # put right after the second picture
        connection.execute(
            "INSERT INTO incident_entries (incident_id, at, kind, text, author, corrects)"
            " VALUES (%s, to_timestamp(%s), 'note', 'rolled it back', 'mira', %s)",
            (number, noted_at + 1, note["id"]),
        )

    then = await room.get(f"/{number}/picture?at={instant(began + 31)}")
    assert (then["state"], then["commander"], then["services"][0]["bad"]) == ("suspected", "", 12)
    assert "note" not in [one["kind"] for one in then["timeline"]]
    later = await room.get(f"/{number}/picture")
    assert (later["state"], later["commander"], later["services"][0]["bad"]) == ("declared", "key:test", 3)
    assert [(one["text"], one["corrected"]) for one in later["timeline"] if one["kind"] == "note"] == [
        ("restarted it", [])
    ], "what was known, not what was put right since"
    early = await site.fetch(f"/api/v1/incidents/{number}/picture?at=2020-01-01T00:00:00Z", key=room.key)
    assert early.code == 422

    cookie = await sign_in(site)
    page = f"/incidents/{number}/knew"
    assert f'href="{page}"' in (await look(site, f"/incidents/{number}", cookie)).body.decode()
    last = (await look(site, page, cookie)).body.decode()
    assert "The past." in last
    assert "3 of 60" in last
    earlier = next(href for href, text in re.findall(r'href="([^"]+)">([^<]+)</a>', last) if text == "1 min earlier")
    assert 'aria-disabled="true">5 s later' in last
    first = (await look(site, unescape(earlier), cookie)).body.decode()
    assert "12 of 60" in first
    assert "restarted it" not in first
    assert "Commander: nobody" in first
    scrubbed = (await look(site, f"{page}?at={began + 31}", cookie)).body.decode()
    assert "12 of 60" in scrubbed, "as the range sends it"
