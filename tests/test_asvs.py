"""The table of ASVS 5.0 in docs/security.md names every requirement once, and tests that are there."""

from __future__ import annotations

import re
from collections import Counter

from checks.check import ROOT

# Of each section, how many requirements are of level 1 or 2: they are numbered from 1 without a gap.
SECTIONS = {
    "1.1": 2, "1.2": 9, "1.3": 11, "1.4": 3, "1.5": 2, "2.1": 3, "2.2": 3, "2.3": 4, "2.4": 1, "3.2": 2, "3.3": 4,
    "3.4": 6, "3.5": 5, "3.7": 2, "4.1": 3, "4.2": 1, "4.3": 2, "4.4": 4, "5.1": 1, "5.2": 3, "5.3": 2, "5.4": 3,
    "6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5, "6.6": 3, "6.8": 4, "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5,
    "7.5": 2, "7.6": 2, "8.1": 2, "8.2": 3, "8.3": 1, "8.4": 1, "9.1": 3, "9.2": 4, "11.1": 2, "11.2": 3, "11.3": 3,
    "11.4": 4, "11.5": 1, "11.6": 1, "12.1": 3, "12.2": 2, "12.3": 4, "13.1": 1, "13.2": 5, "13.3": 2, "13.4": 5,
    "14.1": 2, "14.2": 4, "14.3": 3, "15.1": 3, "15.2": 3, "15.3": 7, "16.1": 1, "16.2": 5, "16.3": 4, "16.4": 3,
    "16.5": 3,
}  # fmt: skip
ROW = re.compile(r"^\| (\d[\d., -]*) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
WITHOUT = ("does not apply", "not held by a test")


def rows() -> list[tuple[str, str, str]]:
    return ROW.findall((ROOT / "docs/security.md").read_text().partition("## ASVS")[2])


def named(ids: str) -> list[str]:
    """`1.2.6-1.2.8, 1.3.1`, one by one."""
    found = []
    for part in ids.split(", "):
        first, _, last = part.partition("-")
        section, number = first.rsplit(".", 1)
        found += [f"{section}.{each}" for each in range(int(number), int((last or first).rsplit(".", 1)[1]) + 1)]
    return found


def test_every_requirement_is_there_once() -> None:
    every = {f"{section}.{number}" for section, count in SECTIONS.items() for number in range(1, count + 1)}
    assert Counter(each for ids, _, _ in rows() for each in named(ids)) == Counter(every)


def test_every_test_that_holds_one_is_there() -> None:
    missing = []
    for ids, _, held in rows():
        path, _, name = held.strip("`").partition("::")
        file = ROOT / "tests" / path
        if held not in WITHOUT and not (file.is_file() and f"def {name}(" in file.read_text()):
            missing.append((ids, held))
    assert missing == []
