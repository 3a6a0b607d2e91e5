"""One message to one target: what is sent, and what came of it.

Why something failed is told in words of our own. What a target answers is not
repeated: it may hold the secrets that it was sent.
"""

from __future__ import annotations

import smtplib
import time
from dataclasses import dataclass
from http.client import responses

from server.alerts.alert import Alert
from server.kernel.settings import Environment
from server.notify import mail, outside, payloads
from server.notify.message import Event, link, short, subject
from server.notify.outside import Closed, NoAnswer
from server.notify.retry import GIVE_UP_S, patience_s, retry_after_s
from server.notify.signing import signature
from server.notify.target import Target

ERROR_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is to be told, to whom. `key` is the same at every try; `alert` None: a test."""

    target: Target
    key: str
    event: Event
    text: str
    alert: Alert | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one try. `error` is empty where it was taken; `patience_s`: how long it may go on like this."""

    error: str = ""
    patience_s: float = 0.0
    retry_after_s: float | None = None


TAKEN = Outcome()


async def deliver(env: Environment, parcel: Parcel) -> Outcome:
    """Try once. Never raises for what the target or the way to it does."""
    try:
        if parcel.target.kind == "email":
            return await by_mail(env, parcel)
        return await by_http(env, parcel)
    except (Closed, NoAnswer, smtplib.SMTPException, mail.NoTls, OSError, ValueError) as error:
        lost = isinstance(error, smtplib.SMTPException) and permanent(error)
        return Outcome(short(why(error), ERROR_CHARACTERS), 0.0 if lost else GIVE_UP_S)


def why(error: Exception) -> str:
    """A failure on the way, in words."""
    if isinstance(error, Closed):
        return f"refused: {error}"
    if isinstance(error, NoAnswer):
        return f"no answer: {error}"
    if isinstance(error, smtplib.SMTPException):
        return mail_refused(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return error.strerror or "no connection"  # no such host, no connection, no TLS
    return str(error) if isinstance(error, mail.NoTls) else "its address cannot be looked up"


def mail_refused(error: smtplib.SMTPException) -> str:
    """`the mail server refused the receiver: 550`."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"the mail server refused the receiver: {', '.join(str(code) for code, _ in error.recipients.values())}"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"the mail server refused the password: {error.smtp_code}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the mail server refused it: {error.smtp_code}"
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return "the mail server closed the connection"
    return "the mail server cannot do what is needed"


async def by_http(env: Environment, parcel: Parcel) -> Outcome:
    target = parcel.target
    for body in bodies(env.public_url, parcel):
        headers = signed(target, parcel.key, body) if target.kind == "webhook" else {}
        reply = await outside.send(target.address, body, headers, private=env.notify_allow_private)
        if not 200 <= reply.status < 300:
            after_s = retry_after_s(reply.headers.get("Retry-After"), time.time())
            return Outcome(refusal(reply.status), patience_s(reply.status), after_s)
    return TAKEN


def bodies(public_url: str, parcel: Parcel) -> list[bytes]:
    """What is posted, one after the other."""
    target, alert, text = parcel.target, parcel.alert, parcel.text
    if target.kind == "slack":
        return [payloads.slack(text, where(public_url, alert))]
    if target.kind == "pagerduty":
        if alert is None:
            return [payloads.pagerduty_test(target.secret, parcel.key, text, act) for act in ("trigger", "resolve")]
        return [payloads.pagerduty(target.secret, parcel.event, alert, text, public_url)]
    told = payloads.told(alert) if alert is not None else None
    return [payloads.webhook(parcel.key, parcel.event, text, where(public_url, alert), told)]


def where(public_url: str, alert: Alert | None) -> str:
    """The link in a message; of a test, to where targets are kept."""
    return f"{public_url}/setup" if alert is None else link(public_url, alert.id)


def signed(target: Target, key: str, body: bytes) -> dict[str, str]:
    """The headers of a webhook: when, the signature, and what a second copy is known by."""
    now = int(time.time())
    return {
        "Evenkeel-Timestamp": str(now),
        "Evenkeel-Signature": signature(target.secret, now, body),
        "Evenkeel-Delivery": key,
    }


async def by_mail(env: Environment, parcel: Parcel) -> Outcome:
    if env.mail is None:
        return Outcome("SMTP_URL is not set", GIVE_UP_S)
    alert = parcel.alert
    head = "Test from Evenkeel" if alert is None else subject(alert, parcel.event)
    last = "" if alert is None else f"\nObjective: {short(alert.objective, 200)}. Times are UTC.\n"
    text = f"{parcel.text}\n\n{where(env.public_url, alert)}\n{last}"
    made = mail.mail(env.mail.sender, parcel.target.address, head, text, key=parcel.key, now=time.time())
    await mail.send(env.mail, made)
    return TAKEN


def refusal(status: int) -> str:
    """`HTTP 404 Not Found`, in the words of our own table."""
    said = f"HTTP {status} {responses.get(status, '')}".rstrip()
    if 300 <= status < 400:
        return f"{said}: redirects are not followed; give the address that it leads to"
    return said


def permanent(error: smtplib.SMTPException) -> bool:
    """Whether the mail server will never take this message: a 5xx about the message or its receiver."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500
