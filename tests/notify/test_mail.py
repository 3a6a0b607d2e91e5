"""E-mail through a real SMTP server: the words, the ids, and when a password is not sent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtplib import SMTPAuthenticationError
from msgspec.structs import replace

from server.kernel.errors import ConfigurationError
from server.kernel.settings import MailServer, mail_server
from server.notify import mail
from server.notify.delivery import ARRIVED, Attempt, deliver
from server.notify.kind import Parcel
from server.notify.retry import GIVE_UP_S
from server.notify.target import Target
from server.telemetry.logs import listen_to_ours
from tests.conftest import MakeEnv
from tests.notify.making import notice
from tests.notify.sending import office
from tests.notify.smtp import MailBox, mail_box
from tests.waiting import PATIENCE_S, until

SAID = "S3CRET-ANSWER"


def server_at(port: int, user: str = "", scheme: str = "smtp") -> MailServer:
    made = mail_server(f"{scheme}://{user}127.0.0.1:{port}", "Evenkeel <evenkeel@example.com>")
    assert made is not None
    return made


def message(text: str = "t") -> EmailMessage:
    return mail.mail(server_at(25), "x@example.com", "s", text, ids=mail.Ids("k/1"), now=0.0)


async def handed_over(make_env: MakeEnv, box: MailBox) -> Attempt:
    """What came of one mail, as a try of the sender."""
    env = make_env(SMTP_URL=f"smtp://127.0.0.1:{box.port}", SMTP_FROM="evenkeel@example.com")
    target = Target(1, "boss", "email", "boss@example.com", "", "", 1)
    return await deliver(env, Parcel(target, "test/1", "test", "Test."))


async def arrives(server: MailServer, box: MailBox) -> None:
    """One mail, from who has signed in."""
    await mail.send(server, message())
    assert box.logins == ["\0mira\0s3cret"]
    assert len(box.came) == 1


@pytest.mark.gen_test
async def test_an_alert_by_mail(make_env: MakeEnv) -> None:
    async with mail_box() as box:
        env = make_env(SMTP_URL=f"smtp://127.0.0.1:{box.port}", SMTP_FROM="Evenkeel <evenkeel@example.com>")
        async with office(env) as at, at.sending():
            at.desk.target("boss", "email", "boss@example.com", "")
            alert = at.desk.alert(service="check\nout\u202e")
            worse = replace(alert, severity=1)
            await at.tell(notice(alert), notice(worse, "update", now=5.0), notice(worse, "resolve", "Recovered: x."))
            await until(lambda: len(box.came) == 2, "both mails")
        first, last = box.came
        assert first["Subject"] == f"SEV-2: check out, alert {alert.id}"
        assert last["Subject"] == first["Subject"], "one thread"
        assert last["In-Reply-To"] == last["References"] == first["Message-ID"]
        assert (first["In-Reply-To"], first["References"]) == (None, None)
        assert (first["To"], first["From"]) == ("boss@example.com", "Evenkeel <evenkeel@example.com>")
        text = first.get_content().replace("\r\n", "\n")
        assert "4.1 % of requests fail (objective 0.1 %)" in text
        assert "UTC" in text
        assert f"{env.public_url}/alerts/{alert.id}\n" in text
        assert first["Message-ID"] == f"<alert-{alert.id}.trigger.1.page.{int(alert.detected_at)}.target-1@example.com>"
        assert first["Message-ID"] != last["Message-ID"]


@pytest.mark.parametrize(("refuse", "left"), [("550 no such person", 0), ("451 later", 1)])
@pytest.mark.gen_test
async def test_who_is_refused_for_good(make_env: MakeEnv, refuse: str, left: int) -> None:
    async with mail_box() as box:
        box.answers["RCPT"] = refuse
        env = make_env(SMTP_URL=f"smtp://127.0.0.1:{box.port}", SMTP_FROM="evenkeel@example.com")
        async with office(env) as at, at.sending():
            at.desk.target("gone", "email", "gone@example.com", "")
            await at.tell(notice(at.desk.alert()))
            await until(lambda: at.desk.rows("SELECT 1 FROM notifications WHERE last_error <> ''"), "an answer")
            assert at.left() == left
            code = refuse.split(maxsplit=1)[0]
            assert at.desk.rows("SELECT last_error FROM notifications") == [
                (f"the mail server refused the receiver: {code}",)
            ]


@pytest.mark.parametrize("greets", [True, False])
@pytest.mark.gen_test
async def test_a_server_that_drips_is_cut_off_and_gets_no_mail_later(
    greets: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then keeps each wait alive; the whole has an end."""
    monkeypatch.setattr(mail, "WHOLE_S", 0.5)
    heard, closed = bytearray(), asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def hear() -> None:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(999):
                    heard.extend(data)
            closed.set()

        hearing = asyncio.create_task(hear())
        if greets:
            writer.write(b"220 box\r\n")
        with contextlib.suppress(ConnectionError):
            while not closed.is_set():
                writer.write(b"250-")
                await writer.drain()
                await asyncio.sleep(0.1)
        await hearing
        writer.close()

    dripping = await asyncio.start_server(drip, "127.0.0.1", 0)
    server = server_at(dripping.sockets[0].getsockname()[1])
    with pytest.raises(TimeoutError):
        await mail.send(server, message())
    async with asyncio.timeout(PATIENCE_S):
        await closed.wait()
    assert b"DATA" not in heard
    dripping.close()


@pytest.mark.gen_test
async def test_a_mail_that_waited_too_long_for_its_connection_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came first of two: the end, or the connection."""
    monkeypatch.setattr(mail, "WHOLE_S", 0.2)
    real, woken = socket.create_connection, threading.Event()

    def late(*args: Any) -> socket.socket:
        woken.wait(PATIENCE_S)
        return real(*args)

    monkeypatch.setattr(socket, "create_connection", late)
    async with mail_box() as box:
        with pytest.raises(TimeoutError):
            await mail.send(server_at(box.port), message())
        woken.set()
        async with asyncio.timeout(PATIENCE_S):
            await box.left.wait()
        assert box.commands == []


@pytest.mark.parametrize("at", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT"])
@pytest.mark.gen_test
async def test_a_server_that_hangs_is_left(make_env: MakeEnv, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "STEP_S", 0.3)
    async with mail_box() as box:
        box.hangs_at = at
        assert await handed_over(make_env, box) == Attempt("no answer in time", GIVE_UP_S)
        async with asyncio.timeout(PATIENCE_S):
            await box.left.wait()
        assert len(box.came) == (at == "CONTENT"), "it may come twice, under one Message-ID"


@pytest.mark.gen_test
async def test_a_server_that_does_not_turn_to_tls_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "STEP_S", 0.3)
    silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    with pytest.raises(TimeoutError):
        await mail.send(server_at(silent.sockets[0].getsockname()[1], scheme="smtps"), message())
    silent.close()


@pytest.mark.gen_test
async def test_look_ups_that_take_long_hold_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name server of the mail server is dead; what else the process looks up, its database for one, is found."""
    real, woken = socket.getaddrinfo, threading.Event()

    def look_up(host: str, *args: Any, **given: Any) -> Any:
        if host == "dead.example.com":
            woken.wait(PATIENCE_S + 30)
        return real(host, *args, **given)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    dead = mail_server("smtp://dead.example.com", "e@example.com")
    assert dead is not None
    waiting = [asyncio.create_task(mail.send(dead, message())) for _ in range(32)]
    await asyncio.sleep(0.3)
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    assert not any(task.done() for task in waiting), "they still wait"
    woken.set()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("at", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT"])
@pytest.mark.gen_test
async def test_a_server_that_closes_early(make_env: MakeEnv, at: str) -> None:
    async with mail_box() as box:
        box.closes_at = at
        assert await handed_over(make_env, box) == Attempt("the mail server closed the connection", GIVE_UP_S)


@pytest.mark.parametrize("how", ["hangs", "closes", "refuses"])
@pytest.mark.gen_test
async def test_what_it_says_when_it_has_the_mail_changes_nothing(
    make_env: MakeEnv, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "GOODBYE_S", 0.2)
    async with mail_box() as box:
        box.hangs_at = "QUIT" if how == "hangs" else ""
        box.closes_at = "QUIT" if how == "closes" else ""
        box.answers = {"QUIT": "550 no"} if how == "refuses" else {}
        assert await handed_over(make_env, box) == ARRIVED
        assert len(box.came) == 1
        assert box.commands[-1] == "QUIT"


@pytest.mark.parametrize(
    ("at", "answer", "error", "patience_s"),
    [
        ("CONNECT", "554", "the mail server refused it: 554", GIVE_UP_S),
        ("CONNECT", "421", "the mail server refused it: 421", GIVE_UP_S),
        ("CONNECT", "SSH-2.0", "it does not answer as a mail server", GIVE_UP_S),
        ("MAIL", "450", "the mail server refused it: 450", GIVE_UP_S),
        ("MAIL", "550", "the mail server refused it: 550", GIVE_UP_S),
        ("RCPT", "450", "the mail server refused the receiver: 450", GIVE_UP_S),
        ("RCPT", "550", "the mail server refused the receiver: 550", 0.0),
        ("DATA", "451", "the mail server refused it: 451", GIVE_UP_S),
        ("DATA", "554", "the mail server refused it: 554", 0.0),
        ("CONTENT", "452", "the mail server refused it: 452", GIVE_UP_S),
        ("CONTENT", "554", "the mail server refused it: 554", 0.0),
    ],
)
@pytest.mark.gen_test
async def test_a_refusal_is_said_in_our_words(
    make_env: MakeEnv, caplog: pytest.LogCaptureFixture, at: str, answer: str, error: str, patience_s: float
) -> None:
    listen_to_ours(logging.INFO)
    async with mail_box() as box:
        box.answers[at] = f"{answer}-{SAID}\r\n{answer} {SAID}"
        assert await handed_over(make_env, box) == Attempt(error, patience_s)
    assert SAID not in caplog.text


@pytest.mark.gen_test
async def test_a_refused_password(certificate: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    async with mail_box(certificate) as box:
        box.answers["AUTH"] = f"535 {SAID}"
        with pytest.raises(SMTPAuthenticationError) as refused:
            await mail.send(server_at(box.port, "mira:s3cret@"), message())
        assert mail.words_of(refused.value) == "the mail server refused the password: 535"
        assert "MAIL" not in box.commands


@pytest.mark.gen_test
async def test_it_announces_the_domain_of_the_sender(
    certificate: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the machine's name, which says something of the network, and which strict servers refuse."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    async with mail_box(certificate) as box:
        await mail.send(server_at(box.port), message())
        assert box.names == ["example.com", "example.com"], "before TLS and within it"


@pytest.mark.gen_test
async def test_what_was_cut_off_does_not_go_out_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server takes a long mail so slowly that it is tried again: the rest of the first is not sent after all."""
    monkeypatch.setattr(mail, "STEP_S", 0.5)
    real = socket.create_connection

    def narrow(*args: Any) -> socket.socket:
        line = real(*args)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return line

    monkeypatch.setattr(socket, "create_connection", narrow)
    taking = socket.create_server(("127.0.0.1", 0))
    taking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    heard, goes_on = bytearray(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (b"220 box", b"250 box", b"250 ok", b"250 ok", b"354 go"):
            writer.write(answer + b"\r\n")
            await reader.readline()
        await goes_on.wait()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 20):
                heard.extend(data)
        writer.close()
        ended.set()

    ended = asyncio.Event()
    server = await asyncio.start_server(slow, sock=taking)
    with pytest.raises(TimeoutError):
        await mail.send(server_at(taking.getsockname()[1]), message(("x" * 70 + "\n") * 15_000))
    goes_on.set()
    async with asyncio.timeout(PATIENCE_S):
        await ended.wait()
    assert not heard.endswith(b"\r\n.\r\n")
    server.close()


@pytest.mark.gen_test
async def test_a_password_goes_over_tls_to_who_can_prove_it_or_not_at_all(
    certificate: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with mail_box() as plain:
        server = server_at(plain.port, "mira:s3cret@")
        assert "s3cret" not in repr(server)
        with pytest.raises(mail.NoTls):
            await mail.send(server, message())
        assert plain.logins == []
    async with mail_box(certificate) as box:
        server = server_at(box.port, "mira:s3cret@")
        with pytest.raises(ssl.SSLCertVerificationError):
            await mail.send(server, message())
        assert box.logins == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        await arrives(server, box)


@pytest.mark.gen_test
async def test_tls_from_the_first_byte(
    certificate: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with mail_box(certificate, smtps=True) as box:
        server = server_at(box.port, "mira:s3cret@", "smtps")
        with pytest.raises(ssl.SSLCertVerificationError):
            await mail.send(server, message())
        assert box.commands == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        await arrives(server, box)


@pytest.mark.parametrize(
    ("url", "sender", "word"),
    [
        ("http://mail.example.com", "e@example.com", "smtp://"),
        ("smtp://", "e@example.com", "smtp://"),
        ("smtp://u:p4ss@mail.example.com:port", "e@example.com", "not a URL"),
        ("smtp://u:p4ss@mail.example.com", "", "SMTP_FROM"),
        ("smtp://u:p4ss@mail.example.com", "Evenkeel", "SMTP_FROM"),
        ("smtp://u:p4ss@mail.example.com", "e@a..b", "SMTP_FROM"),
    ],
)
def test_a_wrong_server_stops_the_start(url: str, sender: str, word: str) -> None:
    with pytest.raises(ConfigurationError, match=word) as told:
        mail_server(url, sender)
    assert "p4ss" not in str(told.value)


def test_defaults() -> None:
    made = mail_server("smtps://u%40x:p%2Fw@mail.example.com", "e@example.com")
    assert made is not None
    assert (made.port, made.tls, made.user, made.password) == (465, True, "u@x", "p/w")
    assert made.domain == "example.com"
    elsewhere = mail_server("smtp://mail.example.com", "Mira <mira@münchen.example>")
    assert elsewhere is not None
    assert elsewhere.domain == "xn--mnchen-3ya.example"
    assert mail_server("", "") is None
