from __future__ import annotations

import string
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ingest.accesslog import MALFORMED, moment, parse, route

PLAIN = '10.0.0.1 - mira [23/Nov/2026:03:30:19 +0000] "GET /api/orders/42?x=1 HTTP/1.1" 200 2 "-" "hey/0.0.1"'


def test_a_combined_line() -> None:
    logged = parse(PLAIN + "\n", "shop")
    assert logged is not None
    outcome = logged.outcome
    assert (outcome.service, outcome.method, outcome.route, outcome.status) == ("shop", "GET", "/api/orders/{id}", 200)
    assert logged.at == int(datetime(2026, 11, 23, 3, 30, 19, tzinfo=UTC).timestamp()) * 1_000_000
    assert not logged.timed


@pytest.mark.parametrize(
    ("rest", "duration_ms", "request_id"),
    [
        (" rt=0.012", 12.0, None),
        (' rt=0.002 uct="0.000" urt="0.001" rid=0fb5e3 host=127.0.0.1', 2.0, "0fb5e3"),
        (" rt=-", None, None),
        (' request_time="1.5"', 1500.0, None),
        (" 0.250", 250.0, None),  # nginx, $request_time at the end
        (" 12345", 12.345, None),  # Apache, %D at the end
        ("", None, None),
        (" request_id=a.b-c_1", None, "a.b-c_1"),
    ],
)
def test_request_times_and_ids(rest: str, duration_ms: float | None, request_id: str | None) -> None:
    logged = parse(PLAIN + rest, "shop")
    assert logged is not None
    assert logged.timed is (duration_ms is not None)
    assert logged.outcome.duration_ms == pytest.approx(duration_ms or 0.0)
    assert logged.outcome.request_id == request_id


@pytest.mark.parametrize(
    "line",
    [
        '1.2.3.4 - - [23/Nov/2026:03:30:19 +0000] "-" 408 0 "-" "-"',
        r'1.2.3.4 - - [23/Nov/2026:03:30:19 +0000] "\x16\x03\x01\x02" 400 150 "-" "-"',
        '1.2.3.4 - - [23/Nov/2026:03:30:19 +0000] "" 400 0 "-" "-"',
    ],
)
def test_what_is_not_http_is_counted_as_such(line: str) -> None:
    logged = parse(line, "shop")
    assert logged is not None
    assert logged.outcome.route == MALFORMED


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        '{"ts":"2026-11-23T03:30:19+00:00"}',
        '1.2.3.4 - - [32/Nov/2026:03:30:19 +0000] "GET / HTTP/1.1" 200 2',
        '1.2.3.4 - - [23/Foo/2026:03:30:19 +0000] "GET / HTTP/1.1" 200 2',
        '1.2.3.4 - - [23/Nov/2026:03:30:19 +0000] "GET / HTTP/1.1" 000 2',
        '1.2.3.4 - - [23/Nov/2026:03:30:19 +0000] "GET / HTTP/1.1 200 2',
    ],
)
def test_what_does_not_parse(line: str) -> None:
    assert parse(line, "shop") is None


def test_the_common_format_and_a_user_with_spaces_and_quotes_inside() -> None:
    for line in (
        '1.2.3.4 - - [23/Nov/2026:03:30:19 +0000] "GET / HTTP/1.1" 200 -',
        '1.2.3.4 - a b [23/Nov/2026:03:30:19 +0000] "GET / HTTP/2.0" 200 5 "-" "say \\"rt=9\\" 7"',
        '::1 - - [23/Nov/2026:03:30:19 +0000] "GET / HTTP/1.0" 304 0 "-" "-"',
    ):
        logged = parse(line, "shop")
        assert logged is not None
        assert (logged.outcome.route, logged.timed) == ("/", False)


@pytest.mark.parametrize(
    ("target", "counted"),
    [
        ("/", "/"),
        ("/a/123/b", "/a/{id}/b"),
        ("/u/1b4e28ba-2fa1-11d2-883f-0016d3cca427", "/u/{id}"),
        ("/c/0123456789abcdef0123", "/c/{id}"),
        ("/cafe/v2", "/cafe/v2"),
        ("http://shop.example/x/9?y", "/x/{id}"),
        ("http://shop.example", "/"),
        ("?a=b", "/"),
        ("*", "*"),
        ("/" + "x" * 600, "/" + "x" * 499),
    ],
)
def test_routes(target: str, counted: str) -> None:
    assert route(target) == counted


@given(st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1)), st.integers(-12 * 60, 14 * 60))
def test_times_with_any_offset(at: datetime, offset: int) -> None:
    at = at.replace(microsecond=0, tzinfo=UTC)
    local = datetime.fromtimestamp(at.timestamp() + offset * 60, UTC)
    sign = "-" if offset < 0 else "+"
    text = f"{local:%d/%b/%Y:%H:%M:%S} {sign}{abs(offset) // 60:02}{abs(offset) % 60:02}"
    assert moment(text) == int(at.timestamp()) * 1_000_000


@given(st.text(alphabet=string.printable + "é\0", max_size=200))
def test_no_line_breaks_it(line: str) -> None:
    parse(line, "shop")
    parse(PLAIN[:60] + line, "shop")


def test_a_hostile_line_is_quick() -> None:
    started = time.process_time()
    for line in (PLAIN[:20] + "[" * 20_000, PLAIN[:60] + '\\"' * 20_000, "a " * 20_000, PLAIN + " 1" * 20_000):
        parse(line, "shop")
    assert time.process_time() - started < 3
