"""Text as people read it: ratios, times and lengths of time (UI.md, Values), errors and reasons on one line."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime

from server.kernel.errors import invalid
from server.kernel.redaction import redact

NONE = "–"  # no value: never 0
REASON_MAX = 500
# What Markdown, GitHub's too, could read as markup; a line break would end the table's row.
# A colon is markup in an address and in GitHub's `:name:`; in a time of day, `03:04:40`, it is none.
MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~&@]|:(?=//|(?!\d\d:)[\w+-]+:))")
BREAKS = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]+")


def storable(text: str) -> str:
    """It without NULs and half surrogates, which no database holds."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "")


def percent(ratio: float | None) -> str:
    """A ratio from 0 to 1 as per cent; what is not all is never told as `100 %`, nor what is not none as `0 %`."""
    if ratio is None:
        return NONE
    value = ratio * 100
    size = abs(value)
    if size == 0:
        return "0 %"
    if size < 0.01 - 1e-9:  # 1 - 0.9999 is a little less than 0.0001
        return "<0.01 %"
    if 99 <= size < 100:
        return f"{min(size, 99.9):.3g} %" if value > 0 else f"{value:.3g} %"
    return f"{value:.2g} %" if size < 9.95 else f"{value:,.0f} %"


def span(seconds: float | None) -> str:
    """A length of time: `0.8 s`, `42 s`, `3 min 12 s`, `5 h 10 min`, `2 d 4 h`."""
    if seconds is None:
        return NONE
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for unit, small, name, part in ((60, 1, "min", "s"), (3600, 60, "h", "min"), (86400, 3600, "d", "h")):
        if whole < unit * (60 if unit < 3600 else 24) or name == "d":
            first, rest = divmod(whole, unit)
            return f"{first:,} {name} {rest // small} {part}" if rest // small else f"{first:,} {name}"
    return NONE


def ago(seconds: float) -> str:
    """How long ago, in words."""
    if seconds < 1:
        return "just now"
    if seconds < 120:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 7200 else f"{seconds / 3600:.0f} h ago"


def ms(value: float | None) -> str:
    """A latency: `0.41 ms`, `4.1 ms`, `412 ms`, from 1 s `1.24 s`."""
    if value is None:
        return NONE
    if value >= 59_950:
        return span(value / 1000)
    if value >= 999.5:
        return f"{value / 1000:.3g} s"
    return f"{value:.0f} ms" if value >= 9.95 else f"{value:.2g} ms"


def iso(at: datetime) -> str:
    """A UTC time for what is kept or printed: `2026-11-01T00:00:00Z`."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(at: datetime) -> str:
    """A UTC time within a sentence: `2026-11-26 14:00 UTC`."""
    return at.strftime("%Y-%m-%d %H:%M UTC")


def plural(n: int, one: str, many: str | None = None) -> str:
    """`1 service`, `7 services`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def plain(text: str) -> str:
    """Escape a text so that Markdown reads no markup in it: no link, image, HTML or table row."""
    return MARKUP.sub(r"\\\1", BREAKS.sub(" ", text).strip()) or NONE


def visible(text: str) -> str:
    """A text of somebody else's for a terminal: what would steer it is shown as `\\x1b` or `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one == "\n" or unicodedata.category(one) == "Zs" else ascii(one)[1:-1]
        for one in text
    )


def first_line(error: BaseException) -> str:
    """What an error says, on one line and without secrets; its name where it says nothing."""
    return redact((str(error) or type(error).__name__).splitlines()[0])


def checked_reason(reason: str, *, required: bool = True, field: str = "reason") -> str:
    """Why somebody does something, on one line; ApiError INVALID where it is missing, too long or not text."""
    line = " ".join(reason.split())
    if required and not line:
        raise invalid(field, "say why, for whoever reads this at 3 a.m.")
    if len(line) > REASON_MAX:
        raise invalid(field, f"is {len(line)} characters long; {REASON_MAX} at most")
    if not all(character.isprintable() for character in line):
        raise invalid(field, "has characters that cannot be shown")
    return line
