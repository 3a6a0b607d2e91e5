"""Values as people read them (UI.md, Values): 2 to 3 significant digits, units, never a made-up zero."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

FEW = 1000  # under this many requests a share is told as `12 of 312`
FAR_OVER = 9.99  # budgets overspent by more than this are told as how many times they were spent
NONE = "–"  # no value: never 0


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


def percent(ratio: float | None) -> str:
    """A ratio from 0 to 1 as per cent; what is not all is never told as `100 %`, nor what is not none as `0 %`."""
    if ratio is None:
        return NONE
    value = ratio * 100
    size = abs(value)
    if size == 0:
        return "0 %"
    if size < 0.01:
        return "<0.01 %"
    if 99 <= size < 100:
        return f"{min(size, 99.9):.3g} %" if value > 0 else f"{value:.3g} %"
    return f"{value:.2g} %" if size < 9.95 else f"{value:,.0f} %"


def share(part: int, whole: int) -> str:
    """`12 of 312` under 1,000, else per cent; nothing counted is no value."""
    if whole == 0:
        return NONE
    return f"{part:,} of {whole:,}" if whole < FEW else percent(part / whole)


def target(ratio: float) -> str:
    """An objective's target, in full: `99.9 %`."""
    return f"{ratio * 100:.6g} %"


def ms(value: float | None) -> str:
    """A latency: `0.41 ms`, `4.1 ms`, `412 ms`, from 1 s `1.24 s`."""
    if value is None:
        return NONE
    if value >= 59_950:
        return span(value / 1000)
    if value >= 999.5:
        return f"{value / 1000:.3g} s"
    return f"{value:.0f} ms" if value >= 9.95 else f"{value:.2g} ms"


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


def budget(left: float | None, worst: float | None = None, best: float | None = None) -> str:
    """Budget left: `31 %`, a range `12-31 %` while it is not known exactly; overspent `-54 %`, far over `spent 38x`."""
    if worst is not None and best is not None and percent(worst) != percent(best):
        if worst < -FAR_OVER:
            return f"{budget(worst)} to {budget(best).removeprefix('spent ')}"
        return f"{percent(worst).removesuffix(' %')}{'-' if worst >= 0 else ' to '}{percent(best)}"
    if left is not None and left < -FAR_OVER:
        return f"spent {number(1 - left)}x"
    return percent(left)


def between(low: float, high: float, told: Callable[[float], str] = percent) -> str:
    """Two values as a range, `2.1-41 %`; one where they are told the same."""
    first, last = told(low), told(high)
    return last if first == last else f"{first.removesuffix(' %')}-{last}"


def window(seconds: int) -> str:
    """A window's length, short: `5 min`, `1 h`, `24 h`, `28 d`."""
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds <= 86_400 else f"{seconds // 86_400} d"


def plural(n: int, one: str, many: str | None = None) -> str:
    """`1 service`, `7 services`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def moment(value: float | datetime) -> datetime:
    """Unix seconds, or a datetime with a zone, as a UTC datetime."""
    return value.astimezone(UTC) if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
