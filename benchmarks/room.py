"""How soon the room of an incident opens: with 5,000 entries on its timeline, and with 10,000 alerts in it."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import replace
from pathlib import Path

import psycopg

from benchmarks.figure import Figure
from benchmarks.stand import database, free_port, percentile, scratch
from server.kernel.settings import Environment, read_environment
from tests.dashboard.visitor import look, sign_in
from tests.notify.making import Desk
from tests.site import Site, start_site
from tests.slo.making import availability, service

ENTRIES = 5000
ALERTS = 10_000
SERVICES = 50
ROUNDS = 60
OPENS_MS = 100.0  # p95, with 5,000 entries
USABLE_MS = 250.0  # p95, with 10,000 alerts
RATIO = 4.0  # of the median with 5,000 entries to that with none
PAGE_KIB = 1024.0  # of HTML, so that a phone can show it
SMALL, LONG, WIDE = 1, 2, 3  # the incidents


def run() -> list[Figure]:
    """Milliseconds of GET /incidents/{id}, sent and read in the same process, over 60 rounds."""
    with scratch() as directory:
        env = environment(directory)
        with database(env) as url:
            return asyncio.run(measure(replace(env, database_url=url), url))


def environment(directory: Path) -> Environment:
    (directory / "slo.yaml").write_text(service("checkout") + availability("checkout-availability", "checkout"))
    given = {
        "DATA_DIR": str(directory / "data"),
        "SLO_FILE": str(directory / "slo.yaml"),
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "SECRET_KEY": "a-key-for-benchmarks-only",
    }
    return read_environment(given)


async def measure(env: Environment, url: str) -> list[Figure]:
    fill(url)
    site = await start_site(env)
    try:
        cookie = await sign_in(site)
        rounds = [await opened(site, cookie, number) for number in (SMALL, LONG, WIDE) for _ in range(3)]  # warm
        found = {number: [await opened(site, cookie, number) for _ in range(ROUNDS)] for number in (SMALL, LONG, WIDE)}
        kib = len((await look(site, f"/incidents/{WIDE}", cookie)).body) / 1024
    finally:
        await site.close()
    assert rounds
    middle = {number: statistics.median(took) for number, took in found.items()}
    return [
        Figure(f"room with {ENTRIES:,} entries, p95", percentile(found[LONG], 0.95), "ms", OPENS_MS),
        Figure("its median to that of an empty room", middle[LONG] / middle[SMALL], "times", RATIO),
        Figure(f"room with {ALERTS:,} alerts, p95", percentile(found[WIDE], 0.95), "ms", USABLE_MS),
        Figure("its page", kib, "KiB", PAGE_KIB),
    ]


async def opened(site: Site, cookie: str, number: int) -> float:
    """Milliseconds; read anew from the database, as after an act."""
    begun = time.perf_counter()
    answer = await look(site, f"/incidents/{number}", cookie)
    assert answer.code == 200, answer.body
    return (time.perf_counter() - begun) * 1000


def fill(url: str) -> None:
    """Three incidents: of one entry, of 5,000 (half of people, one in twenty put right), of 10,000 alerts, 500 open."""
    desk = Desk(url)
    alert = desk.alert()
    desk.close()
    with psycopg.connect(url, autocommit=True) as connection:
        for title in ("empty", "long", "wide"):
            connection.execute(INCIDENT, (title,))
        connection.execute(ENTRY, (ENTRIES,))
        connection.execute(CORRECTION, (ENTRIES,))
        connection.execute(ALERT, (SERVICES, ALERTS, alert.id))
        connection.execute(MEMBER, (WIDE, alert.id))
        connection.execute(EVENT, (alert.id,))
        connection.execute("ANALYZE")


INCIDENT = """
    INSERT INTO incidents (state, severity, title, service, source, onset, onset_method, detected_at, declared_at,
        captured)
    VALUES ('mitigating', 2, %s, 'checkout', 'alert', now() - interval '2 h', 'change point', now() - interval '2 h',
        now() - interval '119 min', '{"at": 1, "onset": 1, "onset_method": "change point", "text": "4 in 100 fail"}')
    """
ENTRY = """
    INSERT INTO incident_entries (incident_id, at, kind, text, author)
    SELECT 2, now() - interval '2 h' + n * interval '1 s', CASE WHEN n %% 2 = 0 THEN 'note' ELSE 'alert' END,
        'What was seen or done, in the words of somebody who was there: ' || n,
        CASE WHEN n %% 2 = 0 THEN 'mira@example.com' ELSE 'evenkeel' END
    FROM generate_series(1, %s) AS n
    """
CORRECTION = """
    INSERT INTO incident_entries (incident_id, at, kind, text, author, corrects)
    SELECT 2, now(), 'note', 'Put right: ' || id, 'mira@example.com', id
    FROM incident_entries WHERE incident_id = 2 AND kind = 'note' AND id %% 20 = 0 AND id <= %s
    """
ALERT = """
    INSERT INTO alerts (objective, service, state, urgency, tier, severity, onset, onset_method, detected_at, fired_at,
        fired_times, evidence, resolved_at, over_at)
    SELECT 'objective-' || n, 'service-' || n %% %s, CASE WHEN n <= 500 THEN 'firing' ELSE 'resolved' END, 'page',
        'fast', 2, now() - interval '2 h', 'change point', now() - interval '2 h', now() - interval '2 h', 1,
        a.evidence, CASE WHEN n > 500 THEN now() END, CASE WHEN n > 500 THEN now() END
    FROM generate_series(1, %s) AS n, alerts a WHERE a.id = %s
    """
MEMBER = "INSERT INTO incident_alerts (alert_id, outage, incident_id) SELECT id, 1, %s FROM alerts WHERE id > %s"
EVENT = """
    INSERT INTO alert_events (alert_id, at, kind, text, author)
    SELECT id, now() - interval '2 h' + n * interval '1 s', kind, 'what became of it', 'evenkeel'
    FROM alerts, unnest(ARRAY['detected', 'fired', 'told', 'resolved']) WITH ORDINALITY AS k (kind, n) WHERE id > %s
    """
