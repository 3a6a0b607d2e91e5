"""The errors in the OpenAPI document: the problem schema, and which codes an operation may answer."""

from __future__ import annotations

from typing import Any

from server.http.operation import Operation
from server.kernel.errors import CODES

Json = dict[str, Any]

PROBLEM: Json = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457). `code` is stable; other members depend on it.",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "instance", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "Where the code is explained."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": sorted(CODES)},
        "detail": {"type": "string", "description": "What happened, what was kept, what to do."},
        "instance": {"type": "string", "description": "The path of the request."},
        "request_id": {"type": "string", "description": "The answer's X-Request-Id; the log has it too."},
        "limit": {"type": "integer", "description": "The limit that was passed."},
        "sent": {"type": "integer", "description": "How much was sent."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "reason"],
                "properties": {
                    "index": {"type": "integer", "description": "Which item, from 0."},
                    "field": {"type": "string"},
                    "reason": {"type": "string"},
                },
            },
        },
    },
    "additionalProperties": True,
}


def codes(one: Operation) -> list[str]:
    """Every code that the operation may answer: its own and those that follow from what it is."""
    found = {"INTERNAL", *one.errors}
    if one.scope is not None:
        found |= {"UNAUTHENTICATED", "FORBIDDEN", "UNAVAILABLE"}
    if one.query is not None:
        found |= {"INVALID"}
    if one.body is not None:
        found |= {"BAD_REQUEST", "INVALID", "UNSUPPORTED_MEDIA_TYPE", "PAYLOAD_TOO_LARGE"}
    return sorted(found, key=lambda code: (CODES[code][0], code))


def problems(found: list[str]) -> Json:
    """One response a status, naming its codes."""
    responses: Json = {}
    for status in sorted({CODES[code][0] for code in found}):
        named = [code for code in found if CODES[code][0] == status]
        schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}, {"properties": {"code": {"enum": named}}}]}
        responses[str(status)] = {
            "description": "; ".join(f"`{code}`: {CODES[code][1]}" for code in named),
            "content": {"application/problem+json": {"schema": schema}},
        }
    return responses
