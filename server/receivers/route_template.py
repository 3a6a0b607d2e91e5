"""The route of a path, where only paths come in: which of its segments are ids, by what they look like alone.

The same path has the same route in every process, version and year: nothing is remembered here. What only many paths
together tell, as that `/products/` is followed by names, server/ingest/routes/templates.py learns.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

ID = ":id"
REST = "*"  # what stands behind so many segments
SEGMENTS_MAX = 12
LITERAL_MAX = 64  # characters: nobody names a route so long
ROUTE_MAX = 500

UUID = r"\{?[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\}?"
DATE = r"(?:19|20)\d\d-\d\d(?:-\d\d(?:[T _].*)?)?"
ULID = r"[0-7][0-9a-hjkmnp-tv-z]{25}"
EMAIL = r".+@.+\.[a-z]{2,}"
HANDLE = r"@.+"
WHOLE = re.compile(rf"-?\d+|{UUID}|{DATE}|{ULID}|{EMAIL}|{HANDLE}", re.I | re.S)
ENDS_IN_NUMBER = re.compile(r"[A-Za-z]+[-_.:]\d{4,}")  # order-10234
TOKEN = re.compile(r"[A-Za-z0-9]+")
HEX = re.compile(r"[0-9a-f]{7,}|[0-9A-F]{7,}")
LONG_HEX = 16  # characters: so many are a hash also where all are letters
HEX_RUNS = 3  # ed25519 has two
VERSIONED = re.compile(r"[vV]?\d+$")  # GetUserByIdV2
RUN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")  # a word of CamelCase, or a number
NUMBER = re.compile(r"\d+")
RANDOM_MIN, LONG = 10, 16  # characters
RUNS_PER_CHARACTER = 0.3  # in random text: words are longer than that, and have few numbers in them


@lru_cache(maxsize=16_384)
def route_of(target: str) -> str:
    """What requests for a path or URL are counted by: without query and path parameters, its ids as `:id`."""
    return "/".join(map(named, parts_of(target)))[:ROUTE_MAX]


def parts_of(target: str) -> list[str]:
    """The segments of a path or URL, the first one empty; what stands behind the twelfth is `*`."""
    if not target.startswith("/") and "://" in target.partition("?")[0]:
        target = "/" + target.partition("://")[2].partition("/")[2]
    path = target.partition("?")[0].partition("#")[0].replace("\0", "") or "/"
    parts = [part.partition(";")[0] for part in path.split("/", SEGMENTS_MAX + 1)]
    if len(parts) > SEGMENTS_MAX + 1:
        parts[-1] = REST
    return parts


def named(part: str) -> str:
    """A segment of a path as it stands in the route."""
    return ID if is_id(part) else part


def is_id(part: str) -> bool:
    """Whether a segment is one of very many: a number, UUID, ULID, hash, date, address, or random text."""
    if len(part) > LITERAL_MAX:
        return True
    if len(part) < RANDOM_MIN and part.isalpha():
        return False
    text = unquote(part) if "%" in part else part
    if WHOLE.fullmatch(text) or ENDS_IN_NUMBER.fullmatch(text) or text.endswith("="):
        return True
    tokens = TOKEN.findall(text)
    return any(map(is_random, tokens)) or (len(part) >= LONG and is_random("".join(tokens)))


def is_random(token: str) -> bool:
    """Whether letters and digits are no word, version or name: a hash, or characters whose kinds change quickly."""
    runs = len(RUN.findall(token))
    if HEX.fullmatch(token) and (len(token) >= LONG_HEX or runs >= HEX_RUNS):
        return True
    if len(token) < RANDOM_MIN:
        return False
    numbers = len(NUMBER.findall(VERSIONED.sub("", token)))
    if len(token) >= LONG and numbers > 1:
        return True
    return (numbers > 0 or len(token) >= LONG) and runs >= RUNS_PER_CHARACTER * len(token)
