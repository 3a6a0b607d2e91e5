"""Secrets are taken out of every text that leaves us: log lines, answers, findings, what commands print.

Known by their form (keys, tokens, cookies, passwords in addresses), and by themselves: the secrets of the
environment, which the driver of a database repeats in its messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

# Those of their own form, which are none in any text: log lines of services are masked by them too.
FORMS = r"""
      (?P<webhook>whsec_)[A-Za-z0-9+/=_-]{16,}                 # of our webhooks, as Standard Webhooks writes it
    | (?P<url>://[^:/@\s]*:)[^/\s]+(?=@)                       # postgresql://user:PASSWORD@host
    | (?P<hash>\$argon2)[^\s'"]+                               # a stored password
    | (?P<cookie>\b2\|1:0\|)[^\s;'"]+                          # a cookie signed by Tornado
"""
SECRET = re.compile(
    FORMS
    + r"""
    | (?P<token>e[kslw]_)[A-Za-z0-9_-]{16,}                    # what we hand out: server/auth/tokens.py, of webhooks
    | (?P<bearer>\b[Bb](?:earer|asic)\s+)[^\s'"]{6,}
    | (?P<named>\b(?:(?:sentinel_)?[Pp]assword|PASSWORD|[Tt]oken|[Ss]ecret_key|SECRET_KEY|[Xx]srf|_xsrf)["']?\s*[=:]\s*)
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

# The variables that are keys themselves; of the second several, with commas.
KEYS = ("SECRET_KEY", "SECRET_KEYS_ACCEPTED")

SHORTEST = 4  # characters; shorter ones would blot words out of every text
PART_ENDS = re.compile(r"[/?#]")
RESERVED = re.compile(r"[/?#@:%&\s]+")

_own: tuple[str, ...] = ()  # the environment's, the longest first
# Short texts that were found to hold none: names, addresses and paths come again and again. Never a secret.
_plain: set[str] = set()
PLAIN_CHARACTERS, PLAIN_MAX = 200, 4096


def redact(text: str, *, named: bool = True) -> str:
    """The text with every secret replaced by `…`; what kind of secret it was stays.

    Without `named`, what follows words such as `password:` stays, as in a sentence about a field of that name.
    """
    if text in _plain:
        return text
    for secret in _own:
        if secret in text:
            text = text.replace(secret, "…")
    for mark in MARKS:
        if mark in text:
            return SECRET.sub(lambda match: blot(match, named=named), text)
    if len(text) <= PLAIN_CHARACTERS:
        if len(_plain) >= PLAIN_MAX:
            _plain.clear()
        _plain.add(text)
    return text


def blot(match: re.Match[str], *, named: bool) -> str:
    kind = match.lastgroup
    if kind == "named" and not named:
        return match[0]
    return f"{match[kind] if kind else ''}…"


def hide(secrets: Iterable[str]) -> None:
    """From here on these are taken out of every text."""
    global _own  # noqa: PLW0603 - a process has one environment
    kept = {secret for secret in (*_own, *secrets) if len(secret) >= SHORTEST}
    _own = tuple(sorted(kept, key=len, reverse=True))
    _plain.clear()


def secrets_in(environment: Mapping[str, str]) -> set[str]:
    """The secrets of an environment: its keys, the passwords of addresses, whole, decoded and in the pieces that
    a wrong character cuts them into. What an address shows elsewhere too, as a password that is the user's name,
    is none."""
    given = [environment.get(name, "") for name in KEYS]
    found = {key.strip() for keys in given for key in (keys, *keys.split(","))}
    for name, text in environment.items():
        if name.endswith("_URL"):
            found |= passwords_in(text.strip())
    return found - {""}


def passwords_in(address: str) -> set[str]:
    """What may be a password in an address such as postgresql://user:password@host/name?password=other, whose host
    may be missing."""
    rest = address.partition("://")[2]
    userinfo, _, where = rest.rpartition("@")
    user, _, password = userinfo.partition(":")
    found = {password, *re.findall(r"(?:password|passphrase)=([^&\s]+)", where)}
    found |= {unquote(secret) for secret in found}
    pieces = {piece for secret in found for piece in RESERVED.split(secret)}
    plain = re.sub(r"(password|passphrase)=[^&\s]+", r"\1", where)
    shown = {user, unquote(user), *re.split(r"[/?&=:,.]", plain)}
    return ((found | pieces) - shown) | set(() if userinfo else no_ports(PART_ENDS.split(where)[0]))


def no_ports(hosts: str) -> list[str]:
    """What stands where a port would, and is none: of user:password, without a host behind it, the password."""
    ends = (host.rpartition(":") for host in hosts.split(","))
    return [end for _, colon, end in ends if colon and end and not end.isdecimal() and not end.endswith("]")]


def place_in(address: str) -> str:
    """Where an address leads: its scheme, hosts and path, never who or with what; "set" where that is not certain."""
    scheme, found, rest = address.partition("://")
    if not found:
        return "set"
    hosts, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    if "@" in rest.partition("@")[2] or "@" in path or ("@" in rest and "@" not in hosts):
        return f"{scheme}://…"  # a password with a character that ends a part of an address
    hosts = hosts.rpartition("@")[2]
    return f"{scheme}://…" if no_ports(hosts) else redact(f"{scheme}://{hosts}{slash}{path}")
