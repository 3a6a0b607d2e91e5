"""Addresses within this site: where to go after sign-in or an act, and never anywhere else."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

LONGEST = 2000
# What a browser drops or reads as a slash could turn a local path into another host: none of it is let through.
LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]*", re.ASCII)
NEVER = ("/sign-in", "/sign-out")


def local_address(given: str, default: str = "/") -> str:
    """The path and query that were given, or the default for anything that is not plainly an address of ours."""
    if len(given) > LONGEST or LOCAL.fullmatch(given) is None or urlsplit(given).path.startswith(NEVER):
        return default
    return given
