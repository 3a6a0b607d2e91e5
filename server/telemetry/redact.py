"""What must never be logged: keys, tokens, passwords, signed cookies."""

from __future__ import annotations

import re

SECRET = re.compile(
    r"""
      (?P<token>e[kslw]_)[A-Za-z0-9_-]{16,}                    # what we hand out: server/auth/tokens.py, of webhooks
    | (?P<webhook>whsec_)[A-Za-z0-9+/=_-]{16,}                 # the same, as Standard Webhooks writes it
    | (?P<url>://[^:/@\s]*:)[^/\s]+(?=@)                       # postgresql://user:PASSWORD@host
    | (?P<hash>\$argon2)[^\s'"]+                               # a stored password
    | (?P<cookie>\b2\|1:0\|)[^\s;'"]+                          # a cookie signed by Tornado
    | (?P<bearer>\b[Bb](?:earer|asic)\s+)[^\s'"]{6,}
    | (?P<named>\b(?:[Pp]assword|PASSWORD|[Tt]oken|[Ss]ecret_key|SECRET_KEY|[Xx]srf|_xsrf)["']?\s*[=:]\s*)
      (?: "(?:[^"\\]|\\.)*"? | '(?:[^'\\]|\\.)*'? | [^\s&}'"]+ )
    """,
    re.VERBOSE,
)


# Every match has one of these in it; most lines have none, and searching for them is ten times as cheap.
MARKS = (
    "ek_",
    "es_",
    "el_",
    "ew_",
    "whsec_",
    "://",
    "$argon2",
    "2|1:0|",
    "earer",
    "asic",
    "assword",
    "oken",
    "ecret",
    "SWORD",
    "CRET",
    "srf",
)


def redact(text: str) -> str:
    """The text with every secret replaced by `…`; what kind of secret it was stays."""
    for mark in MARKS:
        if mark in text:
            return SECRET.sub(_blot, text)
    return text


def _blot(match: re.Match[str]) -> str:
    kind = match.lastgroup
    return f"{match[kind] if kind else ''}…"
