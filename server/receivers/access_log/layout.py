"""The layout that most lines of a log have, as one regular expression: for the quick way through it.

A field is told apart as `tail_of` does, so that what the expression takes is what the form would take. Lines of
another layout do not match, and are read by the form.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from server.receivers.access_log.line import REQUEST_IDS, SIZE, UNITS_BARE, Takes
from server.receivers.access_log.tail import FIELD, FIELDS_MAX

SAMPLE = 300  # lines
HOST = r"(?:[^\s:\"\[]{1,255}|[0-9a-f:.]{1,40}[a-f][0-9a-f]{0,3})"  # without a port, which the form follows
USER = r"[^\s\"\[]{1,255}"
STAMP = r"\d{1,2}/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d(?:\.\d{1,9})? [+-]\d{4}"
BEGINNING = (
    rf"(?:{HOST}|[^\"\[]{{0,300}} {HOST}) - {USER} \[(?P<time>{STAMP})\] \"(?P<request>[^\"\\]*)\" (?P<status>\d{{3}})"
)
BEGINS = re.compile(BEGINNING)
QUOTED = r'[^"\\]*'
VALUE = r'[^\s",]*'
NUMBER = r"\d+(?:\.\d+)?"
SPAN = rf"{NUMBER}(?:ns|us|µs|μs|ms|s)"
# The kinds of fields that are neither quoted, bracketed nor named: the first that fits.
WORDS = {"number": rf"(?:-|{NUMBER})", "span": SPAN, "word": r'(?![A-Za-z][\w.-]*[=:])[^\s",:\[][^\s",]*'}


class TailField(NamedTuple):
    """A field behind the size: its kind, and its name or, of a unit, itself."""

    kind: str
    text: str = ""


Layout = tuple[bool, tuple[TailField, ...]]  # whether there is a size, and what follows


def layout_of(lines: Sequence[str], takes: Takes) -> re.Pattern[str] | None:
    """The layout of most of these lines; None where it is none that can be read at once."""
    found = Counter(layout for line in lines[:SAMPLE] if (layout := read(line)) is not None)
    if not found:
        return None
    (size, fields), _ = found.most_common(1)[0]
    captured = captures(fields, takes)
    if captured is None:
        return None
    parts = [BEGINNING, r" (?:\d+|-)" if size else r"(?! (?:\d+|-)(?:\s|$))"]
    for place, one in enumerate(fields):
        name = captured.get(place)
        if takes.with_unit and name == "taken" and one.kind == "number":
            parts.append(f" (?P<taken>{WORDS['number']} {fields[place + 1].text})")
        elif not (takes.with_unit and one.kind == "unit"):
            parts.append(" " + expression(one, f"?P<{name}>" if name else "?:"))
    return re.compile("".join(parts) + r"\s*")


def read(line: str) -> Layout | None:
    """The layout of one line; None where it is none of the plain ones."""
    line = line.rstrip()
    begin = BEGINS.match(line)
    if begin is None:
        return None
    size = SIZE.match(line, begin.end())
    at = size.end() if size else begin.end()
    fields: list[TailField] = []
    while at < len(line):
        if len(fields) == FIELDS_MAX:
            return None
        found = FIELD.match(line, at + 1) if line[at] == " " else None
        one = field_of(found) if found else None
        if found is None or one is None:
            return None
        fields.append(one)
        at = found.end()
    return size is not None, tuple(fields)


def field_of(found: re.Match[str]) -> TailField | None:
    """What kind of field it is; None: of none that is always read alike."""
    text = found[0]
    if found["name"]:
        return TailField("named quoted" if found["quoted_value"] is not None else "named", found["name"] + sign(found))
    if found["bare"] is None:
        return TailField("quoted" if text[0] == '"' else "bracketed")
    if text in UNITS_BARE:
        return TailField("unit", text)
    kind = next((kind for kind, pattern in WORDS.items() if re.fullmatch(pattern, text)), None)
    return None if kind is None else TailField(kind)


def sign(found: re.Match[str]) -> str:
    """What stands between a name and its value."""
    return found[0][len(found["name"])]


def expression(one: TailField, opens: str) -> str:
    """What matches such a field; `opens` begins the group of its value."""
    match one.kind:
        case "quoted":
            return f'"({opens}{QUOTED})"'
        case "bracketed":
            return rf'({opens}\[[^\]"]*\])'
        case "named":
            return f"{re.escape(one.text)}({opens}{VALUE})"
        case "named quoted":
            return f'{re.escape(one.text)}"({opens}{QUOTED})"'
        case "unit":
            return re.escape(one.text)
        case _:
            return f"({opens}{WORDS[one.kind]})"


def captures(fields: Sequence[TailField], takes: Takes) -> dict[int, str] | None:
    """Which fields are parts of `Found`, by place; None where they are not told by their places alone."""
    names = [one.text[:-1] if one.kind.startswith("named") else "" for one in fields]
    bare = [place for place, one in enumerate(fields) if one.kind in ("number", "span", "word", "unit")]
    taken: dict[int, str] = {}
    identity = next((names.index(name) for name in REQUEST_IDS if name in names), None)
    if identity is not None:
        taken[identity] = "id"
    if "X" in names and takes.aborted_column is None:
        taken[names.index("X")] = "aborted"
    if takes.with_unit:
        kinds = [fields[place].kind for place in bare]
        if "word" in kinds or kinds.count("span") + kinds.count("unit") != 1:
            return None
        one = kinds.index("span") if "span" in kinds else kinds.index("unit") - 1
        if one < 0 or (kinds[one] == "number" and bare[one + 1] != bare[one] + 1):
            return None
        taken[bare[one]] = "taken"
    elif takes.name is not None and takes.name in names:
        taken[names.index(takes.name)] = "taken"
    elif takes.column is not None and takes.columns in (None, len(bare)) and -len(bare) <= takes.column < len(bare):
        taken[bare[takes.column]] = "taken"
    if takes.aborted_column is not None and takes.aborted_column < len(bare):
        taken[bare[takes.aborted_column]] = "aborted"
    return taken
