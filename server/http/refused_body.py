"""Bodies that nobody reads: dropped as they arrive, so that their sender hears why (TRAPS: 413)."""

from __future__ import annotations

from server.http.handler import ApiHandler
from server.ingest.upload import UploadHandler, declared
from server.kernel.errors import ApiError

BODY_MAX = 256 * 1024  # bytes, of every address that does not count its bodies as they arrive


class TooLarge(UploadHandler):
    """A body over BODY_MAX, whatever its address: 413 before any of it is kept."""

    async def prepare(self) -> None:
        self.count_by_ourselves()
        sent = declared(self.request.headers["Content-Length"])
        detail = f"The limit here is {BODY_MAX} bytes; {sent} were sent. Nothing was done."
        self.refuse_now(ApiError("PAYLOAD_TOO_LARGE", detail, limit=BODY_MAX, sent=sent))

    def body_limit(self) -> int:
        return BODY_MAX

    def count_refusal(self, error: ApiError) -> None:
        """These are no outcomes."""

    async def done(self) -> None:
        self.end()

    get = head = post = put = patch = delete = options = done


class NotStarted(ApiHandler):
    """While the database has not answered yet."""

    counted = False

    async def prepare(self) -> None:
        raise ApiError("UNAVAILABLE", "Evenkeel is starting: the database does not answer yet.", retry_after=2)


class Starting(UploadHandler, NotStarted):
    """Any address but health until every part has started, with a body of any length: a sender must not give up."""

    def body_limit(self) -> int:
        return 1 << 62

    def count_refusal(self, error: ApiError) -> None:
        """These are not counted."""

    async def post(self) -> None:
        self.body_or_refusal()
