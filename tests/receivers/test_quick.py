"""The quick way through a log says of every line what its form says, or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server.receivers.access_log.detect import detect
from server.receivers.access_log.entry import LoggedRequest
from server.receivers.access_log.latency import LogAsk
from tests.receivers.test_format_string import APACHE, NGINX
from tests.receivers.test_shared_lines import DATA, EXPECTED

HEAD = '192.0.2.7 - mira [23/Nov/2026:03:30:19 +0000] "GET /api/orders/42?x=1 HTTP/1.1" 200 2 "-" "UA/1.0"'
JSON = (
    '{"ts":"2026-11-23T03:30:19+00:00","msec":1795404619.893,"request_id":"0fb5","method":"GET","uri":"/a/42?b",'
    '"status":200,"request_time":0.002,"upstream_response_time":"0.001"}'
)
# What stands in some line of a log of them, in place of something else.
ODD = {
    HEAD + " rt=0.012 X=+ rid=abc host=a.b": [
        ("GET", "get"), (" 200 ", " 499 "), (" 200 ", " 101 "), (" 200 ", " - "), (" 200 ", " 999 "), ("?x=1", ""),
        ("?x=1", " x"), ("/1.1", ""), ("/1.1", "/2.0"), ("+0000", "CET"), (":19 ", ":19.5 "), ("UA", "U\\\"A"),
        ("X=+", "X=X"), ("rid=abc", "rid=-"), ("rid=abc", "rid=a/b"), ("rt=0.012", 'rt="0.012"'), ("0.012", "0.1, 0.2"),
        ("0.012", "-"), ("192.0.2.7 ", "192.0.2.7:80 "), ("192.0.2.7", "::1"), ("192.0.2.7", "2001:db8::a"),
        (" 2 ", " - "), ("host=", "hast="), ("GET /", "CONNECT /"), ("GET ", "PRI "), ("/api", "http://h/api"),
        ("[", "<14>Nov 23 03:30:19 h nginx: ["), ("mira", "mi ra"), (HEAD, ""), (" X=+", ""), ("/42", "/42;x=1"),
    ],
    HEAD + ' 12.5 ms': [("12.5", "-"), ("12.5 ms", "12.5ms"), ("ms", "s"), ("ms", "")],
    HEAD + ' 1.003 1.001': [("1.001", "1.001, 0.002"), ("1.003", "-"), (" 1.001", ""), ("1.001", "word")],
    JSON: [
        ("200", '"200"'), ("200", "499"), ("200", "null"), ("200", "0"), ("0.002", '"0.002"'), ("0.002", "2e-05"),
        ("0.002", "-1"), ("0.002", "null"), ("0.002", "0"), ("1795404619.893", "1795404619"), ("0fb5", "a/b"),
        ("1795404619.893", '"23/Nov/2026:03:30:19 +0000"'), ('"0fb5"', "7"), ('"GET"', '"-"'), ("/a/42", "*"),
        ('"method"', '"Method"'), ('"status":200,', ""), ('"ts"', '"msg":"request aborted","ts"'), ("{", "x {"),
        ('"msec":1795404619.893,', ""), ("GET", "G ET"), ("?b", "?b c"), ('"ts"', '"response_flags":"DC","ts"'),
        ('"ts"', '"request_completion":"","ts"'),
        ('"ts"', '"request_completion":"OK","ts"'),
    ],
}  # fmt: skip
FORMATS = {
    APACHE + " %X %D": HEAD + " + 12345",
    NGINX + ' $request_time "$request_completion" $request_id': HEAD + ' 0.012 "OK" abc',
}


def both(lines: list[str], **asked: Any) -> int:
    """Hold the quick way to the slow one, line by line; how many lines it read."""
    form = detect(lines, LogAsk(**asked)).form
    quick = getattr(form.reader(), "_quick", None)
    count = 0
    for line in lines:
        slow: Any = form.reader()
        slow._quick = None
        if quick is not None and line.strip() and (read := quick.read(line)) is not None:
            assert isinstance(read, LoggedRequest)
            assert (read,) == slow.read(line), line
            count += 1
    return count


@pytest.mark.parametrize("usual", ODD)
def test_of_odd_lines(usual: str) -> None:
    odd = [usual.replace(old, new) for old, new in ODD[usual]]
    assert all(line != usual for line in odd)
    assert both([usual] * 400 + odd) >= 400


@pytest.mark.parametrize("format_", FORMATS)
def test_of_format_strings(format_: str) -> None:
    usual = FORMATS[format_]
    odd = [usual.replace(old, new) for old, new in ((" 200 ", " 499 "), ("OK", ""), ("+ 1", "X 1"), ("GET", "-"))]
    assert both([usual] * 20 + odd, format=format_) >= 20


@pytest.mark.parametrize("expected", [one for one in EXPECTED if (DATA / one[0]).exists()], ids=lambda one: one[0])
def test_of_real_lines(expected: tuple[Any, ...]) -> None:
    lines = Path(DATA / expected[0]).read_text(errors="replace").splitlines()
    count = both(lines[:500], **expected[1])
    if expected[0].startswith(("nginx/", "apache/")):
        assert count > 450
