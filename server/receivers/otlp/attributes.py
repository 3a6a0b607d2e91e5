"""What attributes say, and what a resource is: a service, its environment, its version and one process of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from server.receivers.environment import NAME_MAX, named
from server.receivers.otlp.wire import Message, attribute_of

UNNAMED = "unknown_service"  # as SDKs call a service that nobody has named
ATTRIBUTES_MAX = 1_000  # that are read: SDKs send at most 128
DIGITS_MAX = 18  # of a number as text

Attributes = Mapping[str, Any]  # a name to a value's message


def attributes_of(message: Message) -> dict[str, Any]:
    """The attributes of a resource, scope, span, event, point or line; the first ATTRIBUTES_MAX."""
    return {one.key: one.value for one in map(attribute_of, islice(message.attributes or (), ATTRIBUTES_MAX))}


def text(attributes: Attributes, *names: str) -> str:
    """The first of these that is text or a number; '' where none is."""
    for name in names:
        value = attributes.get(name)
        if value is None:
            continue
        if value.string_value:
            return str(value.string_value)
        if value.int_value:
            return str(value.int_value)
    return ""


def first_text(attributes: Attributes, *names: str) -> str:
    """The same where a value may be a list, as a header is: of a list its first."""
    for name in names:
        value = attributes.get(name)
        if value is None:
            continue
        values = value.array_value.values if value.array_value else ()
        found = values[0].string_value if values else value.string_value
        if found:
            return str(found)
    return ""


def whole(attributes: Attributes, *names: str) -> int | None:
    """The first of these that is a whole number, whatever it came as; None where none is, or it is endless."""
    for name in names:
        value = attributes.get(name)
        if value is None:
            continue
        if value.int_value:
            return int(value.int_value)
        if value.string_value and value.string_value.isdecimal() and len(value.string_value) <= DIGITS_MAX:
            return int(value.string_value)
        if value.double_value and math.isfinite(value.double_value):
            return int(value.double_value)
        if value.WhichOneof("value") == "int_value":
            return 0
    return None


@dataclass(frozen=True, slots=True)
class ServiceProcess:
    """Who sent: `service` is the name, with @ and the environment where that is not production."""

    service: str
    version: str | None
    instance: str | None


def process_of(resource: Message) -> ServiceProcess:
    """The process that a resource stands for. At Heroku an application is named by its platform, if nobody else has."""
    attributes = attributes_of(resource) if resource is not None else {}
    environment = text(attributes, "deployment.environment.name", "deployment.environment")
    own = text(attributes, "service.name")
    name = (text(attributes, "heroku.app.name") if own.startswith(UNNAMED) or not own else "") or own or UNNAMED
    return ServiceProcess(
        named(name, environment),
        text(attributes, "service.version", "heroku.release.version")[:NAME_MAX] or None,
        text(attributes, "service.instance.id", "heroku.dyno.name", "host.name")[:NAME_MAX] or None,
    )
