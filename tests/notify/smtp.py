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
    """`answers` holds what a command is answered with instead; CONNECT is the greeting, CONTENT what follows DATA.

    `closes_at` and `hangs_at` name the command that gets no answer.
    """

    port: int = 0
    answers: dict[str, str] = field(default_factory=dict)
    closes_at: str = ""
    hangs_at: str = ""
    tls: ssl.SSLContext | None = None
    came: list[EmailMessage] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)  # that clients gave themselves
    logins: list[str] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)  # a client has gone


@asynccontextmanager
async def mail_box(tls: ssl.SSLContext | None = None, *, smtps: bool = False) -> AsyncIterator[MailBox]:
    """A mail server on loopback; with `tls` it offers STARTTLS, or with `smtps` speaks TLS from the first byte."""
    box = MailBox(tls=None if smtps else tls)
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            await talk(box, reader, writer)
            await reader.read()  # what else it says, until it goes
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            box.left.set()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls if smtps else None)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def talk(box: MailBox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    def say(command: str, text: str) -> None:
        if command == box.closes_at:
            writer.close()
        elif command != box.hangs_at:
            writer.write(f"{box.answers.get(command, text)}\r\n".encode())

    say("CONNECT", "220 box")
    while line := (await reader.readline()).decode().strip():
        verb, _, rest = line.partition(" ")
        box.commands.append(verb)
        if verb == "EHLO":
            box.names.append(rest)
            say(verb, "250-box\r\n250-AUTH PLAIN" + ("\r\n250 STARTTLS" if box.tls else "\r\n250 OK"))
        elif verb == "STARTTLS":
            say(verb, "220 go")
            if box.answers.get(verb, "220").startswith("220") and verb not in (box.hangs_at, box.closes_at):
                assert box.tls is not None
                await writer.start_tls(box.tls)
        elif verb == "AUTH":
            box.logins.append(base64.b64decode(rest.split()[1]).decode())
            say(verb, "235 in")
        elif verb == "DATA":
            say(verb, "354 go")
            if box.answers.get(verb, "354").startswith("354") and verb not in (box.hangs_at, box.closes_at):
                data = (await reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
                box.came.append(message_from_bytes(data, policy=policy.default))
                say("CONTENT", "250 taken")
        else:
            say(verb, "221 bye" if verb == "QUIT" else "250 ok")
