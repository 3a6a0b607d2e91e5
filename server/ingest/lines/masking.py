"""Secrets in log lines of services: taken out at the door, so that none is stored, spooled or shown.

Known by their form (tokens of known makers, JWTs, private keys, cards) or by the name before them (a header, a key of
JSON, a parameter). Every pattern passes a text once, however hostile it is: what may repeat is bounded by what ends
it. Each runs only where one of its marks is in the text, which is a tenth of the cost.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from server.kernel.redaction import FORMS

BLOT = "…"

# What stands behind a name: quoted, quoted within JSON that is quoted itself, or up to what ends a value.
VALUE = r"""(?:\\+"[^"\\]*|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s&;,}\])"'<>\\]+)"""
# The same, of 8 characters and more.
LONG = r"""(?:\\+"[^"\\]{8,}|"[^"\\]{8,}"?|'[^'\\]{8,}'?|[^\s&;,}\])"'<>\\]{8,})"""
IS = r"""(?:\\*["'])?\s*(?:=>|[:=]|%3d)\s*"""
# `password: must be …` is a sentence, `"token": null` none.
WORDS = (
    "must|is|was|has|should|cannot|can|may|required|invalid|incorrect|wrong|missing|mismatch|too|field|expired|changed"
    "|reset|null|none|nil|true|false|undefined|empty|not|no|for|and|or|\\*+|x{3,}"
)
SENTENCE = rf"""(?!["']?(?:{WORDS})(?![\w-]))"""
PASSWORDS = (
    "password|passwd|passphrase|pwd|(?<![a-z])pass|secret|secret[_-]?key(?:[_-]?base)?|client[_-]?secret"
    "|(?:access|account|encryption|master|private|signing|stripe)[_-]?key"
)
TOKENS = r"token|api[_-]?key|session(?:[_-]?id)?|sessid|csrf|xsrf|auth[_-]?key"
# What these name is as often a word as a secret, which has a digit.
MAYBE = r"signature|(?<![a-z])sig|credentials?|auth|otp|jwt"
DIGIT = r"(?=\S{0,200}?\d)"
PAIR = r"[\w!#$%&'*+.^`|~-]+=[^\s;,\"']*"


class Mask(NamedTuple):
    """What is looked for where one of the marks is in the text in lower case; the groups before what is hidden stay."""

    marks: tuple[str, ...]
    pattern: re.Pattern[str]


def mask_of(marks: str, pattern: str, flags: re.RegexFlag = re.IGNORECASE) -> Mask:
    return Mask(tuple(marks.split()), re.compile(pattern, flags))


MASKS = (
    mask_of("private", r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)(?:[^-]|-(?!----END))*", re.RegexFlag(0)),
    mask_of(
        "authorization",
        rf"""(\bauthorization{IS}\\*["']?(?:bearer|basic|token|apikey|key|bot)(?:\s|%20)+)[^\s"',;\\}}]+"""
        rf"""|(\bauthorization{IS}\\*["']?(?:digest|hawk|hmac|signature|negotiate|ntlm|aws4-hmac-sha256)\s)[^\r\n]+"""
        rf"""|(\bauthorization{IS})(?=\S{{0,200}}?\d){LONG}""",
    ),
    mask_of("cookie", rf"""(\b(?:set-)?cookie{IS}\\*["']?){PAIR}(?:;\s*{PAIR})*"""),
    mask_of("pass pwd secret key", rf"((?:{PASSWORDS}){IS}){SENTENCE}{VALUE}"),
    mask_of("passw secret token", r"(<[\w:.-]{0,40}(?:password|secret|token)>)[^<\s]+"),
    mask_of("token key sess csrf xsrf", rf"((?:{TOKENS}){IS}){SENTENCE}{LONG}"),
    mask_of("sig credential auth otp jwt", rf"((?:{MAYBE}){IS}){SENTENCE}{DIGIT}{LONG}"),
    mask_of("bearer basic", r"(\b(?:bearer|basic)\s+)(?=\S{0,200}?[\d=])[\w.~+/=-]{8,}"),
    mask_of("eyj", r"()(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?", re.RegexFlag(0)),
    mask_of(
        "akia asia gh github_pat_ gl xox xapp- hooks.slack.com _live_ _test_ aiza ya29. sk- sg. npm_ pypi- hrku- "
        "hf_ shpat_ dop_v1_ hvs. ek_ es_ el_ ew_",
        r"""()(?<![\w-])(?:
            (?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])
          | gh[pousr]_[A-Za-z0-9]{36,} | github_pat_\w{22,} | gl(?:pat|ptt|dt|rt|cbt|ft|soat|agent)-[\w-]{20,}
          | xox[abeoprs]-[\w-]{10,} | xapp-[\w-]{10,}
          | [srp]k_(?:live|test)_[A-Za-z0-9]{10,}
          | AIza[\w-]{35} | ya29\.[\w-]{20,} | sk-(?=[\w-]{0,200}\d)[\w-]{20,} | SG\.[\w-]{16,}\.[\w-]{16,}
          | e[kslw]_[\w-]{43}(?![\w-])
          | hf_[A-Za-z0-9]{30,} | shpat_[a-f0-9]{32} | dop_v1_[a-f0-9]{64} | hvs\.[\w-]{20,}
          | npm_[A-Za-z0-9]{36} | pypi-[\w-]{40,} | HRKU-[\w-]{30,}
        )
        | (hooks\.slack\.com/services/)[\w/]+""",
        re.VERBOSE,
    ),
    mask_of("whsec_ :// $argon2 2|1:0|", FORMS, re.VERBOSE),
)

# Known makers' first digits, in the lengths and groups in which cards are written.
CARD = re.compile(
    r"(?<![\w.])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|\d{4}([ -])\d{6}\2\d{4,5})(?![\w]|[.]\d)"
)
MAKER = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]|2[2-7])\d{14}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:6011|65\d\d|64[4-9]\d)\d{12}|62\d{14,17}"  # Discover, UnionPay
    r"|35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}"  # JCB, Diners
)
DIGITS = re.compile(r"\d{4}[ -]?\d{4}")


def masked(text: str) -> str:
    """The text with every secret replaced by `…`; what kind of secret it was stays."""
    lowered = text.lower()
    for marks, pattern in MASKS:
        if any(mark in lowered for mark in marks):
            text = pattern.sub(blot, text)
    return CARD.sub(blot_card, text) if DIGITS.search(text) else text


def blot(match: re.Match[str]) -> str:
    return (match[match.lastindex] if match.lastindex else "") + BLOT


def blot_card(match: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", match[0])
    return BLOT if MAKER.fullmatch(digits) and luhn(digits) else match[0]


def luhn(digits: str) -> bool:
    """Whether the check digit is right."""
    doubled = sum(map(int, "".join(str(2 * int(one)) for one in digits[-2::-2])))
    return (doubled + sum(map(int, digits[-1::-2]))) % 10 == 0
