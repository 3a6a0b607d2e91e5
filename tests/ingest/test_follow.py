"""A log that is followed: across rotations, stops and kills each of its lines counts once."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from server.__main__ import main
from server.ingest.access_log import follow as following
from server.ingest.access_log.follow import Follow, FollowTerms
from server.ingest.access_log.importer import Importer
from server.ingest.access_log.log_form import GrowingForm
from server.ingest.access_log.log_pipe import LogPipe
from server.kernel.db import Database
from server.kernel.errors import ApiError
from server.kernel.settings import read_environment
from server.receivers.access_log.latency import LogAsk
from tests.conftest import variables
from tests.ingest.making import rows, value
from tests.ingest.test_import import line
from tests.waiting import until, wait_for


class Followed:
    """A log that is followed in this process, and what is stored of it."""

    def __init__(self, database_url: str, directory: Path) -> None:
        self.url = database_url
        self.path = directory / "access.log"
        self.env = read_environment(variables(database_url, directory))
        self.told: list[str] = []
        self.importers: list[Importer] = []

    def write(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)

    @property
    def stored(self) -> int:
        return int(value(self.url, "SELECT coalesce(sum(n), 0)::int FROM deltas"))

    @asynccontextmanager
    async def running(self, *, piped: int | None = None) -> AsyncIterator[Importer]:
        db = Database(self.url, "test")
        importer = Importer(self.env, db, lambda _: (), "shop", tell=True, live=True)
        await importer.make_partitions()
        terms = FollowTerms(GrowingForm(LogAsk(), UTC), asyncio.Event(), self.told.append, lambda: None)
        follow = Follow(importer, self.path, terms) if piped is None else LogPipe(importer, piped, terms)
        task = asyncio.ensure_future(follow.run())
        try:
            yield importer
        finally:
            terms.stop.set()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await importer.close()
            await db.close()

    async def reaches(self, count: int) -> None:
        await until(lambda: self.stored >= count, f"{count} outcomes of {self.stored}")
        assert self.stored == count


@pytest.fixture
def followed(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Followed:
    monkeypatch.setattr(following, "POLL_S", 0.01)
    monkeypatch.setattr(following, "QUIET_S", 0.2)
    return Followed(database_url, tmp_path)


@pytest.mark.gen_test
async def test_each_line_counts_once_across_rotations(followed: Followed) -> None:
    log, now = followed.path, time.time()
    one, two = line(now), line(now, 500, "/b")
    async with followed.running():
        followed.write(one + two[:40])  # it did not exist yet, and its second line comes in two halves
        await followed.reaches(1)
        followed.write(two[40:] + one)
        await followed.reaches(3)
        log.rename(log.with_name("access.log.1"))
        followed.write(two)
        await followed.reaches(4)
        with log.with_name("access.log.1").open("a") as old:  # until the server opens the new one
            old.write(one + two.rstrip("\n"))  # and its last line has no end
        await followed.reaches(6)
        log.unlink()
        followed.write(one * 3)
        await followed.reaches(9)
        shutil.copy(log, log.with_name("access.log.2"))
        with log.with_name("access.log.2").open("a") as copied:
            copied.write(two)  # written before it was copied, not read before it was emptied
        log.write_text(two + one)
        await followed.reaches(12)
    assert any("emptied" in text for text in followed.told)
    assert rows(followed.url, "SELECT process_id FROM writers") == [(-1,)]  # the watch tells of them
    log.rename(log.with_name("access.log.1"))  # while nobody follows
    with log.with_name("access.log.1").open("a") as old:
        old.write(one * 2)
    followed.write(two)
    async with followed.running():
        await followed.reaches(15)


@pytest.mark.gen_test
async def test_what_was_stored_before_its_place_was_kept_counts_once(followed: Followed) -> None:
    """As where it is killed between the two; by the next time more has come."""
    text = line(time.time()) + line(time.time(), rest="")
    followed.write(text)

    async def killed(*_: Any) -> None:
        raise ApiError("INTERNAL", "killed")

    with pytest.raises(ApiError, match="killed"):
        await until_killed(followed, killed)
    followed.write(text)
    async with followed.running() as importer:
        await followed.reaches(4)
    assert (importer.report.known, importer.report.stored) == (2, 2)


async def until_killed(followed: Followed, killed: Any) -> None:
    async with followed.running() as importer:
        importer.move = killed  # type: ignore[method-assign]
        await followed.reaches(2)


@pytest.mark.gen_test
async def test_it_waits_for_the_database(followed: Followed) -> None:
    followed.write(line(time.time()))
    async with followed.running() as importer:
        await followed.reaches(1)
        store = importer.store

        async def away(*_: Any) -> Any:
            raise ApiError("UNAVAILABLE", "The database does not answer.")

        importer.store = away  # type: ignore[method-assign]
        followed.write(line(time.time()) * 2)
        await until(lambda: any("does not answer" in text for text in followed.told), "being told")
        followed.path.rename(followed.path.with_name("access.log.1"))
        followed.write(line(time.time(), path="/new"))
        importer.store = store  # type: ignore[method-assign]
        await followed.reaches(4)
    assert "Storing again." in followed.told


@pytest.mark.gen_test
async def test_two_machines_whose_logs_begin_alike_are_two(followed: Followed, tmp_path: Path) -> None:
    first = line(time.time())
    followed.write(first)
    async with followed.running():
        await followed.reaches(1)
        followed.path = tmp_path / "other" / "access.log"
        followed.path.parent.mkdir()
        followed.write(first)
        async with followed.running():
            await followed.reaches(2)
            followed.write(first)
            await followed.reaches(3)


@pytest.mark.gen_test
async def test_a_pipe_is_followed_to_its_end(followed: Followed) -> None:
    reads, writes = os.pipe()
    async with followed.running(piped=reads):
        os.write(writes, (line(time.time()) + line(time.time())[:30]).encode())
        await followed.reaches(1)
        os.write(writes, line(time.time())[30:].rstrip("\n").encode())
        os.close(writes)
        await followed.reaches(2)
    os.close(reads)


@pytest.fixture
def command(database_url: str, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "server", "import", *arguments, "--service", "shop"],
            env=os.environ | variables(database_url, tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_killed_and_stopped_it_goes_on_where_it_was(
    command: Callable[..., subprocess.Popen[str]], database_url: str, tmp_path: Path
) -> None:
    """By the real command; then the same log, packed, has nothing new for a plain import."""
    log, text = tmp_path / "access.log", "".join(line(time.time(), path=f"/{n}") for n in range(5_000))
    log.write_text(text)
    count = "SELECT coalesce(sum(n), 0)::int FROM deltas"
    first = command(str(log), "--follow")
    wait_for(lambda: value(database_url, count) > 0, "the first outcomes")
    first.kill()
    said, _ = first.communicate()
    assert said.startswith(f"Following {log} ({len(text):,} bytes so far), as shop.\n")
    assert "access.log: read as one request a line" in said
    with log.open("a") as file:
        file.write(text)
    second = command(str(log), "--follow")
    wait_for(lambda: value(database_url, count) >= 10_000, "all of them")
    second.send_signal(signal.SIGTERM)
    output, _ = second.communicate()
    assert second.returncode == 0, output
    assert "Latency: rt=, in s" in output
    assert value(database_url, count) == 10_000
    packed = tmp_path / "access.log.1.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    again = CliRunner().invoke(
        main, ["import", str(packed), "--service", "shop"], env=variables(database_url, tmp_path)
    )
    assert "10,000 lines of it stored before: each counts once." in again.output
    assert "Nothing of it is new" in again.output
    assert (again.exit_code, value(database_url, count)) == (0, 10_000)


def test_what_was_rotated_is_known_by_its_name(tmp_path: Path) -> None:
    """logrotate's names, with and without dates and endings, and Caddy's; no other log beside it."""
    ours = {
        "access.log.1", "access.log.2.gz", "access.log-20261130", "access-20261130.log", "access.log-20261130.gz",
        "access-2026-11-30T15-00-00.000.log", "access-2026-11-30T15-00-00.000.log.gz",
    }  # fmt: skip
    for name in ours | {"access.log", "access.log.bak", "access-shop.log", "access.log.1.tmp", "error.log.1"}:
        (tmp_path / name).touch()
    assert {one.name for one in following.rotated(tmp_path / "access.log")} == ours
