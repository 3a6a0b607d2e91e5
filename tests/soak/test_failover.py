"""A primary that ends and a standby that is promoted: DATABASE_URL names both."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from server.kernel.settings import read_environment
from server.process import embedded
from server.process.migrate import migrate
from tests.ingest.making import body, outcome
from tests.ingest.outage import seen
from tests.ingest.sending import send
from tests.waiting import until, wait_for

pytestmark = pytest.mark.soak


@pytest.fixture
def pair() -> Iterator[tuple[embedded.Cluster, embedded.Cluster]]:
    """A primary and its synchronous standby."""
    root = Path(tempfile.mkdtemp(prefix="ek-"))
    root.chmod(0o755)
    primary, standby = (embedded.cluster(read_environment({"DATA_DIR": str(root / name)})) for name in "ab")
    try:
        embedded.start(primary)
        migrate(primary.url)
        standby.data.parent.mkdir(exist_ok=True)
        embedded.own(standby, standby.data.parent)
        copy = [embedded.binary("pg_basebackup"), "-h", str(primary.socket_dir), "-U", "evenkeel", "-R", "-c", "fast"]
        subprocess.run(embedded.as_user(primary, [*copy, "-D", str(standby.data)]), check=True, cwd="/")
        embedded.start(standby)
        with psycopg.connect(primary.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
            follows = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
            wait_for(lambda: connection.execute(follows).fetchone() == (1,), "the standby to follow")
        yield primary, standby
    finally:
        for one in (primary, standby):
            embedded.stop(one)
        shutil.rmtree(root)


@pytest.mark.gen_test
async def test_a_failover_loses_nothing_and_is_told_of(
    web: Any, pair: tuple[embedded.Cluster, embedded.Cluster]
) -> None:
    primary, standby = pair
    hosts = f"host={standby.socket_dir},{primary.socket_dir}&target_session_attrs=read-write"
    site = await web(DATABASE_URL=f"postgresql://evenkeel@/evenkeel?{hosts}", SPOOL="on")
    key = await site.key("ingest")
    acknowledged = 0

    async def sent(status: int) -> None:
        nonlocal acknowledged
        assert (await send(site, key, body(outcome()))).code == status
        acknowledged += 1

    for _ in range(5):
        await sent(201)
    os.kill(embedded.postmaster_pid(primary) or 0, signal.SIGQUIT)
    await until(lambda: "database_failing_over" in seen(site), "it to be told")
    for _ in range(5):
        await sent(202)
    with psycopg.connect(standby.url, autocommit=True) as connection:
        connection.execute("SELECT pg_promote()")
        await until(lambda: not seen(site), "all to be well again")
        await sent(201)
        assert connection.execute("SELECT count(*) FROM outcomes").fetchone() == (acknowledged,)
