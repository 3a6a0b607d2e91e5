from __future__ import annotations

import asyncio
import gzip
import math
import os
import random
import subprocess
import sys
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
    def run(text: str | bytes, *options: str, piped: bool = False) -> Any:
        file = tmp_path / "access.log"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        arguments = ["import", "-" if piped else str(file), "--service", "shop", *options]
        given = file.read_bytes() if piped else None
        return CliRunner().invoke(main, arguments, env=variables(database_url, tmp_path), input=given)

    return run


def test_a_log_is_stored_with_its_times(run: Any, database_url: str) -> None:
    now = int(time.time())
    log = "".join(line(now - n, 500 if n % 10 == 0 else 200) for n in range(100)) + "broken line\n\n"
    done = run(log)
    assert done.exit_code == 0, done.output
    assert "100 outcomes stored" in done.output
    assert "1 line is not understood" in done.output
    assert "access.log:101: it is no request with its time and status: broken line" in done.output
    assert "Latency: rt=, in s; p50 20 ms.\n  20 ms by this line: 1.2.3.4" in done.output
    assert rows(
        database_url, "SELECT extract(epoch FROM at)::bigint, duration_us, bad FROM outcomes ORDER BY at LIMIT 2"
    ) == [(now - 99, 20_000, False), (now - 98, 20_000, False)]
    assert value(database_url, "SELECT sum(n) FROM deltas") == 100
    assert value(database_url, "SELECT sum(bad) FROM deltas") == 10
    assert rows(database_url, "SELECT receiver, reason, items, said FROM received ORDER BY reason") == [
        ("Access log", "accepted", 100, ""),
        ("Access log", "not understood", 1, "it is no request with its time and status"),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Nov 30 15:00:00 web kernel: eth0 up\n" * 3, "none of its 3 lines is a request with its time and status"),
        ("import os\n", "Line 1: it is no request with its time and status: import os"),
        ('{"level":"info","msg":"ready","port":8000}\n' * 2, "is no access log that is known here"),
        ('INFO:     127.0.0.1:4 - "GET /a HTTP/1.1" 200 OK\n', "its server can be told to print one"),
        ("#Version: 1.0\n#Fields: date time\n", "has no line that tells of a request"),
        ("\n", "has no line that tells of a request"),
    ],
)
def test_a_file_that_is_no_access_log_is_refused(run: Any, database_url: str, text: str, says: str) -> None:
    done = run(text)
    assert done.exit_code == 1
    assert says in done.output
    assert "Read as" not in done.output
    assert value(database_url, "SELECT count(*) FROM received") == 0


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
    assert "1 line left out" in done.output
    newest = value(database_url, "SELECT extract(epoch FROM max(at))::float8 FROM outcomes")
    assert time.time() - 20 < newest <= time.time()
    assert value(database_url, "SELECT extract(epoch FROM max(at) - min(at))::int FROM outcomes") == 9


def test_several_batches_and_latency_thresholds_of_the_policy(
    run: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.ingest.access_log.log_file.CHUNK_BYTES", 600)
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
    monkeypatch.setattr("server.ingest.access_log.log_file.CHUNK_BYTES", 2000)
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


def test_requests_without_an_answer_are_told_and_are_what_the_caller_says(run: Any, database_url: str) -> None:
    now = time.time()
    log = line(now).replace(" 200 ", " - ") + line(now, 499) + line(now) + line(now).replace("GET /a HTTP/1.1", "-")
    done = run(log)
    assert "2 requests without a whole answer (status -: 1, status 499: 1): stored as failed" in done.output
    assert '1 line is no request, and counts nowhere:\n  access.log:4: "-" is no request line' in done.output
    assert value(database_url, "SELECT array_agg(bad ORDER BY bad) FROM outcomes") == [False, True, True]
    assert "stored as not failed" in run(log, "--aborted", "good", "--service", "b").output
    assert value(database_url, "SELECT sum(bad) FROM deltas") == 2
    assert "3 outcomes" not in run(log, "--aborted", "apart", "--service", "c").output
    assert value(database_url, "SELECT count(*) FROM outcomes") == 3 + 3 + 1


def test_only_what_carries_traffic_has_a_route(
    run: Any, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's paths come first in the log, more of them than routes are counted."""
    monkeypatch.setenv("ROUTES_MAX", "3")
    now = time.time()
    strange = "".join(line(now, 404, f"/wp-{n}.php") for n in range(20)) + "".join(
        line(now, 403, f"/.git/x{n}") for n in range(3)
    )
    own = line(now, path="/cart;jsessionid=1A") + line(now, path="/cart;jsessionid=2B") + line(now, 404, "/cart")
    done = run(strange + own + line(now, path="/pay") * 2)
    assert "3 outcomes are of routes over ROUTES_MAX, counted under (other)" in done.output
    found = rows(
        database_url, "SELECT route, sum(n)::int FROM deltas JOIN series s ON s.id = series_id GROUP BY 1 ORDER BY 1"
    )
    assert found == [("(not found)", 20), ("(other)", 3), ("/cart", 3), ("/pay", 2)]


@pytest.mark.parametrize("years", [10, -10])
def test_one_stray_date_decides_nothing(run: Any, database_url: str, years: int) -> None:
    old = time.time() - 9 * 86400
    log = "".join(line(old + n) for n in range(50)) + line(old + years * 365 * 86400)
    done = run(log, "--shift")
    assert "50 outcomes stored" in done.output
    assert "1 line left out: its time is not taken" in done.output
    assert "access.log:51: is " in done.output
    newest = value(database_url, "SELECT extract(epoch FROM max(at))::float8 FROM outcomes")
    assert time.time() - 20 < newest <= time.time()


def test_a_stray_date_within_an_old_log(run: Any) -> None:
    """Not ahead of now, but years after all other lines."""
    old = time.time() - 3000 * 86400
    done = run("".join(line(old + n) for n in range(50)) + line(old + 2000 * 86400), "--shift")
    assert "50 outcomes stored" in done.output


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_pipes_and_gzip_are_moved_to_now_as_well(run: Any, piped: bool, packed: bool) -> None:
    text = "".join(line(time.time() - 3000 * 86400 + n) for n in range(10)).encode()
    done = run(gzip.compress(text) if packed else text, "--shift", piped=piped)
    assert done.exit_code == 0, done.output
    assert "10 outcomes stored" in done.output


def test_a_pipe_of_the_shell(database_url: str, tmp_path: Path) -> None:
    """A real process, a real pipe: it comes once."""
    log = tmp_path / "access.log"
    log.write_text("".join(line(time.time() - 3000 * 86400 + n) for n in range(10)))
    with subprocess.Popen(["cat", str(log)], stdout=subprocess.PIPE) as cat:
        done = subprocess.run(
            [sys.executable, "-m", "server", "import", "/dev/stdin", "--service", "shop", "--shift"],
            stdin=cat.stdout,
            env=os.environ | variables(database_url, tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
    assert "10 outcomes stored" in done.stdout, done.stderr


def test_a_gzip_that_is_broken_off_says_so_and_keeps_what_came(run: Any) -> None:
    chance = random.Random(1)
    text = "".join(line(time.time() - n, path="/" + chance.randbytes(9).hex()[:15]) for n in range(2000)).encode()
    done = run(gzip.compress(text)[:-500])
    assert "outcomes stored" in done.output
    assert "broken off or damaged" in done.output


@pytest.mark.parametrize(("head", "name"), [(b"BZh9", "bzip2"), (b"\xfd7zXZ", "xz"), (b"PK\x03\x04", "zip")])
def test_what_is_packed_otherwise_is_named(run: Any, head: bytes, name: str) -> None:
    done = run(head + b"\0" * 100)
    assert done.exit_code == 1
    assert f"is packed with {name}" in done.output


def test_a_line_without_an_end_is_bounded(run: Any) -> None:
    done = run(line(time.time()) + "x" * 5_000_000 + "\n" + line(time.time()))
    assert "2 outcomes stored" in done.output
    assert "access.log:2: it is longer than 65,536 bytes" in done.output


def test_what_a_stranger_wrote_steers_no_terminal(run: Any) -> None:
    done = run(line(time.time()) + "\x1b[2J\x1b]0;owned\x07 \u202egpj\x9b\n")
    assert done.output.isprintable() or "\x1b" not in done.output
    assert "\\x1b[2J\\x1b]0;owned\\x07 \\u202egpj\\x9b" in done.output


def test_no_latency_says_which_numbers_there_are(run: Any) -> None:
    done = run(line(time.time(), rest=" 412 1465") * 3)
    assert "No latency: its bare numbers (1: 412, 2: 1465) say neither" in done.output
    done = run(line(time.time(), rest=" 412 1465") * 3, "--time", "2", "--unit", "ms", "--service", "b")
    assert "size, in ms; p50 1.47 s.\n  1.47 s by this line: " in done.output


def test_the_servers_own_format(run: Any, database_url: str) -> None:
    """Apache: its time is the start, and the outcome stands at its end."""
    at = int(time.time()) - 60
    format_ = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D'
    done = run(line(at, rest=" 2500000"), "--format", format_)
    assert done.exit_code == 0, done.output
    assert "Latency: %D, in us; p50 2.5 s." in done.output
    assert "as when its request came" in done.output
    assert value(database_url, "SELECT extract(epoch FROM at)::float8 FROM outcomes") == at + 2.5
    assert run(line(at, rest=" 2500000"), "--format", format_, "--stamp", "end", "--service", "b").exit_code == 0
    assert value(database_url, "SELECT min(extract(epoch FROM at))::float8 FROM outcomes") == at


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "nothing"], "has no directive"),
        (["--time", "wait", "--unit", "s"], "no line has wait="),
        (["--time", "1"], "no line has number 1"),
        (["--zone", "Europe/Nowhere"], "is no time zone"),
    ],
)
def test_what_is_asked_for_and_is_not_there_is_said(run: Any, options: list[str], words: str) -> None:
    done = run(line(time.time()), *options)
    assert done.exit_code == 2
    assert words in done.output


def test_times_without_a_zone_are_said_to_be_utc(run: Any, database_url: str) -> None:
    at = int(time.time()) - 86400
    log = line(at).replace(" +0000]", "]")
    assert "1 times name no zone: read as UTC; --zone says another" in run(log).output
    assert "read as Asia/Tokyo" in run(log, "--zone", "Asia/Tokyo", "--service", "b").output
    assert value(database_url, "SELECT extract(epoch FROM max(at) - min(at))::int FROM outcomes") == 9 * 3600


def test_an_import_counts_and_tells_nobody_unless_it_is_to(run: Any, database_url: str) -> None:
    """The watch looks at who wrote: 0 is a command, whose outcomes only count."""
    run(line(time.time()))
    assert rows(database_url, "SELECT process_id FROM writers") == [(0,)]
    run(line(time.time()), "--tell", "--service", "b")
    assert rows(database_url, "SELECT process_id FROM writers ORDER BY id") == [(0,), (-1,)]


DATA = Path(__file__).resolve().parents[3] / "shared/data/faults"


@pytest.mark.parametrize(
    ("name", "stored", "durations"),
    [
        ("combinedio.log", 5, []),
        ("gzip_ratio.log", 5, []),
        ("whole_seconds_T.log", 5, []),
        ("rt_then_upstream_list.log", 1, [5_040_000]),
        ("cookie_rt.log", 1, []),
        ("aborted_status_dash.log", 2, []),
        ("one_future_line.log", 50, []),
        ("jsessionid.log", 120, []),
    ],
)
def test_the_shared_faults(run: Any, database_url: str, name: str, stored: int, durations: list[int]) -> None:
    """Where ../shared/data is there; the forms stand in tests/receivers without it."""
    if not (DATA / name).exists():
        return
    assert f"\n{stored} outcome" in run((DATA / name).read_bytes(), "--shift").output
    found = rows(database_url, "SELECT duration_us FROM outcomes WHERE duration_us IS NOT NULL")
    assert [one for (one,) in found] == durations


@pytest.mark.parametrize("rest", [" rt=0.020", ""])
def test_a_log_counts_once_however_often_it_is_given(run: Any, database_url: str, rest: str) -> None:
    """As a file, in a pipe, packed, and grown since; moved to now it is another log, once too."""
    now = time.time()
    text = "".join(line(now - n, path=f"/{n}", rest=rest if n % 3 else "") for n in range(50))
    more = line(now, path="/more", rest=rest)
    assert "50 outcomes stored" in run(text).output
    for given, piped in ((text, False), (text, True), (gzip.compress(text.encode()), True)):
        done = run(given, piped=piped)
        assert (done.exit_code, "Nothing of it is new" in done.output) == (0, True), done.output
    done = run(text + more)
    assert "1 outcome stored" in done.output
    assert "50 lines of it stored before: each counts once." in done.output
    assert value(database_url, "SELECT sum(n) FROM deltas") == 51
    assert "51 outcomes stored" in run(text + more, "--service", "other").output
    old = "".join(line(now - 3000 * 86400 + n) for n in range(5))
    assert "5 outcomes stored" in run(old, "--shift").output
    assert "Nothing of it is new" in run(old, "--shift").output
