"""A server's own format string, compiled: Apache's and HAProxy's %, nginx's $, gunicorn's %(…)s, morgan's `:`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import NamedTuple

from server.receivers.access_log.form import Sense
from server.receivers.access_log.pattern import PatternForm


class Directive(NamedTuple):
    """What a directive stands for: a part of `Found`, and the unit where that is the time taken. `rank`: which of
    several is taken, the lowest first."""

    part: str | None = None
    unit: str | None = None
    rank: int = 9


Known = Callable[[str, str], Directive]  # of a name and what stands in its braces


class Dialect(NamedTuple):
    """How one family of servers writes formats."""

    name: str
    directive: re.Pattern[str]
    known: Known
    starts: bool  # what the time of a line is
    sure: bool  # whether every server of the family prints the same


PLAIN = {
    part: Directive(part) for part in ("time", "request", "method", "target", "query", "status", "flags", "id", "peer")
}
UNKNOWN = Directive()


def apache(name: str, argument: str) -> Directive:
    """Of Apache, Varnish, Tomcat, Jetty, lighttpd and aiohttp."""
    if name == "t":
        fraction = argument.endswith(("msec_frac", "usec_frac"))
        return Directive("fraction" if fraction else "zone" if argument in ("%z", "%Z") else "time")
    if name == "T":
        return Directive("taken", {"ms": "ms", "us": "us"}.get(argument, "s"), 2 if argument in ("", "s") else 1)
    simple = {
        "r": PLAIN["request"], "s": PLAIN["status"], "m": PLAIN["method"], "U": PLAIN["target"], "q": PLAIN["query"],
        "D": Directive("taken", "us", 0), "Tf": Directive("taken", "s", 1), "X": Directive("aborted"),
    }  # fmt: skip
    if name == "i" and argument.lower() == "x-request-id":
        return PLAIN["id"]
    return simple.get(name, UNKNOWN)


def by_name(taken: Mapping[str, tuple[str, int]], parts: Mapping[str, str]) -> Known:
    """Where the name alone decides: the unit and rank of those that are the time taken, the part of the others."""

    def known(name: str, argument: str) -> Directive:
        return Directive("taken", *taken[name]) if name in taken else Directive(parts.get(name))

    return known


haproxy = by_name(
    {"Ta": ("ms", 0), "Tt": ("ms", 1), "Tu": ("ms", 2)},
    {
        "r": "request", "ST": "status", "HM": "method", "HP": "target", "HU": "target", "HPO": "target", "t": "time",
        "tr": "time", "T": "time", "Tl": "time", "trg": "time", "trl": "time", "tsc": "flags", "ts": "flags",
        "ID": "id", "ms": "fraction",
    },
)  # fmt: skip
nginx = by_name(  # the request's own time goes before that of its upstreams
    {"request_time": ("s", 0), "upstream_response_time": ("s", 1)},
    {
        "time_local": "time", "time_iso8601": "time", "msec": "time", "request": "request", "request_method": "method",
        "request_uri": "target", "uri": "target", "status": "status", "request_id": "id",
        "http_x_request_id": "id", "request_completion": "completed",
    },
)  # fmt: skip
python = by_name(  # of gunicorn, hypercorn, granian and uWSGI
    {
        "D": ("us", 0), "L": ("s", 1), "M": ("ms", 2), "T": ("s", 3), "dt_ms": ("ms", 0),
        "micros": ("us", 0), "msecs": ("ms", 2), "secs": ("s", 3),
    },
    {
        "t": "time", "time": "time", "r": "request", "s": "status", "m": "method", "method": "method",
        "U": "target", "path": "target", "q": "query", "status": "status", "asctime": "time",
        "uri": "target", "ltime": "time", "ctime": "time",
        "{x-request-id}i": "id",
    },
)  # fmt: skip
morgan_tokens = by_name(  # `total-time` is until the last byte, `response-time` until the headers
    {"total-time": ("ms", 0), "response-time": ("ms", 1)},
    {"date": "time", "method": "method", "url": "target", "status": "status"},
)


def morgan(name: str, argument: str) -> Directive:
    """Of morgan, whose headers carry their name beside them."""
    if name == "req" and argument.lower() == "x-request-id":
        return PLAIN["id"]
    return morgan_tokens(name, argument)


APACHE = Dialect(
    "Apache's directives",
    re.compile(r"%[<>!,\d]*(?:\{(?P<argument>[^}]*)\})?(?P<name>Tf|\^[A-Z]{2}|[A-Za-z]|%)"),
    apache,
    starts=True,
    sure=False,
)
HAPROXY = Dialect(
    "HAProxy's variables",
    re.compile(r"%(?:\{(?P<flags>[^}]*)\})?(?P<name>[A-Za-z]+|\[(?P<argument>[^\]]*)\]|%)"),
    haproxy,
    starts=True,
    sure=True,
)
NGINX = Dialect("nginx's variables", re.compile(r"\$\{?(?P<name>\w+)(?P<argument>)\}?"), nginx, starts=False, sure=True)
PYTHON = Dialect(
    "gunicorn's variables",
    re.compile(r"%\((?P<name>[^)]*)\)(?P<argument>)(?:[-#0 +]*\d*(?:\.\d+)?[sdfrg](?!\w))?"),
    python,
    starts=False,
    sure=True,
)
MORGAN = Dialect(
    "morgan's tokens",
    re.compile(r":(?P<name>[a-z][a-z-]*[a-z])(?:\[(?P<argument>[^\]]*)\])?"),
    morgan,
    starts=False,
    sure=True,
)
USERS = ("u", "remote_user", "remote-user")  # what somebody signed in as may have spaces
AT_START = re.compile(r"%\((?:dt_ms|uri|ltime|micros|msecs)\)")  # granian's and uWSGI's names
STAMPS = ("begin", "end")  # Apache's `%{end:sec}t`: which moment it is
HAPROXY_ONLY = re.compile(r"%(?:\{[^}]*\})?(?:ST|ci|cp|tr|Ta|Tt|TR|HM|tsc|ft)\b")


def dialect_of(text: str) -> Dialect | None:
    """Whose format string this is; None where it has no directive."""
    if "%(" in text:
        return PYTHON
    if HAPROXY_ONLY.search(text):
        return HAPROXY
    if "%" in text and APACHE.directive.search(text):
        return APACHE
    if "$" in text and NGINX.directive.search(text):
        return NGINX
    return MORGAN if MORGAN.directive.search(text) else None


def compiled(text: str, unit: str | None) -> PatternForm:
    """The form of a format string; `unit` goes before that of its directive. ValueError says what is missing."""
    text = text.strip().replace('\\"', '"')
    dialect = dialect_of(text)
    if dialect is None:
        raise ValueError(
            "has no directive, and is no name as haproxy or json: give it as it stands in the server's configuration"
        )
    builder = Builder(dialect)
    pattern = builder.pattern(text)
    have = set(builder.seen)
    if "status" not in have or not ("request" in have or {"method", "target"} <= have) or "time" not in have:
        raise ValueError("names no time, request or status: all three are needed")
    starts, sure = dialect.starts or (dialect is PYTHON and bool(AT_START.search(text))), dialect.sure
    if builder.stamp in STAMPS:
        starts, sure = builder.stamp == "begin", True
    sense = Sense(unit or builder.unit, starts=starts)
    form = PatternForm(dialect.name, re.compile(pattern, re.DOTALL), builder.took, sense, sure=sure)
    if apart(text, dialect):
        form.usual = re.compile(Builder(dialect, usual=True).pattern(text), re.DOTALL)
    return form


def apart(text: str, dialect: Dialect) -> bool:
    """Whether something always stands between two values; HAProxy leaves spaces out."""
    spans = [found.span() for found in dialect.directive.finditer(text)]
    return dialect is not HAPROXY and all(one[1] < other[0] for one, other in pairwise(spans))


class Builder:
    """Makes the regular expression, one directive after the other.

    `usual`: of most lines only, which it takes as the other does, and sooner: each value ends where what follows it
    in the format stands for the first time.
    """

    def __init__(self, dialect: Dialect, *, usual: bool = False) -> None:
        self.dialect = dialect
        self.usual = usual
        self.seen: set[str] = set()
        self.unit: str | None = None
        self.took = ""
        self.stamp = ""
        self._taken: str | None = None
        self._time: str | None = None

    def pattern(self, text: str) -> str:
        """The expression for a whole line."""
        self._choose(text)
        parts: list[str] = []
        at = 0
        for found in self.dialect.directive.finditer(text):
            parts.append(self._literal(text[at : found.start()]))
            parts.append("%" if found["name"] == "%" else self._group(found, text))
            at = found.end()
        parts.append(self._literal(text[at:]))
        return "".join(parts) + r"\s*"

    def _literal(self, text: str) -> str:
        """Text of the format as it stands; HAProxy leaves out the space beside what is empty."""
        space = r"\\s*" if self.dialect is HAPROXY else r"\\s+"
        return re.sub(r"(?:\\ |\s)+", space, re.escape(text))

    def _choose(self, text: str) -> None:
        """Which of the times taken is the best, and which time of the line: the end, where it has that."""
        best = 9
        for found in self.dialect.directive.finditer(text):
            directive = self._known(found)
            stamp = (found["argument"] or "").partition(":")[0]
            if directive.part == "time" and (self._time is None or stamp == "end"):
                self._time, self.stamp = found[0], stamp
            if directive.part == "taken" and directive.rank < best:
                best = directive.rank
                self._taken, self.unit, self.took = found[0], directive.unit, found[0]

    def _known(self, found: re.Match[str]) -> Directive:
        return self.dialect.known(found["name"], found["argument"] or "")

    def _group(self, found: re.Match[str], text: str) -> str:
        directive = self._known(found)
        before, after = text[: found.start()], text[found.end() : found.end() + 1]
        inside = inside_of(before, after)
        chosen = {"taken": self._taken, "time": self._time}
        part = directive.part if found[0] == chosen.get(directive.part or "", found[0]) else None
        if found["name"] == "t" and not found["argument"] and inside != "[" and self.dialect in (APACHE, PYTHON):
            return self._named(part, r"[^\]]*", r"\[", r"\]")  # %t brings its brackets
        body = ".*?" if found["name"] in USERS else text_of(directive, inside)
        if self.usual:
            body = usual_of(body, inside, after)
        return self._named(part, body, *quotes_of(found))

    def _named(self, part: str | None, body: str, opens: str = "", closes: str = "") -> str:
        if part is None or part in self.seen:
            return f"{opens}(?:{body}){closes}"
        self.seen.add(part)
        return f"{opens}(?P<{part}>{body}){closes}"


def quotes_of(found: re.Match[str]) -> tuple[str, str]:
    """HAProxy's `{+Q}`: the value is quoted."""
    quoted = "flags" in found.re.groupindex and "Q" in (found["flags"] or "") and "-Q" not in (found["flags"] or "")
    return ('"', '"') if quoted else ("", "")


def inside_of(before: str, after: str) -> str:
    """Which quote or bracket a directive stands in; empty: none."""
    if before.count('"') % 2:
        return '"'
    return "[" if before.rfind("[") > before.rfind("]") and after in ("]", ".", " ", ":") else ""


def usual_of(body: str, inside: str, after: str) -> str:
    """What most values look like there: the first that `body` takes, where it takes one of them."""
    if inside == '"':
        return r'[^"\\]*' if after == '"' else body
    if inside == "[":
        return r"[^\]]*" if after == "]" else body
    return body if body.endswith("}") else rf'[^\s"{re.escape(after)}]' + ("+" if body == ".+?" else "*")


def text_of(directive: Directive, inside: str) -> str:
    """What the value of a directive looks like there."""
    if inside == '"':
        return r'(?:[^"\\]|\\.)*?'
    if inside == "[":
        return r"[^\]]*?"
    if directive.part == "status":
        return r"-1|-|\d{1,3}"
    if directive.part in ("time", "request"):
        return r".+?"
    # One word; of a list, as of upstreams, several.
    return r'[^\s"]*?(?:(?:, | : )[^\s"]+?)*?' if directive.part != "fraction" else r"\d{1,9}"
