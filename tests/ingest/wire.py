"""HTTP by hand, byte by byte."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

URL = "/api/v1/outcomes"


def connect(site: Any) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", site.env.port), timeout=10)
    return connection


def read_answer(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, json.loads(response.read())


def head(key: str, *lines: str) -> bytes:
    given = (
        "POST /api/v1/outcomes HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
    )
    return ("\r\n".join((*given, *lines)) + "\r\n\r\n").encode()


def post(site: Any, key: str, data: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    """One request through http.client, which sends everything before it reads."""
    connection = http.client.HTTPConnection("127.0.0.1", site.env.port, timeout=20)
    given = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    given |= {name.replace("_", "-"): text for name, text in headers.items()}
    connection.request("POST", URL, data, given)
    response = connection.getresponse()
    return response.status, json.loads(response.read())
