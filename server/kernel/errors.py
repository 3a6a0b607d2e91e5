"""One error type with stable codes, one mapping to problem+json (RFC 9457)."""

from __future__ import annotations

from typing import Any

from server.kernel.redaction import redact

# code -> (HTTP status, title). The codes are part of the API: never renamed.
CODES: dict[str, tuple[int, str]] = {
    "BAD_REQUEST": (400, "The request could not be read"),
    "UNAUTHENTICATED": (401, "Who you are is not known"),
    "FORBIDDEN": (403, "You may not do this"),
    "NOT_FOUND": (404, "There is nothing here"),
    "METHOD_NOT_ALLOWED": (405, "This address does not take that method"),
    "REQUEST_TIMEOUT": (408, "The request took too long to arrive"),
    "CONFLICT": (409, "It was changed by somebody else meanwhile"),
    "IN_FLIGHT": (409, "The same request is being handled"),
    "ROLLBACK_AMBIGUOUS": (409, "Say which revision to roll back to"),
    "GATE_DENIED": (409, "The gate holds this change"),
    "REVISION_CHANGED": (412, "Another revision is in force"),
    "PAYLOAD_TOO_LARGE": (413, "The body is too large"),
    "BATCH_TOO_LARGE": (413, "The batch has too many items"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "This type or encoding is not understood"),
    "RANGE_NOT_SATISFIABLE": (416, "The range is not within the file"),
    "INVALID": (422, "Something in the request is not valid"),
    "IDEMPOTENCY_MISMATCH": (422, "This Idempotency-Key was used with another body"),
    "PRECONDITION_REQUIRED": (428, "Send If-Match with the revision you looked at"),
    "TOO_MANY_ATTEMPTS": (429, "Too many attempts"),
    "HEADERS_TOO_LARGE": (431, "The headers are too large"),
    "INTERNAL": (500, "Evenkeel failed"),
    "QUEUE_FULL": (503, "Evenkeel cannot take more just now"),
    "THROTTLED": (503, "A limit on items per second is in force"),
    "UNAVAILABLE": (503, "Evenkeel cannot do this just now"),
}


# What is refused on purpose, by a limit or for what was sent, is no failure of ours. A full queue is one.
REFUSED_STATUSES = frozenset({408, 413, 422, 429})
REFUSED_CODES = frozenset({"THROTTLED"})


class ConfigurationError(Exception):
    """The environment or a file given by the operator is wrong; the text says what to do."""

    def __init__(self, text: str) -> None:
        super().__init__(redact(text, named=False))


class ApiError(Exception):
    """A failure that the caller is told about.

    `code` is a key of CODES; `detail` says what happened, what was kept and what
    to do; `extra` members join the problem document (`limit`, `sent`, `errors`…);
    `retry_after` is whole seconds.
    """

    def __init__(self, code: str, detail: str, *, retry_after: int | None = None, **extra: Any) -> None:
        self.code = code
        self.detail = redact(detail, named=False)
        super().__init__(self.detail)
        self.retry_after = retry_after
        self.extra: dict[str, Any] = extra

    @property
    def status(self) -> int:
        return CODES[self.code][0]


def problem(error: ApiError, request_id: str, instance: str) -> dict[str, Any]:
    """The problem document (RFC 9457) of an error."""
    status, title = CODES[error.code]
    body: dict[str, Any] = {
        "type": f"/api/docs#{error.code}",
        "title": title,
        "status": status,
        "code": error.code,
        "detail": error.detail,
        "instance": instance,
        "request_id": request_id,
    }
    return body | error.extra


def invalid(field: str, reason: str, **extra: Any) -> ApiError:
    """422 for one field, before anything was done; the reason may say that in words of its own."""
    kept = "" if "Nothing was" in reason else f"{'' if reason.endswith('.') else '.'} Nothing was done."
    return ApiError("INVALID", f"{field}: {reason}{kept}", errors=[{"field": field, "reason": reason}], **extra)
