"""Any exception as what the caller is told: the one mapping."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
import psycopg
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from tornado.web import HTTPError

from server.kernel.db import why_away
from server.kernel.errors import ApiError, problem

STALLED = "25P03"  # we stood still inside a transaction, and the database ended it


def as_api_error(failure: BaseException | None, status: int) -> ApiError:
    """Any exception as an ApiError; one that nobody has foreseen is INTERNAL."""
    if isinstance(failure, ApiError):
        return failure
    if isinstance(failure, DataError | psycopg.DataError):
        # Such as a NUL, which PostgreSQL's text cannot hold.
        return ApiError("INVALID", f"A value cannot be stored or looked for: {said(failure)}. Nothing was done.")
    if isinstance(failure, PoolTimeout | OSError) or (isinstance(failure, DBAPIError) and is_outage(failure)):
        return ApiError("UNAVAILABLE", f"{why_not_now(failure)} Nothing was done; try again.", retry_after=2)
    if isinstance(failure, RecursionError):
        return ApiError("BAD_REQUEST", "The body is nested too deeply. Nothing was done.")
    by_status = {400: "BAD_REQUEST", 403: "FORBIDDEN", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}
    if status in by_status:
        reason = failure.log_message if isinstance(failure, HTTPError) and failure.log_message else ""
        return ApiError(by_status[status], reason or HTTPStatus(status).description or HTTPStatus(status).phrase)
    return ApiError("INTERNAL", "Evenkeel failed; the log has the cause under this request_id.")


def problem_answer(error: ApiError, request_id: str, path: str) -> tuple[dict[str, str], bytes]:
    """The headers and the body that an error is answered with."""
    headers = {"Content-Type": "application/problem+json"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="evenkeel"'
    return headers, msgspec.json.encode(problem(error, request_id, path))


def said(failure: DataError | psycopg.DataError) -> str:
    """PostgreSQL's own words, without the statement."""
    cause = failure.orig if isinstance(failure, DataError) else failure
    return (str(cause).splitlines() or ["it does not fit"])[0]


def is_outage(failure: DBAPIError) -> bool:
    """Whether the database is away, as opposed to having refused a statement of ours."""
    state = getattr(failure.orig, "sqlstate", None)
    return failure.connection_invalidated or state is None or state[:2] in ("08", "53", "57", "55") or state == STALLED


WHY_NOT_NOW = {
    "53300": "The database takes no more connections.",
    "55P03": "Somebody else is changing this just now.",
    "57014": "The database took too long for this.",
}


def why_not_now(failure: PoolTimeout | OSError | DBAPIError) -> str:
    """What an outage, or what looks like one, is."""
    if isinstance(failure, PoolTimeout):
        return "Too many people act at once: every connection to the database is in use."
    state = getattr(failure.orig, "sqlstate", None) if isinstance(failure, DBAPIError) else None
    return WHY_NOT_NOW.get(state or "") or why_away(failure)
