"""Processes that die and come back: nobody calls the dead one silent, and its end is told."""

from __future__ import annotations

import psycopg
import pytest

from checks import store as checks_store
from server.config import store as config_store
from server.picture import store as picture_store
from server.picture.picture import Restart
from tests.live.writing import database

# kind, name, host, seconds since its heartbeat, since it started, since it stopped
Row = tuple[str, str, str, float, float, float | None]
ADD = """
    INSERT INTO processes (kind, name, host, pid, version, heartbeat_at, started_at, stopped_at)
    VALUES (%s, %s, %s, 1, '1', now() - make_interval(secs => %s), now() - make_interval(secs => %s),
        now() - make_interval(secs => %s))
"""


async def shown(url: str, rows: list[Row]) -> tuple[list[list[int]], list[Restart]]:
    """The ids that the picture, Config and the checks tell of, and the restarts."""
    with psycopg.connect(url, autocommit=True) as connection:
        for row in rows:
            connection.execute(ADD, row)
    async with database(url) as db, db.ask() as connection:
        picture = await picture_store.processes(connection)
        config = await config_store.web_processes(connection)
        labels = [row.label for row in await checks_store.processes(connection)]
        restarts = await picture_store.restarts(connection)
    assert sorted(labels) == sorted(f"{one.host}/{one.name}" for one in picture)
    return [sorted(one.id for one in picture), sorted(one.id for one in config)], restarts


@pytest.mark.gen_test
async def test_a_killed_process_that_is_back_is_not_silent_anywhere(database_url: str) -> None:
    ids, restarts = await shown(
        database_url, [("web", "web.1", "box", 9, 500, None), ("web", "web.1", "box", 0.2, 8, None)]
    )
    assert ids == [[2], [2]]
    assert [(one.kind, one.name, one.host, one.times) for one in restarts] == [("web", "web.1", "box", 1)]


@pytest.mark.gen_test
async def test_one_that_is_not_back_or_lives_beside_its_namesake_is_shown(database_url: str) -> None:
    ids, restarts = await shown(
        database_url,
        [
            ("web", "web.1", "box", 9, 500, None),  # silent, nobody has started it again
            ("web", "web.2", "box", 0.5, 500, None),  # a namesake lives: two supervisors
            ("web", "web.2", "box", 0.2, 8, None),
            ("web", "web.1", "other", 0.2, 8, None),
        ],
    )
    assert ids == [[1, 2, 3, 4], [1, 2, 3, 4]]
    assert restarts == []


@pytest.mark.gen_test
async def test_an_orderly_stop_is_no_restart_and_many_are_counted(database_url: str) -> None:
    ids, restarts = await shown(
        database_url,
        [
            ("web", "web.1", "box", 60, 500, 60),
            ("web", "web.1", "box", 0.2, 55, None),
            ("watch", "watch.1", "box", 3000, 5000, None),  # died long ago, came back long ago
            ("watch", "watch.1", "box", 40, 2990, None),
            ("watch", "watch.1", "box", 20, 36, None),
            ("watch", "watch.1", "box", 0.2, 16, None),
        ],
    )
    assert ids == [[2, 6], [2]]
    assert [(one.name, one.times) for one in restarts] == [("watch.1", 2)]
