"""Which passwords are too easy: known from breaches, all but one of them, or made of what everybody knows of its owner.

The list: 18,792 of the most common of public breaches, from Django 5.2 (common_passwords.LICENSE).
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable
from pathlib import Path

LIST = Path(__file__).with_name("common_passwords.txt.gz")
DISTINCT_MIN = 5  # characters
OWN_MIN = 8  # characters that are left of a password without what is known of its owner, and without a common one
LEET = str.maketrans("013457$@!", "oieastsai")
ENDS = re.compile(r"^[^a-z]+|[^a-z]+$")
ROWS = ("qwertyuiopasdfghjklzxcvbnm", "1234567890", "abcdefghijklmnopqrstuvwxyz", "qazwsxedcrfvtgbyhnujmikolp")
RUN = 4  # so many neighbours in a row are a run


def too_easy(password: str, known: Iterable[str] = ()) -> str | None:
    """Why a password is too easy, in words; None: it is not. `known`: the owner's address, our own name and host."""
    lower = password.lower()
    if len(set(lower)) < DISTINCT_MIN:
        return f"has fewer than {DISTINCT_MIN} different characters"
    if len(without_runs(lower)) < OWN_MIN:
        return "is mostly a run of neighbours, such as 12345 or qwerty"
    rest = lower
    for word in sorted(words(known), key=len, reverse=True):
        rest = rest.replace(word, "")
    if rest != lower and len(rest) < OWN_MIN:
        return "is little more than what everybody knows of you, or of this service"
    common = frozenset(gzip.decompress(LIST.read_bytes()).decode().split())
    if lower in common or {core(lower), core(lower.translate(LEET)), half(lower)} & common:
        return "is known from breaches, or all but one that is"
    return None


def words(known: Iterable[str]) -> set[str]:
    """The words of 4 letters or more in what is known."""
    return {word for text in known for word in re.split(r"[^a-z0-9]+", text.lower()) if len(word) >= 4}


def core(lower: str) -> str:
    """What is left without digits and signs at the ends: of `Summer2026!!` summer."""
    return ENDS.sub("", lower)


def half(lower: str) -> str:
    """What a password repeats: of `dragondragon` dragon; else itself."""
    for length in range(3, len(lower) // 2 + 1):
        if lower == (lower[:length] * len(lower))[: len(lower)]:
            return lower[:length]
    return lower


def without_runs(lower: str) -> str:
    """Without what stands in a row of the keyboard, the alphabet or the digits, either way."""
    for row in ROWS:
        for line in (row, row[::-1]):
            for length in range(len(line), RUN - 1, -1):
                for start in range(len(line) - length + 1):
                    lower = lower.replace(line[start : start + length], "")
    return lower
