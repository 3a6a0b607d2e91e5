"""`import --url`: a log is sent to an Evenkeel elsewhere, and each of its lines counts once, whatever breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from server.__main__ import main
from server.ingest.access_log import log_sender
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
    assert "1510 outcomes stored" in done.output
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
    assert keys[0] == keys[1] == keys[2] == keys[4]
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
