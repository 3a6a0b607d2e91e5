"""One e-mail by SMTP. The operator names the server himself, so its address is not held against him.

The library has no time limits here: its own, by `wait_for`, can swallow a cancellation.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from typing import NamedTuple

import aiosmtplib
from aiosmtplib import SMTP, SMTPConnectError, SMTPException, SMTPHeloError

from server.kernel.outside import POOL
from server.kernel.settings import MailServer

CONNECT_S = 5.0  # to each address of the server
STEP_S = 10.0  # each of: TLS and the greeting, signing in, handing over
WHOLE_S = 20.0  # shorter than a claim: what is tried again is not under way any more
GOODBYE_S = 1.0


class NoTls(Exception):
    """The server offers no TLS, and a password is not sent in clear."""


class Ids(NamedTuple):
    """The key of a message, and that of the first of its thread, empty where it is the first itself."""

    key: str
    answers: str = ""


def mail(server: MailServer, to: str, subject: str, text: str, *, ids: Ids, now: float) -> EmailMessage:
    """The message. The same key gives the same Message-ID, by which mail programs find a second copy, and a thread."""
    message = EmailMessage()
    message["From"] = server.sender
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = formatdate(now)
    message["Message-ID"] = message_id(server, ids.key)
    if ids.answers:
        message["In-Reply-To"] = message["References"] = message_id(server, ids.answers)
    message["Auto-Submitted"] = "auto-generated"  # nobody's absence note answers
    message.set_content(text)
    return message


def message_id(server: MailServer, key: str) -> str:
    return f"<{key.replace('/', '.')}@{server.domain}>"


async def send(server: MailServer, message: EmailMessage) -> None:
    """Hand it to the server. Raises SMTPException, NoTls, OSError, TimeoutError: then it was not handed over whole,
    or the server had not said in time that it has it."""
    smtp = SMTP(hostname=server.host, local_hostname=server.domain, timeout=None, use_tls=server.tls, start_tls=False)
    try:
        async with asyncio.timeout(WHOLE_S):
            await connect(server, smtp)
            async with asyncio.timeout(STEP_S):
                await sign_in(server, smtp)
            async with asyncio.timeout(STEP_S):
                await smtp.send_message(message)
        with contextlib.suppress(SMTPException, OSError):  # it has the message, whatever it says now
            async with asyncio.timeout(GOODBYE_S):
                await smtp.quit()
    finally:
        # Cut off, not closed: what has not gone out must not go out later, when it is tried again.
        if isinstance(smtp.transport, asyncio.WriteTransport):
            smtp.transport.abort()
        smtp.close()


async def connect(server: MailServer, smtp: SMTP) -> None:
    """Connect, by TLS where that comes first, and be greeted.

    The library would look the name up in the threads of the loop, which look up the database too.
    """
    loop = asyncio.get_running_loop()
    context = await asyncio.to_thread(ssl.create_default_context)
    line = await loop.run_in_executor(POOL, socket.create_connection, (server.host, server.port), CONNECT_S)
    try:
        async with asyncio.timeout(STEP_S):
            await smtp.connect(sock=line, tls_context=context)
    except SMTPConnectError as error:
        if isinstance(error.__cause__, OSError):  # why, and not that
            raise error.__cause__ from None
        raise


async def sign_in(server: MailServer, smtp: SMTP) -> None:
    """Turn to TLS where the server offers it, and give the password only then."""
    if not server.tls:
        with contextlib.suppress(SMTPHeloError):  # an old one, which is sent HELO below
            await smtp.ehlo()
        if smtp.supports_extension("starttls"):
            await smtp.starttls()
        elif server.user:
            raise NoTls(f"{server.host} offers no TLS: the password was not sent")
    if server.user:
        await smtp.login(server.user, server.password)


def words_of(error: SMTPException) -> str:
    """A refusal in our words: `the mail server refused the receiver: 550`."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return f"the mail server refused the receiver: {', '.join(str(one.code) for one in error.recipients)}"
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return f"the mail server refused the password: {error.code}"
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"the mail server refused it: {error.code}" if error.code > 0 else "it does not answer as a mail server"
    if isinstance(error, aiosmtplib.SMTPServerDisconnected):
        return "the mail server closed the connection"
    return "the mail server cannot do what is needed"


def is_final(error: SMTPException) -> bool:
    """Whether the mail server will never take this message: a 5xx about the message or its receiver."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(one.code >= 500 for one in error.recipients)
    return isinstance(error, aiosmtplib.SMTPDataError) and error.code >= 500
