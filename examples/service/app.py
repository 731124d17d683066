"""Serve a bundle over HTTP: answers, health and metrics.

    python app.py PATH/TO/BUNDLE [--host 127.0.0.1] [--port 8000]

Needs only ftool-runtime, FastAPI, uvicorn and prometheus-client. service.py has the calls of the model, this file the
HTTP around them.
"""

import argparse
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from service import Limits, OverloadedError, Service
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import ftool_runtime as ft

GRACE_S = 20  # how long a stop waits for answers that are being computed


class Question(BaseModel):
    """The body of POST /answers: the inputs of one call, and the options that the model takes, such as top_k."""

    model_config = ConfigDict(extra="forbid")

    inputs: Annotated[list[str | dict[str, Any]], Field(min_length=1)]
    options: dict[str, Any] = {}


class LimitedBody:
    """ASGI middleware: answer 413 to a body that is larger than `largest` bytes, before all of it is read."""

    def __init__(self, app: ASGIApp, largest: int) -> None:
        self.app, self.largest = app, largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        read, told = 0, False

        async def counted() -> Message:
            nonlocal read, told
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.largest and not told:
                told = True
                await refused(413, f"the body has more than {self.largest} bytes; send fewer inputs")(
                    scope, receive, send
                )
                return {"type": "http.disconnect"}
            return message

        async def once(message: Message) -> None:
            if not told:
                await send(message)

        await self.app(scope, counted, once)


def refused(status: int, message: str, **headers: str) -> JSONResponse:
    """Return an answer for a call that failed, with one line for the person who made it."""
    return JSONResponse({"error": message}, status_code=status, headers=headers)


def make_app(bundle: Path, limits: Limits) -> FastAPI:
    """Return the app that serves the bundle; the model is loaded when the app starts, and closed when it stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with ft.load(bundle, threads=limits.threads_per_call) as model:
            app.state.service = Service(model, limits)
            yield
            app.state.service.close()

    app = FastAPI(title="ftool service", lifespan=lifespan)
    app.add_middleware(LimitedBody, largest=limits.largest_body)

    @app.post("/answers")
    async def answers(asked: Question) -> JSONResponse:
        found = await app.state.service.answer(asked.inputs, asked.options)
        return JSONResponse({"answers": found})

    @app.get("/health")
    async def health() -> dict[str, Any]:
        info = app.state.service.info
        return {"status": "ok", "task": info["task"], "name": info["name"], "precision": info["precision"]}

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(app.state.service.registry), media_type=CONTENT_TYPE_LATEST)

    @app.exception_handler(RequestValidationError)
    async def wrong_body(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return JSONResponse({"error": f"{place}: {first['msg']}", "row": None}, status_code=422)

    @app.exception_handler(ft.InputError)
    async def wrong_input(_: Request, error: ft.InputError) -> JSONResponse:
        return JSONResponse({"error": str(error), "row": error.row}, status_code=422)

    @app.exception_handler(ft.FtoolError)
    async def failed(_: Request, error: ft.FtoolError) -> JSONResponse:
        return refused(500, str(error))

    @app.exception_handler(TimeoutError)
    async def too_late(_: Request, __: TimeoutError) -> JSONResponse:
        return refused(504, f"no answer within {limits.timeout_s:g} s; send fewer inputs")

    @app.exception_handler(OverloadedError)
    async def overloaded(_: Request, error: OverloadedError) -> JSONResponse:
        return refused(503, str(error), **{"Retry-After": "1"})

    return app


def main(arguments: list[str]) -> int:
    """Serve the bundle that is named in the arguments until a signal stops it; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 listens on all interfaces")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=8, help="calls at a time")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS", help="for one call")
    options = parser.parse_args(arguments)
    try:
        ft.load(options.bundle, threads=1).close()  # so that a wrong bundle is one line and not a traceback
    except ft.FtoolError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    limits = Limits(workers=options.workers, timeout_s=options.timeout)
    app = make_app(options.bundle, limits)
    uvicorn.run(app, host=options.host, port=options.port, timeout_graceful_shutdown=GRACE_S)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
