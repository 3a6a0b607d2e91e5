"""What may be connected to: the network is closed, whatever name, answer or redirect leads there."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from server.kernel import outside
from server.kernel.urls import is_private
from server.notify.delivery import Attempt, deliver
from server.notify.kind import Parcel
from server.notify.retry import GIVE_UP_S
from server.notify.target import Target
from server.telemetry.logs import listen_to_ours
from tests.conftest import MakeEnv
from tests.notify.making import SECRET
from tests.notify.receiver import Receiver, receiving
from tests.waiting import PATIENCE_S

PRIVATE = (
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "localhost",
)


@pytest.mark.parametrize("address", PRIVATE)
def test_the_network_is_closed(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::1"])
def test_the_world_is_open(address: str) -> None:
    assert not is_private(address)


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_is_reached_through_ipv6(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for written in (f"::ffff:{address}", f"64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}", f"::{address}"):
        assert is_private(written), written


def hook(url: str) -> Target:
    return Target(1, "ops", "webhook", url, SECRET, "", 1)


async def sent_to(env: Any, url: str) -> Attempt:
    return await deliver(env, Parcel(hook(url), "test/1", "test", "Test."))


Answers = list[list[str]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """A name server: each look-up of hook.example.com takes the next answer; the last one stays."""
    answers: Answers = []
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *args: Any, **given: Any) -> list[Any]:
        if host != "hook.example.com":
            return list(real(host, port, *args, **given))
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [entry for address in found for entry in real(address, port, *args, **given)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return answers


def at_name(receiver: Receiver) -> str:
    return receiver.url.replace("http://127.0.0.1", "http://hook.example.com")


@pytest.mark.gen_test
async def test_a_name_that_leads_to_loopback_is_refused(make_env: MakeEnv, names: Answers) -> None:
    async with receiving() as inside:
        for answer in (["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["169.254.169.254"]):
            names[:] = [answer]
            attempt = await sent_to(make_env(), at_name(inside))
            assert attempt.error.startswith("refused: it has a loopback"), answer
        for written in ("127.0.0.1", "0x7f.1", "2130706433", "127.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"):
            attempt = await sent_to(make_env(), inside.url.replace("127.0.0.1", written))
            assert attempt.error, written
        assert inside.came == []
        names[:] = [["127.0.0.1"]]
        assert (await sent_to(make_env(NOTIFY_ALLOW_PRIVATE="true"), at_name(inside))).error == ""
        assert inside.came[0].headers["Host"].startswith("hook.example.com:")


@pytest.mark.gen_test
async def test_what_was_checked_is_what_is_connected_to(
    make_env: MakeEnv, names: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Public at the first look-up, private at every later one: there is no later one."""
    connected: list[str] = []

    def connect(self: Any, address: tuple[str, int], *args: Any, **given: Any) -> Any:
        connected.append(address[0])
        failed: asyncio.Future[Any] = asyncio.Future()
        failed.set_exception(OSError(101, "Network is unreachable"))
        return failed

    monkeypatch.setattr("tornado.iostream.IOStream.connect", connect)
    async with receiving() as inside:
        names[:] = [["8.8.8.8"], ["127.0.0.1"]]
        assert "unreachable" in (await sent_to(make_env(), at_name(inside))).error
        assert connected == ["8.8.8.8"]
        assert names == [["127.0.0.1"]], "looked up once"
        assert (await sent_to(make_env(), at_name(inside))).error.startswith("refused")
        assert connected == ["8.8.8.8"]


@pytest.mark.gen_test
async def test_over_tls_the_name_is_asked_for_and_has_to_be_proven(
    make_env: MakeEnv, names: Answers, certificate: ssl.SSLContext
) -> None:
    asked: list[str | None] = []
    certificate.sni_callback = lambda connection, name, context: asked.append(name)
    read: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        read.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=certificate)
    names[:] = [["127.0.0.1"]]
    url = f"https://hook.example.com:{server.sockets[0].getsockname()[1]}/"
    attempt = await sent_to(make_env(NOTIFY_ALLOW_PRIVATE="true"), url)
    assert asked == ["hook.example.com"]
    assert "certificate" in attempt.error
    assert not any(read), "nothing was sent to who could not prove the name"
    server.close()


@pytest.mark.gen_test
async def test_redirects_are_not_followed(make_env: MakeEnv) -> None:
    async with receiving() as inside, receiving() as outer:
        outer.answer = lambda came: (302, {"Location": inside.url})
        attempt = await sent_to(make_env(NOTIFY_ALLOW_PRIVATE="true"), outer.url)
        assert "redirects are not followed" in attempt.error
        assert attempt.patience_s == GIVE_UP_S
        assert len(outer.came) == 1
        assert inside.came == []


async def answering(*chunks: bytes) -> tuple[asyncio.Server, str]:
    """A server that reads a request and answers with these bytes, whatever they are."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for chunk in chunks:
            writer.write(chunk)
        await writer.drain()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n" + b"x" * 100_000, True),
        (b"HTTP/1.1 500 No\r\nContent-Length: 999999999\r\n\r\n" + b"x" * 100_000, False),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", False),
        (b"SSH-2.0-OpenSSH\r\n\r\n", False),
        (b"HTTP/1.1 204 None\r\n\r\n", True),
    ],
)
@pytest.mark.gen_test
async def test_a_strange_answer_has_an_end(
    make_env: MakeEnv, answer: bytes, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "REQUEST_S", PATIENCE_S if taken else 1.0)
    server, url = await answering(answer)
    attempt = await sent_to(make_env(NOTIFY_ALLOW_PRIVATE="true"), url)
    assert (attempt.error == "") is taken, attempt
    server.close()


@pytest.mark.gen_test
async def test_nothing_that_a_server_answers_is_repeated(make_env: MakeEnv, caplog: pytest.LogCaptureFixture) -> None:
    """It echoes all that it was sent, wherever an answer has room: the path, the query, the head, the body."""
    listen_to_ours(logging.INFO)
    target = Target(1, "chat", "slack", "", "", "", 1)
    secrets = ("T0KENPATH", "T0KENQUERY", "T0KENBODY", "USERINFO")
    heads = {
        b"1": b"HTTP/1.1 500 %b\r\nX: %b",  # in the reason and a header
        b"2": b"HTTP/1.1 200%b\r\nX: %b",  # in what should be the status
        b"3": b"HTTP/1.1 403 No\r\n%b: %b",  # in what should be the name of a header
        b"4": b"HTTP/1.1 403 No\r\nX: %b\r\n\r\n%b",  # in the body
    }

    came: list[bytes] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n") + await reader.read(9999)
        came.append(request)
        line = b" ".join(request.split())
        writer.write(heads[request.split(b" ", 2)[1][-1:]] % (line, line) + b"\r\n\r\n" + line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    broken = "no answer: Connection closed"
    errors = {"1": "HTTP 500 Internal Server Error", "2": broken, "3": broken, "4": "HTTP 403 Forbidden"}
    for end, error in errors.items():
        address = f"http://USERINFO:p4ss@{place}/services/T0KENPATH?key=T0KENQUERY&{end}"
        parcel = Parcel(replace(target, address=address), "test/1", "test", "T0KENBODY")
        attempt = await deliver(make_env(NOTIFY_ALLOW_PRIVATE="true"), parcel)
        assert attempt.error == error, end
        for sent in (b"T0KENPATH", b"T0KENQUERY", b"T0KENBODY"):
            assert sent in came[-1]  # it had it to repeat
        for secret in secrets:
            assert secret not in attempt.error + caplog.text, end
    assert len(came) == len(errors)
    server.close()


@pytest.mark.gen_test
async def test_look_ups_that_take_long_hold_up_nobody(make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name server of some targets is dead: more of them than the loop has threads."""
    real, woken = socket.getaddrinfo, threading.Event()

    def look_up(host: str, *args: Any, **given: Any) -> Any:
        if host.startswith("dead"):
            woken.wait(PATIENCE_S + 30)
        return real(host, *args, **given)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    env = make_env(NOTIFY_ALLOW_PRIVATE="true")
    async with receiving() as hook:
        waiting = [asyncio.create_task(sent_to(env, f"http://dead{number}.example.com/")) for number in range(32)]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(PATIENCE_S):
            assert (await sent_to(env, hook.url.replace("127.0.0.1", "localhost"))).error == ""
            # What else the process looks up is not held up either: its database, for one.
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        assert not any(task.done() for task in waiting), "they still wait"
        woken.set()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
