"""The Model Context Protocol's rules: versions, headers, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server.mcp.protocol import (
    HANDSHAKE,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MODERN,
    PARSE_ERROR,
    UNSUPPORTED_VERSION,
    VERSIONS,
    RpcError,
    RpcMessage,
    answered,
    message_of,
    version_of,
)

META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}


def asked(method: str, meta: dict[str, Any] | None = None, **params: Any) -> RpcMessage:
    return RpcMessage("2.0", method, 1, params | ({} if meta is None else {"_meta": meta}))


def headers(method: str, name: str | None = None, version: str = MODERN) -> dict[str, str]:
    found = {"MCP-Protocol-Version": version, "Mcp-Method": method}
    return found if name is None else found | {"Mcp-Name": name}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", PARSE_ERROR),
        (b"\xff", PARSE_ERROR),
        (b'{"jsonrpc": "2.0", "method": "a", "id": 1, "params": {"a": ' + b"[" * 5000, PARSE_ERROR),
        (b"[]", INVALID_REQUEST),  # a batch
        (b'{"jsonrpc": "1.0", "method": "ping", "id": 1}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "method": "ping", "id": null}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "method": "ping", "id": 1.5}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "method": "ping", "id": 1, "params": []}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "result": {}}', INVALID_REQUEST),  # an answer: we ask nothing
    ],
)
def test_what_is_no_message(body: bytes, code: int) -> None:
    with pytest.raises(RpcError) as refused:
        message_of(body)
    assert (refused.value.fault.code, refused.value.status) == (code, 400)


@pytest.mark.parametrize(
    ("message", "said", "version"),
    [
        (asked("tools/list", META), headers("tools/list"), MODERN),
        (asked("tools/call", META, name="a"), headers("tools/call", "a"), MODERN),
        (asked("tools/call", META, name="ä"), headers("tools/call", "=?base64?w6Q=?="), MODERN),
        (asked("tools/list"), {"MCP-Protocol-Version": HANDSHAKE[1]}, HANDSHAKE[1]),
        (asked("tools/list"), {}, "2025-03-26"),
        (asked("initialize", protocolVersion=HANDSHAKE[0]), {}, "2025-03-26"),
    ],
)
def test_a_request_says_its_version(message: RpcMessage, said: dict[str, str], version: str) -> None:
    assert version_of(message, said) == version


@pytest.mark.parametrize(
    ("message", "said", "code"),
    [
        (asked("tools/list", META), {}, HEADER_MISMATCH),
        (asked("tools/list", META), headers("tools/list", version=HANDSHAKE[0]), HEADER_MISMATCH),
        (asked("tools/list", META), headers("tools/call"), HEADER_MISMATCH),
        (asked("tools/list", META), {"MCP-Protocol-Version": MODERN}, HEADER_MISMATCH),
        (asked("tools/call", META, name="a"), headers("tools/call"), HEADER_MISMATCH),
        (asked("tools/call", META, name="a"), headers("tools/call", "b"), HEADER_MISMATCH),
        (asked("tools/call", META, name="a"), headers("tools/call", "=?base64?not*it?="), HEADER_MISMATCH),
        (asked("tools/list"), headers("tools/list"), INVALID_PARAMS),
        (
            asked("tools/list", {**META, "io.modelcontextprotocol/clientCapabilities": 1}),
            headers("tools/list"),
            INVALID_PARAMS,
        ),
        (asked("tools/list"), {"MCP-Protocol-Version": "1900-01-01"}, UNSUPPORTED_VERSION),
        (
            asked("tools/list", META | {"io.modelcontextprotocol/protocolVersion": "1900-01-01"}),
            headers("tools/list", version="1900-01-01"),
            UNSUPPORTED_VERSION,
        ),
    ],
)
def test_one_that_contradicts_itself_is_refused(message: RpcMessage, said: dict[str, str], code: int) -> None:
    with pytest.raises(RpcError) as refused:
        version_of(message, said)
    assert (refused.value.fault.code, refused.value.status) == (code, 400)
    if code == UNSUPPORTED_VERSION:
        assert refused.value.fault.data == {"supported": list(VERSIONS), "requested": "1900-01-01"}


@pytest.mark.parametrize(
    ("wanted", "version"),
    [
        ("2025-11-25", "2025-11-25"),
        ("2025-06-18", "2025-06-18"),
        ("2024-11-05", "2025-11-25"),
        (MODERN, "2025-11-25"),
        (None, "2025-11-25"),
    ],
)
def test_a_handshake_agrees_on_a_version_of_its_kind(wanted: str | None, version: str) -> None:
    assert answered(asked("initialize", protocolVersion=wanted), "2025-03-26", [])["protocolVersion"] == version


@pytest.mark.parametrize(
    ("method", "version"),
    [("initialize", MODERN), ("ping", MODERN), ("server/discover", HANDSHAKE[0]), ("resources/list", MODERN)],
)
def test_a_method_that_a_version_does_not_have(method: str, version: str) -> None:
    with pytest.raises(RpcError) as refused:
        answered(asked(method), version, [])
    assert (refused.value.fault.code, refused.value.status) == (METHOD_NOT_FOUND, 404)


def test_discovery_says_what_there_is() -> None:
    found = answered(asked("server/discover"), MODERN, [])
    assert found["supportedVersions"] == VERSIONS
    assert json.dumps(found["_meta"]["io.modelcontextprotocol/serverInfo"])
    assert (found["ttlMs"] > 0, found["cacheScope"]) == (True, "public")
    assert "ttlMs" not in answered(asked("tools/list"), HANDSHAKE[0], [])
