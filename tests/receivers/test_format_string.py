"""Format strings: what each family of servers calls what, in which unit, and whether a line's time is the start."""

from __future__ import annotations

import pytest

from tests.receivers.reading import Log

HEAD = '192.0.2.7 - a b [29/Nov/2026:15:00:00 +0000] "GET /cart?x HTTP/1.1" 200 55'
LINE = HEAD + ' "-" "say \\"1 2\\""'
APACHE = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'
NGINX = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'
)
GUNICORN = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
MORGAN = (
    ':remote-addr - :remote-user [:date[clf]] ":method :url HTTP/:http-version" :status :res[content-length]'
    ' ":referrer" ":user-agent"'
)


@pytest.mark.parametrize(
    ("format_", "line", "ms", "starts"),
    [
        (APACHE + " %D", LINE + " 12345", 12.345, True),
        (APACHE + " %T", LINE + " 3", 3000, True),
        (APACHE + " %{ms}T %T", LINE + " 3100 3", 3100, True),
        (APACHE + " %{us}T", LINE + " 3100", 3.1, True),
        (APACHE + " %I %O", LINE + " 412 1465", None, True),
        (APACHE + " %X %D", LINE + " - 5", 0.005, True),
        (APACHE.replace('"', '\\"') + " %D", LINE + " 5", 0.005, True),  # as it stands in the configuration
        (APACHE + " %D %{end:sec}t", LINE + " 5 1795964400", 0.005, False),
        (
            APACHE.replace("%t", "[%{%d/%b/%Y:%T}t.%{msec_frac}t %{%z}t]") + " %D",
            LINE.replace(":00 +", ":00.000 +") + " 5",
            0.005,
            True,
        ),
        (NGINX + " $request_time", LINE + " 0.012", 12, False),
        (NGINX + " $upstream_response_time $request_time", LINE + " 1.001, 0.002 1.003", 1003, False),
        (NGINX + " $upstream_response_time", LINE + " 0.006 : 0.502", 508, False),
        (NGINX + " $upstream_response_time", LINE + " -", None, False),
        (NGINX + ' rt="$request_time" "$http_cookie"', LINE + ' rt="0.802" "sid=1; rt=1732"', 802, False),
        (NGINX + " ${request_time}ms", LINE + " 0.012ms", 12, False),
        (GUNICORN + " %(D)s", LINE + " 12345", 12.345, False),
        (GUNICORN + " %(L)s", LINE + " 0.012345", 12.345, False),
        (GUNICORN + " %(M)s", LINE + " 12", 12, False),
        (MORGAN + " :response-time ms", LINE + " 1.285 ms", 1.285, False),
        (MORGAN + " :total-time[0] :response-time", LINE + " 26 1.5", 26, False),
    ],
)
def test_the_unit_and_the_stamp_follow_from_the_directive(
    format_: str, line: str, ms: float | None, starts: bool
) -> None:
    log = Log([line] * 3, format=format_)
    assert log.durations_ms == [None if ms is None else pytest.approx(ms)] * 3
    assert log.detected.form.sense.starts is starts
    at = 1_795_964_400_000_000 + (round((ms or 0) * 1000) if starts else 0)
    assert [(one.route, one.status, one.at) for one in log.requests] == [("/cart", 200, at)] * 3


@pytest.mark.parametrize(
    ("format_", "line"),
    [
        (
            "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs"
            " %{+Q}r",
            "192.0.2.7:33018 [29/Nov/2026:15:00:00.173] f b/up 0/0/0/3/12 200 73 - - CD-- 4/2/1/1/0 0/0"
            ' "GET /a HTTP/1.1"',
        ),
        ("%ci %ST %HM %HP %Tt [%t] %tsc", "192.0.2.7 200 GET /a 12 [29/Nov/2026:15:00:00.173] CD--"),
    ],
)
def test_haproxys_own(format_: str, line: str) -> None:
    log = Log([line], format=format_)
    assert log.durations_ms == [12]
    assert log.unanswered == ["flags CD--"]
    assert log.requests[0].at == 1_795_964_400_185_000


def test_granians_own() -> None:
    format_ = '[%(time)s] %(addr)s - "%(method)s %(path)s %(protocol)s" %(status)d %(dt_ms).3f'
    log = Log(['[2026-11-29 15:00:00 +0000] 192.0.2.7 - "GET /a HTTP/1.1" 200 12.345'], format=format_)
    assert (log.durations_ms, log.requests[0].at) == ([12.345], 1_795_964_400_012_345)


def test_uwsgis_own() -> None:
    format_ = '%(addr) - %(user) [%(ltime)] "%(method) %(uri) %(proto)" %(status) %(size) "%(referer)" %(msecs)'
    log = Log(['192.0.2.7 - - [29/Nov/2026:15:00:00 +0000] "GET /a?x HTTP/1.1" 200 6 "-" 12'], format=format_)
    assert (log.durations_ms, log.requests[0].at) == ([12], 1_795_964_400_012_000)


def test_a_unit_that_is_said_goes_before_the_directives() -> None:
    """Tomcat 9 writes milliseconds for %D."""
    assert Log([HEAD + " 12"], format='%h %l %u %t "%r" %s %b %D', unit="ms").durations_ms == [12]


def test_a_stamp_that_is_said_goes_before_the_format() -> None:
    log = Log([LINE + " 2000000"], format=APACHE + " %D", starts=False)
    assert log.requests[0].at == 1_795_964_400_000_000


@pytest.mark.parametrize(
    ("format_", "status", "extra", "unanswered"),
    [
        (APACHE + " %X", "200", " X", "aborted X"),
        (APACHE + " %X", "200", " +", None),
        (NGINX + " $request_completion", "200", " ", "not completed"),
        (NGINX + ' "$request_completion"', "200", ' ""', "not completed"),
        (NGINX + ' "$request_completion"', "101", ' ""', None),  # a WebSocket
        (NGINX + ' "$request_completion"', "200", ' "OK"', None),
        (APACHE, "-", "", "status -"),
        (APACHE, "499", "", "status 499"),
    ],
)
def test_a_request_without_its_answer(format_: str, status: str, extra: str, unanswered: str | None) -> None:
    log = Log([LINE.replace(" 200 ", f" {status} ") + extra], format=format_)
    assert log.unanswered == [unanswered]


@pytest.mark.parametrize(
    ("format_", "words"),
    [
        ("nothing at all", "has no directive"),
        ("$request $status", "names no time, request or status"),
        ("%h %t %D", "names no time, request or status"),
    ],
)
def test_a_format_that_is_none_says_why(format_: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Log([LINE], format=format_)


def test_lines_of_another_format_are_refused() -> None:
    log = Log([LINE, LINE + " 12 13"], format=APACHE + " %D")
    assert not log.requests
    assert "has not the form" in log.left[0].why
