#!/usr/bin/env bash
# What the SERVER span of a Python gRPC call says when the handler fails.
#
# Guess: an exception that the handler does not catch is the clearest failure: the client gets UNKNOWN, so the span has
# status ERROR and code 2, as it has status ERROR for INTERNAL that the handler sets itself. A deadline that passed is
# DEADLINE_EXCEEDED, code 4. And by the conventions NOT_FOUND is no error of a server.
# What happens (opentelemetry-instrumentation-grpc 0.66b1, grpcio 1.85.3; the threaded server and grpc.aio alike): the
# uncaught exception and the call that outlived its deadline have `rpc.grpc.status_code` 0, which is OK, and the status
# UNSET, exactly as a good call. Only what the handler says by set_code() or abort() is told (INTERNAL: ERROR, 13). A
# method that does not exist leaves no span. The exception's event is no way to tell either: abort(NOT_FOUND) leaves
# one too, for abort() raises; only event and code 0 together mean that a call failed.
# Why it matters: whoever counts failures by the span's status or its gRPC code sees a service whose every call raises
# at 100 % good. Read an exception event beside code 0 as UNKNOWN, and take time-outs from the clients' spans.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.3 opentelemetry-sdk==1.45.1 \
  opentelemetry-instrumentation-grpc==0.66b1 2>/dev/null
"$work/venv/bin/python" - 2>"$work/tracebacks" <<'PY'
import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import grpc
from grpc import StatusCode
from opentelemetry.instrumentation.grpc import aio_server_interceptor, server_interceptor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

for name in ("opentelemetry-instrumentation-grpc", "grpcio"):
    print(name, version(name))
NAMES = ("fine", "raises", "outlives", "sets_internal", "aborts_not_found", "absent")
left = threading.Event()  # set once the client has given up


def fine(request, context):
    return b"."


def raises(request, context):
    raise ValueError("not caught")


def outlives(request, context):
    left.wait(10)
    return b"."


def sets_internal(request, context):
    context.set_code(StatusCode.INTERNAL)
    return b""


def aborts_not_found(request, context):
    context.abort(StatusCode.NOT_FOUND, "none such")


async def outlives_aio(request, context):
    await asyncio.to_thread(left.wait, 10)
    return b"."


async def aborts_not_found_aio(request, context):
    await context.abort(StatusCode.NOT_FOUND, "none such")


def as_coroutine(function):
    async def handler(request, context):
        return function(request, context)

    return handler


plain = [fine, raises, outlives, sets_internal, aborts_not_found]
coroutines = [as_coroutine(fine), as_coroutine(raises), outlives_aio, as_coroutine(sets_internal), aborts_not_found_aio]


def service(functions):
    methods = {name: grpc.unary_unary_rpc_method_handler(f) for name, f in zip(NAMES, functions)}
    return grpc.method_handlers_generic_handler("shop.Orders", methods)


def call_all(port: int, ended: dict[str, threading.Event]) -> dict[str, str]:
    """Call each method, and wait for its span; what the client got, by method."""
    got = {}
    left.clear()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for name in NAMES:
            try:
                channel.unary_unary(f"/shop.Orders/{name}")(b"", timeout=0.3 if name == "outlives" else 10)
                got[name] = "OK"
            except grpc.RpcError as error:
                got[name] = error.code().name
            left.set() if name == "outlives" else None
            assert name == "absent" or ended[name].wait(10), name
    return got


class Ended(SimpleSpanProcessor):
    """Exports, and tells that a span of a method has ended."""

    def __init__(self, exporter):
        super().__init__(exporter)
        self.events = {name: threading.Event() for name in NAMES}

    def on_end(self, span):
        super().on_end(span)
        self.events[span.name.rsplit("/", 1)[1]].set()


def traced():
    kept = InMemorySpanExporter()
    ended = Ended(kept)
    provider = TracerProvider()
    provider.add_span_processor(ended)
    return provider, kept, ended.events


def threaded_server():
    provider, kept, ended = traced()
    server = grpc.server(ThreadPoolExecutor(4), interceptors=[server_interceptor(provider)])
    server.add_generic_rpc_handlers([service(plain)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    got = call_all(port, ended)
    server.stop(None).wait(10)
    return got, kept


async def aio_server():
    provider, kept, ended = traced()
    server = grpc.aio.server(interceptors=[aio_server_interceptor(provider)])
    server.add_generic_rpc_handlers([service(coroutines)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    got = await asyncio.to_thread(call_all, port, ended)
    await server.stop(None)
    return got, kept


clients = dict(zip(NAMES, ("OK", "UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "NOT_FOUND", "UNIMPLEMENTED")))
said = {
    "fine": (0, "UNSET", False),
    "raises": (0, "UNSET", True),
    "outlives": (0, "UNSET", False),
    "sets_internal": (13, "ERROR", False),
    "aborts_not_found": (5, "UNSET", True),
}
for label, (got, kept) in {"threaded": threaded_server(), "grpc.aio": asyncio.run(aio_server())}.items():
    found = {
        span.name.rsplit("/", 1)[1]: (
            span.attributes["rpc.grpc.status_code"],
            span.status.status_code.name,
            any(event.name == "exception" for event in span.events),
        )
        for span in kept.get_finished_spans()
    }
    for name in NAMES:
        code, status, event = found.get(name, ("-", "no span", False))
        shown = f"code {code!s:<3} {status}" + (", exception event" if event else "")
        print(f"{label}: {name:<17} client {got[name]:<18} {shown}")
    assert got == clients, got
    assert found == said, "it behaves otherwise now"
PY
