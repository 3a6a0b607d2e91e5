"""The documents of a policy file: YAML in, typed documents out, and every fault at its line.

Only maps with text keys, lists and plain scalars are read: tags, anchors, aliases
and merge keys are refused, and size, depth and number of values are bounded, so
that no file can run code or use up memory. msgspec stops at the first fault; people
mend them all at once, so all of them are looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
import yaml

from server.kernel.field_fault import field_and_reason
from server.slo.model.objective import PolicyError, Problem
from server.slo.policy.budget_document import ErrorBudgetPolicy
from server.slo.policy.openslo import LENGTHS, REFUSED_KINDS, SLI, SLO, AlertCondition, AlertPolicy, Service, hint
from server.slo.policy.values import Faults, ValueFault

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 20
MAX_VALUES = 50_000

# libyaml reads ten times as fast; both keep line marks.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Document:
    """One YAML document. `lines` maps `$.spec.objectives[0].target` to its line, from 1."""

    value: Any
    lines: dict[str, int] = field(default_factory=dict)

    def line(self, path: str) -> int:
        """The line of a path, or of the nearest part of it that exists."""
        while path not in self.lines and path != "$":
            path = path[: max(path.rfind("."), path.rfind("["))] or "$"
        return self.lines.get(path, 1)


def read_documents(source: str) -> list[Document]:
    """The documents that are not empty; PolicyError with a line for what is not plain YAML.

    A sequence of objects is read as if they were separated by `---`, as OpenSLO's own tools do.
    """
    if len(source.encode(errors="surrogatepass")) > MAX_BYTES:
        raise PolicyError([Problem(1, "", f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB")])
    try:
        refuse_hostile(yaml.parse(source, Loader=LOADER))
        roots = [node for node in yaml.compose_all(source, Loader=LOADER) if not is_empty(node)]
        return [read(node) for root in roots for node in objects(root)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise PolicyError([Problem(mark.line + 1 if mark else 1, "", f"not YAML: {error.problem}")]) from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise PolicyError([Problem(1, "", f"not YAML: {error}")]) from None


def refuse_hostile(events: Iterator[Any]) -> None:
    """PolicyError for tags, anchors and too much, before anything is built from the events."""
    depth = 0
    for number, event in enumerate(events):
        line = event.start_mark.line + 1
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise PolicyError([Problem(line, "", f"nested deeper than {MAX_DEPTH} levels")])
        if number > MAX_VALUES:
            raise PolicyError([Problem(line, "", f"more than {MAX_VALUES} values")])
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            raise PolicyError([Problem(line, "", "anchors and aliases are not read here; write the value out")])
        if getattr(event, "tag", None) is not None:
            raise PolicyError([Problem(line, "", f"the tag {event.tag} is not read here")])


def is_empty(node: Any) -> bool:
    """Whether a document holds nothing, as after a trailing `---`."""
    return node is None or (isinstance(node, yaml.ScalarNode) and node.value == "" and not node.style)


def objects(node: Any) -> list[Any]:
    """The objects of a YAML document: itself, or the items of a sequence."""
    return list(node.value) if isinstance(node, yaml.SequenceNode) else [node]


def read(node: Any) -> Document:
    """A YAML node as a document."""
    document = Document(None)
    document.value = build(node, "$", document)
    return document


def build(node: Any, path: str, document: Document) -> Any:
    """The plain value of a node; its line and those below it go into the document."""
    document.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return {key: build(value, f"{path}.{key}", document) for key, value in pairs(node, path, document)}
    if isinstance(node, yaml.SequenceNode):
        return [build(value, f"{path}[{index}]", document) for index, value in enumerate(node.value)]
    return scalar(node, path)


def pairs(node: Any, path: str, document: Document) -> Iterator[tuple[str, Any]]:
    """The pairs of a map, refusing keys that are not text or come twice."""
    seen: set[str] = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.tag != "tag:yaml.org,2002:str":
            raise PolicyError([Problem(line, shown(path), f"the key {key.value!r} is not text; quote it")])
        if key.value in seen:
            raise PolicyError([Problem(line, shown(f"{path}.{key.value}"), "stands here twice")])
        seen.add(key.value)
        document.lines[f"{path}.{key.value}"] = line  # a field is where its name stands
        yield key.value, value


def scalar(node: Any, path: str) -> Any:
    """Text, a number, true, false or null; a time is its text. PolicyError for 2026-99-99 and the like."""
    constructor = yaml.constructor.SafeConstructor()
    try:
        value = constructor.construct_document(node)
        return node.value if isinstance(value, date) else value  # a datetime is a date
    except (ValueError, OverflowError) as error:
        raise PolicyError([Problem(node.start_mark.line + 1, shown(path), f"cannot be read: {error}")]) from None


def shown(path: str) -> str:
    """A path as people write it: `spec.objectives[0].target`."""
    return path.removeprefix("$").removeprefix(".")


Typed = Service | SLI | SLO | AlertPolicy | AlertCondition | ErrorBudgetPolicy


def convert(document: Document) -> Typed:
    """A document as its type; Faults with all that does not fit."""
    value = document.value if isinstance(document.value, dict) else {}
    kind, version = value.get("kind"), value.get("apiVersion")
    if isinstance(version, str) and version.startswith(("openslo", "n9/")) and version != "openslo/v1":
        raise ValueFault("$.apiVersion", f"is {version[:60]}; give openslo/v1, the version that is read here")
    if isinstance(kind, str) and kind in REFUSED_KINDS:
        raise ValueFault("$.kind", REFUSED_KINDS[kind])
    found = faults(document.value, Typed, "$")
    if found:
        raise Faults(found)
    typed: Typed = msgspec.convert(document.value, Typed)
    return typed


def faults(value: Any, kind: Any, path: str) -> list[ValueFault]:
    """What keeps a value from being of a type: the faults of its parts, else its own. Empty: it fits."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason, _, at = str(error).partition(" - at `")
        if reason.startswith("Invalid enum value"):
            reason = field_and_reason(str(error), kind)[1]
        whole = named(path + at.rstrip("`").removeprefix("$"), reason)
        return list(of_parts(value, kind, path)) or [whole]
    return []


def of_parts(value: Any, kind: Any, path: str) -> Iterator[ValueFault]:
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
                yield ValueFault(f"{path}.{name}", hint(str(name)))
        for name, field in fields.items():
            if field.required and name not in value:
                yield ValueFault(f"{path}.{name}", "is missing")


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
    """Whether a type is a msgspec Struct."""
    return isinstance(held, type) and issubclass(held, msgspec.Struct)


def named(path: str, reason: str) -> ValueFault:
    """A fault whose path ends in the field that msgspec names in its text."""
    unknown = re.fullmatch(r"Object contains unknown field `(.+)`", reason)
    if unknown:
        return ValueFault(f"{path}.{unknown[1]}", hint(unknown[1]))
    missing = re.fullmatch(r"Object missing required field `(.+)`", reason)
    if missing:
        return ValueFault(f"{path}.{missing[1]}", "is missing")
    if "matching regex" in reason:
        return ValueFault(path, "give up to 63 lower-case letters, digits, - and .")
    if "of length" in reason and (field := path.rpartition(".")[2]) in LENGTHS:
        return ValueFault(path, LENGTHS[field])
    return ValueFault(path, reason[:1].lower() + reason[1:])
