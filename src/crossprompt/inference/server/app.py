"""The server as an ASGI application."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from html import escape
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST

from crossprompt.inference.base import Array, ImageClassifier
from crossprompt.inference.server.auth import Access
from crossprompt.inference.server.backpressure import Admission
from crossprompt.inference.server.batching import Predictor, best
from crossprompt.inference.server.errors import BusyError, add_handlers
from crossprompt.inference.server.http import JSON, MULTIPART, read_body
from crossprompt.inference.server.limits import FORMATS, Limits
from crossprompt.inference.server.metrics import Envelope, Metrics
from crossprompt.inference.server.schemas import (
    Answer,
    Answers,
    Asked,
    Classes,
    Refused,
    Share,
    State,
)

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>crossprompt: interface</title>
<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/page.css">
</head>
<body class="document">
<header><h1>Interface</h1><p><a href="/">Classify pictures</a> · <a href="/openapi.json">OpenAPI
document</a></p></header>
<main>
"""
FOOT = "</main>\n</body>\n</html>\n"


def describe(document: Mapping[str, Any]) -> str:
    """A page that lists every operation with its bodies and answers, then the schemas.

    Args:
        document: of OpenAPI 3.
    """
    operations = [
        _operation(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = document.get("components", {}).get("schemas", {})
    named = [
        f'<section id="{escape(name)}"><h2>{escape(name)}</h2>\n{_schema(schema)}</section>\n'
        for name, schema in schemas.items()
    ]
    return HEAD + "".join(operations + named) + FOOT


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    lines = [
        f"<section><h2><code>{escape(method.upper())} {escape(path)}</code></h2>\n",
        f"<p>{escape(operation.get('summary', ''))} {escape(operation.get('description', ''))}</p>",
    ]
    if operation.get("security"):
        lines.append("<p>Needs the header <code>Authorization: Bearer KEY</code>.</p>\n")
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        lines.append(f"<h3>Send <code>{escape(kind)}</code></h3>\n{_schema(body['schema'])}")
    lines.append("<h3>Answers</h3>\n<dl>\n")
    for status, answer in operation["responses"].items():
        told = escape(answer["description"]) + "".join(_links(answer))
        lines.append(f"<dt><code>{escape(status)}</code></dt><dd>{told}</dd>\n")
    return "".join([*lines, "</dl></section>\n"])


def _links(answer: Mapping[str, Any]) -> Iterator[str]:
    for kind, content in answer.get("content", {}).items():
        yield f" <code>{escape(kind)}</code> {_type(content.get('schema', {}))}"


def _schema(schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        f"<dt><code>{escape(name)}</code>{'' if name in required else ' (optional)'}</dt>"
        f"<dd>{_type(field)} {escape(field.get('description', ''))}{_default(field)}</dd>\n"
        for name, field in schema.get("properties", {}).items()
    ]
    return f"<p>{escape(schema.get('description', ''))}</p>\n<dl>\n{''.join(rows)}</dl>\n"


def _default(field: Mapping[str, Any]) -> str:
    if "default" not in field:
        return ""
    return f" Default: <code>{escape(json.dumps(field['default']))}</code>."


def _type(field: Mapping[str, Any]) -> str:
    if "$ref" in field:
        name = escape(field["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    return f"<em>{escape(' '.join(str(field[k]) for k in ('type', 'format') if k in field))}</em>"


ASSETS = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Path to file and type. Nothing else is ever read from the disk."""


def add_pages(app: FastAPI) -> None:
    """Serve the page and ``/docs``."""
    folder = files("crossprompt.inference.server") / "page"
    for path, (name, kind) in ASSETS.items():
        _add(app, path, (folder / name).read_bytes(), kind)
    _add(app, "/docs", describe(app.openapi()).encode(), "text/html; charset=utf-8")


def _add(app: FastAPI, path: str, content: bytes, kind: str) -> None:
    async def page() -> Response:
        return Response(content, media_type=kind)

    app.add_api_route(path, page, methods=["GET", "HEAD"], include_in_schema=False)


REASONS = {
    400: "The request is damaged.",
    401: "The API key is missing or wrong.",
    408: "The request did not arrive in time.",
    413: "The request, or the number of its images, is too large.",
    415: "The request is neither multipart nor JSON.",
    422: "An image cannot be read, or the request asks for what there is not.",
    500: "The classifier failed; the server's log says why.",
    503: "The server is busy: come back after the seconds in Retry-After.",
}


def add_api(
    app: FastAPI,
    predictor: Predictor,
    admission: Admission,
    names: Sequence[str],
    limits: Limits,
    key: str | None,
) -> None:
    """Classify images, and say which classes there are.

    Args:
        app: what gets the routes.
        predictor: classifies.
        admission: lets requests in.
        names: of the classes, in the order of the probabilities.
        limits: of a request.
        key: what a client must know, if anything.
    """
    guard, locked = _guarded(key)

    @app.post(
        "/v1/predict",
        response_model=Answers,
        responses=_refusals(400, 408, 413, 415, 422, 500, 503, *locked),
        openapi_extra={"requestBody": _request_body(limits)},
        dependencies=guard,
        summary="Classify one or several images.",
        response_description="An answer for every image, in their order.",
    )
    async def predict(request: Request) -> Response:
        """All images are answered in their order, or none is and the bad ones are named."""
        with admission.enter() as held:
            wanted = await read_body(request, limits, held)
            held.add_images(len(wanted.images))
            try:
                rows = await asyncio.wait_for(predictor.predict(wanted.images), limits.timeout)
            except TimeoutError as error:
                message = f"no answer within {limits.timeout:g} seconds; try again later"
                raise BusyError(message) from error
        found = Answers(predictions=[_answer(row, names, wanted.top_k) for row in rows])
        return JSONResponse(found.model_dump())

    @app.get(
        "/v1/classes",
        responses=_refusals(*locked),
        dependencies=guard,
        summary="What the classifier tells apart, and what a request may hold.",
        response_description="The classes and the limits.",
    )
    async def classes() -> Classes:
        return Classes(
            classes=list(names),
            max_images=limits.max_images,
            max_upload_bytes=limits.max_upload,
            max_pixels=limits.max_pixels,
            formats=list(FORMATS),
        )


def add_watching(app: FastAPI, predictor: Predictor, metrics: Metrics, key: str | None) -> None:
    """What those ask who watch over the server."""
    guard, locked = _guarded(key)

    @app.get("/healthz", summary="Whether the server lives.", response_description="It does.")
    async def healthz() -> State:
        return State(status="alive")

    @app.get(
        "/readyz",
        responses=_refusals(503),
        summary="Whether images can be classified.",
        response_description="They can.",
    )
    async def readyz() -> State:
        if not predictor.ready:
            raise BusyError("not ready to classify images")
        return State(status="ready")

    @app.get(
        "/metrics",
        dependencies=guard,
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **_refusals(*locked)},
        summary="What was counted and timed.",
        response_description="Prometheus's text format.",
    )
    async def read_metrics() -> Response:
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _guarded(key: str | None) -> tuple[list[Any], list[int]]:
    """What a route that needs the key depends on, and with what status it may refuse."""
    return ([], []) if key is None else ([Depends(Access(key))], [401])


def _answer(row: Array, names: Sequence[str], top_k: int) -> Answer:
    top = [
        Share(label=names[index], probability=float(row[index]))
        for index in best(row, min(top_k, len(names)))
    ]
    return Answer(label=top[0].label, probability=top[0].probability, top=top)


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Refused, "description": REASONS[status]} for status in statuses}


def _request_body(limits: Limits) -> dict[str, Any]:
    """The body's two forms, for the OpenAPI document."""
    asked = Asked.model_json_schema()
    asked["properties"]["images"]["maxItems"] = limits.max_images
    files = {
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
        "properties": {"images": files, "top_k": asked["properties"]["top_k"]},
    }
    content = {MULTIPART: {"schema": form}, JSON: {"schema": asked}}
    return {"required": True, "content": content}


def build_app(
    served: ImageClassifier, limits: Limits | None = None, key: str | None = None
) -> Envelope:
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
