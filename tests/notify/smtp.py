"""A real SMTP server, as small as it can be: it takes messages, or refuses as it is told."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class MailBox:
    """`refuse` is what RCPT is answered with, instead of 250."""

    port: int = 0
    refuse: str = ""
    tls: ssl.SSLContext | None = None
    came: list[EmailMessage] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)


@asynccontextmanager
async def mail_box(tls: ssl.SSLContext | None = None, *, smtps: bool = False) -> AsyncIterator[MailBox]:
    """A mail server on loopback; with `tls` it offers STARTTLS, or with `smtps` speaks TLS from the first byte."""
    box = MailBox(tls=None if smtps else tls)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(box, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls if smtps else None)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()


async def talk(box: MailBox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    def say(text: str) -> None:
        writer.write(f"{text}\r\n".encode())

    say("220 box")
    while line := (await reader.readline()).decode().strip():
        verb = line.split()[0].upper()
        box.commands.append(verb)
        if verb == "EHLO":
            say("250-box\r\n250-AUTH PLAIN" + ("\r\n250 STARTTLS" if box.tls else "\r\n250 OK"))
        elif verb == "STARTTLS":
            say("220 go")
            assert box.tls is not None
            await writer.start_tls(box.tls)
        elif verb == "AUTH":
            box.logins.append(base64.b64decode(line.split()[2]).decode())
            say("235 in")
        elif verb == "RCPT":
            say(box.refuse or "250 ok")
        elif verb == "DATA":
            say("354 go")
            data = (await reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
            box.came.append(message_from_bytes(data, policy=policy.default))  # type: ignore[arg-type]
            say("250 taken")
        else:
            say("221 bye" if verb == "QUIT" else "250 ok")
