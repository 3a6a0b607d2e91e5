"""A bare Tornado handler to compare with: `python -m benchmarks.bare PORT`."""

from __future__ import annotations

import asyncio
import sys

from tornado.web import Application, RequestHandler


class Bare(RequestHandler):
    """Takes a body, answers as ingest does, does nothing."""

    def post(self) -> None:
        self.set_status(201)
        self.set_header("Content-Type", "application/json")
        self.finish(b'{"accepted":1}')


async def serve(port: int) -> None:
    Application([(r"/api/v1/outcomes", Bare)]).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
