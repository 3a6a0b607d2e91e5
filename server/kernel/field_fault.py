"""What is wrong with a field: msgspec's message as the field's name and what may stand there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from msgspec import inspect

RFC_3339 = "RFC 3339 with its zone, as 2026-03-01T03:08:12Z"
PLAIN: dict[type[inspect.Type], str] = {
    inspect.BoolType: "true or false",
    inspect.DateTimeType: RFC_3339,
    inspect.DictType: "an object",
}
LARGEST = 2**53  # a limit from here on is that of the machine, and not told


def field_and_reason(message: str, kind: Any) -> tuple[str, str]:
    """Of ``Expected `int` - at `$.status` ``, said of a `kind`: the field, empty for the whole, and a reason."""
    reason, _, path = message.partition(" - at `")
    field = path.rstrip("`").removeprefix("$").removeprefix(".")
    named = re.fullmatch(r"Object (missing required|contains unknown) field `(.+)`", reason, re.DOTALL)
    found = at(shape(kind), path.rstrip("`"))
    if named is None:
        return field, sentence_of(reason, found)
    names = ", ".join(each.encode_name for each in getattr(found, "fields", ()))
    unknown = f"is an unknown field; known are {names}" if names else "is an unknown field"
    wrong = "is missing" if named[1] == "missing required" else unknown
    return f"{field}.{named[2]}" if field else named[2], wrong


@cache
def shape(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def sentence_of(reason: str, found: inspect.Type | None) -> str:
    """What may stand there, after what does where msgspec says it; its own words where the type is not found."""
    allowed = found and words(found)
    if not allowed:
        return reason
    value = reason.removeprefix("Invalid enum value ").removeprefix("Invalid value ")
    return f"give {allowed}" if value == reason else f"is {value[:60]}; give {allowed}"


def at(found: inspect.Type | None, path: str) -> inspect.Type | None:
    """The type at a path such as `$.values[...]`; None where it leads into one of several that differ there."""
    for name, index in re.findall(r"\.([^.\[]+)|\[([^\]]+)\]", path):
        inner = [one for one in options(found) if isinstance(one, inspect.StructType if name else HOLDERS)]
        found = tags(inner, name) or alike([member(one, name, index) for one in inner])
    return found


def tags(holders: Sequence[inspect.Type], name: str) -> inspect.LiteralType | None:
    """What may stand in the field that says which of several structs it is; None where `name` is another field."""
    structs = [one for one in holders if isinstance(one, inspect.StructType) and one.tag_field == name]
    return inspect.LiteralType(tuple(one.tag for one in structs if one.tag is not None)) if structs else None


def alike(found: Sequence[inspect.Type | None]) -> inspect.Type | None:
    """The type, where all that have one are told alike; of texts of several lengths, text."""
    known = [one for one in found if one is not None]
    if known and len({words(one) for one in known}) == 1:
        return known[0]
    texts = known and all(isinstance(each, inspect.StrType) for one in known for each in options(one))
    return inspect.StrType() if texts else None


HOLDERS = (inspect.ListType, inspect.DictType)


def member(holder: Any, name: str, index: str) -> inspect.Type | None:
    """What a struct has under a name, or a list or an object at an index."""
    if index:
        item: inspect.Type = holder.value_type if isinstance(holder, inspect.DictType) else holder.item_type
        return item
    return next((field.type for field in holder.fields if field.encode_name == name), None)


def options(found: inspect.Type | None) -> list[inspect.Type]:
    """What it may be: of a union its types, without what only describes them; null is as good as left out."""
    if isinstance(found, inspect.Metadata):
        return options(found.type)
    if isinstance(found, inspect.UnionType):
        return [one for each in found.types for one in options(each)]
    return [] if found is None or isinstance(found, inspect.NoneType) else [found]


def words(found: inspect.Type) -> str:
    """`a whole number from 1 to 500`; empty for a type that is not told."""
    able = options(found)
    wide = any(isinstance(one, inspect.FloatType) for one in able)  # takes whole numbers too
    parts = [word(one) for one in able if not (wide and isinstance(one, inspect.IntType))]
    return " or ".join(parts) if all(parts) else ""


def word(one: inspect.Type) -> str:
    if isinstance(one, inspect.IntType | inspect.FloatType):
        return ("a whole number" if isinstance(one, inspect.IntType) else "a number") + bounds(one)
    if isinstance(one, inspect.StrType):
        return text(one.min_length, one.max_length)
    if isinstance(one, inspect.LiteralType):
        return f"one of {', '.join(str(value) for value in one.values)}"
    if isinstance(one, inspect.ListType):
        items = words(one.item_type)
        return f"a list, of each: {items}" if items else "a list"
    if isinstance(one, inspect.StructType):
        return f"an object with the fields {', '.join(field.encode_name for field in one.fields)}"
    return PLAIN.get(type(one), "")


def bounds(one: inspect.IntType | inspect.FloatType) -> str:
    """The limits of a number; msgspec knows open ones too."""
    most = one.le if one.le is not None and one.le < LARGEST else None
    if one.ge is not None and most is not None:
        return f" from {one.ge} to {most:.15g}"
    limits = (("of at least", one.ge), ("above", one.gt), ("of at most", most), ("below", one.lt))
    found = [f" {name} {limit}" for name, limit in limits if limit is not None]
    return " and".join(found)


def text(least: int | None, most: int | None) -> str:
    if most is None:
        return "text" if not least else f"{least} or more characters of text"
    return f"{least} to {most} characters of text" if least else f"at most {most} characters of text"
