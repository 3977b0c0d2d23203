"""The server as an ASGI application: its routes and their responses."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.routing import Route

from crossprompt.inference.base import Array, ImageClassifier
from crossprompt.inference.server.auth import require_key
from crossprompt.inference.server.batching import Predictor
from crossprompt.inference.server.http import JSON, MULTIPART, read_body
from crossprompt.inference.server.limits import FORMATS, Admission, BusyError, Limits
from crossprompt.inference.server.metrics import Metrics, Middleware
from crossprompt.inference.server.schemas import (
    Answer,
    Answers,
    Asked,
    Classes,
    Refused,
    Share,
    State,
    add_handlers,
)

ASSETS = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Path to file and type. Nothing else is ever read from the disk."""
REASONS = {
    400: "The request is damaged.",
    401: "The API key is missing or wrong.",
    408: "The request did not arrive in time.",
    413: "The request, or the number of its images, is too large.",
    415: "The request is neither multipart nor JSON.",
    422: "An image cannot be read, or a field is wrong.",
    500: "The classifier failed; the server's log says why.",
    503: "The server is busy: come back after the seconds in Retry-After.",
}


def build_app(
    classifier: ImageClassifier, limits: Limits | None = None, key: str | None = None
) -> Middleware:
    """The application; without a key, everyone may have images classified."""
    limits = limits or Limits()
    metrics, admission = Metrics(), Admission(limits)
    metrics.watch(admission)
    predictor = Predictor(classifier, limits, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        await predictor.warm_up()
        yield
        await asyncio.to_thread(predictor.close)

    app = FastAPI(
        title="crossprompt",
        version=version("crossprompt"),
        description="Classify images.",
        docs_url=None,  # these pages would load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    add_handlers(app)
    add_api(app, predictor, admission, tuple(classifier.class_names), key)
    add_monitoring(app, predictor, metrics, key)
    add_pages(app)
    paths = {route.path for route in app.routes if isinstance(route, Route)}
    return Middleware(app, paths, metrics)


def add_api(
    app: FastAPI, predictor: Predictor, admission: Admission, names: Sequence[str], key: str | None
) -> None:
    """Add the routes that classify images and name the classes, in the probabilities' order."""
    limits = admission.limits

    @app.post(
        "/v1/predict",
        responses=_refusals(key, 400, 408, 413, 415, 422, 500, 503),
        openapi_extra={"requestBody": _request_body(limits)},
        dependencies=_guard(key),
    )
    async def predict(request: Request) -> Answers:
        """Classify images: all in their order, or none, and then the bad ones are named."""
        with admission.enter() as reserve:
            images, top_k = await read_body(request, limits, reserve)
            reserve("images", len(images))
            try:
                rows = await asyncio.wait_for(predictor.predict(images), limits.timeout)
            except TimeoutError as error:
                message = f"no answer within {limits.timeout:g} seconds; try again later"
                raise BusyError(message) from error
        return Answers(predictions=[_answer(row, names, top_k) for row in rows])

    @app.get("/v1/classes", responses=_refusals(key), dependencies=_guard(key))
    async def classes() -> Classes:
        """The classes, and the limits of a request."""
        return Classes(
            classes=list(names),
            max_images=limits.max_images,
            max_upload_bytes=limits.max_upload,
            max_pixels=limits.max_pixels,
            formats=list(FORMATS),
        )


def add_monitoring(app: FastAPI, predictor: Predictor, metrics: Metrics, key: str | None) -> None:
    """Add the routes for probes and Prometheus."""

    @app.get("/healthz")
    async def healthz() -> State:
        """Liveness."""
        return State(status="alive")

    @app.get("/readyz", responses=_refusals(None, 503))
    async def readyz() -> State:
        """Readiness: images can be classified."""
        if not predictor.batcher.alive:
            raise BusyError("not ready to classify images")
        return State(status="ready")

    @app.get(
        "/metrics",
        dependencies=_guard(key),
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **_refusals(key)},
    )
    async def read_metrics() -> Response:
        """Counters and timings in Prometheus's text format."""
        content = generate_latest(metrics.registry)
        return Response(content, headers={"Content-Type": CONTENT_TYPE_LATEST})


def add_pages(app: FastAPI) -> None:
    """Add the page, its assets, and ``/docs``, which leads to the OpenAPI document."""
    folder = files("crossprompt.inference.server") / "page"
    for path, (name, kind) in ASSETS.items():
        page = Response((folder / name).read_bytes(), media_type=kind)
        app.router.routes.append(Route(path, page, methods=["GET", "HEAD"]))
    app.router.routes.append(Route("/docs", RedirectResponse("/openapi.json"), methods=["GET"]))


def _guard(key: str | None) -> list[Any]:
    return [] if key is None else [Depends(require_key(key))]


def _refusals(key: str | None, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's error responses of a route; 401 is added if there is a key."""
    possible = statuses if key is None else (*statuses, 401)
    return {status: {"model": Refused, "description": REASONS[status]} for status in possible}


def _answer(row: Array, names: Sequence[str], top_k: int) -> Answer:
    best = numpy.argsort(-row, kind="stable")[:top_k]
    top = [Share(label=names[index], probability=float(row[index])) for index in best]
    return Answer(label=top[0].label, probability=top[0].probability, top=top)


def _request_body(limits: Limits) -> dict[str, Any]:
    """OpenAPI's description of the two forms of a body."""
    asked = Asked.model_json_schema()
    asked["properties"]["images"]["maxItems"] = limits.max_images
    images = {
        "type": "array",
        "minItems": 1,
        "maxItems": limits.max_images,
        "items": {"type": "string", "format": "binary"},
        "description": "Image files, each in a part of its own with a file name.",
    }
    form = {
        "type": "object",
        "required": ["images"],
        "additionalProperties": False,
        "properties": {"images": images, "top_k": asked["properties"]["top_k"]},
    }
    content = {MULTIPART: {"schema": form}, JSON: {"schema": asked}}
    return {"required": True, "content": content}
