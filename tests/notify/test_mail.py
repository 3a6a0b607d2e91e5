"""E-mail through a real SMTP server: the words, the ids, and when a password is not sent."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest

from server.kernel.errors import ConfigurationError
from server.kernel.settings import MailServer, mail_server
from server.notify import mail
from tests.conftest import MakeEnv
from tests.notify.making import notice
from tests.notify.sending import office
from tests.notify.smtp import MailBox, mail_box
from tests.waiting import PATIENCE_S, until

MESSAGE = mail.mail("e@example.com", "x@example.com", "s", "t", key="k/1", now=0.0)


async def arrives(server: MailServer, box: MailBox) -> None:
    """One mail, from who has signed in."""
    await mail.send(server, MESSAGE)
    assert box.logins == ["\0mira\0s3cret"]
    assert len(box.came) == 1


@pytest.mark.gen_test
async def test_an_alert_by_mail(make_env: MakeEnv) -> None:
    async with mail_box() as box:
        env = make_env(SMTP_URL=f"smtp://127.0.0.1:{box.port}", SMTP_FROM="Evenkeel <evenkeel@example.com>")
        async with office(env) as at, at.sending():
            at.desk.target("boss", "email", "boss@example.com", "")
            alert = at.desk.alert(service="check\nout\u202e")
            await at.tell(notice(alert), notice(alert, "update", now=5.0), notice(alert, "resolve", "Resolved: x."))
            await until(lambda: len(box.came) == 2, "both mails")
        first, last = box.came
        assert first["Subject"] == f"SEV-2: check out, alert {alert.id}"
        assert last["Subject"] == f"Resolved: check out, alert {alert.id}"
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
        box.refuse = refuse
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
    """A byte now and then keeps each wait alive; the whole has an end, and its thread too."""
    monkeypatch.setattr(mail, "WHOLE_S", 0.5)
    heard, closed = bytearray(), asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def hear() -> None:
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
    server = mail_server(f"smtp://127.0.0.1:{dripping.sockets[0].getsockname()[1]}", "e@example.com")
    assert server is not None
    with pytest.raises(TimeoutError):
        await mail.send(server, MESSAGE)
    async with asyncio.timeout(PATIENCE_S):
        await closed.wait()
    assert b"DATA" not in heard
    dripping.close()


@pytest.mark.gen_test
async def test_a_mail_that_waited_too_long_for_its_connection_is_not_sent() -> None:
    """What came first of two: the end, or the connection."""
    async with mail_box() as box:
        server = mail_server(f"smtp://127.0.0.1:{box.port}", "e@example.com")
        assert server is not None
        call = mail.Call()
        call.end()
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(mail.send_now, server, MESSAGE, call)
        assert box.came == []


@pytest.mark.gen_test
async def test_a_password_goes_over_tls_to_who_can_prove_it_or_not_at_all(
    certificate: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with mail_box() as plain:
        server = mail_server(f"smtp://mira:s3cret@127.0.0.1:{plain.port}", "e@example.com")
        assert server is not None
        assert "s3cret" not in repr(server)
        with pytest.raises(mail.NoTls):
            await mail.send(server, MESSAGE)
        assert plain.logins == []
    async with mail_box(certificate) as box:
        server = mail_server(f"smtp://mira:s3cret@127.0.0.1:{box.port}", "e@example.com")
        assert server is not None
        with pytest.raises(ssl.SSLCertVerificationError):
            await mail.send(server, MESSAGE)
        assert box.logins == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        await arrives(server, box)


@pytest.mark.gen_test
async def test_tls_from_the_first_byte(
    certificate: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with mail_box(certificate, smtps=True) as box:
        server = mail_server(f"smtps://mira:s3cret@127.0.0.1:{box.port}", "e@example.com")
        assert server is not None
        with pytest.raises(ssl.SSLCertVerificationError):
            await mail.send(server, MESSAGE)
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
    assert mail_server("", "") is None
