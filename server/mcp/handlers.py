"""POST /mcp: one JSON-RPC message a request. It changes nothing, and keeps nothing from one request to the next."""

from __future__ import annotations

import logging
from collections import Counter

import msgspec
from msgspec import UNSET

from server.changes.tools import TOOLS as OF_CHANGES
from server.http.failures import as_api_error
from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.incidents.tools import TOOLS as OF_INCIDENTS
from server.kernel.errors import ApiError, problem
from server.kernel.urls import origin_of
from server.live.tools import TOOLS as OF_SERVICES
from server.mcp import protocol
from server.mcp.protocol import INTERNAL, INVALID_PARAMS, MODERN, Json, RpcAnswer, RpcError, RpcFault, RpcMessage
from server.mcp.tool import Tool
from server.slo.api.tools import TOOLS as OF_OBJECTIVES

log = logging.getLogger("evenkeel.mcp")

TOOLS = {tool.name: tool for tool in (*OF_INCIDENTS, *OF_SERVICES, *OF_OBJECTIVES, *OF_CHANGES)}
ANSWER_MAX = 200_000  # bytes of a tool's answer: a model reads no more with profit
CALLS_MAX = 4  # of one caller at a time

_under_way: Counter[str] = Counter()  # calls, by who makes them


class McpHandler(ApiHandler):
    """With a key: a browser's cookie is none, and a page of another origin is refused whatever it has."""

    receiver = "MCP"

    async def admit(self) -> None:
        origin = self.request.headers.get("Origin")
        if origin is not None and origin != origin_of(self.parts.env.public_url):
            raise ApiError("FORBIDDEN", f"Pages of {origin[:100]} may not ask here. Nothing was done.")
        await super().admit()

    @operation(
        "Ask as a tool of a language model: the Model Context Protocol",
        scope="read",
        body=RpcMessage,
        returns=RpcAnswer,
        rpc=RpcAnswer,
        errors=("NOT_FOUND",),
    )
    async def post(self) -> None:
        """A request is answered, a notification (without `id`) accepted: 202. Errors are JSON-RPC's own."""
        body = self.json()
        number = None
        try:
            message = protocol.message_of(body)
            number = None if message.id is UNSET else message.id
            version = protocol.version_of(message, self.request.headers)
            if number is None:
                self.set_status(202)
            else:
                self.reply(RpcAnswer(id=number, result=await self.result(message, version)))
        except RpcError as error:
            self.reply(RpcAnswer(id=number, error=error.fault), error.status)

    def tell(self, error: ApiError) -> bytes:
        """A refusal as an error of JSON-RPC's, with the problem document in it: of anything else clients say only that
        there was an error."""
        super().tell(error)
        self.set_header("Content-Type", "application/json")
        data = problem(error, self.request_id, self.request.path)
        return msgspec.json.encode(RpcAnswer(error=RpcFault(error.status, error.detail, data)))

    async def result(self, message: RpcMessage, version: str) -> Json:
        """What a request comes to; RpcError."""
        if version == MODERN:
            return {"resultType": "complete"} | await self.found(message, version)
        try:
            return await self.found(message, version)
        except RpcError as error:
            error.status = 200  # before, HTTP's own was for what is no message
            raise

    async def found(self, message: RpcMessage, version: str) -> Json:
        if message.method != "tools/call":
            return protocol.answered(message, version, [tool.shown for tool in TOOLS.values()])
        name, given = message.given.get("name"), message.given.get("arguments", {})
        if not isinstance(name, str) or name not in TOOLS:
            raise RpcError(INVALID_PARAMS, f"Unknown tool: {str(name)[:60]}; there are {', '.join(TOOLS)}.")
        if not isinstance(given, dict):
            raise RpcError(INVALID_PARAMS, "`arguments` is an object.")
        return await self.call(TOOLS[name], given)

    async def call(self, tool: Tool, given: Json) -> Json:
        """What a tool finds; what it refuses is told as its result, in words."""
        assert self.identity is not None
        who = self.identity.actor
        if _under_way[who] >= CALLS_MAX:
            return protocol.refused(f"{CALLS_MAX} calls of {who} are under way: ask again when one is answered.")
        _under_way[who] += 1
        try:
            body = msgspec.json.encode(await tool.find(self.parts, tool.arguments(given)))
        except Exception as error:
            refusal = as_api_error(error, 500)
            if refusal.code == "INTERNAL":
                log.exception("the tool %s failed", tool.name)
                raise RpcError(INTERNAL, f"{refusal.detail} {self.request_id}") from error
            return protocol.refused(f"{refusal.code}: {refusal.detail}")
        finally:
            _under_way[who] -= 1
        if len(body) > ANSWER_MAX:
            return protocol.refused(f"The answer has {len(body)} bytes, more than {ANSWER_MAX}: ask for less.")
        return protocol.called(body)


ROUTES: tuple[Route, ...] = (Route("/mcp", McpHandler),)
