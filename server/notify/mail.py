"""One e-mail by SMTP, in a thread. The operator names the server himself, so its address is not held against him."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from typing import Any

from server.kernel.settings import MailServer

OPERATION_S = 5.0  # each wait for the server
WHOLE_S = 20.0  # shorter than a claim: what is tried again is not under way any more
THREADS = 32  # as many as are sent at once

# Of its own: the threads of the loop look names up, and must not wait for a mail server.
POOL = ThreadPoolExecutor(THREADS, thread_name_prefix="mail")


class NoTls(Exception):
    """The server offers no TLS, and a password is not sent in clear."""


class Call:
    """A connection that can be cut off from outside, whatever its thread waits for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self._over = False

    def begin(self, connection: socket.socket) -> None:
        """From now on `end` cuts this connection. Raises TimeoutError where it came before."""
        with self._lock:
            if self._over:
                raise TimeoutError
            self._line = connection.dup()  # TLS takes the place of the other

    def end(self) -> None:
        """Nothing goes over it any more."""
        with self._lock:
            self._over = True
            line, self._line = self._line, None
        if line is not None:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()


class Connected(smtplib.SMTP):
    """SMTP over a connection that was made before."""

    def __init__(self, host: str, connection: socket.socket) -> None:
        self._connection = connection
        super().__init__(host, timeout=OPERATION_S)

    def connect(self, host: str = "localhost", port: int = 0, source_address: Any = None) -> tuple[int, bytes]:
        """Read the greeting."""
        self.sock = self._connection
        return self.getreply()


def mail(sender: str, to: str, subject: str, text: str, *, key: str, now: float) -> EmailMessage:
    """The message. The same key gives the same Message-ID, by which mail programs find a second copy."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = formatdate(now)
    message["Message-ID"] = f"<{key.replace('/', '.')}@{parseaddr(sender)[1].rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # nobody's absence note answers
    message.set_content(text)
    return message


async def send(server: MailServer, message: EmailMessage) -> None:
    """Hand it to the server. Raises smtplib.SMTPException, NoTls, OSError, TimeoutError."""
    call = Call()
    try:
        async with asyncio.timeout(WHOLE_S):
            await asyncio.get_running_loop().run_in_executor(POOL, send_now, server, message, call)
    finally:
        call.end()  # the thread must not hand over what is believed not to have been


def send_now(server: MailServer, message: EmailMessage, call: Call) -> None:
    """In a thread: the whole conversation, until `call` is cut off."""
    context = ssl.create_default_context()
    with socket.create_connection((server.host, server.port), timeout=OPERATION_S) as plain:
        call.begin(plain)
        line = context.wrap_socket(plain, server_hostname=server.host) if server.tls else plain
        with line, Connected(server.host, line) as smtp:
            signed_in(server, smtp, context)
            smtp.send_message(message)


def signed_in(server: MailServer, smtp: smtplib.SMTP, context: ssl.SSLContext) -> None:
    """Turn to TLS where the server offers it, and give the password only then."""
    if not server.tls:
        smtp.ehlo()
        if smtp.has_extn("starttls"):
            smtp.starttls(context=context)
        elif server.user:
            raise NoTls(f"{server.host} offers no TLS: the password was not sent")
    if server.user:
        smtp.login(server.user, server.password)
