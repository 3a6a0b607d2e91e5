#!/usr/bin/env bash
# What Tornado's compress_response does with metrics in OpenMetrics.
#
# Guess: Prometheus sends `Accept-Encoding: gzip` and Tornado packs what is text, so metrics are packed in whichever text
# format they are asked for.
# What happens (Tornado 6.6.1): packed is what begins with `text/` and a short list of others. Prometheus' old format is
# `text/plain`, OpenMetrics `application/openmetrics-text`: that one goes out as it is, with `Vary: Accept-Encoding` and
# without a word.
# Why it matters: Prometheus asks for OpenMetrics first. Offering it makes every scrape ten or twenty times as large, on
# a service that compressed its metrics before and still has the setting. Any type of your own (`application/problem+json`,
# `application/x-ndjson`) is in the same place. Give the transform your types: GZipContentEncoding.CONTENT_TYPES.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check tornado==6.6.1 2>/dev/null
"$work/venv/bin/python" - <<'PY'
import asyncio

import tornado
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

print("tornado", tornado.version)
TEXT = "".join(f'requests_total{{route="/items/{n}"}} {n}.0\n' for n in range(500))


class Metrics(RequestHandler):
    def get(self) -> None:
        self.set_header("Content-Type", self.request.headers["Accept"])
        self.write(TEXT)


async def main() -> None:
    sock, port = bind_unused_port()
    server = HTTPServer(Application([("/metrics", Metrics)], compress_response=True))
    server.add_socket(sock)
    sizes = {}
    for media in ("text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0"):
        found = await AsyncHTTPClient().fetch(
            f"http://127.0.0.1:{port}/metrics",
            headers={"Accept": media, "Accept-Encoding": "gzip"},
            decompress_response=False,
        )
        sizes[media] = len(found.body)
        print(f"{media:<45} {found.headers.get('Content-Encoding', 'as it is'):<9} {len(found.body)} bytes")
    plain, open_metrics = sizes.values()
    assert plain * 5 < open_metrics == len(TEXT), "it packs both now"


asyncio.run(main())
PY
