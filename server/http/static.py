"""/static: files of ours, with the headers, the request id and the errors of every other address."""

from __future__ import annotations

from http import HTTPStatus

from tornado.web import HTTPError, StaticFileHandler

from server.http.handler import ApiHandler
from server.kernel.errors import ApiError
from server.parts import Parts


class StaticFiles(ApiHandler, StaticFileHandler):
    """One file. Not part of the service `evenkeel`."""

    counted = False

    def initialize(self, path: str, parts: Parts, default_filename: str | None = None) -> None:  # type: ignore[override]
        ApiHandler.initialize(self, parts, "/static/{path}")
        StaticFileHandler.initialize(self, path, default_filename)

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.clear_header("Cache-Control")  # set with the file

    async def get(self, path: str, include_body: bool = True) -> None:
        if "\0" in path:
            raise HTTPError(404)
        await StaticFileHandler.get(self, path, include_body)
        if self.get_status() == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self.finish(self.tell(ApiError("RANGE_NOT_SATISFIABLE", "The file is shorter than the range begins.")))

    async def head(self, path: str) -> None:
        await self.get(path, include_body=False)
