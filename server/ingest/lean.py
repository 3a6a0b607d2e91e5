"""POST /api/v1/outcomes for plain requests (server/http/lean.py), by the rules of server/ingest/post.py."""

from __future__ import annotations

from collections.abc import Mapping

from server.http.lean import LeanAnswer, foreseen, refusal
from server.http.lean_request import LeanRequest
from server.ingest.post import AskedPost, OutcomesPost
from server.ingest.received import HOT
from server.parts import Parts


class LeanOutcomes:
    """The hot address."""

    route = "/api/v1/outcomes"
    receiver = HOT
    method = "POST"
    scope = "ingest"

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        # Each, and whether the good items of a faulty batch are stored.
        self.targets: Mapping[str, bool] = {self.route: False, f"{self.route}?partial=true": True}

    def body_limit(self, key_id: int) -> int:
        return self.parts.settings.limits_for(key_id).max_request_body_bytes

    async def answer(self, request: LeanRequest) -> LeanAnswer:
        """Store what was sent."""
        asked = AskedPost(
            media=request.headers.get("content-type", ""),
            uri=request.target,
            key=request.headers.get("idempotency-key"),
            trial=False,
            address=request.address,
        )
        partial = self.targets[request.target]
        post = OutcomesPost(self.parts, request.identity, asked, request.body, request.wire)
        try:
            stored = await post.store(lambda: partial, nothing)
        except Exception as error:
            failure = foreseen(error)
            post.count_refusal(failure)
            return refusal(failure, request, self.route, post.headers)._replace(taken=post.items or 0)
        headers = {"Content-Type": "application/json", **post.headers}
        return LeanAnswer(202 if stored.spooled else 201, headers, stored.answer, post.stored)


def nothing() -> None:
    """The body is short: it goes with the request."""
