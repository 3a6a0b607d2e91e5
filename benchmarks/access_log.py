"""How many lines of an access log one core reads, from the bytes of a file to requests: by form, by CPU time."""

from __future__ import annotations

import gzip
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figure import Figure, aimed
from benchmarks.stand import scratch
from server.ingest.access_log.log_file import LogFile
from server.ingest.access_log.log_survey import reads
from server.receivers.access_log.detect import detect
from server.receivers.access_log.entry import LoggedRequest
from server.receivers.access_log.latency import LogAsk

LINES = 200_000
ROUNDS = 5
BEGAN = 1_795_404_619
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36"
COMBINED = '192.0.2.{host} - - [{clf}] "GET /api/orders/{order}?page={page} HTTP/1.1" {status} {size} "-" "{agent}"'
FORMS = {
    "nginx, combined": COMBINED,
    "nginx, timed": COMBINED + ' rt={s} uct="0.000" uht="{s}" urt="{s}" rid={rid} host=shop.example',
    "nginx, JSON": (
        '{{"ts":"{iso}","msec":{at}.{ms},"request_id":"{rid}","method":"GET","uri":"/api/orders/{order}",'
        '"status":{status},"request_time":{s},"upstream_response_time":"{s}","upstream_addr":"192.0.2.9:8011"}}'
    ),
    "Apache, combined with %D": COMBINED + " D={us}",
    "HAProxy, httplog": (
        "192.0.2.{host}:33038 [{clf_ms}] f1 b/up 0/0/0/{n}/{n} {status} {size} - - ---- 4/4/3/3/0 0/0"
        ' "GET /api/orders/{order}?page={page} HTTP/1.1"'
    ),
    "Tomcat, with every time that it has": (
        '192.0.2.{host} - - [{clf}] "GET /api/orders/{order}?page={page} HTTP/1.1" {status} {size} X=+ D={us} T=0 F={n}'
        " usT={us} msT={n} sT=0 begin={at} end={at}"
    ),
    "Caddy": (
        '{{"level":"info","ts":{at}.{us}2,"logger":"http.log.access.log0","msg":"handled request","request":{{'
        '"remote_ip":"192.0.2.{host}","remote_port":"4{ms}","proto":"HTTP/2.0","method":"GET","host":"shop.example",'
        '"uri":"/api/orders/{order}?page={page}","headers":{{"User-Agent":["{agent}"],"Accept":["text/html,'
        'application/xhtml+xml;q=0.9,*/*;q=0.8"],"Accept-Encoding":["gzip, deflate, br"]}},"tls":{{"resumed":false,'
        '"version":772,"cipher_suite":4865,"proto":"h2","server_name":"shop.example"}}}},"user_id":"",'
        '"duration":0.000{us},"size":{size},"status":{status},"resp_headers":{{"Server":["Caddy"],"Alt-Svc":["h3='
        '\\":443\\"; ma=2592000"],"Content-Type":["text/plain; charset=utf-8"]}}}}'
    ),
}


def run() -> list[Figure]:
    """Each of 200,000 lines of 50 routes, 5,000 orders and 1,000 seconds; the median of five rounds."""
    with scratch() as directory:
        figures = [measured(name, line, Path(directory)) for name, line in FORMS.items()]
        packed = Path(directory) / "packed.gz"
        packed.write_bytes(gzip.compress((Path(directory) / "log").read_bytes(), 1))
        figures.append(Figure("access log, Caddy, gzip, lines", rate(packed), "lines/s"))
    slowest = min(figures, key=lambda each: each.value)
    return [aimed("access log, the slowest form, lines", [slowest.value], "lines/s", note=slowest.name), *figures]


def measured(name: str, line: str, directory: Path) -> Figure:
    """One form, its lines in a file."""
    path = directory / "log"
    path.write_text("".join(made(line, n) + "\n" for n in range(LINES)))
    rounds = [rate(path) for _ in range(ROUNDS)]
    return Figure(f"access log, {name}, lines", statistics.median(rounds), "lines/s")


def made(line: str, n: int) -> str:
    """A line that differs from the others as real ones do."""
    at = BEGAN + n // 200
    when = datetime.fromtimestamp(at, UTC)
    return line.format(
        n=n % 997, at=at, ms=f"{n % 1000:03}", us=f"{n % 900_000 + 100_000}", s=f"{n % 1009 / 1000:.3f}",
        host=n % 250, order=n * 7919 % 5000, page=n % 40, size=n % 30_000, status=500 if n % 100 == 0 else 200,
        rid=f"{n * 2654435761 % 2**64:032x}", agent=AGENT, iso=when.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
        clf=when.strftime("%d/%b/%Y:%H:%M:%S +0000"), clf_ms=when.strftime("%d/%b/%Y:%H:%M:%S.") + f"{n % 1000:03}",
    )  # fmt: skip


def rate(path: Path) -> float:
    """Lines a second of CPU: read, told apart, understood."""
    log = LogFile(str(path))
    lines = log.lines()
    first = [line for _, line in zip(range(2000), lines, strict=False) if line]
    form = detect(first, LogAsk()).form
    began = time.process_time()
    count = sum(isinstance(read, LoggedRequest) for _, _, read in reads(log.lines(), form.reader()))
    took = time.process_time() - began
    log.close()
    assert count == LINES
    return count / took
