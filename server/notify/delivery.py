"""One message to one target: what is sent, and what came of it.

Why something failed is said in words of our own. What a target answers is not
repeated: it may hold the secrets that it was sent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from http.client import responses

from aiosmtplib import SMTPException

from server.kernel import outside, shared_clock
from server.kernel.outside import Closed, NoAnswer
from server.kernel.redaction import redact
from server.kernel.sealed import Unreadable
from server.kernel.settings import Environment
from server.notify import mail, secrets
from server.notify.kind import Letter, Parcel, Post
from server.notify.kinds import KINDS
from server.notify.message import short
from server.notify.retry import GIVE_UP_S, patience_s, retry_after_s

ERROR_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one try. `error` is empty where it arrived; `patience_s`: how long it may go on like this."""

    error: str = ""
    patience_s: float = 0.0
    retry_after_s: float | None = None


ARRIVED = Attempt()


async def deliver(env: Environment, parcel: Parcel) -> Attempt:
    """Try once. Never raises for what the target or the way to it does."""
    kind = KINDS.get(parcel.target.kind)
    if kind is None:
        return Attempt("this version of Evenkeel does not know its kind", GIVE_UP_S)
    try:
        parcel = replace(parcel, target=secrets.opened(env.secret_key, parcel.target))
    except Unreadable:
        return Attempt(secrets.LOST, GIVE_UP_S)
    try:
        for message in kind.messages(parcel, env.public_url, shared_clock.now()):
            if isinstance(message, Letter):
                attempt = await by_mail(env, parcel, message)
            else:
                attempt = await by_http(env, parcel, message)
            if attempt.error:
                return attempt
        return ARRIVED
    except (Closed, NoAnswer, SMTPException, mail.NoTls, OSError, ValueError) as error:
        lost = isinstance(error, SMTPException) and mail.is_final(error)
        return Attempt(short(redact(why(error)), ERROR_CHARACTERS), 0.0 if lost else GIVE_UP_S)


def why(error: Exception) -> str:
    """A failure on the way, in words."""
    if isinstance(error, Closed):
        return f"refused: {error}"
    if isinstance(error, NoAnswer):
        return f"no answer: {error}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, SMTPException):  # before OSError: some are both, with what the server said as their reason
        return mail.words_of(error)
    if isinstance(error, OSError):
        return error.strerror or "no connection"  # no such host, no connection, no TLS
    return str(error) if isinstance(error, mail.NoTls) else "its address cannot be looked up"


async def by_http(env: Environment, parcel: Parcel, post: Post) -> Attempt:
    """Post it, and read the status of the answer."""
    reply = await outside.send(parcel.target.address, post.body, post.headers, private=env.notify_allow_private)
    if 200 <= reply.status < 300:
        return ARRIVED
    after_s = retry_after_s(reply.headers.get("Retry-After"), shared_clock.now())
    return Attempt(refusal(reply.status), patience_s(reply.status), after_s)


def refusal(status: int) -> str:
    """`HTTP 404 Not Found`, in the words of our own table."""
    said = f"HTTP {status} {responses.get(status, '')}".rstrip()
    if 300 <= status < 400:
        return f"{said}: redirects are not followed; give the address that it leads to"
    return said


async def by_mail(env: Environment, parcel: Parcel, letter: Letter) -> Attempt:
    """Hand it to the operator's mail server."""
    if env.mail is None:
        return Attempt("SMTP_URL is not set", GIVE_UP_S)
    ids = mail.Ids(parcel.key, letter.answers)
    made = mail.mail(env.mail, parcel.target.address, letter.subject, letter.text, ids=ids, now=shared_clock.now())
    await mail.send(env.mail, made)
    return ARRIVED
