"""Real lines of servers with what their clients saw, where ../shared/data is beside the project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.receivers.reading import Log

DATA = Path(__file__).resolve().parents[3] / "shared/data"
COMBINED = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'
NGINX = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'
)

# file, what the caller says, requests, those that are timed, the longest (ms), without a whole answer, no requests
Expected = tuple[str, dict[str, Any], int, int, float | None, int, int]
EXPECTED: list[Expected] = [
    ("servers/apache-2.4.71-combined.log", {}, 18, 0, None, 0, 3),
    ("servers/apache-2.4.71-io.log", {}, 18, 0, None, 0, 3),
    ("servers/apache-2.4.71-t.log", {}, 18, 0, None, 0, 3),
    ("servers/apache-2.4.71-t.log", {"format": COMBINED + " %T"}, 18, 18, 3000, 0, 3),
    ("servers/apache-2.4.71-h2-XD.log", {}, 9, 0, None, 5, 0),
    ("servers/apache-2.4.71-h2-XD.log", {"format": COMBINED + " %X %D"}, 9, 9, 2009.309, 5, 0),
    ("servers/caddy-2.6.2.log", {}, 9, 8, 1500.883, 2, 0),
    ("servers/daphne-4.2.3.log", {}, 8, 0, None, 0, 0),
    ("servers/fastify-5.12.8.log", {}, 8, 3, 1006.625, 5, 0),
    ("servers/gunicorn-27.0.1-asgi.log", {}, 15, 15, 10001.547, 0, 0),
    ("servers/gunicorn-27.0.1-gthread.log", {}, 15, 15, 10000.444, 0, 0),
    ("servers/gunicorn-27.0.1-sync.log", {}, 15, 15, 1007.26, 0, 0),
    ("servers/gunicorn-27.0.1-dst.log", {}, 3, 0, None, 0, 0),
    ("servers/h2o-2.2.5-default.log", {}, 5, 0, None, 0, 0),
    ("servers/h2o-2.2.5-duration.log", {}, 7, 0, None, 1, 0),
    ("servers/h2o-2.2.5-duration.log", {"time": "1", "unit": "s"}, 7, 7, 3005.188, 1, 0),
    ("servers/haproxy-2.6.12-abortonclose.log", {}, 4, 4, 1501, 4, 0),
    ("servers/haproxy-2.6.12-clf.log", {}, 5, 5, 3001, 0, 0),
    ("servers/haproxy-2.6.12-httplog.log", {}, 10, 10, 3010, 3, 0),
    ("servers/haproxy-2.6.12-dst-httplog.log", {}, 3, 3, 10, 0, 0),
    ("servers/hypercorn-0.18.0-h1.log", {}, 13, 0, None, 4, 0),
    ("servers/hypercorn-0.18.0-h2.log", {}, 3, 0, None, 2, 0),
    ("servers/lighttpd-1.4.69.log", {}, 170, 170, 3004.923, 1, 1),
    ("servers/morgan-1.12.1-m-combined.log", {}, 13, 0, None, 3, 0),
    ("servers/morgan-1.12.1-m-rt.log", {}, 13, 0, None, 3, 0),
    ("servers/morgan-1.12.1-m-rt.log", {"time": "1", "unit": "ms"}, 13, 10, 1001.546, 3, 0),
    ("servers/morgan-1.12.1-m-rtms.log", {}, 13, 10, 1001.546, 3, 0),
    ("servers/morgan-1.12.1-m-tt0.log", {}, 13, 0, None, 3, 0),
    ("servers/nginx-1.22.1-c1.log", {}, 14, 0, None, 4, 0),
    ("servers/nginx-1.22.1-c1.log", {"format": NGINX + " $request_time"}, 14, 14, 9033, 4, 0),
    ("servers/nginx-1.22.1-c2-c4.log", {"unit": "s"}, 8, 8, 508, 0, 2),
    ("servers/nginx-1.22.1-late-ingress.log", {}, 4, 4, 1003, 1, 0),
    ("servers/nginx-1.22.1-late-rturt.log", {}, 4, 4, 1003, 1, 0),
    ("servers/nginx-1.22.1-late-rtus.log", {}, 4, 0, None, 1, 0),
    ("servers/nginx-1.22.1-late-urt.log", {}, 4, 0, None, 1, 0),
    ("servers/nginx-1.22.1-late-urt.log", {"format": NGINX + " $upstream_response_time"}, 4, 2, 1003, 1, 0),
    ("servers/nginx-1.22.1-urt.log", {"format": NGINX + " $upstream_response_time"}, 8, 7, 508, 0, 2),
    ("servers/tomcat-10.1.60-D.log", {}, 13, 0, None, 0, 2),
    ("servers/tomcat-10.1.60-D.log", {"format": '%h %l %u %t "%r" %s %b %D'}, 13, 13, 2802.615, 0, 2),
    ("servers/tomcat-10.1.60-F.log", {}, 13, 0, None, 0, 2),
    ("servers/tomcat-10.1.60-T.log", {"unit": "s"}, 13, 13, 2000, 0, 2),
    ("servers/tomcat-10.1.60-all.log", {}, 13, 0, None, 0, 2),
    ("servers/tomcat-10.1.60-x.log", {}, 13, 13, 2802.615, 5, 2),
    ("servers/uvicorn-0.54.0-h11.log", {}, 0, 0, None, 0, 0),
    ("faults/aborted_status_dash.log", {}, 2, 0, None, 1, 0),
    ("faults/combinedio.log", {}, 5, 0, None, 0, 0),
    ("faults/cookie_rt.log", {}, 1, 0, None, 0, 0),
    ("faults/cookie_rt.log", {"format": NGINX + ' $request_time "$http_cookie"'}, 1, 1, 802, 0, 0),
    ("faults/gzip_ratio.log", {}, 5, 0, None, 0, 0),
    ("faults/jsessionid.log", {}, 120, 0, None, 0, 0),
    ("faults/one_future_line.log", {}, 51, 0, None, 0, 0),
    ("faults/rt_then_upstream_list.log", {}, 1, 1, 5040, 0, 0),
    ("faults/whole_seconds_T.log", {}, 5, 0, None, 0, 0),
    ("faults/whole_seconds_T.log", {"unit": "s"}, 5, 5, 30_000, 0, 0),
    ("faults/whole_seconds_T.log", {"format": COMBINED + " %T"}, 5, 5, 30_000, 0, 0),
    ("nginx/timed.log", {}, 1898, 1898, 1012, 6, 1),
    ("nginx/json.log", {}, 1898, 1898, 1012, 6, 1),
    ("nginx/combined.log", {}, 1898, 0, None, 6, 1),
    ("apache/access.log", {}, 10_000, 0, None, 0, 0),
]
PRESENT = [expected for expected in EXPECTED if (DATA / expected[0]).exists()]


@pytest.mark.parametrize("expected", PRESENT, ids=lambda one: f"{one[0]} {' '.join(one[1])}")
def test_what_a_log_says(expected: Expected) -> None:
    name, asked, requests, timed, longest, unanswered, none = expected
    log = Log((DATA / name).read_text(errors="replace").splitlines(), **asked)
    durations = [ms for ms in log.durations_ms if ms is not None]
    assert (len(log.requests), len(durations)) == (requests, timed)
    assert max(durations, default=None) == (None if longest is None else pytest.approx(longest))
    assert sum(one is not None for one in log.unanswered) == unanswered
    assert sum(kind.name == "NO_REQUEST" for kind in log.kinds) == none


def test_the_table_is_of_logs() -> None:
    """Also where none of them is there."""
    assert len(EXPECTED) > 50
    assert all(name.endswith(".log") for name, *_ in EXPECTED)
