"""What somebody had entered when their session had ended: kept through the sign-in, sent again only when they say so.

It travels in the forms of the sign-in, signed, so that what comes back is what a page of ours had sent.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct
from tornado.web import create_signed_value

from server.kernel.secret_key import unsigned

NAME = "evenkeel_kept"
MOST = 64 * 1024  # bytes of what was entered
SECRET = ("password", "code", "secret")  # parts of the names of fields that are typed again


class KeptForm(Struct):
    """A form: where it goes, the page that it stood on, and its fields."""

    action: str
    back: str
    fields: list[tuple[str, str]]

    @property
    def shown(self) -> list[tuple[str, str]]:
        """What there is to look at before it is sent."""
        return [(name.replace("_", " "), value) for name, value in self.fields if value and name != "next"]

    @property
    def whole(self) -> bool:
        """Whether nothing of it has to be typed again, so that it can be sent as it is."""
        return not any(part in name for name, _ in self.fields for part in SECRET)


class SignInView(Struct):
    """The form of the sign-in. `fault` says why the last try was refused, `email` is what was typed, `kept` a form."""

    next: str
    email: str = ""
    fault: str = ""
    signed_out: bool = False
    kept: str = ""


def seal(secret_key: str, kept: KeptForm) -> str:
    """As a field of a form; '' where it is too large, or has what is not kept."""
    body = msgspec.json.encode(kept)
    return create_signed_value(secret_key, NAME, body).decode() if kept.whole and len(body) <= MOST else ""


def unseal(secret_key: str, text: str) -> KeptForm | None:
    """What was sealed within a day; None: it was not by us."""
    body = unsigned(secret_key, NAME, text, 1)
    return None if body is None else msgspec.json.decode(body, type=KeptForm)
