"""Addresses that are sent to: which URLs are well formed, what is shown of one, and which networks are closed.

Nobody may make us send into a network, unless the operator allows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from server.kernel.errors import invalid

URL_CHARACTERS = 2000

# Beyond what the standard library calls not global: services of a cloud's own, and addresses that lead to others.
CLOSED = tuple(
    ip_network(net)
    for net in (
        "100.64.0.0/10",  # CGNAT; Alibaba's metadata
        "168.63.129.16/32",  # Azure's own
        "192.0.0.0/24",  # Oracle's metadata
        "192.88.99.0/24",  # to 6to4
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",
        "2001::/23",  # Teredo and others
        "2002::/16",  # 6to4
        "fec0::/10",
    )
)


def checked_url(url: str, *, private: bool) -> str:
    """The URL, or ApiError INVALID. `private`: addresses within the network, and http, are allowed."""
    schemes = ("https", "http") if private else ("https",)
    if not well_formed(url, schemes):
        raise invalid("address", f"give a URL that begins with {' or '.join(f'{s}://' for s in schemes)}")
    if not private and is_literal_private(urlsplit(url).hostname or ""):
        raise invalid("address", "is loopback, link-local or private; NOTIFY_ALLOW_PRIVATE=true would allow it")
    return url


def well_formed(url: str, schemes: Sequence[str]) -> bool:
    """Whether it is a URL with a host, a whole port, and nothing that could end a line of a request."""
    if len(url) > URL_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def shown_url(url: str) -> str:
    """What may be shown of a URL: its host only, because the path of a Slack webhook is its password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…"


def origin_of(url: str) -> str:
    """The origin of a page there, as a browser writes it: without the port that goes without saying."""
    parts = urlsplit(url)
    port = parts.port if parts.port != {"http": 80, "https": 443}.get(parts.scheme) else None
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def is_private(address: str) -> bool:
    """Whether an address as getaddrinfo writes it is within a network: loopback, link-local (and so metadata), private,
    CGNAT, multicast, unspecified, reserved, or an IPv6 address that stands for an IPv4 one."""
    try:
        found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return True  # not an address: nothing to connect to
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return True
    closed = any(found.version == net.version and found in net for net in CLOSED)
    return closed or not found.is_global or found.is_multicast or found.is_reserved or found.is_unspecified


def is_literal_private(host: str) -> bool:
    """Whether a host is written as an address, in any form that the network takes, within a network.

    Of a name that is seen when it is sent to: what it leads to may be another address by then.
    """
    try:
        return is_private(str(ip_address(host.partition("%")[0])))
    except ValueError:
        pass
    try:
        return is_private(str(IPv4Address(number(host))))
    except ValueError:
        return False


def number(host: str) -> int:
    """An IPv4 address as the network takes it, by the rules of inet_aton: 127.1, 0x7f000001, 2130706433; ValueError."""
    *first, last = [int(part, base(part)) for part in host.split(".")]
    if len(first) > 3 or any(not 0 <= part < 256 for part in first) or not 0 <= last < 256 ** (4 - len(first)):
        raise ValueError(f"{host} is no IPv4 address")
    return sum(part << 8 * (3 - index) for index, part in enumerate(first)) + last


def base(part: str) -> int:
    if part.lower().startswith("0x"):
        return 16
    return 8 if part.startswith("0") else 10
