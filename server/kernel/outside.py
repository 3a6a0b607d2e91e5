"""One HTTP request to the outside: to the very address that was checked, without redirects, with an end."""

from __future__ import annotations

import asyncio
import functools
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.httputil import HTTPHeaders, HTTPInputError
from tornado.iostream import UnsatisfiableReadError
from tornado.netutil import Resolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from server import __version__
from server.kernel.urls import is_private

CONNECT_S = 5.0
REQUEST_S = 10.0
ANSWER_BYTES = 64 * 1024
HEADER_BYTES = 16 * 1024
LOOK_UPS = 64  # more than are sent at once: a look-up goes on in its thread when nobody waits for it any more

# Of its own: the threads of the loop look up the database too, and a name server may be dead.
POOL = ThreadPoolExecutor(LOOK_UPS, thread_name_prefix="look-up")


class Closed(Exception):
    """The name leads into a network, and the operator has not allowed that."""


class NoAnswer(Exception):
    """None came in time, or none that is one."""


@dataclass(frozen=True, slots=True)
class Reply:
    """How it was answered. What the body says is repeated to nobody: it may hold the secrets that were sent."""

    status: int
    headers: HTTPHeaders
    body: bytes = b""


class CheckedResolver(Resolver):
    """Looks a name up once; Tornado connects to what this answers, and to nothing else.

    So a name that has another address a moment later changes nothing. One private
    address among several is enough to refuse.
    """

    def initialize(self, private: bool) -> None:
        self.private = private

    async def resolve(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[tuple[int, Any]]:
        look_up = functools.partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        answers = await asyncio.get_running_loop().run_in_executor(POOL, look_up)
        found: list[tuple[int, Any]] = [(answer[0], answer[4]) for answer in answers]
        if not self.private and any(is_private(str(address[0])) for _, address in found):
            raise Closed("it has a loopback, link-local or private address; NOTIFY_ALLOW_PRIVATE=true would allow it")
        return found


async def send(
    url: str,
    body: bytes | None,
    headers: dict[str, str],
    *,
    private: bool,
    method: str = "POST",
    answer_max: int = ANSWER_BYTES,
) -> Reply:
    """Send it; None is no body. Of an answer at most so many bytes are read.

    Raises Closed, NoAnswer, OSError (no such host, no connection), ValueError (no such name).
    """
    resolver = CheckedResolver(private=private)
    client = SimpleAsyncHTTPClient(
        force_instance=True, resolver=resolver, max_body_size=answer_max, max_header_size=HEADER_BYTES
    )
    seen: list[str] = []
    request = HTTPRequest(
        url,
        method=method,
        body=body,
        headers={"Content-Type": "application/json"} | headers,
        user_agent=f"Evenkeel/{__version__}",
        connect_timeout=CONNECT_S,
        request_timeout=REQUEST_S,
        follow_redirects=False,
        decompress_response=False,
        header_callback=seen.append,
    )
    try:
        answer = await client.fetch(request, raise_error=False)
        return Reply(answer.code, answer.headers, answer.body or b"")
    except (HTTPClientError, HTTPInputError, UnsatisfiableReadError) as error:
        status = status_of(seen)
        if 200 <= status < 300:  # taken; that the rest of the answer did not come or fit changes nothing
            return Reply(status, HTTPHeaders())
        raise NoAnswer(getattr(error, "message", None) or "it is not HTTP, or too long") from None
    finally:
        client.close()


def status_of(header_lines: list[str]) -> int:
    """The status of the first line of an answer; 0 where there is none."""
    words = header_lines[0].split() if header_lines else []
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
