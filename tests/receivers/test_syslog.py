"""Syslog as senders frame and write it: every byte is of a message or counted, and no word is taken for a name."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.kernel.errors import ApiError
from server.receivers import json_lines, logplex
from server.receivers.drained import Drained
from server.receivers.syslog import SyslogLine, displayed, read
from server.receivers.syslog_drain import drain
from server.receivers.syslog_frames import SyslogFrame, SyslogFrames

DATA = Path("/work/shared/data")
recorded = pytest.mark.skipif(not DATA.is_dir(), reason="the recordings are not here")
NOW = int(datetime(2026, 11, 29, 18, 30, tzinfo=UTC).timestamp()) * 1_000_000
AT = int(datetime(2026, 11, 29, 18, 7, 1, tzinfo=UTC).timestamp()) * 1_000_000
HAPROXYS = b'f f/<NOSRV> 0/-1/-1/-1/0 200 73 - - LR-- 1/1/0/0/0 0/0 {} "GET /'
NEW = b"<134>1 2026-11-29T18:07:01.000Z h shop 7 - - "


def line(data: bytes) -> SyslogLine:
    return read(SyslogFrame(data, cut=False), NOW)


def messages(body: bytes) -> list[tuple[bytes, bool]]:
    found = SyslogFrames(body)
    return [(one.data, one.cut) for one in found]


PIECES = st.sampled_from(
    [b"12 <", b"5 <1>ab", b"9999999 <1>", b"\n", b"\r\n", b"\0", b"<13>", NEW, NEW[:30], b"7 ", b"\xff"]
)


@given(st.lists(PIECES | st.binary(max_size=12), max_size=20).map(b"".join))
def test_every_byte_is_of_a_message_or_counted(body: bytes) -> None:
    found = SyslogFrames(body)
    kept = [one.data for one in found]
    assert sum(map(len, kept)) + found.between == len(body)
    assert all(kept)
    told = drain(body, NOW)
    assert told.messages == len(kept) == len(told.requests) + len(told.lines) + told.left.total()


def test_counts() -> None:
    assert messages(b"5 <1>ab5 <1>cd\n6 <1>ef\n") == [(b"<1>ab", False), (b"<1>cd", False), (b"<1>ef\n", False)]
    assert messages(b"9 <1>a\nb\nc\n5 <2>de") == [(b"<1>a\nb\nc\n", False), (b"<2>de", False)]
    # Of characters, not of bytes; and of more than came.
    assert messages("6 <1>üüü6 <1>abc".encode()) == [("<1>üüü".encode(), False), (b"<1>abc", False)]
    assert messages(b"99 <1>a\n<2>b\n") == [(b"<1>a", True), (b"<2>b", False)]


def test_parts_left_empty_are_not_known() -> None:
    """syslog-ng 3.38.1, by a template of `$PID $MSGID $SDATA $MSG` where a message has none of them."""
    told = line(b"<190>1 2026-11-29T18:07:01+00:00 vm nginx    192.0.2.1 served")
    assert (told.host, told.app, told.process, told.text) == ("vm", "nginx", "", "192.0.2.1 served")
    told = line(b'<14>1 2026-11-29T18:07:01+00:00 vm shop  ID7 [ex@1 a="b c"] structured')
    assert (told.app, told.process, told.text) == ("shop", "", "structured")


def test_two_equal_bodies_are_one_where_their_sender_writes_fractions() -> None:
    """One message in a thousand of milliseconds has a time of none."""
    assert not drain(NEW + b"a\n", NOW).exact
    assert drain(NEW + b"a\n" + NEW.replace(b".000", b".007") + b"b\n", NOW).exact


def test_json_behind_a_header_is_read_by_its_names() -> None:
    """pino-syslog 4.0.0 and syslog-client 1.1.1 write a logger's JSON, with the priority that it has by default."""
    inner = (
        b'{"level":50,"time":1796054400123,"req":{"id":"abc-1"},"traceId":"' + b"4bf9" * 8 + b'","msg":"pay failed"}'
    )
    (told,) = drain(NEW.replace(b"<134>", b"<14>") + inner, NOW).lines
    assert (told.severity, told.level, told.request_id, told.trace_id) == (17, "50", "abc-1", "4bf9" * 8)
    assert told.text == inner.decode()


def test_lines_without_an_end_begin_with_the_header_of_the_same_sender() -> None:
    other = NEW.replace(b"shop", b"cart")
    body = NEW + b"one" + NEW + b"two quotes " + other + b"three\n" + other + b"four"
    assert messages(body) == [
        (NEW + b"one", False),
        (NEW + b"two quotes " + other + b"three", False),
        (other + b"four", False),
    ]


def test_headers() -> None:
    new = line(b'<165>1 2003-10-11T22:14:15.003Z mymachine evnt 9 ID47 [x@1 iut="3" a="b\\]c"][y@1] \xef\xbb\xbfA=b=c')
    assert new == SyslogLine(1_065_910_455_003_000, 10, "notice", "mymachine", "evnt", "9", "A=b=c", False)
    old = line(b"<34>Nov 29 18:07:01 vm su[3]: 'su root' failed\n")
    assert old == SyslogLine(AT, 18, "crit", "vm", "su", "3", "'su root' failed", False)
    assert line(b"<34>Nov 29 18:07:01 haproxy[8]: x")[:5] == (AT, 18, "crit", "", "haproxy")
    assert line(b"2026-11-29T18:07:01.000000+00:00 vm sshd[12]: x")[:6] == (AT, 0, "", "vm", "sshd", "12")
    # January's night, of last year's December; and a zone ahead of ours.
    assert read(SyslogFrame(b"<34>Nov 29 18:07:01 a b: x", cut=False), AT + 40 * 86_400_000_000).at == AT
    assert line(b"<34>Nov 29 20:07:01 a b: x").at is None


@pytest.mark.parametrize(
    "text",
    [
        '{"level":"error","msg":"boom"}',
        "ERROR checkout failed",
        "GET /pay 500",
        'level=error msg="x"',
        "checkout: failed",
        "2026-11-29 18:00:00,123 ERROR shop: x",
    ],
)
def test_words_of_a_plain_line_are_no_host_and_no_tag(text: str) -> None:
    """What rsyslog takes for them: recordings in rsyslog-as-parsed.jsonl."""
    found = line(f"<14>{text}".encode())
    assert (found.at, found.host, found.app, found.text) == (None, "", "", text)


def test_a_plain_line_with_a_time_has_no_host_either() -> None:
    assert line(b"2026-11-29T18:07:01Z ERROR shop: x")[3:7] == ("", "", "", "ERROR shop: x")


def test_newlines_are_for_display() -> None:
    assert displayed("one#012two\\nthree#011tab") == "one\ntwo\nthree\ttab"


def shown(told: Drained) -> list[tuple[str, str, int]]:
    return [(one.method, one.target, one.status) for one in told.requests]


def test_lines_of_servers_are_requests() -> None:
    haproxy = (
        b'127.0.0.1:5 [29/Nov/2026:18:07:01.500] f f/s 0/0/1/20/21 200 73 - - %s 1/1/0/0/0 0/0 "GET /users/7 HTTP/1.1"'
    )
    told = drain(
        b"\n".join(
            [
                b'<190>Nov 29 18:07:01 vm nginx: 127.0.0.1 "GET /a?b=c HTTP/1.1" 200 "-"',
                b"<190>Nov 29 18:07:01 vm nginx: 1.1.1.1 - - [29/Nov/2026:18:07:01 +0000]"
                b' "GET /b HTTP/1.1" 499 0 "-" "-" rt=0.5',
                b"<134>Nov 29 18:07:01 haproxy[8]: " + haproxy % b"----",
                b"<134>1 2026-11-29T18:07:01Z - haproxy 8 - - " + haproxy.replace(b":18:", b":19:") % b"SD--",
                NEW + b'{"method":"GET","path":"/x","status":200}',
                NEW + b'{"request":"POST /n HTTP/1.1","status":"201","request_time":"0.25",'
                b'"time_iso8601":"2026-11-29T18:07:01+00:00"}',
                NEW + b'said "GET well soon" 200 times',
            ]
        ),
        NOW,
    )
    assert [
        (one.service, one.instance, one.target, one.status, one.at - AT, one.duration_us, one.failed, one.abandoned)
        for one in told.requests
    ] == [
        ("nginx", "vm", "/a", 200, 0, None, None, False),
        ("nginx", "vm", "/b", 499, 0, 500_000, None, True),
        ("haproxy", "", "/users/:id", 200, 521_000, 21_000, None, False),
        ("haproxy", "", "/users/:id", 200, 521_000, 21_000, True, False),
        ("shop", "h", "/n", 201, 0, 250_000, None, False),
    ]
    assert [one.text[:6] for one in told.lines] == ['{"meth', 'said "']
    assert drain(NEW + b"x", NOW, "cart").lines[0].service == "cart"


@pytest.mark.parametrize(
    ("fraction", "known"),
    [(".123456", True), (".123000", True), (".1230", True), (".123", False), ("", False), (".000000", False)],
)
def test_a_request_is_known_again_by_a_time_of_microseconds(fraction: str, known: bool) -> None:
    """As its header prints it: one in a thousand of them is a whole millisecond."""
    header = f"<134>1 2026-11-29T18:07:01{fraction}+00:00 vm nginx 1 - - ".encode()
    body = header + b'10.0.0.1 - - [29/Nov/2026:18:07:01 +0000] "GET /a HTTP/1.1" 200 5 "-" "-"\n'
    (one,) = drain(body, NOW).requests
    assert bool(one.known_by) is known


def test_what_was_cut_is_one_record() -> None:
    start = b"<134>Nov 29 18:07:01 haproxy[8]: 127.0.0.1:5 [29/Nov/2026:18:07:01.500] "
    cut = (start + HAPROXYS + b"p" * 2000)[:1024]
    told = drain(cut + b"\n<187>Nov 29 18:07:01 vm ngx: " + b"e" * 2048, NOW)
    assert (told.messages, told.cut) == (2, 2)
    assert shown(told) == [("GET", "/:id", 200)]
    assert [one.cut for one in told.lines] == [True]


@recorded
def test_recorded_octet_counts() -> None:
    told = drain((DATA / "webhooks/rsyslog-octet-counted.bin").read_bytes(), NOW)
    assert [(one.instance, one.text) for one in told.lines] == [
        ("host", "ü€"),
        ("host", "line one#012line two#011tab"),
        ("host", "bom"),
        ("oldhost", " old style"),
    ]


@recorded
def test_recorded_winston_in_order_of_arrival() -> None:
    told = drain((DATA / "webhooks/winston-syslog-2.7.1-tcp4-5424.bin").read_bytes(), NOW)
    assert told.messages == 303
    found = [one[1] for text in told.lines if (one := re.search(r"seq=(\d+)", text.text))]
    assert found == [f"{n:03}" for n in range(300)]
    assert [one.at for one in told.lines] == sorted(one.at or 0 for one in told.lines)
    assert {(one.service, one.instance) for one in told.lines} == {("shop", "h")}


@recorded
def test_recorded_lines_of_pythons_handler() -> None:
    told = drain((DATA / "webhooks/rfc5424-logging-handler-1.4.3-tcp.bin").read_bytes(), NOW)
    assert (told.messages, told.left) == (5, {"empty": 1})
    assert [one.severity for one in told.lines] == [9, 9, 17, 9]
    assert told.lines[0].text == "plain"
    assert displayed(told.lines[1].text) == "zwei\nZeilen ü€"
    assert len(told.lines[3].text) > 18_000


DATAGRAM = re.compile(r"(\d+) (?:LF-end|no-LF) (b['\"].*['\"]) \.\.\. (b['\"].*['\"])")


def datagrams(name: str) -> list[bytes]:
    """What was recorded of each: its length, its start and its end. What is between them is put in as it was."""
    found = []
    for one in (DATA / "drains" / name).read_text().splitlines():
        recorded_as = DATAGRAM.fullmatch(one)
        assert recorded_as is not None
        length, begins, ends = (ast.literal_eval(part) for part in recorded_as.groups())
        missing = length - len(begins) - len(ends)
        seen = begins.partition(b"] ")[2]
        between = HAPROXYS.removeprefix(seen)[:missing] if HAPROXYS.startswith(seen or b"-") else b""
        found.append(begins + between + ends[:1] * (missing - len(between)) + ends[max(0, -missing) :])
        assert len(found[-1]) == length
    return found


@recorded
def test_recorded_lines_of_nginx() -> None:
    told = drain(b"\n".join(datagrams("nginx-access-syslog.txt")), NOW)
    assert shown(told) == [
        ("GET", "/a", 200),
        ("GET", "/b", 200),
        ("GET", "/miss/:id", 404),
        *[("GET", f"/{name}", 200) for name in ("d", "e1", "e2", "f0", "f1", "f2", "f3")],
    ]
    assert (told.cut, {one.instance for one in told.requests}) == (0, {"vm"})
    errors = drain(b"\n".join(datagrams("nginx-error-syslog.txt")), NOW)
    assert [one.cut for one in errors.lines] == [True, False, False, False]
    assert [one.severity for one in errors.lines] == [17, 19, 17, 19]


@recorded
@pytest.mark.parametrize("name", ["haproxy-default-udp.txt", "haproxy-rfc5424-udp.txt"])
def test_recorded_lines_of_haproxy(name: str) -> None:
    """Two of the four are of a format of somebody's own, without a status behind the request: log lines."""
    told = drain(b"".join(datagrams(name)), NOW)
    assert (told.messages, len(told.lines), told.cut) == (4, 2, 1)
    assert shown(told) == [("GET", "/short", 200), ("GET", "/:id", 200)]


def test_a_body_of_more_lines_than_are_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("drained", "syslog_drain"):
        monkeypatch.setattr(f"server.receivers.{name}.LINES_MAX", 10)
    for body in (b"a\n" * 12, b"{}," * 60):
        with pytest.raises(ApiError, match="more than 10 lines"):
            json_lines.read(body, "shop")
    for reading in (lambda: logplex.read(b"a\n" * 12, NOW), lambda: drain(b"a\n" * 12, NOW)):
        with pytest.raises(ApiError, match="more than 10 lines") as raised:
            reading()
        assert raised.value.code == "PAYLOAD_TOO_LARGE"
