"""Addresses of databases, held to libpq's own rules before anything connects. No fault repeats a password."""

from __future__ import annotations

import re
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PGconn

from server.kernel.errors import ConfigurationError

SCHEMES = ("postgres", "postgresql", "postgresql+psycopg")
# What ends a part of a URL, and so cannot stand in a name or a password as it is (RFC 3986).
DELIMITER = re.compile(r"[/?#\[\]@\s]|%(?![0-9A-Fa-f]{2})")
QUOTED = re.compile(r'"[^"]*"')  # what libpq repeats of it
NOWHERE = "/nonexistent"  # a socket's directory: libpq checks every option before it looks there


def database_url(name: str, text: str) -> str:
    """Any of postgres://, postgresql:// or postgresql+psycopg:// as a libpq URL, which may name several hosts.

    `name` is the variable's; ConfigurationError says what is wrong with it.
    """
    scheme, _, rest = text.partition("://")
    if scheme not in SCHEMES or not rest:
        raise ConfigurationError(f"{name} must begin with postgres:// or postgresql://.")
    user, _, password = who(rest).partition(":")
    for part, said in ((user, "user name"), (password, "password")):
        wrong = DELIMITER.search(part)
        if wrong:
            raise ConfigurationError(
                f"{name}: the {said} has {wrong[0]!r}, which must be percent-encoded there: {quote(wrong[0], safe='')}"
            )
    url = f"postgresql://{rest}"
    fault = refused(url)
    if fault:
        quoted = QUOTED.sub(lambda said: said[0].replace(password, "…") if password else said[0], fault)
        raise ConfigurationError(f"{name}: {quoted}.")
    return url


def who(rest: str) -> str:
    """What stands before the host: up to the last @ that does not belong to a parameter."""
    before, _, parameters = rest.partition("?")
    if "@" not in before and "=" not in parameters.partition("@")[0]:
        before = rest
    return before.rpartition("@")[0]


def refused(url: str) -> str:
    """What libpq has against it, on one line; empty where it would connect."""
    try:
        options = conninfo_to_dict(url)
    except psycopg.Error as error:
        return str(error).strip().splitlines()[0]
    hosts = str(options.get("hostaddr") or options.get("host") or "").count(",") + 1
    nowhere = options | {"host": ",".join([NOWHERE] * hosts), "hostaddr": ""}
    tried = PGconn.connect_start(make_conninfo("", **nowhere).encode())
    said = tried.error_message.decode(errors="replace").splitlines()
    tried.finish()
    wrong = [line for line in said if not line.startswith(("connection to server", "\t"))]
    timeout = str(options.get("connect_timeout", "0"))
    if not wrong and not timeout.strip().isdecimal():
        wrong = [f'invalid integer value "{timeout}" for connection option "connect_timeout"']
    return wrong[0] if wrong else ""
