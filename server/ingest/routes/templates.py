"""Patterns of routes, for paths: those that people have set, and those that were learned from many paths.

What a segment looks like says what is an id (server/receivers/route_template.py). Here stands what only many paths say:
where one place has taken dozens of names, they are names of things, and become `:id`. What was learned is kept in the
database, so every process says the same, and a restart forgets nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct

from server.kernel.times import Instant
from server.receivers.route_template import ID, REST, ROUTE_MAX, SEGMENTS_MAX, is_id, named, parts_of

LEARN_AT = 50  # names at one place: a route that a person has named has few beside it
FREQUENT = 0.05  # of the requests there: a name with so many is a route of its own, as /users/me
FREQUENT_MIN = 10  # requests
PLACES_MAX = 500  # looked at in a process at once
NAMES = "!"  # before a pattern: what stands at its end are names of routes, however many there are
PATTERN = re.compile(r"!?(?:/(?::[A-Za-z_]\w{0,31}|[^/:*?#\s][^/?#\s]{0,99}))*(?:/\*|/)?", re.ASCII)


class RoutePattern(Struct):
    """A pattern of the routes of a service. `author` '' where it was learned."""

    service: str
    pattern: str
    author: str
    at: Instant


class PathNode:
    """One place in the paths of a service: the names that stand there, and what the others are called."""

    __slots__ = ("fixed", "names", "other", "rest", "takes_all", "word")

    def __init__(self) -> None:
        self.names: dict[str, PathNode] = {}
        self.other: PathNode | None = None
        self.word = ID
        self.takes_all = False  # `word` is what all others are, else only ids
        self.rest = False  # all that follows is `*`
        self.fixed = False  # nothing is learned here


class PathTree:
    """The patterns of one service. A name outranks a word, and either what a segment looks like."""

    def __init__(self, patterns: Iterable[tuple[str, bool]]) -> None:
        """Of patterns, each with whether it was learned: then its words, but the last, stand for ids alone."""
        self.root = PathNode()
        for pattern, learned in patterns:
            self._add(pattern, learned)

    def _add(self, pattern: str, learned: bool) -> None:
        node, parts = self.root, pattern.removeprefix(NAMES).split("/")[1:]
        for place, part in enumerate(parts):
            last = place == len(parts) - 1
            if part == REST and last:
                node.rest = True
            elif part.startswith(":"):
                if last and pattern.startswith(NAMES):
                    node.fixed = True
                    return
                if not learned or (last and not node.fixed and not node.takes_all):
                    node.word, node.takes_all = part, True
                node.other = node.other or PathNode()
                node = node.other
            else:
                node = node.names.setdefault(part, PathNode())

    def route(self, target: str) -> RoutedPath:
        """The route of a path or URL."""
        first, *parts = parts_of(target)
        node: PathNode | None = self.root
        route, open_places = [first], []
        for place, part in enumerate(parts, 1):
            if node is not None and node.rest:
                route.append(REST)
                break
            if node is not None and part in node.names:
                route.append(part)
                node = node.names[part]
            elif node is not None and node.other is not None and (node.takes_all or is_id(part)):
                route.append(node.word)
                node = node.other
            else:
                route.append(named(part))
                if place > 1 and not (node is not None and node.fixed):
                    open_places.append(place)
                node = None
        return RoutedPath("/".join(route)[:ROUTE_MAX], route, open_places)


class RoutedPath(NamedTuple):
    """The route of a path, its segments, and the places of those of which more could be learned."""

    route: str
    parts: list[str]
    open: list[int]


NO_PATTERNS = PathTree([])


class Learner:
    """Finds places with many names, in the paths of this process."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], Counter[str]] = {}  # (service, prefix) -> names there

    def saw(self, service: str, path: RoutedPath) -> list[str]:
        """One more path, that was found; the patterns that it teaches, most often none."""
        for place in path.open:
            name = path.parts[place]
            if name in (ID, REST, "") or place > SEGMENTS_MAX:
                continue
            key = (service, "/".join(path.parts[:place]))
            names = self._places.get(key)
            if names is None:
                if len(self._places) >= PLACES_MAX:
                    del self._places[next(iter(self._places))]
                names = self._places[key] = Counter()
            names[name] += 1
            if len(names) >= LEARN_AT:
                del self._places[key]
                return learned(key[1], names)
        return []


def learned(prefix: str, names: Counter[str]) -> list[str]:
    """The patterns of a place with many names: those with much traffic stay themselves."""
    least = max(FREQUENT_MIN, FREQUENT * names.total())
    return [f"{prefix}/{name}" for name, n in names.most_common() if n >= least] + [f"{prefix}/{ID}"]


def pattern_fault(pattern: str) -> str:
    """What is wrong with a pattern that a person gives; '' where nothing is."""
    if not pattern.startswith(("/", NAMES)) or len(pattern) > ROUTE_MAX:
        return f"begins with / and has at most {ROUTE_MAX} characters"
    if PATTERN.fullmatch(pattern) is None:
        return "has segments of names and of words as :slug, and at its end perhaps /*"
    if pattern.startswith(NAMES) and not pattern.rpartition("/")[2].startswith(":"):
        return "says with ! that names stand at its end, where a word is: !/docs/:page"
    return ""


def faults(patterns: Sequence[str]) -> tuple[int, str] | None:
    """The first pattern that is wrong, and what is wrong with it."""
    return next(((n, why) for n, pattern in enumerate(patterns) if (why := pattern_fault(pattern))), None)
