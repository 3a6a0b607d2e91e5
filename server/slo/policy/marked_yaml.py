"""YAML as plain values that remember their lines, and nothing that YAML can do to a reader.

Only maps with text keys, lists and plain scalars are read: tags, anchors, aliases
and merge keys are refused, and size, depth and number of values are bounded, so
that no file can run code or use up memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from server.slo.model.objective import PolicyError, Problem

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
    """The documents that are not empty; PolicyError with a line for what is not plain YAML."""
    if len(source.encode(errors="surrogatepass")) > MAX_BYTES:
        raise PolicyError([Problem(1, "", f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB")])
    try:
        refuse_hostile(yaml.parse(source, Loader=LOADER))
        return [read(node) for node in yaml.compose_all(source, Loader=LOADER) if not is_empty(node)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise PolicyError([Problem(mark.line + 1 if mark else 1, "", f"not YAML: {error.problem}")]) from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise PolicyError([Problem(1, "", f"not YAML: {error}")]) from None


def refuse_hostile(events: Iterator[Any]) -> None:
    """Look at the events before anything is built from them."""
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


def read(node: Any) -> Document:
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
    """Text, a number, true, false or null; PolicyError for 2026-99-99 and the like."""
    constructor = yaml.constructor.SafeConstructor()
    try:
        return constructor.construct_document(node)
    except (ValueError, OverflowError) as error:
        raise PolicyError([Problem(node.start_mark.line + 1, shown(path), f"cannot be read: {error}")]) from None


def shown(path: str) -> str:
    """A path as people write it: `spec.objectives[0].target`."""
    return path.removeprefix("$").removeprefix(".")
