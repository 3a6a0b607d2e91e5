"""Which format /metrics answers in, to what real scrapers send."""

from __future__ import annotations

import pytest

from server.telemetry.negotiation import chosen

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROTO = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

# As their sources have it: scrape/scrape.go of Prometheus 2.42, 2.49, 3.0 and 3.14.
REAL = {
    "2.42": (
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
        "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        OPEN,
    ),
    "2.42 with native histograms": (
        f"{PROTO},application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,"
        "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        OPEN,
    ),
    "2.49": (
        "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
        "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        OPEN,
    ),
    "3.14": (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
        "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
        "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        f"{OPEN}; escaping=allow-utf-8",
    ),
    "3.14 that scrapes text alone": (
        "text/plain;version=1.0.0;escaping=underscores;q=0.6,*/*;q=0.5",
        "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
    ),
    "3.14 that scrapes protobuf alone": (f"{PROTO};q=0.6,*/*;q=0.5", PLAIN),
}
RULES = {
    "curl": ("*/*", PLAIN),
    "nothing": ("", PLAIN),
    "a browser": ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", PLAIN),
    "q decides, not the order": ("application/openmetrics-text;version=1.0.0;q=0.2,text/plain;q=0.9", PLAIN),
    "a version that we do not write": ("application/openmetrics-text;version=2.0.0,text/plain;q=0.5", PLAIN),
    "only such a version": ("application/openmetrics-text;version=2.0.0", PLAIN),
    "an old one": ("application/openmetrics-text; version=0.0.1", OPEN.replace("1.0.0", "0.0.1")),
    "any version": ("application/openmetrics-text", OPEN),
    "a quoted one": ('Application/OpenMetrics-Text; version="1.0.0"; q=1.000', OPEN),
    "not at all, but anything else": ("text/plain;q=0, */*;q=0.5", OPEN),
    "not this version": (
        "application/openmetrics-text;version=1.0.0;q=0,application/openmetrics-text",
        OPEN.replace("1.0.0", "0.0.1"),
    ),
    "nothing of ours": ("application/json", PLAIN),
    "no quality": ("application/openmetrics-text;version=1.0.0;q=NaN, text/plain;version=0.0.4;q=0.1", PLAIN),
    "an escaping that is none": ("text/plain;version=1.0.0;escaping=x", "text/plain; version=1.0.0; charset=utf-8"),
    "rubbish": (';;,="/,\\"' * 50, PLAIN),
}


@pytest.mark.parametrize(("accept", "expected"), (REAL | RULES).values(), ids=(REAL | RULES).keys())
def test_the_format_is_the_one_that_is_wanted_most(accept: str, expected: str) -> None:
    assert chosen(accept) == expected
