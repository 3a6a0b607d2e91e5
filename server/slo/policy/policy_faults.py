"""Everything that does not fit in a document: msgspec stops at the first fault, people mend them all at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from server.kernel.field_fault import field_and_reason
from server.slo.policy.measures import Fault
from server.slo.policy.openslo import hint


def faults(value: Any, kind: Any, path: str) -> list[Fault]:
    """Of the parts of a value, where those are at fault; else of the value itself. Empty: it fits."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason, _, at = str(error).partition(" - at `")
        if reason.startswith("Invalid enum value"):
            reason = field_and_reason(str(error), kind)[1]
        whole = named(path + at.rstrip("`").removeprefix("$"), reason)
        return list(of_parts(value, kind, path)) or [whole]
    return []


def of_parts(value: Any, kind: Any, path: str) -> Iterator[Fault]:
    """The faults of the fields of an object, or of the items of a list."""
    held = chosen(value, kind)
    if isinstance(value, list) and get_origin(held) is list:
        for index, item in enumerate(value):
            yield from faults(item, get_args(held)[0], f"{path}[{index}]")
    elif isinstance(value, dict) and is_struct(held):
        fields = {field.encode_name: field for field in msgspec.structs.fields(held)}
        for name, item in value.items():
            if name in fields:
                yield from faults(item, fields[name].type, f"{path}.{name}")
            elif name != held.__struct_config__.tag_field:
                yield Fault(f"{path}.{name}", hint(str(name)))
        for name, field in fields.items():
            if field.required and name not in value:
                yield Fault(f"{path}.{name}", "is missing")


def chosen(value: Any, kind: Any) -> Any:
    """The one of several types that the value was meant as; None where that is not known."""
    if get_origin(kind) is Annotated:
        return chosen(value, get_args(kind)[0])
    if get_origin(kind) not in (Union, UnionType):
        return kind
    able = [held for held in (chosen(value, each) for each in get_args(kind)) if meant(value, held)]
    return able[0] if len(able) == 1 else None


def meant(value: Any, held: Any) -> bool:
    """Whether the value is an object of this struct, by its tag where it has one, or a list and this is one."""
    if isinstance(value, dict) and is_struct(held):
        config = held.__struct_config__
        return config.tag is None or value.get(config.tag_field) == config.tag
    return isinstance(value, list) and get_origin(held) is list


def is_struct(held: Any) -> bool:
    return isinstance(held, type) and issubclass(held, msgspec.Struct)


def named(path: str, reason: str) -> Fault:
    """A fault whose path ends in the field that msgspec names in its text."""
    unknown = re.fullmatch(r"Object contains unknown field `(.+)`", reason)
    if unknown:
        return Fault(f"{path}.{unknown[1]}", hint(unknown[1]))
    missing = re.fullmatch(r"Object missing required field `(.+)`", reason)
    if missing:
        return Fault(f"{path}.{missing[1]}", "is missing")
    if "matching regex" in reason:
        return Fault(path, "give up to 63 lower-case letters, digits, - and .")
    return Fault(path, reason[:1].lower() + reason[1:])
