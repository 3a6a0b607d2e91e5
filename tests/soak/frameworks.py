"""Applications of Python frameworks that are run live, each with the same few addresses; they listen on $PORT."""

from __future__ import annotations

PINNED = (
    "opentelemetry-sdk==1.45.1",
    "opentelemetry-exporter-otlp-proto-http==1.45.1",
    "opentelemetry-distro==0.66b1",
    *(
        f"opentelemetry-instrumentation-{name}==0.66b1"
        for name in ("flask", "fastapi", "starlette", "aiohttp-server", "tornado", "falcon", "asgi")
    ),
    "flask==3.1.3",
    "fastapi==0.165.0",
    "starlette==1.10.0",
    "aiohttp==3.14.5",
    "tornado==6.6.1",
    "falcon==4.4.0",
    "litestar==2.25.0",
    "uvicorn==0.54.0",
    "waitress==3.0.2",
)

UVICORN = """
import os, uvicorn
uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="critical")
"""
WAITRESS = """
import os, waitress
waitress.serve(app, host="127.0.0.1", port=int(os.environ["PORT"]), _quiet=True)
"""
FLASK = """
from flask import Flask, abort
app = Flask("shop")

@app.get("/orders/<int:number>")
def order(number): return {}

@app.get("/boom")
def boom(): raise ValueError("boom")

@app.get("/down")
def down(): abort(503)
"""
FASTAPI = """
from fastapi import FastAPI, HTTPException
app, items = FastAPI(), FastAPI()

@app.get("/orders/{number}")
async def order(number: int): return {}

@app.get("/boom")
async def boom(): raise ValueError("boom")

@app.get("/down")
async def down(): raise HTTPException(503)

@items.get("/items/{number}")
async def item(number: int): return {}

app.mount("/api", items)
"""
STARLETTE = """
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

async def order(request): return JSONResponse({})
async def boom(request): raise ValueError("boom")
async def down(request): raise HTTPException(503)

items = Starlette(routes=[Route("/items/{number}", order)])
app = Starlette(routes=[
    Route("/orders/{number}", order), Route("/boom", boom), Route("/down", down), Mount("/api", items),
])
"""
AIOHTTP = """
import os
from aiohttp import web

async def order(request): return web.json_response({})
async def boom(request): raise ValueError("boom")
async def down(request): raise web.HTTPServiceUnavailable()

app = web.Application()
app.add_routes([web.get("/orders/{number}", order), web.get("/boom", boom), web.get("/down", down)])
web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), print=None)
"""
TORNADO = """
import asyncio, os
from tornado.web import Application, HTTPError, RequestHandler

class Order(RequestHandler):
    def get(self, number): self.write({})

class Boom(RequestHandler):
    def get(self): raise ValueError("boom")

class Down(RequestHandler):
    def get(self): raise HTTPError(503)

async def main():
    app = Application([(r"/orders/([0-9]+)", Order), ("/boom", Boom), ("/down", Down)])
    app.listen(int(os.environ["PORT"]), "127.0.0.1")
    await asyncio.Event().wait()

asyncio.run(main())
"""
FALCON = """
import falcon

class Order:
    def on_get(self, req, resp, number): resp.media = {}

class Boom:
    def on_get(self, req, resp): raise ValueError("boom")

class Down:
    def on_get(self, req, resp): raise falcon.HTTPServiceUnavailable()

app = falcon.App()
app.add_route("/orders/{number}", Order())
app.add_route("/boom", Boom())
app.add_route("/down", Down())
"""
LITESTAR = """
from litestar import Litestar, get
from litestar.exceptions import ServiceUnavailableException
from litestar.plugins.opentelemetry import OpenTelemetryConfig, OpenTelemetryPlugin

@get("/orders/{number:int}")
async def order(number: int) -> dict: return {}

@get("/boom")
async def boom() -> None: raise ValueError("boom")

@get("/down")
async def down() -> None: raise ServiceUnavailableException()

app = Litestar([order, boom, down], plugins=[OpenTelemetryPlugin(OpenTelemetryConfig())])
"""
# What is run, and the route of an order; of what is mounted the route of an item.
APPS = {
    "flask": (FLASK + WAITRESS, "/orders/<int:number>", ""),
    "fastapi": (FASTAPI + UVICORN, "/orders/{number}", "/api/items/{number}"),
    "starlette": (STARLETTE + UVICORN, "/orders/{number}", "/api/items/{number}"),
    "aiohttp": (AIOHTTP, "/orders/{number}", ""),
    "tornado": (TORNADO, "/orders/{number}", ""),
    "falcon": (FALCON + WAITRESS, "/orders/{number}", ""),
    "litestar": (LITESTAR + UVICORN, "/orders/:id", ""),
}
