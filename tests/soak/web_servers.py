"""nginx, Apache, HAProxy and Caddy as Debian has them, in front of an upstream, and clients that ask them."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import free_port
from tests.waiting import wait_for

DOCS = Path(__file__).resolve().parents[2] / "docs" / "connect"
SLOW_S = 1.2
LEFT_S = 0.3
HALF = 3_000_000  # bytes: what nobody reads does not fit into the buffers between


class Upstream(BaseHTTPRequestHandler):
    """Answers as the path says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/slow"):
            time.sleep(SLOW_S)
        status = 404 if path.startswith("/missing") else 500 if path.startswith("/fail") else 200
        body = b"x" * (HALF if path.startswith("/large") else 2)
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class Asked(NamedTuple):
    """One request, and what its client saw: None where it left."""

    path: str
    status: int | None


@dataclass
class Served:
    """A running server. `left`: the statuses that its log may give to a client that left before the answer, and
    whether that is a failure; `away`: what it answers where there is no upstream."""

    name: str
    port: int
    log: Path
    process: subprocess.Popen[bytes]
    away: int = 502
    left: tuple[frozenset[int], bool] = (frozenset({499}), True)
    reopen: Callable[[], object] = lambda: None
    asked: list[Asked] = field(default_factory=list)

    def ask(self, path: str) -> None:
        """One request, its whole answer read."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while data := connection.recv(65_536):
                answer += data
        self.asked.append(Asked(path, int(answer.split(b" ", 2)[1])))

    def leave(self, path: str, read: int = 0) -> None:
        """A client that leaves, before the answer or within it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n".encode())
            if read:
                connection.recv(read)
            time.sleep(LEFT_S)
        self.asked.append(Asked(path, None))

    def garbage(self, data: bytes) -> None:
        """What is no request."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection, suppress(OSError):
            connection.sendall(data)
            connection.recv(65_536)

    def all_kinds(self) -> None:
        """Every kind of request once, and some more often."""
        for n in range(20):
            self.ask(f"/ok/{n}?page={n}")
        for path in ("/missing/1", "/fail", "/fail?x", "/away", "/slow", "/a%20b/%C3%BC", "/odd/%22quoted%22/%5B;x=1"):
            self.ask(path)
        self.ask("/long/" + "p" * 700)
        self.leave("/slow?left")
        self.garbage(b"GARBAGE\r\n\r\n")
        self.garbage(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")


def documented(page: str, language: str) -> str:
    """The configuration that a page of docs/connect says."""
    found = re.search(rf"```{language}\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL)
    assert found, page
    return found[1]


def nginx(place: Path, port: int, upstream: int, log: Path, *, documents: bool) -> tuple[list[str], dict[str, Any]]:
    told = documented("nginx", "nginx") if documents else "access_log /var/log/nginx/evenkeel.log combined;"
    (place / "nginx.conf").write_text(f"""
worker_processes 2; daemon off; pid {place}/nginx.pid; error_log {place}/error.log;
events {{}}
http {{
  {told.replace("/var/log/nginx/evenkeel.log", str(log))}
  client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;
  uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
  server {{
    listen 127.0.0.1:{port};
    location /away {{ proxy_pass http://127.0.0.1:1; }}
    location / {{ proxy_pass http://127.0.0.1:{upstream}; }}
  }}
}}
""")
    return ["nginx", "-p", str(place), "-c", str(place / "nginx.conf")], {}


def apache(place: Path, port: int, upstream: int, log: Path, *, documents: bool) -> tuple[list[str], dict[str, Any]]:
    told = documented("apache", "apache") if documents else (
        'LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" \\"%{User-Agent}i\\"" combined\n'
        "CustomLog /var/log/apache2/evenkeel.log combined"
    )  # fmt: skip
    modules = "/usr/lib/apache2/modules"
    loaded = "\n".join(
        f"LoadModule {name}_module {modules}/mod_{name}.so"
        for name in ("mpm_event", "authz_core", "proxy", "proxy_http")
    )
    (place / "apache.conf").write_text(f"""
ServerRoot {place}
ServerName shop.example
PidFile {place}/apache.pid
DefaultRuntimeDir {place}
Listen 127.0.0.1:{port}
ErrorLog {place}/error.log
{loaded}
User nobody
Group nogroup
{told.replace("/var/log/apache2/evenkeel.log", str(log))}
ProxyPass /away http://127.0.0.1:1/ retry=0
ProxyPass / http://127.0.0.1:{upstream}/
""")
    return ["apache2", "-DFOREGROUND", "-f", str(place / "apache.conf")], {
        "away": 503,
        "left": (frozenset({200}), False),  # it does not notice: %X is + where the answer fits into the buffers
    }


def haproxy(place: Path, port: int, upstream: int, log: Path, *, documents: bool) -> tuple[list[str], dict[str, Any]]:
    (place / "haproxy.cfg").write_text(f"""
global
  log stdout len 8192 format raw local0
defaults
  mode http
  log global
  option httplog{"" if documents else " clf"}
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend f
  bind 127.0.0.1:{port}
  use_backend away if {{ path_beg /away }}
  default_backend b
backend b
  server up 127.0.0.1:{upstream}
backend away
  retries 0
  server none 127.0.0.1:1
""")
    return ["haproxy", "-f", str(place / "haproxy.cfg")], {
        "away": 503,
        "left": (frozenset({200}), False),  # without abortonclose it goes on, and is done before it could notice
    }


def caddy(place: Path, port: int, upstream: int, log: Path, *, documents: bool) -> tuple[list[str], dict[str, Any]]:
    told = documented("caddy", "caddyfile")
    told = told.replace("shop.example", f"http://:{port}").replace("/var/log/caddy/access.log", str(log))
    told = told.replace(
        "reverse_proxy localhost:8080",
        f"""
    handle /away* {{
        reverse_proxy 127.0.0.1:1
    }}
    handle {{
        reverse_proxy 127.0.0.1:{upstream}
    }}""",
    )
    if not documents:
        told = told.replace("format json", "")
    (place / "Caddyfile").write_text("{\n  admin off\n  auto_https off\n}\n" + told)
    return ["caddy", "run", "--config", str(place / "Caddyfile"), "--adapter", "caddyfile"], {}


SERVERS = {"nginx": nginx, "apache2": apache, "haproxy": haproxy, "caddy": caddy}


@contextmanager
def serving(name: str, place: Path, *, documents: bool) -> Iterator[Served]:
    """A server, its log as its page of docs/connect says or, without `documents`, in another form that it has."""
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    port, log = free_port(), place / "access.log"
    place.chmod(0o777)
    command, differs = SERVERS[name](place, port, upstream.server_port, log, documents=documents)
    env = {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(place), "XDG_DATA_HOME": str(place)}
    with (log if name == "haproxy" else place / "output").open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=env)
    served = Served(name, port, log, process, **differs)
    try:
        wait_for(
            lambda: answers(port), f"{name}: {(place / 'output').read_bytes()[-500:]!r}" if name != "haproxy" else name
        )
        yield served
    finally:
        process.terminate()
        process.wait()
        upstream.shutdown()
        upstream.server_close()


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def is_here(name: str) -> bool:
    return shutil.which(name, path="/usr/sbin:/usr/bin:/bin:/usr/local/bin") is not None
