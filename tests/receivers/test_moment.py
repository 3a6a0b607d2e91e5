"""Times as logs print them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.receivers.access_log.moment import STAMP, LoggedMoment, moment

BERLIN = ZoneInfo("Europe/Berlin")
FIFTEEN = 1_795_964_400_000_000  # 2026-11-29 15:00 UTC


@pytest.mark.parametrize(
    "text",
    [
        "29/Nov/2026:15:00:00 +0000",
        "29/Nov/2026:16:00:00 +01:00",
        "29/Nov/2026:16:00:00 CET",
        "29/Nov/2026:10:00:00 EST",
        "29/Nov/2026:16:00:00 Europe/Berlin",
        "29/Nov/2026:15:00:00.000 +0000",
        "29/Nov/2026 15:00:00 UTC",
        "2026-11-29T15:00:00Z",
        "2026-11-29T15:00:00.000000000Z",
        "2026-11-29 16:00:00,000 +0100",
        "2026/11/29 15:00:00 GMT",
        "Sun, 29 Nov 2026 15:00:00 GMT",
        "Sun Nov 29 15:00:00 UTC 2026",
        "1795964400",
        "1795964400.000",
        "1795964400000",
        "1795964400000000",
        "1795964400000000000",
    ],
)
def test_a_time_with_its_zone(text: str) -> None:
    assert moment(text) == LoggedMoment(FIFTEEN, zoned=True)
    assert moment(text, BERLIN) == LoggedMoment(FIFTEEN, zoned=True)


@pytest.mark.parametrize(
    "text",
    [
        "29/Nov/2026:15:00:00",
        "29/Nov/2026:15:00:00.000",
        "29/Nov/2026 15:00:00",
        "2026-11-29 15:00:00,000",
        "2026/11/29 - 15:00:00",
        "Sun Nov 29 15:00:00 2026",
        "261129 15:00:00",
    ],
)
def test_a_time_without_a_zone_is_of_the_one_that_is_said(text: str) -> None:
    assert moment(text) == LoggedMoment(FIFTEEN, zoned=False)
    assert moment(text, BERLIN) == LoggedMoment(FIFTEEN - 3_600_000_000, zoned=False)


@pytest.mark.parametrize("text", ["2026-11-29T15:00:00.25Z", "29/Nov/2026:15:00:00.250 +0000", "1795964400.25"])
def test_fractions(text: str) -> None:
    assert moment(text) == LoggedMoment(FIFTEEN + 250_000, zoned=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "32/Nov/2026:15:00:00 +0000",
        "29/Foo/2026:15:00:00 +0000",
        "29/Nov/2026:25:00:00 +0000",
        "29/Nov/2026:15:00:00 XYZT",
        "29/Nov/2026:15:00:00 CST",  # American, Chinese or Cuban
        "29/Nov/2026:15:00:00 +9900",
        "01/Jan/0001:00:00:00 +1400",  # before there were years
        "29/Nov/2026:15:00:00 Europe/Nowhere",
        "12",
    ],
)
def test_what_is_no_time_or_of_no_known_zone(text: str) -> None:
    assert moment(text) is None


def test_a_name_that_means_several_zones_is_that_of_the_zone_that_is_said() -> None:
    assert moment("29/Nov/2026:09:00:00 CST", ZoneInfo("America/Chicago")) == LoggedMoment(FIFTEEN, zoned=True)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1)), st.integers(-12 * 60, 14 * 60))
def test_times_with_any_offset(at: datetime, offset: int) -> None:
    at = at.replace(microsecond=0, tzinfo=UTC)
    local = datetime.fromtimestamp(at.timestamp() + offset * 60, UTC)
    sign = "-" if offset < 0 else "+"
    text = f"{local:%d/%b/%Y:%H:%M:%S} {sign}{abs(offset) // 60:02}{abs(offset) % 60:02}"
    assert moment(text) == LoggedMoment(int(at.timestamp()) * 1_000_000, zoned=True)


@given(st.text(alphabet="0123456789/:-+., NovTZ", max_size=40))
def test_no_text_breaks_it(text: str) -> None:
    moment(text)
    for stamp in STAMP.finditer(text):
        moment(stamp[0])
