"""Regular expressions as Alertmanager has them: anchored at both ends, and matched in linear time.

RE2's syntax without what only finds parts of a text: literals, `.`, classes, groups, `|`, `*`, `+`, `?`, `{n,m}`. The
automaton of Glushkov ("The abstract theory of automata", 1961) has one state for each character of the pattern, and a
text is read once: no pattern makes it go back, as Python's own engine would. What was found out for a character or for
a set of states is kept for the next name, so that many names cost about one look-up a character.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

LENGTH_MAX = 200
PARTS_MAX = 200  # characters and groups; a repetition counts as often as it may repeat
DEPTH_MAX = 20  # groups within groups
KEPT_MAX = 256  # characters, and sets of states, whose next states a pattern remembers
MANY = "*+?{"
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
DIGITS, SPACES = ((48, 57),), ((9, 10), (12, 13), (32, 32))
WORDS = ((48, 57), (65, 90), (95, 95), (97, 122))
CLASSES = {"d": DIGITS, "s": SPACES, "w": WORDS}

Ranges = tuple[tuple[int, int], ...]


class Characters(NamedTuple):
    """What one state takes: code points within the ranges, or with `other` all but these."""

    ranges: Ranges
    other: bool = False

    def take(self, point: int) -> bool:
        return any(first <= point <= last for first, last in self.ranges) is not self.other


class Part(NamedTuple):
    """A part of a pattern: whether it may be empty, and its first and last states as bits."""

    empty: bool
    first: int
    last: int


NOTHING = Part(True, 0, 0)


class Pattern:
    """One pattern. Raises ValueError with what is wrong, for people."""

    def __init__(self, text: str) -> None:
        if len(text) > LENGTH_MAX:
            raise ValueError(f"is longer than {LENGTH_MAX} characters")
        self.text = text.removeprefix("^")
        if self.text.endswith("$") and not escaped(self.text):
            self.text = self.text[:-1]
        self.at = self.parts = self.depth = 0
        self.takes: dict[Characters, int] = {}  # the states that take them
        self.follow: list[int] = []  # the states that may come after each
        self.whole = self._either()
        if self.at < len(self.text):
            raise ValueError("has a ) without its (")
        self.taking = lru_cache(KEPT_MAX)(self._taking)
        self.after = lru_cache(KEPT_MAX)(self._after)

    def matches(self, text: str) -> bool:
        """Whether it is the whole of the text."""
        if not text:
            return self.whole.empty
        reached, states = self.whole.first, 0
        for character in text:
            states = reached & self.taking(character)
            reached = self.after(states)
        return bool(states & self.whole.last)

    def _taking(self, character: str) -> int:
        """The states that take a character."""
        point, found = ord(character), 0
        for characters, states in self.takes.items():
            if characters.take(point):
                found |= states
        return found

    def _after(self, states: int) -> int:
        """The states that may come after any of these."""
        found = 0
        for state in bits(states):
            found |= self.follow[state]
        return found

    def _next(self) -> str:
        return self.text[self.at : self.at + 1]

    def _either(self) -> Part:
        found = self._one_after_another()
        while self._next() == "|":
            self.at += 1
            other = self._one_after_another()
            found = Part(found.empty or other.empty, found.first | other.first, found.last | other.last)
        return found

    def _one_after_another(self) -> Part:
        found = NOTHING
        while self._next() not in ("", "|", ")"):
            found = self._joined(found, self._repeated())
        return found

    def _joined(self, one: Part, other: Part) -> Part:
        for state in bits(one.last):
            self.follow[state] |= other.first
        first = one.first | (other.first if one.empty else 0)
        return Part(one.empty and other.empty, first, other.last | (one.last if other.empty else 0))

    def _repeated(self) -> Part:
        start = self.at
        found = self._single()
        sign = self._next()
        if sign == "" or sign not in MANY:
            return found
        least, most = self._counts()
        end = self.at
        found = self._times(found, start, least, most)
        self.at = end + (self.text[end : end + 1] == "?")  # lazy or not: the whole text is the same
        if self._next() and self._next() in MANY:
            raise ValueError(f"repeats a repetition at {self.text[start : self.at + 1]}")
        return found

    def _counts(self) -> tuple[int, int | None]:
        """How often; None: without end."""
        sign = self._next()
        self.at += 1
        if sign != "{":
            return (1 if sign == "+" else 0), (1 if sign == "?" else None)
        end = self.text.find("}", self.at)
        least, comma, most = self.text[self.at : max(end, self.at)].partition(",")
        if end < 0 or not number(least) or not (number(most) or not most):
            raise ValueError("has a { that counts nothing; write \\{ for the character")
        self.at = end + 1
        if not comma:
            return int(least), int(least)
        if most and int(most) < int(least):
            raise ValueError(f"counts from {least} down to {most}")
        return int(least), int(most) if most else None

    def _times(self, once: Part, start: int, least: int, most: int | None) -> Part:
        """The same again as often as it may come: each time with states of its own, the last with a way back."""
        found, copies = NOTHING, max(least, 1 if most is None else most)
        for turn in range(copies):
            if turn:
                self.at = start
                once = self._single()
            if most is None and turn == copies - 1:
                for state in bits(once.last):
                    self.follow[state] |= once.first
            found = self._joined(found, once._replace(empty=once.empty or turn >= least))
        return found

    def _single(self) -> Part:
        sign = self._next()
        self.at += 1
        self.parts += 1
        if self.parts > PARTS_MAX:
            raise ValueError(f"has more than {PARTS_MAX} characters with its repetitions")
        if sign == "(":
            return self._group()
        if sign in MANY:
            raise ValueError(f"has a {sign} with nothing before it")
        if sign in ("^", "$"):
            raise ValueError(f"is anchored already: write \\{sign} for the character")
        taken = {"[": self._class, "\\": self._escape}.get(sign)
        characters = taken() if taken else Characters(((10, 10),), True) if sign == "." else of(sign)
        state = 1 << len(self.follow)
        self.follow.append(0)
        self.takes[characters] = self.takes.get(characters, 0) | state
        return Part(False, state, state)

    def _group(self) -> Part:
        if self.text.startswith("?:", self.at):
            self.at += 2
        elif self._next() == "?":
            raise ValueError("has a group (?…) other than (?:…)")
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise ValueError(f"has more than {DEPTH_MAX} groups within each other")
        found = self._either()
        if self._next() != ")":
            raise ValueError("has a ( without its )")
        self.at += 1
        self.depth -= 1
        return found

    def _escape(self) -> Characters:
        sign = self._next()
        self.at += 1
        if sign.lower() in CLASSES and sign:
            return Characters(CLASSES[sign.lower()], sign.isupper())
        if sign in ESCAPES and sign:
            return of(ESCAPES[sign])
        if not sign or sign.isalnum():
            raise ValueError(f"has \\{sign}, which is not known here")
        return of(sign)

    def _class(self) -> Characters:
        other = self._next() == "^"
        self.at += other
        ranges: list[tuple[int, int]] = []
        start = self.at
        while self._next() != "]" or self.at == start:
            if not self._next():
                raise ValueError("has a [ without its ]")
            ranges += self._range()
        self.at += 1
        return Characters(tuple(ranges), other)

    def _range(self) -> Ranges:
        first = self._in_class()
        if len(first.ranges) != 1 or self._next() != "-" or self.text[self.at + 1 : self.at + 2] in ("]", ""):
            return first.ranges
        self.at += 1
        last = self._in_class()
        low, high = first.ranges[0][0], last.ranges[-1][1]
        if len(last.ranges) != 1 or high < low:
            raise ValueError("has a range in [ ] whose end is before its beginning")
        return ((low, high),)

    def _in_class(self) -> Characters:
        sign = self._next()
        self.at += 1
        if sign != "\\":
            return of(sign)
        found = self._escape()
        if found.other:
            raise ValueError("has \\D, \\S or \\W within [ ]")
        return found


def of(character: str) -> Characters:
    """One character."""
    return Characters(((ord(character), ord(character)),))


def number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4


def escaped(text: str) -> bool:
    """Whether its last character is."""
    before = text[:-1]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def bits(states: int) -> Iterator[int]:
    """The numbers of the states."""
    while states:
        least = states & -states
        yield least.bit_length() - 1
        states ^= least


@lru_cache(maxsize=1000)
def compiled(text: str) -> Pattern:
    """A pattern, made once."""
    return Pattern(text)


@lru_cache(maxsize=50_000)
def matches(pattern: str, text: str) -> bool:
    """Whether a pattern is the whole of a text; asked each second of the same ones."""
    return compiled(pattern).matches(text)
