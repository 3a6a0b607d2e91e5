"""The caller's address and scheme as the proxies that we trust saw them.

Tornado's own `xheaders` also believes X-Real-Ip and X-Scheme, which a caller can
send through most proxies; so it stays off.
"""

from __future__ import annotations

from tornado.httputil import HTTPServerRequest
from tornado.netutil import is_valid_ip


def believe(request: HTTPServerRequest, trusted: int) -> None:
    """Take address and scheme of a request as `believed`."""
    if trusted:
        for_, proto = (request.headers.get(f"X-Forwarded-{name}", "") for name in ("For", "Proto"))
        request.remote_ip, request.protocol = believed(request.remote_ip or "", request.protocol, for_, proto, trusted)


def believed(address: str, scheme: str, forwarded_for: str, forwarded_proto: str, trusted: int) -> tuple[str, str]:
    """Address and scheme from X-Forwarded-For and -Proto, as the outermost of `trusted` proxies wrote them.

    Each proxy appends one entry, so only the last `trusted` entries are theirs;
    whatever stands to the left came from the caller and is not believed.
    """
    said, over = entry(forwarded_for, trusted), entry(forwarded_proto, trusted)
    return said if is_valid_ip(said) else address, over if over in ("http", "https") else scheme


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
