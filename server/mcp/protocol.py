"""The Model Context Protocol as a server of tools alone speaks it over HTTP: messages, versions, errors, results.

Since 2026-07-28 each request says its version, in `_meta` and in headers that must agree with its body; before, a
client shook hands with `initialize` first. Both are answered without any state: nothing depends on an earlier request.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from server import __version__

MODERN = "2026-07-28"
HANDSHAKE = ("2025-11-25", "2025-06-18")  # newest first: earlier ones have batches
VERSIONS = (MODERN, *HANDSHAKE)
BEFORE_HEADER = "2025-03-26"  # what a request without the header is taken for, as the later ones say

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022
STATUSES = {METHOD_NOT_FOUND: 404, INTERNAL: 500}  # of the others 400

META = "io.modelcontextprotocol/"
VERSION_HEADER, METHOD_HEADER, NAME_HEADER = "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"
ENCODED = re.compile(r"=\?base64\?(.*)\?=")

LISTED_FOR_MS = 3_600_000  # the tools change with the version that runs
SERVER = {"name": "evenkeel", "title": "Evenkeel", "version": __version__}
CAPABILITIES: dict[str, dict[str, bool]] = {"tools": {}}
INSTRUCTIONS = (
    "Evenkeel is incident command: it counts every request of the services that report to it. Ratios are from 0 to 1, "
    "times RFC 3339 in UTC, null means that nothing was counted. Begin with `incidents` or `services`; `suspects` says "
    "what explains failures, `changes` what altered production. Nothing can be changed here: `propose` gives a link at "
    "which a person decides."
)

Json = dict[str, Any]


class RpcMessage(Struct):
    """One request, or without an `id` a notification."""

    jsonrpc: Literal["2.0"]
    method: str
    id: str | int | UnsetType = UNSET
    params: Json | UnsetType = UNSET

    @property
    def given(self) -> Json:
        """Its parameters."""
        return {} if self.params is UNSET else self.params

    @property
    def meta(self) -> Json:
        """What it says of itself."""
        found = self.given.get("_meta")
        return found if isinstance(found, dict) else {}


class RpcFault(Struct, omit_defaults=True):
    """What is wrong; `data` says what would be right. `code` is the HTTP status where it is none of the protocol's."""

    code: int
    message: str
    data: Json | None = None


class RpcAnswer(Struct):
    """A result, or an error. `id` is the request's; null where that was not read: MCP would leave it out, but its
    Python client takes an error without one for none."""

    jsonrpc: Literal["2.0"] = "2.0"
    id: str | int | None = None
    result: Json | UnsetType = UNSET
    error: RpcFault | UnsetType = UNSET


class RpcError(Exception):
    """A message that is answered with an error."""

    def __init__(self, code: int, message: str, data: Json | None = None) -> None:
        super().__init__(message)
        self.fault = RpcFault(code, message, data)
        self.status = STATUSES.get(code, 400)  # of HTTP


def message_of(body: bytes) -> RpcMessage:
    """The message that a body is; RpcError where it is none."""
    try:
        return msgspec.json.decode(body, type=RpcMessage)
    except msgspec.ValidationError as error:
        raise RpcError(
            INVALID_REQUEST, f"This is no JSON-RPC 2.0 request: {error}. Send one message a request."
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RpcError(PARSE_ERROR, f"The body is not JSON: {error}") from None


def version_of(message: RpcMessage, headers: Mapping[str, str]) -> str:
    """The version that a request is of. RpcError where it contradicts itself, or is of one that we do not speak."""
    asked, said = message.meta.get(f"{META}protocolVersion"), headers.get(VERSION_HEADER)
    if asked is None and (message.method == "initialize" or said in (None, BEFORE_HEADER, *HANDSHAKE)):
        return said or BEFORE_HEADER
    if asked is not None and said != asked:
        raise RpcError(HEADER_MISMATCH, f"The header {VERSION_HEADER} is not the protocolVersion of `_meta`.")
    if said != MODERN:
        data = {"supported": list(VERSIONS), "requested": said}
        raise RpcError(UNSUPPORTED_VERSION, f"Unsupported protocol version: {str(said)[:40]}", data)
    if asked is None or not isinstance(message.meta.get(f"{META}clientCapabilities"), dict):
        needed = f"`{META}protocolVersion` and, as an object, `{META}clientCapabilities`"
        raise RpcError(INVALID_PARAMS, f"`params._meta` needs {needed}.")
    check_mirrored(message, headers)
    return MODERN


def check_mirrored(message: RpcMessage, headers: Mapping[str, str]) -> None:
    """RpcError where a header by which others may route says something else than the body."""
    mirrored = {METHOD_HEADER: message.method}
    if message.method == "tools/call":
        mirrored[NAME_HEADER] = message.given.get("name", "")
    for header, value in mirrored.items():
        said = headers.get(header)
        if (decoded(said) if header == NAME_HEADER else said) != value:
            raise RpcError(HEADER_MISMATCH, f"The header {header} is not what the body says.")


def decoded(value: str | None) -> str | None:
    """A header's value, which may be packed as base64; None where that cannot be read."""
    packed = ENCODED.fullmatch(value or "")
    if packed is None:
        return value
    try:
        return b64decode(packed[1], validate=True).decode()
    except ValueError:
        return None


def answered(message: RpcMessage, version: str, tools: Sequence[Json]) -> Json:
    """The result of whatever is not a call of a tool. RpcError METHOD_NOT_FOUND, INVALID_PARAMS."""
    modern = version == MODERN
    if message.method == "tools/list":
        if message.given.get("cursor") is not None:
            raise RpcError(INVALID_PARAMS, "All tools are on one page: there is no such cursor.")
        return {"tools": tools} | kept(modern=modern)
    if message.method == "server/discover" and modern:
        found = {"supportedVersions": VERSIONS, "capabilities": CAPABILITIES, "instructions": INSTRUCTIONS}
        return found | {"_meta": {f"{META}serverInfo": SERVER}} | kept(modern=True)
    if message.method == "initialize" and not modern:
        return shaken(message.given.get("protocolVersion"))
    if message.method == "ping" and not modern:
        return {}
    raise RpcError(METHOD_NOT_FOUND, f"There is no method {message.method[:60]} in {version}.")


def kept(*, modern: bool) -> Json:
    """For how long a client may keep a list, and for whom."""
    return {"ttlMs": LISTED_FOR_MS, "cacheScope": "public"} if modern else {}


def shaken(wanted: object) -> Json:
    """The answer to `initialize`: the version that is wanted where we speak it, else the newest of its kind."""
    version = wanted if wanted in HANDSHAKE else HANDSHAKE[0]
    known = {"capabilities": CAPABILITIES, "serverInfo": SERVER, "instructions": INSTRUCTIONS}
    return {"protocolVersion": version} | known


def called(body: bytes) -> Json:
    """The result of a tool, from its answer as JSON: structured, and as text for those that read no structure."""
    return {"content": [text(body.decode())], "structuredContent": msgspec.Raw(body), "isError": False}


def refused(why: str) -> Json:
    """The result of a tool that could not answer, in words that a model can put its question right by."""
    return {"content": [text(why)], "isError": True}


def text(said: str) -> Json:
    """One piece of a result."""
    return {"type": "text", "text": said}
