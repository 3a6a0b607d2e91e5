"""Which text format /metrics answers in: OpenMetrics or Prometheus text, by the Accept header (RFC 9110, 12.5.1).

prometheus_client chooses too, but it ignores `q` and claims any version of OpenMetrics that it is asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OPEN_METRICS = "application/openmetrics-text"
TEXT = "text/plain"


@dataclass(frozen=True, slots=True)
class TextFormat:
    """A format that we write."""

    media: str
    version: str
    escaped: bool = False  # whether it knows names beyond [a-zA-Z0-9_:], and says how they are escaped

    def content_type(self, escaping: str = "") -> str:
        """The Content-Type. No name of ours needs escaping: what is asked for is what they are."""
        said = f"; escaping={escaping}" if self.escaped and escaping in ESCAPINGS else ""
        return f"{self.media}; version={self.version}; charset=utf-8{said}"

    @property
    def open_metrics(self) -> bool:
        """Whether it has exemplars, units and an end."""
        return self.media == OPEN_METRICS


PLAIN = TextFormat(TEXT, "0.0.4")
# The first of those that are asked for as much as one another.
FORMATS = (
    PLAIN,
    TextFormat(OPEN_METRICS, "1.0.0", True),
    TextFormat(OPEN_METRICS, "0.0.1"),
    TextFormat(TEXT, "1.0.0", True),
)
ESCAPINGS = ("allow-utf-8", "underscores", "dots", "values")

QUOTED = r'"(?:[^"\\]|\\.)*"'
RANGE = re.compile(rf'\s*([^\s,;"/]+)/([^\s,;"/]+)((?:\s*;\s*[^\s,;="]+\s*=\s*(?:{QUOTED}|[^\s,;"]*))*)\s*(?:,|$)')
PARAMETER = re.compile(rf';\s*([^\s,;="]+)\s*=\s*({QUOTED}|[^\s,;"]*)')
QUALITY = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$")


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One element of an Accept header."""

    media: str  # may be */* or text/*
    version: str  # '' for any
    escaping: str
    quality: float

    def precision(self, one: TextFormat) -> int | None:
        """How precisely it names a format: 3 with its version, 2 without, 1 its kind, 0 anything; None: it does not."""
        if self.media == one.media:
            return {"": 2, one.version: 3}.get(self.version)
        return {"*/*": 0, f"{one.media.partition('/')[0]}/*": 1}.get(self.media)


def chosen(accept: str) -> str:
    """The Content-Type to answer with and by it the format: what is asked for most, else the plain text.

    Of one format the range decides that names it most precisely; of several as welcome, that one which is named more
    precisely, then earlier, as Prometheus sorts what it sends. Where none is welcome it is the plain text all the
    same: a scraper can do more with it than with 406.
    """
    ranges = ranges_of(accept)
    best: tuple[tuple[float, int, int], TextFormat, str] | None = None
    for one in FORMATS:
        named = [
            (precision, -place, each)
            for place, each in enumerate(ranges)
            if (precision := each.precision(one)) is not None
        ]
        if not named:
            continue
        precision, place, each = max(named, key=lambda found: found[:2])
        wish = (each.quality, precision, place)
        if each.quality > 0 and (best is None or wish > best[0]):
            best = (wish, one, each.escaping)
    return best[1].content_type(best[2]) if best else PLAIN.content_type()


def ranges_of(accept: str) -> list[MediaRange]:
    """The media ranges that can be read, in their order."""
    found = []
    for kind, subtype, given in RANGE.findall(accept):
        parameters = {name.lower(): unquoted(value) for name, value in PARAMETER.findall(given)}
        quality = parameters.get("q", "1")
        if QUALITY.match(quality):
            media = f"{kind}/{subtype}".lower()
            found.append(
                MediaRange(media, parameters.get("version", ""), parameters.get("escaping", ""), float(quality))
            )
    return found


def unquoted(value: str) -> str:
    """A parameter's value without its quotes."""
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
