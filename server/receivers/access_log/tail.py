"""What stands behind the status of a line: quoted, bracketed, named and bare fields, and lists of them."""

from __future__ import annotations

import re
from typing import NamedTuple

BARE = r'[^\s"\[][^\s"]*'
ITEMS = rf"(?:(?:(?<=,)\s|\s:\s){BARE})*"
FIELD = re.compile(
    rf"""
    (?<!\S)(?:
      (?P<name>[A-Za-z][\w.-]*)[=:](?:"(?P<quoted_value>(?:[^"\\]|\\.)*)"|(?P<value>[^\s"]*{ITEMS}))
    | "(?:[^"\\]|\\.)*"
    | \[[^\]"]*\]
    | (?P<bare>{BARE}{ITEMS})
    )(?!\S)
    """,
    re.VERBOSE,
)
FIELDS_MAX = 64


class LineTail(NamedTuple):
    """The fields behind the status. `bare` are those neither quoted, bracketed nor named, in their order."""

    named: dict[str, str]
    bare: list[str]


def tail_of(text: str) -> LineTail:
    """The fields of a text, up to a few dozen; what stands inside quotes is none of them."""
    named: dict[str, str] = {}
    bare: list[str] = []
    at = 0
    for _ in range(FIELDS_MAX):
        while at < len(text) and text[at].isspace():
            at += 1
        found = FIELD.match(text, at)
        if found is None:
            break
        at = found.end()
        if found["name"]:
            value = found["quoted_value"] if found["quoted_value"] is not None else found["value"]
            named.setdefault(found["name"], value)
        elif found["bare"] is not None:
            bare.append(found["bare"])
    return LineTail(named, bare)
