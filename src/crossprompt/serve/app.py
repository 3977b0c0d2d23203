"""The server as an ASGI application."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.routing import APIRoute

from crossprompt.serve.admission import Admission
from crossprompt.serve.answers import Envelope
from crossprompt.serve.api import add_api, add_watching
from crossprompt.serve.limits import Limits
from crossprompt.serve.metrics import Metrics
from crossprompt.serve.pages import add_pages
from crossprompt.serve.predictor import Predictor
from crossprompt.serve.refusals import add_handlers
from crossprompt.serve.served import Served


def build_app(served: Served, limits: Limits | None = None, key: str | None = None) -> Envelope:
    """Everything that answers.

    Args:
        served: what classifies.
        limits: of requests and of what is held; the defaults if None.
        key: what a client must know to have images classified; open to all if None.
    """
    limits = limits or Limits()
    metrics, admission = Metrics(), Admission(limits)
    predictor = Predictor(served, limits, metrics)
    metrics.watch("requests_held", "Requests not yet answered.", lambda: admission.requests)
    metrics.watch("images_held", "Images not yet answered.", lambda: admission.images)
    metrics.watch("bytes_held", "Bytes of requests not yet answered.", lambda: admission.bytes)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        await predictor.warm_up()
        yield
        await asyncio.to_thread(predictor.close)

    app = FastAPI(
        title="crossprompt",
        version=version("crossprompt"),
        description="Classify images.",
        docs_url=None,  # it would load scripts from elsewhere; ours is plain
        redoc_url=None,
        lifespan=lifespan,
    )
    add_handlers(app)
    add_api(app, predictor, admission, tuple(served.class_names), limits, key)
    add_watching(app, predictor, metrics, key)
    add_pages(app)
    paths = {route.path for route in app.routes if isinstance(route, APIRoute)}
    return Envelope(app, paths, metrics)
