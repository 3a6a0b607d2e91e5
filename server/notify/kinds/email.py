"""E-mail to one address."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from server.kernel.errors import invalid
from server.notify.kind import Kind, Letter, Parcel, Thread
from server.notify.message import incident_subject, link, maintenance_subject, short, subject

if TYPE_CHECKING:
    from server.kernel.settings import Environment

ADDRESS = re.compile(r"[^@\s<>,;:\"()\[\]\\\x00-\x1f\x7f]{1,64}@[A-Za-z0-9.-]{1,189}")


class Email(Kind):
    """Sent through the mail server that the operator names."""

    name = "email"
    title = "E-mail"
    place = 4
    hint = "one address, no secret"
    takes_updates = False

    def unavailable(self, env: Environment) -> str:
        return "" if env.mail is not None else "needs SMTP_URL and SMTP_FROM in the environment"

    def checked_address(self, address: str, *, private: bool) -> str:
        if not ADDRESS.fullmatch(address):
            raise invalid("address", "give one e-mail address, such as oncall@example.com")
        return address

    def shown_address(self, address: str) -> str:
        return address

    def messages(self, parcel: Parcel, public_url: str, now: float) -> list[Letter]:
        alert, first = parcel.alert, parcel.thread
        last = "" if alert is None else f"\nObjective: {short(alert.objective, 200)}. Times are UTC.\n"
        text = f"{parcel.text}\n\n{link(public_url, alert, parcel.incident, parcel.maintenance)}\n{last}"
        return [Letter(head(first or parcel), text, first.key if first else "")]


def head(first: Parcel | Thread) -> str:
    """The subject, one for all that stands beneath the first of it."""
    if first.alert is not None:
        return subject(first.alert)
    if first.maintenance is not None:
        return maintenance_subject(first.maintenance)
    return "Test from Evenkeel" if first.incident is None else incident_subject(first.incident)


KIND = Email()
