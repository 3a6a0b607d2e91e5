"""One scrape: this machine's counters, added up over its processes, and the gauges of the whole deployment."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from server.kernel.text import first_line
from server.telemetry import metrics, metrics_store
from server.telemetry.gauges import families

if TYPE_CHECKING:
    from server.parts import Parts

log = logging.getLogger("evenkeel.metrics")

LIMIT_S = 3.0  # for the database; a scraper gives up after 10 s


class Families(Collector):
    """Families made beforehand."""

    def __init__(self, made: Sequence[Metric]) -> None:
        self.made = made

    def collect(self) -> Iterable[Metric]:
        return self.made


async def scrape(parts: Parts) -> bytes:
    """What /metrics answers. Without the database the gauges that come from it are left out."""
    gauges = await read_gauges(parts)
    made = list(families(gauges, parts.relay.picture, parts.relay.age_s(time.time()), parts.policies.objectives))
    return await asyncio.to_thread(render, made)  # reading the files of all processes would hold up the loop


async def read_gauges(parts: Parts) -> metrics_store.Gauges | None:
    try:
        async with asyncio.timeout(LIMIT_S), parts.db.ask() as connection:
            return await metrics_store.read(connection)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        log.warning("gauges not read: %s", first_line(error))
        return None


def render(made: Sequence[Metric]) -> bytes:
    """Counters and gauges as Prometheus text, version 0.0.4."""
    registry = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(metrics.registry)
    registry.register(Families(made))
    return generate_latest(registry)
