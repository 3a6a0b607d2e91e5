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


def over_tls(request: HTTPServerRequest, public_url: str) -> bool:
    """Whether people reach us over TLS: by PUBLIC_URL, or as a trusted proxy says of this request."""
    return public_url.startswith("https://") or request.protocol == "https"


def cookie_name(name: str, request: HTTPServerRequest, public_url: str) -> str:
    """A cookie's name; over TLS browsers take `__Host-` from this host alone, with Secure and for every path."""
    return f"__Host-{name}" if over_tls(request, public_url) else name


def entry(header: str, trusted: int) -> str:
    """The entry that the outermost trusted proxy wrote; with fewer entries than proxies, the first."""
    entries = [part.strip() for part in header.split(",")]
    return entries[-min(trusted, len(entries))]
