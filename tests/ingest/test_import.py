from __future__ import annotations

import asyncio
import math
import random
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from server.__main__ import main
from server.kernel.db import Database
from server.live.outcomes import outcomes_by_request_id
from server.live.questions import summary
from tests.conftest import variables
from tests.ingest.making import rows, value


def line(at: float, status: int = 200, path: str = "/a", rest: str = " rt=0.020") -> str:
    stamp = datetime.fromtimestamp(at, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'1.2.3.4 - - [{stamp}] "GET {path} HTTP/1.1" {status} 2 "-" "-"{rest}\n'


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Any:
    def run(text: str, *options: str) -> Any:
        file = tmp_path / "access.log"
        file.write_text(text)
        arguments = ["import", str(file), "--service", "shop", *options]
        return CliRunner().invoke(main, arguments, env=variables(database_url, tmp_path))

    return run


def test_a_log_is_stored_with_its_times(run: Any, database_url: str) -> None:
    now = int(time.time())
    log = "".join(line(now - n, 500 if n % 10 == 0 else 200) for n in range(100)) + "broken line\n\n"
    done = run(log)
    assert done.exit_code == 0, done.output
    assert "100 outcomes stored" in done.output
    assert "1 lines are not in the combined format" in done.output
    assert "access.log:101: broken line" in done.output
    assert rows(
        database_url, "SELECT extract(epoch FROM at)::bigint, duration_us, bad FROM outcomes ORDER BY at LIMIT 2"
    ) == [(now - 99, 20_000, False), (now - 98, 20_000, False)]
    assert value(database_url, "SELECT sum(n) FROM deltas") == 100
    assert value(database_url, "SELECT sum(bad) FROM deltas") == 10


def test_an_old_log_is_left_out_or_moved_to_now(run: Any, database_url: str) -> None:
    old = time.time() - 3000 * 86400
    log = "".join(line(old + n, rest="") for n in range(10)) + line(old - 30 * 86400)
    done = run(log)
    assert done.exit_code == 1
    assert "11 lines left out" in done.output
    assert "--shift moves" in done.output
    done = run(log, "--shift")
    assert done.exit_code == 0, done.output
    assert "10 outcomes stored" in done.output
    assert "10 of them have no request time: their latency is not known" in done.output
    assert "1 lines left out" in done.output
    newest = value(database_url, "SELECT extract(epoch FROM max(at))::float8 FROM outcomes")
    assert time.time() - 20 < newest <= time.time()
    assert value(database_url, "SELECT extract(epoch FROM max(at) - min(at))::int FROM outcomes") == 9


def test_several_batches_and_latency_thresholds_of_the_policy(
    run: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.ingest.importer.BATCH_ITEMS", 7)
    now = int(time.time())
    done = run("".join(line(now - n % 3, path=f"/{chr(97 + n % 5)}") for n in range(50)))
    assert done.exit_code == 0, done.output
    assert value(database_url, "SELECT sum(n) FROM deltas") == 50
    assert value(database_url, "SELECT count(*) FROM outcomes") == 50
    assert value(database_url, "SELECT max(seq) FROM deltas") == 8


def test_a_line_without_a_request_time_has_no_latency(
    run: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also beside lines of the same second that have one."""
    monkeypatch.setattr("server.slo.policy.policies.Policies.thresholds_us", lambda *_: (300_000,))
    monkeypatch.setattr("server.ingest.importer.BATCH_ITEMS", 20)
    now = int(time.time())
    mixed = [line(now - n // 4, rest=" rt=0.020" if n % 2 else "") for n in range(100)]
    assert "50 of them have no request time" in run("".join(mixed)).output
    found = rows(database_url, "SELECT duration_us, count(*) FROM outcomes GROUP BY 1 ORDER BY 1")
    assert found == [(20_000, 50), (None, 50)]
    found = rows(
        database_url,
        "SELECT cardinality(sketch) > 0, cardinality(fast) > 0, sum(n), sum(duration_us)::int,"
        " sum((SELECT sum(pair & 4294967295) FROM unnest(sketch) pair))::int FROM deltas GROUP BY 1, 2 ORDER BY 1",
    )
    assert found == [(False, False, 50, 0, None), (True, True, 50, 50 * 20_000, 50)]


@pytest.mark.gen_test
async def test_quantiles_of_a_log_without_request_times_are_null(run: Any, database_url: str) -> None:
    now = int(time.time())
    log = "".join(line(now - n, path="/x", rest=" rid=r-1" if n == 0 else "") for n in range(100))
    assert (await asyncio.get_running_loop().run_in_executor(None, lambda: run(log))).exit_code == 0
    db = Database(database_url, "test")
    async with db.ask() as connection:
        (answer,) = await summary(connection, "shop", 3600, time.time())
        (one,) = await outcomes_by_request_id(connection, "r-1")
    await db.close()
    assert (answer.volume, answer.p50_ms, answer.p95_ms, answer.p99_ms) == (100, None, None, None)
    assert one.duration_ms is None


def test_an_empty_file_says_so(run: Any) -> None:
    done = run("")
    assert done.exit_code == 1
    assert "No outcome was stored" in done.output


@pytest.mark.gen_test
async def test_the_answers_about_a_log_are_those_computed_from_its_lines(run: Any, database_url: str) -> None:
    chance = random.Random(4)
    now = int(time.time())
    times = [round(chance.lognormvariate(-3, 1.2), 3) for _ in range(3000)]
    statuses = [chance.choice([200, 200, 200, 404, 502]) for _ in times]
    log = "".join(
        line(now - n // 40, status, f"/p/{n}", f" rt={seconds:.3f}")
        for n, (seconds, status) in enumerate(zip(times, statuses, strict=True))
    )
    assert (await asyncio.get_running_loop().run_in_executor(None, lambda: run(log))).exit_code == 0
    db = Database(database_url, "test")
    async with db.ask() as connection:
        (answer,) = await summary(connection, "shop", 3600, time.time())
    await db.close()
    assert answer.volume == 3000
    assert answer.error_ratio == statuses.count(502) / 3000
    for share, told in ((0.5, answer.p50_ms), (0.95, answer.p95_ms), (0.99, answer.p99_ms)):
        true = sorted(times)[math.ceil(share * 3000) - 1] * 1000
        assert told == pytest.approx(true, rel=0.01)
