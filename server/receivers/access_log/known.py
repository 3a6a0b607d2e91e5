"""Servers whose lines are known by their shape, with the unit of their times and what the time of a line is.

Only shapes that no other server's line can have stand here.
"""

from __future__ import annotations

import re
from dataclasses import replace

from server.receivers.access_log.entry import METHOD
from server.receivers.access_log.form import Sense
from server.receivers.access_log.pattern import PatternForm

QUOTED = r'(?:[^"\\]|\\.)*'
CLF = r"\d{1,2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2}[^\]]{0,40}"
ISO = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}[^\]\s]{0,16}"
FLAGS = r"[A-Za-z-]{2}[A-Z-]{2}"
STAGES = r"(?:-?\d+(?:\.\d+)?[ ]){2}-?\d+(?:\.\d+)?"
STATUS = r"-1|-|\d{1,3}"
PREFIX = r"(?:.{0,200}?[\s|])??"  # of syslog, journald or a container: anything, if it ends before the line begins
REQUEST = rf'"(?P<request>{QUOTED})"'


def form(name: str, pattern: str, took: str, unit: str | None, *, starts: bool) -> PatternForm:
    compiled = re.compile(PREFIX + pattern + r"\s*", re.DOTALL)
    return PatternForm(name, compiled, took, Sense(unit, starts=starts))


FORMS = (
    form(
        "HAProxy",
        rf"\S+:\d+ \[(?P<time>{CLF})\] \S+ \S+/\S+ (?:-?\d+/){{4}}(?P<taken>[+-]?\d+) (?P<status>{STATUS}) \+?\d+"
        rf" \S+ \S+ (?P<flags>{FLAGS}) \+?\d+/\+?\d+/\+?\d+/\+?\d+/\+?\d+ \d+/\d+.{{0,4000}}?"
        r' "(?P<request>[^"]*(?:".*?)??)"?'
        r"(?: (?:[\dA-Fa-f-]+/){2,5}[\dA-Fa-f-]+ \S+)?",
        "the last of the five timers, Ta",
        "ms",
        starts=True,
    ),
    form(
        "HAProxy",
        rf'\S+ - - \[(?P<time>{CLF})\] {REQUEST} (?P<status>{STATUS}) \d+ "" "" \d+ (?P<fraction>\d{{3}}) "{QUOTED}"'
        rf' "{QUOTED}" "{QUOTED}" -?\d+ -?\d+ -?\d+ -?\d+ (?P<taken>[+-]?\d+) (?P<flags>{FLAGS})(?: .*)?',
        "the last of the five timers, Ta",
        "ms",
        starts=True,
    ),
    form(
        "AWS ALB",
        rf"(?:https?|h2|grpcs?|wss?) (?P<time>{ISO}) \S+ \S+ \S+ (?P<taken>{STAGES}) (?P<status>{STATUS}) \S+ \S+ \S+"
        rf' {REQUEST} "{QUOTED}" \S+ \S+ \S+ "{QUOTED}" "{QUOTED}" "{QUOTED}" \S+ (?P<begun>{ISO}) .*',
        "its three processing times, or from request_creation_time",
        "s",
        starts=False,
    ),
    form(
        "AWS ELB",
        rf"(?P<time>{ISO}) \S+ \S+:\d+ \S+ (?P<taken>{STAGES}) (?P<status>{STATUS}) \S+ \d+ \d+"
        rf' {REQUEST} "{QUOTED}" \S+ \S+',
        "its three processing times",
        "s",
        starts=True,
    ),
    form(
        "ingress-nginx",
        rf'\S+ - .{{1,200}}? \[(?P<time>{CLF})\] {REQUEST} (?P<status>{STATUS}) \d+ "{QUOTED}" "{QUOTED}"'
        r" \d+ (?P<taken>\d+\.\d{3}) \[[^\]]*\] \[[^\]]*\] .*? (?P<id>\S+)",
        "$request_time, behind $request_length",
        "s",
        starts=False,
    ),
    form(
        "Traefik",
        rf'\S+ - \S+ \[(?P<time>{CLF})\] {REQUEST} (?P<status>{STATUS}) (?:\d+|-) "{QUOTED}" "{QUOTED}" \d+'
        rf' (?:"{QUOTED}"|-) (?:"{QUOTED}"|-) (?P<taken>\d+)ms',
        "the last field, which ends in ms",
        "ms",
        starts=True,
    ),
    form(
        "Envoy",
        rf"\[(?P<time>{ISO})\] {REQUEST} (?P<status>{STATUS}) (?P<envoy>-|[A-Z]\S*)"
        rf'(?: [\w.{{}},-]+ \S+ "{QUOTED}")? \d+ \d+ (?P<taken>-|\d+) (?:-|\d+) "{QUOTED}" "{QUOTED}"'
        rf' "(?P<id>{QUOTED})".*',
        "%DURATION%",
        "ms",
        starts=True,
    ),
    form(
        "granian",
        rf"\[(?P<time>{ISO}(?: [+-]\d{{4}})?)\] \S+ - {REQUEST} (?P<status>{STATUS}) (?P<taken>\d+\.\d{{3}})",
        "dt_ms, the last field",
        "ms",
        starts=True,
    ),
    form(
        "uWSGI",
        r"\[pid: \d+\|[^\]]*\] \S+ \([^)]*\) \{[^}]*\} \[(?P<time>[^\]]+)\]"
        rf" (?P<method>{METHOD}|-) (?P<target>.*?) => generated -?\d+ bytes in (?P<taken>\d+ (?:msecs|micros))"
        r" \(HTTP/[\d.]+ (?P<status>\d{1,3})\).*",
        "what stands behind `in`",
        None,
        starts=True,
    ),
    form(
        "Tornado",
        rf"\[[DIWEC] (?P<time>\d{{6}} \d\d:\d\d:\d\d) \S+\]"
        rf" (?P<status>{STATUS}) (?P<method>{METHOD}) (?P<target>\S*) \([^)]*\) (?P<taken>\d+\.\d+ms)",
        "the last field, which ends in ms",
        "ms",
        starts=False,
    ),
    form(
        "Sanic",
        rf"(?P<time>{ISO}(?: [+-]\d{{4}})?) .{{0,80}}?[ \]](?P<method>{METHOD}) (?P<target>https?://\S+)"
        rf" +(?P<status>{STATUS}) \d+B?(?: +(?P<taken>\d+\.\d+ms))?",
        "the last field, which ends in ms",
        "ms",
        starts=False,
    ),
    form(
        "Gin",
        r"\[GIN\] (?P<time>\d{4}/\d\d/\d\d - \d\d:\d\d:\d\d) \|\s*(?P<status>\d{1,3})\s*\|"
        rf"\s*(?P<taken>[\dhmµ.]+[a-zµ]*s)\s*\|[^|]*\|\s*(?P<method>{METHOD})\s+\"(?P<target>{QUOTED})\".*",
        "the time with its unit",
        None,
        starts=False,
    ),
    form(
        "Squid",
        rf"(?P<time>\d{{9,11}}\.\d{{3}}) +(?P<taken>\d+) \S+ (?P<squid>\w+)/(?P<status>\d{{3}}) \d+"
        rf" (?P<method>{METHOD}) (?P<target>\S+) \S+ \w+/\S+ \S+",
        "the second field",
        "ms",
        starts=False,
    ),
)


def fresh(known: PatternForm) -> PatternForm:
    """A form of its own, whose sense can be set, with the other forms of that server."""
    others = tuple(one.pattern for one in FORMS if one.name == known.name and one is not known)
    return replace(known, sense=replace(known.sense), others=others)
