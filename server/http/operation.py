"""What an API method is: who may call it, what it takes and what it answers.

`@operation` on a handler's method is the one place that says so; the handler
base enforces it and server/http/openapi.py prints it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

Scope = Literal["ingest", "read", "act", "admin"]

Method = TypeVar("Method", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one API address. `scope` None: open to strangers."""

    summary: str
    scope: Scope | None
    query: type | None  # a msgspec Struct
    body: Any  # a msgspec type
    returns: Any  # a msgspec type
    status: int
    errors: tuple[str, ...]  # codes beyond those that every operation may answer
    headers: tuple[str, ...]  # request headers it reads
    media: str  # the content type answered
    body_media: tuple[str, ...]  # the content types taken
    also: tuple[int, ...]  # other statuses that carry the same document
    answer_headers: tuple[str, ...]  # headers that its answers may carry
    rpc: Any  # a msgspec type, of JSON-RPC: what errors carry instead of a problem document; 202 carries nothing
    of_service: bool  # it asks `for_service`: keys bound to services may call it, whatever its scope is


def operation(
    summary: str,
    *,
    scope: Scope | None,
    query: type | None = None,
    body: Any = None,
    returns: Any = None,
    status: int = 200,
    errors: tuple[str, ...] = (),
    headers: tuple[str, ...] = (),
    media: str = "application/json",
    body_media: tuple[str, ...] = ("application/json",),
    also: tuple[int, ...] = (),
    answer_headers: tuple[str, ...] = (),
    rpc: Any = None,
    of_service: bool = False,
) -> Callable[[Method], Method]:
    """Mark a handler's method as an API operation."""

    def mark(method: Method) -> Method:
        method.operation = Operation(  # type: ignore[attr-defined]
            summary,
            scope,
            query,
            body,
            returns,
            status,
            errors,
            headers,
            media,
            body_media,
            also,
            answer_headers,
            rpc,
            of_service,
        )
        return method

    return mark
