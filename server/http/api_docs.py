"""/api/openapi.json, and /api/docs: the same document for people, with an anchor for every error code."""

from __future__ import annotations

import asyncio
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup, escape

from server.http.handler import ApiHandler
from server.http.openapi import METHODS, document
from server.http.operation import Operation, operation
from server.http.route import Route
from server.kernel.errors import CODES, ApiError

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class OpenApiHandler(ApiHandler):
    @operation("The API as an OpenAPI 3.1 document", scope="read", returns=dict[str, Any])
    async def get(self) -> None:
        self.reply(await asyncio.to_thread(document, self.settings["api"]))


class DocsHandler(ApiHandler):
    @operation("The API as a page", scope="read", media="text/html")
    async def get(self) -> None:
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        self.write(await asyncio.to_thread(page, self.settings["api"]))

    async def authorise(self, operation: Operation) -> None:
        """A browser that is not signed in is sent to sign in; everything else is told so."""
        try:
            await super().authorise(operation)
        except ApiError as error:
            if error.code != "UNAUTHENTICATED" or "text/html" not in self.request.headers.get("Accept", ""):
                raise
            self.redirect(f"/sign-in?{urlencode({'next': self.request.path})}")


@cache
def page(routes: tuple[Route, ...]) -> str:
    """The document as HTML."""
    source = Path(__file__).with_suffix(".html").read_text()
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["prose"] = prose
    template = environment.from_string(source)
    spec = document(routes)
    return template.render(
        info=spec["info"], groups=groups(spec), codes=CODES, schemas=spec["components"]["schemas"], type_of=type_of
    )


def prose(text: str) -> Markup:
    """Text with `code` in it."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just before


def groups(spec: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The operations by tag, each with its method and path."""
    found: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in spec["tags"]}
    for path, item in spec["paths"].items():
        for method in METHODS:
            if method in item:
                found[item[method]["tags"][0]].append({"method": method.upper(), "path": path} | item[method])
    return found


def type_of(schema: dict[str, Any]) -> str:
    """A schema in a few words: `array of Finding`, `integer from 1 to 1000`, `"pass", "warn" or "fail"`."""
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[-1])
    if "anyOf" in schema:
        return " or ".join(type_of(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f'"{value}"' for value in schema["enum"])
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"array of {type_of(schema['items'])}" if schema.get("items") else "array"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {type_of(schema['additionalProperties'])}"
    return kind + bounds(schema)


def bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    words = [f" from {low}"] if low is not None else []
    words += [f" to {high}"] if high is not None else []
    words += [f", at most {schema['maxLength']} characters"] if "maxLength" in schema else []
    words += [", RFC 3339"] if schema.get("format") == "date-time" else []
    return "".join(words)


ROUTES = (Route("/api/openapi.json", OpenApiHandler), Route("/api/docs", DocsHandler))
