"""A tool: what it takes and answers, and the function that finds it. They stand in `tools.py` of each domain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from server.kernel.errors import invalid
from server.kernel.field_fault import field_and_reason

if TYPE_CHECKING:
    from server.parts import Parts

READS = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False}


@dataclass(frozen=True)
class Tool:
    """One tool. `asked` and `answered` are msgspec Structs."""

    name: str
    title: str
    description: str
    asked: type
    answered: type
    find: Callable[[Parts, Any], Awaitable[Any]]

    @cached_property
    def shown(self) -> dict[str, Any]:
        """As a client is told of it."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": schema_of(self.asked) | {"additionalProperties": False},
            "outputSchema": schema_of(self.answered),
            "annotations": {"title": self.title} | READS,
        }

    def arguments(self, given: dict[str, Any]) -> Any:
        """The arguments as `asked`; ApiError INVALID names the one that is wrong."""
        known = self.asked.__struct_encode_fields__  # type: ignore[attr-defined]
        for name in given:
            if name not in known:
                raise invalid(name[:60], f"is not an argument of {self.name}; known are {', '.join(known) or 'none'}")
        try:
            return msgspec.convert(given, self.asked)
        except msgspec.ValidationError as error:
            field, reason = field_and_reason(str(error), self.asked)
            raise invalid(field or "arguments", reason) from None


def schema_of(kind: type) -> dict[str, Any]:
    """The JSON Schema of a Struct, itself at the root: a tool's must be of an object there."""
    schema = msgspec.json.schema(kind)
    others = schema.get("$defs", {})
    root: dict[str, Any] = others.pop(kind.__name__)
    return root | ({"$defs": others} if others else {})
