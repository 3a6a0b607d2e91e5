"""Values as people read them (UI.md, Values): 2 to 3 significant digits, units, never a made-up zero."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from server.kernel.text import NONE, iso, ms, percent, plural, span
from server.slo.model.words import budget

__all__ = [
    "between",
    "budget",
    "count",
    "iso",
    "moment",
    "month",
    "ms",
    "number",
    "percent",
    "plural",
    "rate",
    "share",
    "size",
    "span",
    "target",
    "window",
]

FEW = 1000  # under this many requests a share is told as `12 of 312`


def number(value: float | None) -> str:
    """A quantity with 2 to 3 significant digits; whole and grouped from 100: `0.041`, `5.2`, `42`, `1,204`."""
    if value is None:
        return NONE
    size = abs(value)
    if size >= 9.95:
        return f"{value:,.0f}"
    if size >= 0.995:
        return f"{value:.1f}".removesuffix(".0")
    return "0" if size == 0 else f"{value:.2g}" if size >= 0.001 else "<0.001"


def count(value: int | None) -> str:
    """A whole number, grouped: `1,204`."""
    return NONE if value is None else f"{value:,}"


def share(part: int, whole: int) -> str:
    """`12 of 312` under 1,000, else per cent; nothing counted is no value."""
    if whole == 0:
        return NONE
    return f"{part:,} of {whole:,}" if whole < FEW else percent(part / whole)


def target(ratio: float) -> str:
    """An objective's target, in full: `99.9 %`."""
    return f"{ratio * 100:.6g} %"


def rate(per_second: float | None) -> str:
    """Requests a second: `5.2/s`."""
    return NONE if per_second is None else f"{number(per_second)}/s"


def size(bytes_: float | None) -> str:
    """Bytes: `512 B`, `1.2 MiB`."""
    if bytes_ is None:
        return NONE
    value = float(bytes_)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{number(value)} {unit}"
        value /= 1024
    return f"{number(value)} TiB"


def between(low: float, high: float, words: Callable[[float], str] = percent) -> str:
    """Two values as a range, `2.1-41 %`; one where their words are the same."""
    first, last = words(low), words(high)
    return last if first == last else f"{first.removesuffix(' %')}-{last}"


def window(seconds: int) -> str:
    """A window's length, short: `5 min`, `1 h`, `24 h`, `28 d`."""
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds <= 86_400 else f"{seconds // 86_400} d"


def month(name: str) -> str:
    """A calendar month: `November 2026` for 2026-11."""
    return datetime.strptime(name, "%Y-%m").replace(tzinfo=UTC).strftime("%B %Y")


def moment(value: float | datetime) -> datetime:
    """Unix seconds, or a datetime with a zone, as a UTC datetime."""
    return value.astimezone(UTC) if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
