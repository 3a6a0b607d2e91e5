"""`import --url`: a log is sent to an Evenkeel elsewhere, and each of its lines counts once, whatever breaks."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from server.__main__ import main
from server.ingest.access_log import log_sender
from server.ingest.access_log.log_place import LogPlace
from server.ingest.access_log.log_taking import LogPart, Report
from server.ingest.access_log.sent_log import SentLog, sent_directory
from server.ingest.batch import Claim
from server.ingest.outcome import Outcome
from server.kernel.errors import ApiError, ConfigurationError
from server.kernel.remote import NotAsked, RemoteAnswer, post_bytes
from server.kernel.settings import read_environment
from tests.conftest import variables
from tests.ingest.making import rows, value
from tests.ingest.test_import import line
from tests.site import Site

COUNT = "SELECT count(*)::int FROM outcomes"


class Killed(BaseException):
    """As kill -9: nothing is done after it."""


class Elsewhere:
    """A machine with a log and the command, and no database."""

    def __init__(self, site: Site, key: str, directory: Path) -> None:
        self.site, self.key = site, key
        self.path = directory / "access.log"
        self.data = directory / "elsewhere"

    async def sends(self, *options: str) -> Result:
        arguments = ["import", str(self.path), "--service", "shop", "--url", self.site.url, *options]
        env = {"EVENKEEL_API_KEY": self.key, "DATA_DIR": str(self.data), "DATABASE_URL": ""}
        return await asyncio.to_thread(lambda: CliRunner().invoke(main, arguments, env=env))


@pytest.fixture
def elsewhere(web: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    async def start(*scopes: str, **overrides: str) -> Elsewhere:
        site = await web(**overrides)
        return Elsewhere(site, await site.key(*(scopes or ("ingest",))), tmp_path)

    return start


@pytest.mark.gen_test
async def test_a_log_is_sent_and_what_is_new_of_it_later(
    elsewhere: Callable[..., Any], database_url: str, tmp_path: Path
) -> None:
    """With latency where lines have one, and none where they do not; more than one request can hold."""
    here, now = await elsewhere(), time.time()
    here.path.write_text("".join(line(now - n % 50, 500 if n % 10 == 0 else 200) for n in range(1_500)))
    with here.path.open("a") as file:
        file.write("".join(line(now - n, rest="") for n in range(10)) + line(now - 3000 * 86400))
    done = await here.sends()
    assert done.exit_code == 0, done.output
    assert "1,510 outcomes stored" in done.output
    assert "1 line left out" in done.output
    assert rows(
        database_url, "SELECT count(*), count(duration_us), count(*) FILTER (WHERE bad), max(duration_us) FROM outcomes"
    ) == [(1_510, 1_500, 150, 20_000)]
    again = await here.sends()
    assert "Nothing of it is new" in again.output
    with here.path.open("a") as file:
        file.write(line(now))
    assert "1 outcome stored" in (await here.sends()).output
    assert value(database_url, COUNT) == 1_511


@pytest.mark.gen_test
async def test_what_breaks_loses_nothing_and_doubles_nothing(
    elsewhere: Callable[..., Any], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Busy, away, an answer that is lost, kill -9 before an answer and after it, and a body that is too large."""
    here, now = await elsewhere(), time.time()
    here.path.write_text("".join(line(now - n % 50, path=f"/{n % 3}x") for n in range(2_600)))
    tried: list[float] = []
    keys: list[str] = []

    def breaking(address: str, api_key: str, body: bytes, headers: dict[str, str]) -> RemoteAnswer:
        tried.append(time.monotonic())
        keys.append(headers["Idempotency-Key"])
        match len(tried):
            case 1:
                return RemoteAnswer(503, b'{"code":"UNAVAILABLE","detail":"away"}', 1.0)
            case 2:
                post_bytes(address, api_key, body, headers)
                raise NotAsked("the connection was lost")
            case 4:
                raise Killed
            case 5:
                post_bytes(address, api_key, body, headers)
                raise Killed
            case 7:
                return RemoteAnswer(413, b'{"code":"BATCH_TOO_LARGE","detail":"too many"}')
        return post_bytes(address, api_key, body, headers)

    monkeypatch.setattr(log_sender, "post_bytes", breaking)
    for _ in range(2):
        with pytest.raises(Killed):
            await here.sends()
    done = await here.sends()
    assert done.exit_code == 0, done.output
    assert value(database_url, COUNT) == 2_600
    assert tried[1] - tried[0] >= 1.0  # Retry-After
    assert keys[0] == keys[1] == keys[2]
    assert keys[3] == keys[4] == keys[5] != keys[0], "what was answered is not sent again"
    assert keys[7] == keys[6] + "a"


@pytest.mark.gen_test
async def test_what_it_cannot_send_it_says_and_keeps(elsewhere: Callable[..., Any], database_url: str) -> None:
    here = await elsewhere("read")
    here.path.write_text(line(time.time()))
    done = await here.sends()
    assert done.exit_code != 0
    assert "answers 403" in done.output
    here.key = await here.site.key("ingest", name="right")
    assert "1 line" in (await here.sends()).output
    assert value(database_url, COUNT) == 1
    here.key = ""
    assert "EVENKEEL_API_KEY is not set to a key" in (await here.sends()).output


@pytest.mark.gen_test
async def test_one_that_is_sending_keeps_others_from_the_same_log(
    elsewhere: Callable[..., Any], database_url: str, tmp_path: Path
) -> None:
    here = await elsewhere()
    here.path.write_text(line(time.time()))
    env = read_environment(variables(database_url, here.data))
    first = log_sender.LogSender(env, log_sender.Receiver(here.site.url, here.key), "shop")
    await first.places(log_sender_known(here.path))
    assert "Another command is sending" in (await here.sends()).output
    await first.close()
    assert (await here.sends()).exit_code == 0


def log_sender_known(path: Path) -> bytes:
    """By what the log is known."""
    from server.ingest.access_log.log_place import known_by

    return known_by("shop", path.read_bytes().splitlines()[0], moved=False)


class Answers:
    """An Evenkeel that knows the keys which it has not forgotten, and counts outcomes."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.posts = self.counted = 0
        self.killed_at = 0  # before the post of this number is there
        self.answer: RemoteAnswer | None = None

    def post(self, address: str, api_key: str, body: bytes, headers: dict[str, str]) -> RemoteAnswer:
        self.posts += 1
        if self.posts == self.killed_at:
            raise Killed
        if self.answer is not None:
            return self.answer
        lines = len(gzip.decompress(body).splitlines())
        if headers["Idempotency-Key"] not in self.keys:
            self.keys.add(headers["Idempotency-Key"])
            self.counted += lines
        return RemoteAnswer(201, b'{"accepted":%d}' % lines)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Answers:
    answers = Answers()
    monkeypatch.setattr(log_sender, "post_bytes", answers.post)
    return answers


def sender_in(data_dir: Path) -> log_sender.LogSender:
    env = read_environment({"DATA_DIR": str(data_dir), "SECRET_KEY": "k" * 64})
    return log_sender.LogSender(env, log_sender.Receiver("http://there", "key"), "shop")


KNOWN, DIGEST = b"k" * 16, b"d" * 16


async def sends_part(sender: log_sender.LogSender, lines: int) -> None:
    """Send what of it is not there yet."""
    outcome = Outcome(service="shop", route="/", method="GET", status=200, duration_ms=1.0)
    part = LogPart(True, [outcome] * lines, [1_700_000_000_000_000 + n for n in range(lines)])
    place = LogPlace(100, lines, b"t" * 16, 1)
    if not await sender.places(KNOWN):
        sender.prepare(KNOWN, 0, place, {DIGEST: part})
        await sender.store(part, Claim(DIGEST, b"", b""))
        await sender.move(KNOWN, 0, place, Report())


async def command(data_dir: Path) -> None:
    """A process that sends it."""
    sender = sender_in(data_dir)
    try:
        await sends_part(sender, 2_500)
    finally:
        await sender.close()


def test_what_was_answered_is_not_sent_again_after_its_keys_are_forgotten(there: Answers, tmp_path: Path) -> None:
    there.killed_at = 3
    with pytest.raises(Killed):
        asyncio.run(command(tmp_path))
    assert there.counted == 2_000
    there.keys.clear()
    asyncio.run(command(tmp_path))
    assert there.counted == 2_500


def test_a_directory_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=f"DATA_DIR is {tmp_path}/file/x, which cannot be written to"):
        read_environment({"DATA_DIR": str(tmp_path / "file" / "x")})
    (tmp_path / "sent").touch()
    with pytest.raises(ApiError, match=f"{tmp_path} cannot be written to .*set DATA_DIR"):
        sender_in(tmp_path)


def test_a_full_disk_is_waited_for(there: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent, which is on disk first; and after it, when it is not sent again."""
    fsync, room = os.fsync, [0]

    def full(descriptor: int) -> None:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ApiError, match="No space left on device") as waits:
        asyncio.run(command(tmp_path))
    assert (waits.value.code, there.posts) == ("UNAVAILABLE", 0)

    async def goes_on() -> None:
        sender = sender_in(tmp_path)
        room[0] = 2  # what is next, and not that it was sent
        for posts in (1, 1):
            with pytest.raises(ApiError, match="No space left on device"):
                await sends_part(sender, 2_500)
            assert there.posts == posts
        room[0] = 100
        await sends_part(sender, 2_500)
        await sender.close()

    asyncio.run(goes_on())
    assert (there.posts, there.counted) == (3, 2_500)


def test_what_waits_long_keeps_no_error_and_asks_within_a_minute(there: Answers, tmp_path: Path) -> None:
    there.answer = RemoteAnswer(503, b'{"code":"UNAVAILABLE","detail":"away"}', 86_400.0)

    async def waits() -> list[ApiError]:
        sender, told = sender_in(tmp_path), []
        for _ in range(3):
            with pytest.raises(ApiError, match="answers 503: away") as waiting:
                await sends_part(sender, 1)
            told.append(waiting.value)
        await sender.close()
        return told

    told = asyncio.run(waits())
    assert there.posts == 1
    assert len({id(one) for one in told}) == 3, "else its traceback grows"
    assert [one.retry_after for one in told] == [60, 60, 60]


def test_what_is_kept_of_an_old_log_goes_whole_unless_it_is_being_sent(tmp_path: Path) -> None:
    directory = sent_directory(tmp_path, "http://there")
    old, new, used, begun = (directory / f"{name * 32}.json" for name in "abcd")
    for path in (old, new, used):
        path.write_text('{"version":1}')
        path.with_suffix(".lock").touch()
    old.with_suffix(".new").touch()
    begun.with_suffix(".lock").touch()  # killed before it wrote anything
    for path in (old, used, begun.with_suffix(".lock")):
        os.utime(path, (0, 0))
    sending = SentLog(directory, bytes.fromhex(used.stem))
    sent_directory(tmp_path, "http://there")
    assert {path.stem for path in directory.iterdir()} == {new.stem, used.stem}
    sending.close()
