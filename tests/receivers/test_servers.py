"""Servers that are known by their lines: what they say of time, unit, and a client that left."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from server.receivers.access_log.entry import LeftKind
from tests.receivers.reading import Log

CLF = '192.0.2.7 - - [29/Nov/2026:15:00:00 +0000] "GET /cart?x=1 HTTP/1.1" 200 55 "-" "UA/1.0"'
FIFTEEN = int(datetime(2026, 11, 29, 15, tzinfo=UTC).timestamp() * 1_000_000)

HAPROXY = '192.0.2.7:33018 [29/Nov/2026:15:00:00.173] f b/up 0/0/0/{} - - {} 4/2/1/1/0 0/0 {{a|}} "{}"'
HAPROXY_CLF = (
    '192.0.2.7 - - [29/Nov/2026:15:00:00 +0000] "GET /a HTTP/1.1" 200 73 "" "" 42008 221 "f" "b" "up"'
    ' 0 0 0 30 1230 ---- 2 2 1 1 0 0 0 "" "" '
)
CADDY = (
    '{{"level":"info","ts":1795971961.0197058,"logger":"http.log.access.log0","msg":"handled request","request":'
    '{{"method":"GET","uri":"/cart?x","headers":{{"User-Agent":["rt=9"]}}}},"duration":0.5,"size":0,"status":{}{}}}'
)
ENVOY = '[2026-11-29T15:00:00.250Z] "GET /a HTTP/1.1" {} 0 6 {} 11 "-" "UA" "5cf5-id" "h" "10.0.0.1:80"'
UWSGI = (
    "[pid: 13|app: 0|req: 1/1] 192.0.2.7 () {{28 vars in 300 bytes}} [Sun Nov 29 15:00:00 2026] GET /a?b => generated"
    " 6 bytes in {} (HTTP/1.1 200) 2 headers in 44 bytes (1 switches on core 0)"
)
TRAEFIK = (
    '{"ClientHost":"192.0.2.7","DownstreamStatus":200,"Duration":1500000,"RequestMethod":"GET","RequestPath":"/a",'
    '"StartUTC":"2026-11-29T14:59:59Z","time":"2026-11-29T15:00:00Z","level":"info","msg":""}'
)


ALB = (
    'https 2026-11-29T15:00:00.186641Z app/shop/50dc6c495c0c9188 192.0.2.7:2817 {} 200 34 366 "GET https://h:443/a?x'
    ' HTTP/1.1" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:x "Root=1-58337262" "h" "arn" 0'
    ' 2026-11-29T14:59:59.186000Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_1'
)
ELB = (
    "2026-11-29T15:00:00.000000Z shop 192.0.2.7:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29"
    ' "GET http://h:80/a HTTP/1.1" "curl/7.38.0" - -'
)


@pytest.mark.parametrize(
    ("line", "server", "ms", "end_ms"),
    [
        (HAPROXY.format("3/3004 200 73", "----", "GET /cart HTTP/1.1"), "HAProxy", 3004, 3177),
        ("<134>Nov 29 15:00:00 haproxy[8]: " + HAPROXY.format("3/7 200 73", "----", "GET /c"), "HAProxy", 7, 180),
        (HAPROXY.format("3/+4 200 +73", "----", "GET /cart HTTP/1.1"), "HAProxy", None, 173),  # logasap: not over yet
        (HAPROXY_CLF, "HAProxy", 1230, 1451),
        (CLF + ' 1 "router@file" "http://10.0.0.1:80" 12ms', "Traefik", 12, 12),
        (ENVOY.format("200 -", 12), "Envoy", 12, 262),
        (ENVOY.format('200 - via_upstream - "-"', 12), "Envoy", 12, 262),  # Istio's
        ('[2026-11-29 15:00:00 +0000] 192.0.2.7 - "GET /a HTTP/1.1" 200 12.345', "granian", 12.345, 12.345),
        (UWSGI.format("12 msecs"), "uWSGI", 12, 12),
        (UWSGI.format("1234 micros"), "uWSGI", 1.234, 1.234),
        ("[I 261129 15:00:00 web:2271] 200 GET /a?x=1 (192.0.2.7) 1.23ms", "Tornado", 1.23, 0),
        ("Main |2026-11-29 15:00:00 +0000 INFO: 192.0.2.7:5 GET http://h/a?x 200 2  0.5ms", "Sanic", 0.5, 0),
        ("2026-11-29 15:00:00 +0000 - (sanic.access)[INFO][192.0.2.7:5]: GET http://h/a 200 2B 0.5ms", "Sanic", 0.5, 0),
        ('[GIN] 2026/11/29 - 15:00:00 | 200 |     1.234ms |   192.0.2.7 | GET      "/a?x"', "Gin", 1.234, 0),
        ('[GIN] 2026/11/29 - 15:00:00 | 200 |  1m2.5s |   192.0.2.7 | GET      "/a?x"', "Gin", 62_500, 0),
        (
            "1795964400.000    503 192.0.2.7 TCP_MISS/200 169 GET http://h/a - HIER_DIRECT/192.0.2.9 text/html",
            "Squid",
            503,
            0,
        ),
        (
            CLF + " 109 1.003 [up] [] 10.0.0.1:80, 10.0.0.2:80 0, 6 1.001, 0.002 504, 200 4a34a6f6",
            "ingress-nginx",
            1003,
            0,
        ),
        (TRAEFIK, "Traefik", 1.5, 0),
        (ALB.format("10.0.0.1:80 0.001 0.010 0.002 200"), "AWS ALB", 13, 186.641),
        (ALB.format("- -1 -1 -1 200"), "AWS ALB", 1000.641, 186.641),  # from when it came
        (ELB, "AWS ELB", 1.178, 1.178),  # its time is the start
        (
            "method=GET path=/a format=html controller=C action=show status=200 duration=58.33 view=1.0"
            " time=2026-11-29T15:00:00Z",
            "Rails",
            58.33,
            0,
        ),
        (
            '2026-11-29T15:00:00+00:00 heroku[router]: at=info method=GET path="/a?x" host=h request_id=abc'
            ' fwd="192.0.2.7"'
            " dyno=web.1 connect=1ms service=12ms status=200 bytes=6",
            "Heroku",
            12,
            0,
        ),
    ],
)
def test_a_server_is_known_by_its_lines(line: str, server: str, ms: float | None, end_ms: float) -> None:
    log = Log(["starting: 1", "ready", "", "more", "words", *[line] * 3])
    assert server in log.detected.form.name
    assert log.durations_ms == [None if ms is None else pytest.approx(ms)] * 3
    assert [one.at for one in log.requests] == [FIFTEEN + round(end_ms * 1000)] * 3
    assert log.statuses == [200] * 3


@pytest.mark.parametrize(
    ("line", "status", "unanswered"),
    [
        (HAPROXY.format("-1/501 -1 0", "CD--", "GET /a HTTP/1.1"), 499, "flags CD--"),
        (HAPROXY.format("-1/494 400 206", "CH--", "GET /a HTTP/1.1"), 400, "flags CH--"),
        (HAPROXY.format("0/302 200 56", "SD--", "GET /a HTTP/1.1"), 200, "flags SD--"),
        (HAPROXY.format("-1/0 502 209", "SH--", "GET /a HTTP/1.1"), 502, None),
        (HAPROXY.format("-1/702 503 217", "sQ--", "GET /a HTTP/1.1"), 503, None),
        (ENVOY.format("0 DC", 12), 499, "envoy DC"),
        (
            "1795964400.000 9 192.0.2.7 TCP_MISS_ABORTED/000 0 GET http://h/a - HIER_NONE/- -",
            499,
            "squid TCP_MISS_ABORTED",
        ),
        (CADDY.format(0, ""), 499, "status 0"),
        (ALB.format("- -1 -1 -1 460"), 460, "status 460"),
        (CADDY.format(0, ',"resp_headers":{"Upgrade":["websocket"]}'), 101, None),
    ],
)
def test_a_client_that_left_is_told_by_each_in_its_way(line: str, status: int, unanswered: str | None) -> None:
    log = Log([line])
    assert (log.statuses, log.unanswered) == ([status], [unanswered])


def test_haproxys_bad_requests_are_none() -> None:
    log = Log([HAPROXY.format("-1/5 400 187", "PR--", "<BADREQ>"), HAPROXY.format("-1/5 408 0", "cR--", "<BADREQ>")])
    assert log.kinds == [LeftKind.NO_REQUEST] * 2


def test_caddy_says_seconds_and_when_it_was_over() -> None:
    (read,) = Log([CADDY.format(200, "")]).requests
    assert (read.duration_us, read.route, read.at) == (500_000, "/cart", 1_795_971_961_019_705)


def test_caddys_console_has_its_time_before_the_record() -> None:
    (read,) = Log(
        [
            "2026/11/29 15:00:00.123\tINFO\thttp.log.access.log0\thandled request\t"
            '{"request": {"method": "GET", "uri": "/a"}, "duration": 0.012, "size": 2, "status": 200}'
        ]
    ).requests
    assert (read.duration_us, read.route, read.at) == (12_000, "/a", FIFTEEN + 123_000)


def test_nginx_json_has_the_requests_own_time() -> None:
    line = (
        '{"ts":"2026-11-29T15:00:00+00:00","msec":1795964400.893,"request_id":"0fb5","method":"GET","uri":"/a/42",'
        '"status":200,"request_time":0.012,"upstream_response_time":"0.001, 0.011"}'
    )
    (read,) = Log([line]).requests
    assert (read.duration_us, read.request_id, read.at) == (12_000, "0fb5", 1_795_964_400_893_000)


def test_nginx_json_says_who_left_within_the_answer() -> None:
    line = '{"msec":1795964400.893,"request":"GET /a HTTP/1.1","status":"200","request_completion":"%s"}'
    assert Log([line % "OK", line % ""]).unanswered == [None, "not completed"]


def test_a_key_that_says_no_unit_is_named_not_guessed() -> None:
    line = '{"time":"2026-11-29T15:00:00Z","method":"GET","path":"/a","status":200,"duration":12}'
    log = Log([line])
    assert log.durations_ms == [None]
    assert "--time duration --unit" in log.detected.hint
    assert Log([line], time="duration", unit="ms").durations_ms == [12]
    assert Log([line.replace("12}", '"12ms"}')], time="duration").durations_ms == [12]


PINO = '{{"level":30,"time":{at},"pid":1,"hostname":"h","reqId":"{id}",'
FASTIFY = (
    PINO + '"req":{{"method":"GET","url":"/a?b"}},"msg":"incoming"}}',
    PINO + '"res":{{"statusCode":200}},"responseTime":{ms},"msg":"done"}}',
    PINO + '"res":{{"statusCode":200}},"msg":"stream closed prematurely"}}',
)


def test_two_records_of_one_request_are_put_together() -> None:
    asks, ends, closed = FASTIFY
    at = 1_795_964_400_000
    log = Log(
        [
            '{"level":30,"time":1795964400000,"pid":1,"hostname":"h","msg":"Server listening"}',
            asks.format(at=at, id="r1"),
            asks.format(at=at, id="r2"),
            asks.format(at=at + 1, id="r3"),
            ends.format(at=at + 12, id="r1", ms=1.5321449999973993),
            closed.format(at=at + 20, id="r2"),
            ends.format(at=at + 30, id="r9", ms=1),
        ]
    )
    assert [(one.at // 1000 - at, one.duration_us, one.unanswered) for one in log.requests] == [
        (12, 1532, None),
        (20, None, "message stream closed prematurely"),
        (1, None, "no end in the log"),
    ]
    assert log.statuses == [200, 200, 499]
    assert log.kinds == [LeftKind.OTHER, LeftKind.OTHER]


FIELDS = "#Fields: date time cs-method cs-uri-stem sc-status time-taken"
IIS = f"#Software: Microsoft Internet Information Services 10.0\n{FIELDS}"
CLOUDFRONT = f"#Version: 1.0\n{FIELDS}"
W3C = "2026-11-29 15:00:00 GET /a {} {}"


@pytest.mark.parametrize(
    ("header", "taken", "status", "ms"),
    [
        (IIS, "12", "200", 12),
        (CLOUDFRONT, "0.012", "200", 12),
        (CLOUDFRONT, "12", "200", None),  # by whom?
        (CLOUDFRONT, "0.5", "000", 500),
    ],
)
def test_w3c_logs_say_what_is_what(header: str, taken: str, status: str, ms: float | None) -> None:
    log = Log([*header.split("\n"), W3C.format(status, taken)])
    assert log.durations_ms == [ms]
    assert log.statuses == [499 if status == "000" else 200]
    assert log.requests[0].at == FIFTEEN
    assert log.requests[0].zoned


@pytest.mark.parametrize(
    ("name", "line", "ms"),
    [
        ("haproxy", HAPROXY_CLF, 1230),
        ("httplog", HAPROXY.format("3/7 200 73", "----", "GET /c"), 7),
        ("ALB", ALB.format("10.0.0.1:80 0.001 0.010 0.002 200"), 13),
        ("caddy", CADDY.format(200, ""), 500),
        ("combined", CLF + " rt=0.012", 12),
    ],
)
def test_a_server_is_named(name: str, line: str, ms: float) -> None:
    """One line among many that tell of something else is enough then."""
    log = Log([*['{"msg":"starting"}', "ready to go"] * 50, line], format=name)
    assert log.durations_ms == [pytest.approx(ms)]
