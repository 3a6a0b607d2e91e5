"""Drains over HTTP: Heroku's Logplex, and syslog. What is sent again changes nothing."""

from __future__ import annotations

import asyncio
import gzip
import re
import shutil
import socket
import subprocess
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from server.ingest.telemetry import drain_handlers
from tests.conftest import ROOT, free_port
from tests.ingest.making import rows
from tests.site import Site, answer
from tests.waiting import PATIENCE_S, until

Start = Callable[..., Any]
LOGPLEX, SYSLOG = "/api/v1/drains/logplex", "/api/v1/drains/syslog"
COUNTED = (
    "SELECT service, route, status, sum(n)::int, sum(bad)::int, sum(duration_us)::int FROM deltas"
    " JOIN series ON series.id = series_id GROUP BY 1, 2, 3 ORDER BY 2, 3"
)
LINES = "SELECT service, instance, process, severity, message, cut FROM service_lines ORDER BY arrived"
CHANGES = "SELECT kind, version, summary, actor FROM changes WHERE service = 'shop' ORDER BY id"
LOST = "SELECT service, sum(items)::int, count(*)::int FROM intake WHERE reason = 'LOST' GROUP BY 1"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    for handler in (drain_handlers.LogplexHandler, drain_handlers.SyslogHandler):
        monkeypatch.setattr(handler, "answer_s", PATIENCE_S)


def stamp(ago_s: float = 0) -> str:
    return (datetime.now(UTC) - timedelta(seconds=ago_s)).isoformat(timespec="microseconds")


def frames(*messages: tuple[str, str], ago_s: float = 1) -> bytes:
    """Messages of a process of Heroku's: `router`, `app[api]`, `app[web.1]`."""
    found = []
    for process, text in messages:
        app, name = process.strip("]").split("[") if "[" in process else ("heroku", process)
        line = f"<158>1 {stamp(ago_s)} host {app} {name} - {text}\n".encode()
        found.append(b"%d %s" % (len(line), line))
    return b"".join(found)


def router(path: str, status: int = 200, service: str = "18ms", code: str = "") -> tuple[str, str]:
    pairs = f'method=GET path="{path}" host=shop.herokuapp.com request_id=r-{path.strip("/")[:20]} fwd="1.2.3.4"'
    at = f"at=error code={code} desc=x" if code else "at=info"
    return "router", f"{at} {pairs} dyno=web.1 connect=1ms service={service} status={status} bytes=1"


async def sent(site: Site, key: str, body: bytes, path: str = LOGPLEX, status: int = 200, **headers: str) -> Any:
    basic = "Basic " + b64encode(f"{key}:".encode()).decode()
    given = {name.replace("_", "-"): value for name, value in headers.items()} | {"Authorization": basic}
    found = await site.fetch(path, method="POST", body=body, headers=given)
    assert found.code == status, found.body
    return answer(found)


@pytest.mark.gen_test
async def test_a_drain_of_heroku_sent_twice(web: Start, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest", services=["shop"])
    body = frames(
        router("/users/7"),
        router("/users/8", 503, "", "H10"),
        router("/pay", 499, code="H27"),
        ("app[web.1]", "ERROR boom token=abcdefghijkl request_id=r-users"),
        ("app[api]", "Deploy 4e81b07f by user a@b.de"),
        ("app[api]", "Release v42 created by user a@b.de"),
        ("logplex", f"Error L10 (output buffer overflow): 400 messages dropped since {stamp(25)[:19]}+00:00."),
    )
    first = await sent(site, key, body, Logplex_Frame_Id="f1", Content_Type="application/logplex-1")
    assert first == {
        "messages": 7, "outcomes": 2, "lines": 4, "changes": 1, "abandoned": 1, "refused": 0, "cut": 0,
    }  # fmt: skip
    again = await sent(site, key, body, Logplex_Frame_Id="f1")
    assert (again["outcomes"], again["changes"]) == (2, 0)
    # What nobody timed is counted, and no latency.
    assert rows(database_url, COUNTED) == [
        ("shop", "/users/:id", 200, 1, 0, 19_000),
        ("shop", "/users/:id", 503, 1, 1, 0),
    ]
    assert rows(database_url, "SELECT duration_us, detail FROM outcomes ORDER BY duration_us") == [
        (19_000, {"instance": "web.1"}),
        (None, {"instance": "web.1", "error_class": "H10"}),
    ]
    assert rows(database_url, CHANGES) == [("deploy", "v42", "Deploy 4e81b07f", "a@b.de")]
    lines = rows(database_url, LINES)
    assert len(lines) == 4
    assert lines[0][:4] == ("shop", "web.1", "web", 17)
    assert "abcdefghijkl" not in lines[0][4]
    # The last line of a release, in a request of its own and late: the release is known.
    await sent(site, key, frames(("app[api]", "Release v42 created by user a@b.de"), ago_s=90), Logplex_Frame_Id="f2")
    await sent(site, key, frames(("app[api]", "Scaled to web@2:Standard-1X by user a@b.de")), Logplex_Frame_Id="f3")
    assert [one[:2] for one in rows(database_url, CHANGES)] == [("deploy", "v42"), ("scale", "web@2:Standard-1X")]
    await until(lambda: rows(database_url, LOST), "what was lost")
    ((service, items, slots),) = rows(database_url, LOST)
    assert (service, slots >= 3, 400 <= items <= 410) == ("shop", True, True)


@pytest.mark.gen_test
async def test_who_may_drain_what(web: Start, monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    site = await web()
    bound = await site.key("ingest", services=["shop"])
    other = await sent(site, bound, frames(router("/a")), f"{LOGPLEX}?service=mail")
    assert (other["outcomes"], other["refused"]) == (0, 1)
    dropped = f"Error L10 (output buffer overflow): 4 messages dropped since {stamp(25)[:19]}+00:00."
    await sent(site, bound, frames(("logplex", dropped)), f"{LOGPLEX}?service=mail")
    await site.parts.intake.lane.write()
    assert rows(database_url, LOST) == []  # it would make another service blind
    anybody = await site.key("ingest", name="anybody")
    assert (await sent(site, anybody, frames(router("/a")), f"{LOGPLEX}?service=mail"))["outcomes"] == 1
    assert (await sent(site, anybody, b"<13>x", f"{SYSLOG}?zone=Nowhere", 422))["code"] == "INVALID"
    await sent(site, "nobody", frames(router("/a")), status=401)
    reader = await site.key("read", name="reader")
    await sent(site, reader, frames(router("/a")), status=403)
    assert (await sent(site, anybody, b"", SYSLOG))["messages"] == 0
    monkeypatch.setattr(drain_handlers, "BODY_MAX", 100)
    await sent(site, anybody, b"x" * 101, SYSLOG, 413)


@pytest.mark.gen_test
async def test_syslog_of_a_server(web: Start, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest")
    access = f'<190>1 {stamp()} vm nginx 7 - - 1.2.3.4 "GET /users/%d HTTP/1.1" %d "-" rt=0.012\n'
    body = "".join(access % (n, 200) for n in range(3)) + access % (9, 499) + f"<11>1 {stamp()} vm cron 8 - - a#012b\n"
    for coded in (gzip.compress(body.encode()), body.encode()):  # the same times, so the same once more
        told = await sent(site, key, coded, SYSLOG, **({"Content_Encoding": "gzip"} if coded[0] == 31 else {}))
        assert (told["outcomes"], told["abandoned"], told["lines"]) == (3, 1, 1)
    assert rows(database_url, COUNTED) == [("nginx", "/users/:id", 200, 3, 0, 36_000)]
    assert rows(database_url, LINES) == [("cron", "vm", "cron[8]", 17, "a#012b", False)]
    # Shippers put what was not answered into a larger body: each message is known by itself.
    larger = access % (11, 200)
    assert (await sent(site, key, (body + larger * 2).encode(), SYSLOG))["outcomes"] == 5
    assert (await sent(site, key, (larger + body + larger * 2).encode(), SYSLOG))["outcomes"] == 6
    assert rows(database_url, COUNTED) == [("nginx", "/users/:id", 200, 6, 0, 72_000)]
    # Without a fraction of a second nobody can tell a repeat from two requests in one second.
    plain = f'<190>{datetime.now(UTC):%b %e %H:%M:%S} vm nginx: 1.2.3.4 "GET /b HTTP/1.1" 200 "-"\n'.encode()
    for _ in range(2):
        await sent(site, key, plain, SYSLOG)
    assert rows(database_url, COUNTED)[0] == ("nginx", "/b", 200, 2, 0, 0)


PAGE = (ROOT / "docs/connect/syslog.md").read_text()
RSYSLOGD = shutil.which("rsyslogd")


@pytest.mark.soak
@pytest.mark.skipif(RSYSLOGD is None, reason="there is no rsyslogd here")
@pytest.mark.gen_test
async def test_a_real_rsyslog_as_the_page_says(web: Start, database_url: str, tmp_path: Path) -> None:
    """Its program and its configuration as printed; the address is this test's, and it listens at a port."""
    site = await web()
    program, key, port = tmp_path / "evenkeel-drain", tmp_path / "key", free_port()
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    program.write_text(script)
    program.chmod(0o755)
    key.write_text(await site.key("ingest"))
    own = {
        "/usr/local/bin/evenkeel-drain": str(program),
        "https://evenkeel.example.com": site.url,
        "/etc/evenkeel.key": str(key),
        'resumeInterval="5"': 'resumeInterval="1"',
    }
    config = printed("rsyslog", own)
    listens = f'module(load="imudp")\ninput(type="imudp" address="127.0.0.1" port="{port}")\n'
    (tmp_path / "rsyslog.conf").write_text(f'global(workDirectory="{tmp_path}")\n{listens}{config}')
    assert RSYSLOGD is not None
    running = subprocess.Popen([RSYSLOGD, "-n", "-f", tmp_path / "rsyslog.conf", "-i", tmp_path / "pid"])
    try:
        await until((tmp_path / "pid").exists, "rsyslogd")
        now = datetime.now(UTC)
        for text in (
            f'<190>{now:%b %e %H:%M:%S} vm nginx: 1.2.3.4 "GET /users/7 HTTP/1.1" 500 "-"',
            "<11>ERROR checkout failed",
            f"<11>1 {now.isoformat()} h cart 7 - - two\nlines",
            "<13>x=1=2",
            "<13>" + "y" * 9000,
        ):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.sendto(text.encode(), ("127.0.0.1", port))
        await until(lambda: len(rows(database_url, LINES)) == 4 and rows(database_url, COUNTED), "all five")
    finally:
        running.terminate()
        await asyncio.to_thread(running.wait)  # it may wait for an answer of ours
    assert rows(database_url, COUNTED) == [("nginx", "/users/:id", 500, 1, 1, 0)]
    lines = {
        message[:9]: (service, instance, cut) for service, instance, _, _, message, cut in rows(database_url, LINES)
    }
    assert lines == {
        "ERROR che": ("syslog", "", False),
        "two#012li": ("cart", "h", False),
        "x=1=2": ("syslog", "", False),
        "yyyyyyyyy": ("syslog", "", True),
    }


def printed(language: str, own: Mapping[str, str]) -> str:
    """The configuration on the page, with what is this test's own in the place of what stands there."""
    (config,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    for there, here in own.items():
        assert there in config
        config = config.replace(there, here)
    return config


SYSLOG_NG = shutil.which("syslog-ng")


@pytest.mark.soak
@pytest.mark.skipif(SYSLOG_NG is None, reason="there is no syslog-ng here")
@pytest.mark.gen_test
async def test_a_real_syslog_ng_as_the_page_says(web: Start, database_url: str, tmp_path: Path) -> None:
    """Its destination as printed."""
    site = await web()
    key, port = await site.key("ingest"), free_port()
    own = {
        "https://evenkeel.example.com": site.url,
        'user("KEY")': f'user("{key}")',
        "reliable(yes)": f'reliable(yes) dir("{tmp_path}")',
        "time-reopen(5)": "time-reopen(1)",
    }
    config = printed("syslog-ng", own)
    listens = f'source s {{ network(ip("127.0.0.1") port({port}) transport("tcp") flags(syslog-protocol)); }};\n'
    logs = "log { source(s); destination(d_evenkeel); };\n"
    (tmp_path / "ng.conf").write_text(f"@version: 3.38\noptions {{ keep-hostname(yes); }};\n{listens}{config}{logs}")
    assert SYSLOG_NG is not None
    kept = [f"--{name}={tmp_path / name}" for name in ("persist-file", "control", "pidfile")]
    running = subprocess.Popen([SYSLOG_NG, "-F", "-e", "-f", tmp_path / "ng.conf", *kept])
    try:
        message = f'<190>1 {stamp()} vm nginx 7 - - 1.2.3.4 "GET /users/7 HTTP/1.1" 500 "-"\n'
        await until(lambda: sends(port, message + f"<11>1 {stamp()} vm cron - - - late\n"), "syslog-ng")
        await until(lambda: rows(database_url, LINES), "both")
    finally:
        running.terminate()
        await asyncio.to_thread(running.wait)  # it may wait for an answer of ours
    assert rows(database_url, COUNTED) == [("nginx", "/users/:id", 500, 1, 1, 0)]
    assert rows(database_url, LINES) == [("cron", "vm", "cron", 17, "late", False)]


def sends(port: int, text: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port)) as tcp:
            tcp.sendall(text.encode())
    except ConnectionRefusedError:
        return False
    return True
