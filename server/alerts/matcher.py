"""Matchers of a silence, in Alertmanager's words: label, operator, value; and the labels of our alerts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from server.alerts import pattern
from server.alerts.alert import Alert
from server.kernel.errors import invalid

LABELS = ("service", "objective", "severity", "urgency", "kind")
OPERATORS = ("=", "!=", "=~", "!~")
KNOWN: dict[str, tuple[str, ...]] = {
    "severity": ("1", "2", "3"),
    "urgency": ("page", "ticket"),
    "kind": ("availability", "latency"),
}
MATCHERS_MAX = 10
VALUE_MAX = 200

Labels = dict[str, str]


class Matcher(Struct, frozen=True, forbid_unknown_fields=True):
    """`=~` and `!~` take a regular expression that is the whole of the value."""

    label: str
    operator: str
    value: str

    def matches(self, labels: Labels) -> bool:
        """Whether an alert of these labels is meant."""
        found = labels.get(self.label, "")
        if self.operator in ("=", "!="):
            return (found == self.value) is (self.operator == "=")
        return pattern.matches(self.value, found) is (self.operator == "=~")

    @property
    def text(self) -> str:
        """`severity=~"2|3"`, as Alertmanager writes it."""
        quoted = self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.label}{self.operator}"{quoted}"'


def labels_of(alert: Alert) -> Labels:
    """The labels of an alert."""
    return {
        "service": alert.service,
        "objective": alert.objective,
        "severity": str(alert.severity),
        "urgency": alert.urgency,
        "kind": alert.evidence.kind,
    }


def checked(matchers: Sequence[Matcher]) -> None:
    """ApiError INVALID naming the matcher and its field."""
    if len(matchers) > MATCHERS_MAX:
        raise invalid("matchers", f"give at most {MATCHERS_MAX} of them. Nothing was silenced.")
    for number, one in enumerate(matchers):
        field, fault = fault_of(one)
        if fault:
            raise invalid(f"matchers[{number}].{field}", f"{fault}. Nothing was silenced.")


def fault_of(one: Matcher) -> tuple[str, str]:
    """The field that is wrong and why; empty where none is."""
    if one.label not in LABELS:
        return "label", f"{one.label[:40]} is no label of an alert; there are {', '.join(LABELS)}"
    if one.operator not in OPERATORS:
        return "operator", "give one of =, !=, =~, !~"
    if len(one.value) > VALUE_MAX or not one.value.isprintable():
        return "value", f"give at most {VALUE_MAX} characters, all of them printable"
    known = KNOWN.get(one.label)
    if one.operator in ("=", "!=") and known and one.value not in known:
        return "value", f"{one.label} is {', '.join(known[:-1])} or {known[-1]}"
    if one.operator in ("=~", "!~"):
        try:
            pattern.compiled(one.value)
        except ValueError as error:
            return "value", f"the regular expression {error}"
    return "", ""


# One matcher of a line: a label, an operator, and a value, quoted where it has a comma, a quote or a blank.
ONE = re.compile(r'\s*([a-z_]+)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]*))\s*(?:,|$)')


def read_line(text: str) -> list[Matcher]:
    """Matchers as a person writes them: `service="checkout", severity=~"2|3"`; ApiError INVALID."""
    text, found, at = text.strip(), list[Matcher](), 0
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1].rstrip()
    while at < len(text):
        one = ONE.match(text, at)
        if one is None:
            reason = f'{text[at : at + 40]} cannot be read; write severity=~"2|3", service!="payments"'
            raise invalid("matchers", f"{reason}. Nothing was silenced.")
        label, operator, quoted, bare = one.groups()
        value = bare if quoted is None else re.sub(r"\\([\\\"])", r"\1", quoted)
        found.append(Matcher(label, operator, value))
        at = one.end()
    return found


def written(matchers: Iterable[Matcher]) -> str:
    """The same, written."""
    return ", ".join(one.text for one in matchers)
