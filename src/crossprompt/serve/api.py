"""What programs ask for."""

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from crossprompt.serve.access import Access
from crossprompt.serve.admission import Admission
from crossprompt.serve.body import JSON, MULTIPART, read_body
from crossprompt.serve.limits import FORMATS, Limits
from crossprompt.serve.metrics import Metrics
from crossprompt.serve.predictor import Predictor, best
from crossprompt.serve.refusals import BusyError
from crossprompt.serve.schemas import Answer, Answers, Asked, Classes, Refused, Share, State
from crossprompt.serve.served import Array

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
            except asyncio.TimeoutError as error:
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
