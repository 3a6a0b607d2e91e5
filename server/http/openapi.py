"""Routes and types to OpenAPI 3.1.

Nothing is written twice: addresses come from the table of routes, what a method
takes and answers from its `@operation`, schemas from the msgspec types, error
codes from server/kernel/errors.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from server import __version__
from server.http.operation import Operation
from server.http.route import Route
from server.kernel.errors import CODES
from server.kernel.names import TRIAL

METHODS = ("get", "post", "put", "patch", "delete")
REF = "#/components/schemas/{name}"
NUMBERED, MONTH = "^[0-9]{1,9}$", "^20[0-9]{2}-(0[1-9]|1[0-2])$"
Json = dict[str, Any]

SECURITY_SCHEMES: Json = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer KEY`."},
    "password": {"type": "http", "scheme": "basic", "description": "An API key as the password; any user name."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "evenkeel_session",
        "description": "Somebody who is signed in; reads only.",
    },
}

HEADERS = {
    "Idempotency-Key": "Up to 255 characters. A repeat within 24 hours gets the first answer and counts nothing.",
    "If-Match": 'The ETag of the revision that you looked at, as in `If-Match: "14"`.',
    "Content-Encoding": "`gzip`, or nothing.",
    "Logplex-Frame-Id": "What Logplex knows the request by: the same again changes nothing.",
    TRIAL: "Of what is sent to be refused, as `runtime_health` does: the refusal counts for no key and no service.",
    "Last-Event-ID": "The last event seen, to go on from there.",
    "X-PagerDuty-Signature": "`v1=` and the HMAC-SHA256 of the body in hexadecimal; several, with commas between.",
    "X-Hub-Signature-256": "`sha256=` and the HMAC-SHA256 of the body by the secret of a hook, in hexadecimal.",
    "X-GitHub-Event": "`deployment_status` or `release`; others are answered and change nothing.",
    "X-Gitlab-Token": "The secret of a hook, where the body is not signed.",
    "Ce-Time": "Of a CloudEvent in binary mode: when it was, where the event itself does not say that.",
    "webhook-id": "What the message is known by when it is sent again.",
    "webhook-timestamp": "When this try was signed, in Unix seconds; within 5 minutes of our clock.",
    "webhook-signature": "As Standard Webhooks says, `v1,` and base64; several, with blanks between.",
}

ANSWER_HEADERS = {
    "X-Request-Id": "The request's id.",
    "Idempotent-Replayed": "`true`: this is the answer to an earlier request with the same Idempotency-Key.",
    "RateLimit": "Where a limit is in force for the key: `r` items may still be sent, and in `t` seconds more.",
    "RateLimit-Policy": "The limit itself: `q` items in `w` seconds.",
}

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


def operations(routes: tuple[Route, ...]) -> Iterator[tuple[Route, str, Operation]]:
    """Every operation of the API: its route, its method in lower case, and what it is."""
    for route in routes:
        for method in METHODS:
            found = getattr(getattr(route.handler, method, None), "operation", None)
            if found is not None:
                yield route, method, found


@cache
def document(routes: tuple[Route, ...]) -> Json:
    """The OpenAPI document of these addresses, of this version."""
    every = list(operations(routes))
    types = Types([one for _, _, one in every])
    paths: Json = {}
    for route, method, one in every:
        paths.setdefault(route.path, {})[method] = operation_object(route, method, one, types)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Evenkeel",
            "version": __version__,
            "summary": "Incident command for teams that deploy with git push",
            "description": "Times are RFC 3339 in UTC. Ratios are from 0 to 1. "
            "Every answer carries X-Request-Id; errors are problem documents.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(tag_of(route.path) for route, *_ in every)],
        "paths": paths,
        "components": {"schemas": types.components | {"Problem": PROBLEM}, "securitySchemes": SECURITY_SCHEMES},
    }


class Types:
    """The msgspec types that the operations take and answer, and their schemas."""

    def __init__(self, described: list[Operation]) -> None:
        types = [kind for one in described for kind in (one.body, one.returns, one.rpc) if kind is not None]
        built = msgspec.json.schema_components(types, ref_template=REF)
        self.components: Json = built[1]
        self._schemas: dict[int, Json] = {id(kind): schema for kind, schema in zip(types, built[0], strict=True)}

    def schema(self, kind: Any) -> Json:
        """The schema of a type, or a reference to it."""
        return self._schemas[id(kind)]


def query_fields(kind: type) -> list[tuple[str, Json, bool]]:
    """The parameters of a query Struct: name, schema, whether it is required. There is no null in a query string."""
    (_, components) = msgspec.json.schema_components([kind], ref_template=REF)
    schema = components[kind.__name__]
    found = []
    for name, one in schema["properties"].items():
        options = [option for option in one.get("anyOf", [one]) if option != {"type": "null"}]
        merged = {key: value for key, value in one.items() if key != "anyOf" and (key, value) != ("default", None)}
        found.append((name, merged | options[0], name in schema["required"]))
    return found


def operation_object(route: Route, method: str, one: Operation, types: Types) -> Json:
    built: Json = {
        "operationId": operation_id(method, route.path),
        "tags": [tag_of(route.path)],
        "summary": one.summary.rstrip("."),
        "security": security(one, method, basic=getattr(route.handler, "basic", False)),
        "parameters": parameters(route, one),
        "responses": responses(route, one, types),
    }
    doc = getattr(route.handler, method).__doc__ or ""
    if doc.strip():
        built["description"] = " ".join(doc.split())
    if one.body is not None:
        content = {media: {"schema": types.schema(one.body)} for media in one.body_media}
        built["requestBody"] = {"required": True, "content": content}
    return built


def operation_id(method: str, path: str) -> str:
    words = re.findall(r"\w+", path.removeprefix("/api/v1"))
    return method + "".join(word.title().replace("_", "") for word in words)


def tag_of(path: str) -> str:
    """The first word of the path after the version: outcomes, services, config."""
    if path.startswith("/api/") and not path.startswith("/api/v1/"):
        return "docs"
    return path.removeprefix("/api/v1").split("/")[1]


def security(one: Operation, method: str, *, basic: bool) -> list[Json]:
    if one.scope is None:
        return []
    schemes: list[Json] = [{"key": [one.scope]}, *([{"password": []}] if basic else [])]
    return [*schemes, {"session": []}] if method == "get" else schemes


def path_schema(name: str) -> Json:
    """What stands in an address for a name in braces: the number of a row, a month, or anything."""
    numbered = name == "number" or name.endswith("_id")
    pattern = NUMBERED if numbered else MONTH if name == "month" else None
    return {"type": "string"} if pattern is None else {"type": "string", "pattern": pattern}


def parameters(route: Route, one: Operation) -> list[Json]:
    """Path, query and header parameters."""
    found = [
        {"name": name, "in": "path", "required": True, "schema": path_schema(name)}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if one.query is not None:
        for name, kind, required in query_fields(one.query):
            shown = {key: value for key, value in kind.items() if key != "description"}
            parameter = {"name": name, "in": "query", "required": required, "schema": shown}
            described = {"description": kind["description"]} if "description" in kind else {}
            found.append(parameter | described)
    for name in one.headers:
        header = {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}
        found.append(header | {"description": HEADERS[name]})
    return found


def responses(route: Route, one: Operation, types: Types) -> Json:
    """By status, rising."""
    found = problems(codes(route, one), one, types)
    found |= {str(status): success(route, one, types) for status in (one.status, *one.also)}
    if one.rpc is not None:
        found["202"] = {"description": "A notification was accepted."}
    return dict(sorted(found.items()))


def codes(route: Route, one: Operation) -> list[str]:
    """Every code that the operation may answer: its own and those that follow from what it is."""
    found = {"INTERNAL", "BAD_REQUEST", "PAYLOAD_TOO_LARGE", *one.errors}
    if one.scope is not None:
        found |= {"UNAUTHENTICATED", "FORBIDDEN", "UNAVAILABLE"}
    if one.query is not None or "{" in route.path:
        found |= {"INVALID"}
    if one.body is not None:
        found |= {"INVALID", "UNSUPPORTED_MEDIA_TYPE", "REQUEST_TIMEOUT", "QUEUE_FULL"}
    return sorted(found, key=lambda code: (CODES[code][0], code))


def described(names: tuple[str, ...]) -> Json:
    """Headers of an answer."""
    return {name: {"schema": {"type": "string"}, "description": ANSWER_HEADERS[name]} for name in names}


def problems(found: list[str], one: Operation, types: Types) -> Json:
    """One response a status, naming its codes."""
    responses: Json = {}
    for status in sorted({CODES[code][0] for code in found}):
        named = [code for code in found if CODES[code][0] == status]
        schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}, {"properties": {"code": {"enum": named}}}]}
        responses[str(status)] = {
            "description": "; ".join(f"`{code}`: {CODES[code][1]}" for code in named),
            "content": {"application/problem+json": {"schema": schema}}
            if one.rpc is None
            else {"application/json": {"schema": types.schema(one.rpc)}},
        }
        if one.answer_headers:
            responses[str(status)]["headers"] = described(one.answer_headers)
    return responses


def success(route: Route, one: Operation, types: Types) -> Json:
    answer: Json = {
        "description": one.summary,
        "headers": described(("X-Request-Id", *one.answer_headers)),
    }
    if one.returns is not None:
        others = getattr(route.handler, "other_media", ())
        answer["content"] = {media: {"schema": types.schema(one.returns)} for media in (one.media, *others)}
    elif one.media != "application/json":
        answer["content"] = {one.media: {"schema": {"type": "string"}}}
    return answer
