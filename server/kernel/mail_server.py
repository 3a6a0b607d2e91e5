"""SMTP_URL and SMTP_FROM: the mail server that the operator names."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import parseaddr
from urllib.parse import unquote, urlsplit

from server.kernel.errors import ConfigurationError

PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where e-mail is handed over. `tls` from the first byte; else STARTTLS where the server offers it."""

    host: str
    port: int
    tls: bool
    user: str
    password: str = field(repr=False)
    sender: str


def mail_server(url: str, sender: str) -> MailServer | None:
    """SMTP_URL, `smtp://user:password@host:port`; None where it is not set. ConfigurationError never repeats it."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigurationError("SMTP_URL is not a URL; give smtp://user:password@host:587.") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise ConfigurationError("SMTP_URL begins with smtp:// or smtps://, then user:password@host:port.")
    if "@" not in parseaddr(sender)[1]:
        raise ConfigurationError("SMTP_FROM is required with SMTP_URL: the address that e-mails come from.")
    return MailServer(
        host=parts.hostname,
        port=port or PORTS[parts.scheme],
        tls=parts.scheme == "smtps",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        sender=sender,
    )
