"""What a platform tells of one change, and what all that tell of changes have in common: times, versions, services."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from server.kernel.errors import ApiError, invalid
from server.kernel.field_fault import field_and_reason

T = TypeVar("T")

VERSION_MAX, SUMMARY_MAX, NAME_MAX, LINK_MAX = 200, 500, 200, 500  # characters that are kept
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # what lies before is a time that was never set
TIME = "is a time with its zone, as 2026-03-01T03:08:12Z"
# The ways of writing a zone that are none of ISO 8601: `12:55:12 UTC`, `12:55:12+00:00Z`, `12:55:12 +0200`.
WORD_ZONE, TWICE_ZONE, APART_ZONE = re.compile(r"\s*UTC$"), re.compile(r"([+-]\d\d:\d\d)Z$"), re.compile(r"\s+([+-]\d)")
SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class ToldChange(Struct):
    """One change as its platform tells it. `event` names it there, so that the same told again is known; empty: it has
    no name. `began` and `ended` None: no time was told. `returns`: it puts a version back, whichever runs.

    `service` is what the platform calls it, `environment` '' production. `other` is what puts no version anywhere.
    """

    platform: str
    event: str
    service: str
    kind: Literal["deploy", "other"]
    version: str
    summary: str
    environment: str = ""
    state: Literal["started", "finished", "failed"] = "finished"
    began: datetime | None = None
    ended: datetime | None = None
    actor: str = ""
    link: str = ""
    returns: bool = False


class NothingTold(Struct):
    """Why what came is no change."""

    reason: str


def decoded(body: bytes, kind: type[T]) -> T:
    """The JSON of a body; fields that the type does not have are not read. ApiError INVALID, BAD_REQUEST."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        at, reason = field_and_reason(str(error), kind)
        raise invalid(at or "body", reason) from None
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        raise ApiError("BAD_REQUEST", f"The body is not JSON: {error}. Nothing was done.") from None


def moment(field: str, told: str | int) -> datetime:
    """A time in any of the ways that platforms write one, Unix seconds too; ApiError INVALID where it has no zone."""
    try:
        if isinstance(told, int):
            found = datetime.fromtimestamp(told, UTC)
        else:
            text = TWICE_ZONE.sub(r"\1", WORD_ZONE.sub("Z", told.strip()))
            found = datetime.fromisoformat(APART_ZONE.sub(r"\1", text))
        if found.tzinfo is None:
            raise ValueError("no zone")
        found = found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise invalid(field, TIME) from None
    if found < EARLIEST:
        raise invalid(field, f"lies before {EARLIEST.year}")
    return found


def version_of_purl(purl: str) -> str:
    """The version in a package URL, its `tag` where it has one; what is no package URL is a version as it stands."""
    if not purl.startswith("pkg:"):
        return purl
    path, _, rest = purl.partition("?")
    qualifiers = dict(each.partition("=")[::2] for each in rest.partition("#")[0].split("&"))
    path = path.partition("#")[0]
    name, _, version = path.rpartition("@")
    return unquote(qualifiers.get("tag", "")) or (unquote(version) if name else path)


def shortened(version: str, example: str) -> str:
    """A commit as long as senders write it, which `example` shows; what is no commit stays as it is."""
    if SHA.fullmatch(version) and 7 <= len(example) < len(version) and re.fullmatch("[0-9a-f]+", example):
        return version[: len(example)]
    return version


def shown(value: Any, most: int) -> str:
    """On one line, without what cannot be shown, at most so many characters; '' for what is no text."""
    text = value[: 2 * most] if isinstance(value, str) else ""
    if not text.isprintable():
        text = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return text.strip() if len(text) <= most else f"{text[: most - 1]}…"


def link(value: Any) -> str:
    """An address that may be shown as a link; '' for any other."""
    text = value if isinstance(value, str) and len(value) <= LINK_MAX and value.isprintable() else ""
    return text if re.fullmatch(r"https?://\S+", text) else ""
