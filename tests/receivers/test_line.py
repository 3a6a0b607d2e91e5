"""Lines as Apache and nginx write them: what is a request, which number is a latency, and which is none."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.receivers.access_log.entry import LeftKind, LeftLine
from server.receivers.access_log.line import LineForm, Takes
from tests.receivers.reading import Log

PLAIN = '192.0.2.7 - mira [23/Nov/2026:03:30:19 +0000] "GET /api/orders/42?x=1 HTTP/1.1" 200 2 "-" "UA/1.0"'
AT = 1_795_404_619_000_000


def test_a_combined_line() -> None:
    log = Log([PLAIN])
    (read,) = log.requests
    assert (read.method, read.route, read.status, read.at) == ("GET", "/api/orders/:id", 200, AT)
    assert (read.duration_us, read.unanswered, read.zoned) == (None, None, True)
    assert "no field of it says" in log.detected.hint


@pytest.mark.parametrize(
    ("rest", "ms", "took"),
    [
        (" rt=0.012", 12, "rt=, in s"),
        (' rt=0.002 uct="0.000" urt="0.001" host=192.0.2.1', 2, "rt=, in s"),
        (' request_time="1.5"', 1500, "request_time=, in s"),
        (" D=1003672 M=1003 T=1 1.003672", 1003.672, "D=, in us"),
        (" M=1003 T=1", 1003, "M=, in ms"),
        (" T=1", 1000, "T=, in s"),
        (" ms=12", 12, "ms=, in ms"),
        (" us=12500", 12.5, "us=, in us"),
        (" D=2802 T=2", 2802, "D=, in ms"),  # Tomcat 9: whole seconds beside it say so
        (' urt="0.250, 0.500"', 750, "urt=, in s"),
        (" took=12ms", 12, "took=, in the unit it says"),
        (" duration=1.5s", 1500, "duration=, in the unit it says"),
        (" 12.724 ms", 12.724, "the only field with a unit"),
        (" 13ms", 13, "the only field with a unit"),
        (" 5.040 5.001, 0.039", 5040, "$request_time"),
    ],
)
def test_a_latency_is_what_its_place_says(rest: str, ms: float, took: str) -> None:
    log = Log([PLAIN + rest])
    assert log.durations_ms == [pytest.approx(ms)]
    assert took in log.detected.took


@pytest.mark.parametrize(
    "rest",
    [
        " 412 1465",  # Apache's %I %O
        ' "2.53"',  # a compression ratio
        " 3",  # whole seconds, or anything
        " 12345",
        " 0.250",  # nginx's seconds, or morgan's milliseconds
        " 0.000, 0.502",  # a list of upstreams
        " 0.502 504, 200",  # a list of statuses
        ' 0.802 "sid=1; rt=1732"',  # a cookie
        ' "rt=0.5"',
        " rt=-",
        " T=-1",
        " T=1795404619",  # a time of day, no time taken
        " duration=12",  # of which unit?
        " 0f6fd1b5d29f75f0d25e353ad98cf775",
        "",
    ],
)
def test_a_number_that_nothing_names_is_no_latency(rest: str) -> None:
    log = Log([PLAIN + rest])
    assert log.durations_ms == [None]
    assert not log.detected.took
    assert log.detected.hint


def test_the_hint_shows_the_numbers_and_how_to_name_one() -> None:
    assert "1: 412, 2: 1465" in Log([PLAIN + " 412 1465"]).detected.hint
    assert "--time N --unit s|ms|us" in Log([PLAIN + " 412 1465"]).detected.hint
    assert "--time duration --unit" in Log([PLAIN + " duration=12"]).detected.hint


@pytest.mark.parametrize(
    ("rest", "time_", "unit", "ms"),
    [
        (" 412 30", "2", "ms", 30),
        (" 412 30", "-1", "s", 30_000),
        (' 0.802 "sid=1; rt=1732"', "1", "s", 802),
        (" 0.250, 0.500", "1", "s", 750),
        (" wait=12", "wait", "ms", 12),
        (" wait=12us", "wait", None, 0.012),
        (" rt=0.012", "rt", None, 12),
        (" 30", None, "s", 30_000),  # one bare number, and its unit is said
    ],
)
def test_a_latency_that_the_caller_names(rest: str, time_: str | None, unit: str | None, ms: float) -> None:
    assert Log([PLAIN + rest], time=time_, unit=unit).durations_ms == [pytest.approx(ms)]


@pytest.mark.parametrize(
    ("rest", "time_", "unit", "words"),
    [
        (" 30", "2", "s", "no line has number 2"),
        (" 30", "wait", "s", "no line has wait="),
        (" 30", "1", None, "says no unit"),
        (" rid=abc", "rid", "s", "is no time: abc"),
    ],
)
def test_a_field_that_is_not_there_is_said(rest: str, time_: str, unit: str | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Log([PLAIN + rest], time=time_, unit=unit)


def test_one_detection_holds_for_every_line() -> None:
    log = Log([PLAIN + rest for rest in (" 1.003 1.001, 0.002", " 0.005 0.005", " 0.000 -", " 0.250 0.200 x")])
    assert log.durations_ms == [1003, 5, 0, None]  # the last one has other fields than the rest


@pytest.mark.parametrize(
    "request_line",
    ["-", "", "  ", r"\x16\x03\x01\x02", "GET - HTTP/1.1", "PRI * HTTP/2.0", "GET", "GET /half", "SSH-2.0-x y"],
)
def test_what_has_no_request_line_is_no_request(request_line: str) -> None:
    log = Log([PLAIN, PLAIN, f'192.0.2.7 - - [23/Nov/2026:03:30:19 +0000] "{request_line}" 400 150 "-" "-" 0.5'])
    assert len(log.requests) == 2
    assert log.kinds == [LeftKind.NO_REQUEST]


@pytest.mark.parametrize("status", ["-", "-1", "0", "000", "499", "444"])
def test_a_request_without_an_answer_is_a_request(status: str) -> None:
    log = Log([f'192.0.2.7 - - [23/Nov/2026:03:30:19 +0000] "GET /a HTTP/1.1" {status} - "-" "-"'])
    assert log.statuses == [444 if status == "444" else 499]
    assert log.unanswered == [f"status {status}"]


def test_apaches_x_says_who_was_left() -> None:
    log = Log([PLAIN + rest for rest in (" X 1003441", " - 1003628", " + 1006828")], unit="us")
    assert log.unanswered == ["aborted X", None, None]
    assert log.durations_ms == [1003.441, 1003.628, 1006.828]
    assert Log([PLAIN + " X=X D=5", PLAIN + " X=+ D=5"]).unanswered == ["aborted X", None]


def test_a_websocket_is_timed_by_nobody() -> None:
    assert Log([PLAIN.replace(" 200 ", " 101 ") + " rt=3600.0"]).durations_ms == [None]


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "a [23/Nov/2026:03:30:19 +0000] b",
        '1.2.3.4 - - [32/Nov/2026:03:30:19 +0000] "GET / HTTP/1.1" 200 2',
        '1.2.3.4 - - [23/Foo/2026:03:30:19 +0000] "GET / HTTP/1.1" 200 2',
        '1.2.3.4 - - [23/Nov/2026:03:30:19 +0000] "GET / HTTP/1.1" 999 2',
        '1.2.3.4 - - [23/Nov/2026:03:30:19 +0000] "GET / HTTP/1.1 200 2',
        'INFO:     127.0.0.1:44232 - "GET /pay HTTP/1.1" 200 OK',
    ],
)
def test_what_is_refused_has_its_reason(line: str) -> None:
    (left,) = LineForm().reader().read(line)
    assert isinstance(left, LeftLine)
    assert left.kind is LeftKind.REFUSED
    assert left.why


def test_the_reason_is_the_true_one() -> None:
    assert "no time" in Log(['INFO:     127.0.0.1:44232 - "GET /pay HTTP/1.1" 200 OK']).left[0].why
    assert '"999" is no status' in Log([PLAIN.replace(" 200 ", " 999 ")]).left[0].why
    assert "no known zone" in Log([PLAIN.replace("+0000", "XYZT")]).left[0].why


@pytest.mark.parametrize(
    "line",
    [
        '1.2.3.4 - - [23/Nov/2026:03:30:19 +0000] "GET / HTTP/1.1" 200 -',
        '1.2.3.4 - a b [23/Nov/2026:03:30:19 +0000] "GET / HTTP/2.0" 200 5 "-" "say \\"rt=9\\" 7"',
        '::1 - - [23/Nov/2026:03:30:19 +0000] "GET / HTTP/1.0" 200 0 "-" "-"',
        '[2026-11-23 03:30:19 +0000] [7] [INFO] 1.2.3.4:5 - - [23/Nov/2026:03:30:19 +0000] "GET / 1.1" 200 3 "-" "-"',
        '1.2.3.4:45016 - - [23/Nov/2026:03:30:19] "GET /" 200 3',  # daphne
        '1.2.3.4 - - [23/Nov/2026 03:30:19] "GET / HTTP/1.1" 200 -',  # http.server, werkzeug
        '[23/Nov/2026 03:30:19] "GET / HTTP/1.1" 200 6',  # Django's runserver
        '1.2.3.4 -  23/Nov/2026:03:30:19 +0000 "GET /" 200',  # PHP-FPM
        '1.2.3.4 [23/Nov/2026:03:30:19 +0000] "GET / HTTP/1.1" 200 160 "-" "UA"',  # aiohttp
        '2026-11-23T03:30:19.5Z stdout F 1.2.3.4 - - [23/Nov/2026:03:30:19 +0000] "GET / HTTP/1.1" 200 6',
        '2026-11-23 03:30:19,000 INFO: 1.2.3.4:5 - "GET / HTTP/1.1" 200 OK',  # uvicorn with asctime
        '1.2.3.4 - - [23/Nov/2026:04:30:19 CET] "GET / HTTP/1.1" 200 6',  # WEBrick
        '1.2.3.4 - - [23/Nov/2026:03:30:19.000 +0000] "GET / HTTP/1.1" 200 6',
        '<190>Nov 23 03:30:19 vm nginx: 1.2.3.4 - - [23/Nov/2026:03:30:19 +0000] "GET / HTTP/1.1" 200 6 "-" "-"',
    ],
)
def test_what_stands_around_it_does_not_matter(line: str) -> None:
    (read,) = Log([line]).requests
    assert (read.method, read.route, read.status, read.at, read.duration_us) == ("GET", "/", 200, AT, None)


def test_two_lines_of_one_request_whose_client_left() -> None:
    lines = [
        '127.0.0.1:54020 - - [29/Nov/2026:17:01:45 +0000] "GET /slow 1.1" - - "-" "-"',
        '127.0.0.1:54021 - - [29/Nov/2026:17:01:45 +0000] "GET /slow 1.1" 200 3 "-" "-"',
        '127.0.0.1:54020 - - [29/Nov/2026:17:01:45 +0000] "GET /slow 1.1" 200 3 "-" "-"',
    ]
    log = Log(lines)
    assert log.statuses == [499, 200]
    assert log.kinds == [LeftKind.OTHER]


def test_daphnes_websockets() -> None:
    peer = "127.0.0.1:47796 - - [29/Nov/2026:17:13:04]"
    lines = ["WSCONNECTING /ws", "WSCONNECT /ws", "WSDISCONNECT /ws"]
    log = Log([*(f'{peer} "{line}" - -' for line in lines), f'{peer} "GET /ws" 503 468', f'{peer} "GET /x" 503 468'])
    assert [(one.method, one.route, one.status) for one in log.requests] == [("GET", "/ws", 101), ("GET", "/x", 503)]
    assert log.unanswered == [None, None]


@pytest.mark.parametrize(("printed", "starts"), [([4, 1, 5], True), ([2, 5, 5], False)])
def test_the_order_of_lines_says_whether_their_time_is_the_start(printed: list[int], starts: bool) -> None:
    """Lines are written as requests end: three of 1, 4 and 1 s."""
    taken = [1_000_000, 4_000_000, 1_000_000]
    lines = [PLAIN.replace(":19 ", f":{10 + at} ") + f" D={us}" for at, us in zip(printed, taken, strict=True)]
    log = Log(lines)
    assert log.detected.form.sense.starts is starts
    ends = [AT - 9_000_000 + at * 1_000_000 + (us if starts else 0) for at, us in zip(printed, taken, strict=True)]
    assert [one.at for one in log.requests] == ends


TEXT = st.text(alphabet=string.printable + "é\0\u202e", max_size=200)


@given(TEXT)
def test_no_line_breaks_it(line: str) -> None:
    for text in (line, PLAIN[:60] + line, PLAIN + line):
        Log([text])
        Log([text, PLAIN + " rt=0.1", PLAIN + " 1.0 1.0, 0.0"])


@given(TEXT.map(lambda text: text.replace('"', "").replace("\\", "")), st.sampled_from(['"{}"', '"-" "{}"', 'x="{}"']))
def test_what_stands_in_quotes_is_never_a_latency(text: str, field: str) -> None:
    for inside in (text, f"rt={text}", f"{text} rt=5", f"{text} 5 ms", "D=7", "5.040 5.001, 0.039"):
        assert Log([PLAIN + " " + field.format(inside)]).durations_ms == [None]
        form = LineForm(takes=Takes(name="rt"))
        form.sense.unit = "s"
        for read in form.reader().read(PLAIN + " " + field.format(inside)):
            assert isinstance(read, LeftLine) or read.duration_us is None


def test_a_hostile_line_is_quick() -> None:
    started = time.process_time()
    for line in (
        PLAIN[:20] + "[" * 60_000,
        PLAIN[:60] + '\\"' * 30_000,
        "a " * 30_000,
        PLAIN + " 1" * 30_000,
        PLAIN + " a=" * 20_000,
        PLAIN + " 1," * 20_000,
        '"GET /' * 10_000,
        "29/Nov/2026:15:00:00 " * 3_000,
        "{" * 60_000,
        PLAIN + ' "' * 30_000,
    ):
        Log([line])
    assert time.process_time() - started < 5
