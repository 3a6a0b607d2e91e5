"""The caller's address and scheme as the proxies that we trust saw them.

Tornado's own `xheaders` also believes X-Real-Ip and X-Scheme, which a caller can
send through most proxies; so it stays off.
"""

from __future__ import annotations

from tornado.httputil import HTTPServerRequest
from tornado.netutil import is_valid_ip


def believe(request: HTTPServerRequest, trusted: int) -> None:
    """Take address and scheme from X-Forwarded-For and -Proto, as the outermost of `trusted` proxies wrote them.

    Each proxy appends one entry, so only the last `trusted` entries are theirs;
    whatever stands to the left came from the caller and is not believed.
    """
    if not trusted:
        return
    address = entry(request.headers.get("X-Forwarded-For", ""), trusted)
    if is_valid_ip(address):
        request.remote_ip = address
    scheme = entry(request.headers.get("X-Forwarded-Proto", ""), trusted)
    if scheme in ("http", "https"):
        request.protocol = scheme


def entry(header: str, trusted: int) -> str:
    """The entry that the outermost trusted proxy wrote; with fewer entries than proxies, the first."""
    entries = [part.strip() for part in header.split(",")]
    return entries[-min(trusted, len(entries))]
