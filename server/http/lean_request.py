"""The plain requests for the hot address, read in a few microseconds; all others are left to Tornado.

Plain is what senders send: one of the targets, HTTP/1.1, headers in ASCII and none twice, and a short body with
its length. Whatever else a request has is no fault: it is only not read here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection

from server.auth.identity import Identity
from server.http.body import CODINGS, UploadBody
from server.kernel.errors import ApiError
from server.kernel.ids import REQUEST_ID, uuid7
from server.kernel.names import OWN_CHECK, TRIAL

BODY_MAX = 16 * 1024  # bytes on the wire; of longer ones Tornado's share of the work is small
FIELDS_MAX = 32 * 1024  # bytes of a head

FIELD = re.compile(r"([A-Za-z0-9-]+):([\t\x20-\x7e]*)\r\n")
FIELDS = rb"((?:[A-Za-z0-9-]+:[\t\x20-\x7e]*\r\n){1,64})\r\n"
LENGTH = re.compile(r"[1-9][0-9]{0,4}")
HOST = re.compile(r"[A-Za-z0-9.-]{1,255}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")
# With these a request is more than plain, or asks for what Tornado does.
ELSEWHERE = frozenset({"transfer-encoding", "expect", "upgrade", OWN_CHECK.lower(), TRIAL.lower()})


class LeanRequest:
    """A plain request. `size` of its bytes are in what was read, once all of it has come."""

    __slots__ = ("address", "body", "headers", "identity", "request_id", "size", "started", "target", "tls", "wire")

    first = False
    identity: Identity  # once it was admitted
    body: bytes  # decompressed, once it was admitted

    def __init__(self, target: str, headers: dict[str, str], head: int, length: int) -> None:
        self.started = time.perf_counter()
        self.target = target
        self.headers = headers  # by their names in lower case
        self.size = head + length
        self.wire = length  # bytes of the body
        self.address = ""
        self.tls = False
        asked = headers.get("x-request-id", "")
        self.request_id = asked if REQUEST_ID.fullmatch(asked) else uuid7()

    @property
    def closes(self) -> bool:
        """Whether the connection ends with the answer."""
        return self.headers.get("connection", "").lower() == "close"

    def unpack(self, read: bytes, limit: int) -> bool:
        """Take the body from what was read; False where it is too long, or not packed as it says."""
        body = read[self.size - self.wire : self.size]
        coding = CODINGS.get(self.headers.get("content-encoding", "").lower())
        if coding is None or len(body) > limit:
            return False
        if coding == "gzip":
            upload = UploadBody(limit, coding)
            try:
                upload.feed(body)
                body = upload.whole()
            except ApiError:
                return False
        self.body = body
        return True


class Reader:
    """Reads plain requests to these targets."""

    def __init__(self, method: str, targets: Collection[str]) -> None:
        named = "|".join(re.escape(target) for target in targets)
        self._head = re.compile(rb"%b (%b) HTTP/1\.1\r\n%b" % (method.encode(), named.encode(), FIELDS))

    def read(self, data: bytes) -> LeanRequest | None:
        """The request that data begins with, its head at least; None: it is none of ours, or its head has not come."""
        found = self._head.match(data)
        if found is None or found.end() > FIELDS_MAX:
            return None
        fields = FIELD.findall(found[2].decode("ascii"))
        headers = {name.lower(): value.strip(" \t") for name, value in fields}
        if len(headers) < len(fields) or not ELSEWHERE.isdisjoint(headers):
            return None
        length = headers.get("content-length", "")
        if (
            LENGTH.fullmatch(length) is None
            or int(length) > BODY_MAX
            or HOST.fullmatch(headers.get("host", "")) is None
            or headers.get("connection", "close").lower() not in ("close", "keep-alive")
        ):
            return None
        return LeanRequest(found[1].decode("ascii"), headers, found.end(), int(length))
