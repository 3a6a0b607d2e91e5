"""The quick way through a log says of every line what its form says, or nothing."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.receivers.access_log.detect import detect
from server.receivers.access_log.entry import LoggedRequest
from server.receivers.access_log.latency import LogAsk
from server.receivers.access_log.moment import moment
from server.receivers.access_log.quick import KnownMoments, NotQuick
from tests.examples import examples
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
        ('"ts"', '"request_completion":"","ts"'), ('"ts"', '"request_completion":7,"ts"'), ('"0fb5"', "null"),
        ('"ts"', '"request_completion":"OK","ts"'),
    ],
}  # fmt: skip
GUNICORN = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(D)s'
FORMATS = {
    GUNICORN: HEAD.replace('"UA/1.0"', '"UA/1.0" 12345'),
    "$msec $remote_addr:$remote_port $upstream_addr [$status] $request_method:$request_uri $request_time|$user": (
        "1795404619.893 192.0.2.7:80 192.0.2.9:80 [200] GET:/api/orders/42?x=1 0.012|mira"
    ),
    ':remote-addr :remote-user [:date[clf]] ":method :url HTTP/:http-version" :status :response-time ms': (
        HEAD.replace(" - mira", " mira").partition(" 2 ")[0] + " 12.5 ms"
    ),
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


PRINTED = st.one_of(
    st.integers(1_000_000_000_000, 9_999_999_999_999).map(lambda ms: f"{ms // 1000}.{ms % 1000:03}"),
    st.tuples(st.integers(10**9, 10**10 - 1), st.integers(1, 9), st.integers(0, 10**9 - 1)).map(
        lambda one: f"{one[0]}.{str(one[2]).rjust(one[1], '0')[: one[1]]}"
    ),
    st.integers(-(10**10), 10**16).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["-0.0", "0.0", "1e-7", "4.5e-05", "1e9", "9999999999.999999", "null", "true", "[1]", "{}"]),
    st.text(max_size=12).map(json.dumps),
    st.sampled_from([
        "/a?x", "/a?\n", "/a\nb", "/a/42?b HTTP/1.0", "?x", "*", "http://h/a?b c", "2026-11-23T03:30:19.5Z",
        "2026-11-23T03:30:19,25+01:00", "23/Nov/2026:03:30:19.123 +0000", "2026-11-23 03:30:19.5.5",
        "2026-11-23 03:30:19.5:5", "1795404619.5",
        "1795404619,5", "12ms", "0.1, 0.2", "-", "OK",
    ]).map(json.dumps),
)  # fmt: skip
FORM: Any = detect([JSON] * 20, LogAsk()).form
QUICK = FORM.reader()._quick
ODD_TEXTS = st.sampled_from([
    "-", " ", "", ",", ", ", " : ", '"', '\\"', "\\", "[", "]", " [", "] ", "0.1, 0.2", "a b", ":", "200", "+", "X",
    "GET ", "/", "HTTP/1.1", "|", "1795404619.5", "ms",
])  # fmt: skip
BY_FORMAT = {text: detect([line] * 9, LogAsk(format=text)).form for text, line in FORMATS.items()}


@settings(max_examples=examples(300))
@given(
    text=st.sampled_from(list(FORMATS)),
    at=st.integers(0, 80),
    over=st.integers(0, 9),
    put=st.lists(ODD_TEXTS, max_size=3).map("".join),
)
def test_of_any_line_of_a_format_string(text: str, at: int, over: int, put: str) -> None:
    form: Any = BY_FORMAT[text]
    quick, slow = form.reader()._quick, form.reader()
    slow._quick = None
    line = FORMATS[text]
    assert quick.read(line) is not None
    odd = line[:at] + put + line[at + over :]
    read = quick.read(odd)
    assert read is None or (read,) == slow.read(odd)


KEYS = st.sampled_from(["msec", "request_id", "method", "uri", "status", "request_time", "ts", "request_completion"])


@settings(max_examples=examples(300))
@given(changed=st.dictionaries(KEYS, PRINTED, min_size=1, max_size=2))
def test_of_any_values(changed: dict[str, str]) -> None:
    usual = {key: json.dumps(value) for key, value in json.loads(JSON).items()}
    odd = "{" + ",".join(f'"{key}":{value}' for key, value in (usual | changed).items()) + "}"
    slow: Any = FORM.reader()
    slow._quick = None
    quick = QUICK.read(odd)
    assert quick is None or (quick,) == slow.read(odd)


@settings(max_examples=examples(300))
@given(text=PRINTED.filter(lambda text: "\\" not in text).map(lambda text: text.strip('"')))
def test_of_any_time(text: str) -> None:
    try:
        at = KnownMoments(UTC)[text]
    except NotQuick:
        return
    assert at == moment(text)
