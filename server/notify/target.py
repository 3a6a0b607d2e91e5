"""A target: one place that alerts are sent to, and what makes a good one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args
from urllib.parse import urlsplit

from msgspec import Struct

from server.kernel.errors import invalid
from server.notify.addresses import is_literal_private
from server.slo.model.tiers import Urgency

Kind = Literal["webhook", "slack", "pagerduty", "email"]
KINDS: tuple[Kind, ...] = get_args(Kind)

PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"  # in the EU region https://events.eu.pagerduty.com/v2/enqueue
NAME_CHARACTERS = 100
ADDRESS_CHARACTERS = 2000
SECRET = re.compile(r"[!-~]{16,255}")  # printable ASCII without blanks
ROUTING_KEY = re.compile(r"[0-9A-Za-z]{32}")
EMAIL = re.compile(r"[^@\s<>,;:\"()\[\]\\\x00-\x1f\x7f]{1,64}@[A-Za-z0-9.-]{1,189}")
STEPS = 9
ESCALATE_S = 300.0  # nobody acknowledged for so long: the next step is told


class Target(Struct):
    """One target with its secrets: for those who send and verify, never for an answer or a log."""

    id: int
    name: str
    kind: Kind
    address: str
    secret: str
    inbound_secret: str
    step: int


def shown_address(kind: str, address: str) -> str:
    """What may be shown of an address: of a URL its host only, because the path of a Slack webhook is its password."""
    if kind == "email":
        return address
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…"


def checked_name(name: str) -> str:
    """The name without blanks around it, or ApiError INVALID."""
    name = name.strip()
    if not 1 <= len(name) <= NAME_CHARACTERS or not name.isprintable():
        raise invalid("name", f"give 1 to {NAME_CHARACTERS} printable characters")
    return name


def checked_kind(kind: str) -> Kind:
    """One of KINDS, or ApiError INVALID."""
    for known in KINDS:
        if kind == known:
            return known
    raise invalid("kind", f"is one of {', '.join(KINDS)}")


def checked_address(kind: Kind, address: str, *, private: bool) -> str:
    """The address, or ApiError INVALID. `private`: addresses within the network, and http, are allowed."""
    address = address.strip()
    if kind == "email":
        if not EMAIL.fullmatch(address):
            raise invalid("address", "give one e-mail address, such as oncall@example.com")
        return address
    address = address or (PAGERDUTY_URL if kind == "pagerduty" else "")
    schemes = ("https", "http") if private else ("https",)
    if not well_formed(address, schemes):
        raise invalid("address", f"give a URL that begins with {' or '.join(f'{s}://' for s in schemes)}")
    if not private and is_literal_private(urlsplit(address).hostname or ""):
        raise invalid("address", "is loopback, link-local or private; NOTIFY_ALLOW_PRIVATE=true would allow it")
    return address


def well_formed(url: str, schemes: Sequence[str]) -> bool:
    """Whether it is a URL with a host, a whole port, and nothing that could end a line of a request."""
    if len(url) > ADDRESS_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def checked_step(step: int) -> int:
    """Which step it is told in: 1 first, or ApiError INVALID."""
    if not 1 <= step <= STEPS:
        raise invalid("step", f"is 1 to {STEPS}: 1 is told first, 2 when nobody has acknowledged after 5 minutes")
    return step


def checked_secret(kind: Kind, secret: str) -> str:
    """A webhook's secret, empty where one is to be made; PagerDuty's routing key; else none. Or ApiError INVALID."""
    secret = secret.strip()
    if kind == "pagerduty":
        if not ROUTING_KEY.fullmatch(secret):
            raise invalid("secret", "give the integration key of the service in PagerDuty, 32 letters and digits")
    elif kind == "webhook":
        if secret and not SECRET.fullmatch(secret):
            raise invalid("secret", "give 16 to 255 printable characters, or none to have one made")
    elif secret:
        raise invalid("secret", f"{kind} takes none; leave it out")
    return secret


def checked_inbound_secret(kind: str, secret: str) -> str:
    """What PagerDuty signs its webhooks with, or ApiError INVALID."""
    if kind != "pagerduty":
        raise invalid("inbound_secret", "only a target of the kind pagerduty has one")
    if not SECRET.fullmatch(secret.strip()):
        raise invalid("inbound_secret", "give the secret that PagerDuty showed with the webhook subscription")
    return secret.strip()


def takes(kind: str, urgency: Urgency) -> bool:
    """Whether a target of this kind is told of something that urgent: a ticket wakes nobody."""
    return urgency == "page" or kind != "pagerduty"


def first_step(targets: Sequence[Target], urgency: Urgency) -> list[Target]:
    """Who is told first: the targets of the lowest step that takes it."""
    return next_step(targets, urgency, 0)


def next_step(targets: Sequence[Target], urgency: Urgency, step: int) -> list[Target]:
    """Who is told after `step`: the targets of the lowest step above it; none after the last."""
    able = [target for target in targets if target.step > step and takes(target.kind, urgency)]
    lowest = min((target.step for target in able), default=0)
    return [target for target in able if target.step == lowest]
