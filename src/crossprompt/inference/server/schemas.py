"""Schemas of the JSON API, whose names and fields are part of it, and its error responses."""

from collections.abc import Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from crossprompt.inference.server.limits import BusyError

TOP_K = 5
"""Classes per image by default."""
RETRY_AFTER = {"Retry-After": "1"}
"""Seconds after which a client may try again."""
ROUTING = {
    404: "there is nothing at this path; /openapi.json lists what there is",
    405: "this path does not take that method; /openapi.json lists what there is",
}


class Asked(BaseModel):
    """Images to classify."""

    model_config = ConfigDict(extra="forbid", strict=True)

    images: list[str] = Field(min_length=1, description="Image files, each encoded in base64.")
    top_k: int = Field(
        default=TOP_K, ge=1, description="Classes to list for every image, at most all."
    )


class Share(BaseModel):
    """A class and its probability."""

    label: str = Field(description="The class's name.")
    probability: float = Field(ge=0, le=1)


class Answer(BaseModel):
    """The prediction for one image."""

    label: str = Field(description="The most probable class.")
    probability: float = Field(ge=0, le=1, description="Of that class.")
    top: list[Share] = Field(description="The most probable classes, best first.")


class Answers(BaseModel):
    """One prediction for every image of the request, in its order."""

    predictions: list[Answer]


class Classes(BaseModel):
    """The classes, and the limits of a request."""

    classes: list[str] = Field(description="Every class, in the classifier's order.")
    max_images: int = Field(description="Images in a request.")
    max_upload_bytes: int = Field(description="Size of a request's body.")
    max_pixels: int = Field(description="Width times height of an image.")
    formats: list[str] = Field(description="Kinds of image files that are decoded.")


class State(BaseModel):
    """State of the server."""

    status: str


class BadImage(BaseModel):
    """An image that cannot be classified."""

    position: int = Field(ge=0, description="In the request, counted from 0.")
    reason: str = Field(description="What is wrong with it.")


class Refused(BaseModel):
    """The reason why a request was not answered."""

    error: str = Field(description="What was found, what was expected, what to do.")
    images: list[BadImage] = Field(default=[], description="The bad images, if any.")


class RefusalError(HTTPException):
    """A refused request; ``images`` are the bad ones."""

    def __init__(
        self,
        status: int,
        message: str,
        images: Sequence[BadImage] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers)
        self.images = list(images)


def add_handlers(app: FastAPI) -> None:
    """Answer every error of an app in the form of ``Refused``."""

    async def refuse(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, BusyError):
            error = RefusalError(503, str(error), headers=RETRY_AFTER)
        elif not isinstance(error, HTTPException):  # uvicorn logs its traceback
            error = RefusalError(500, "the server failed; its log says why")
        if isinstance(error, RefusalError):
            body = Refused(error=error.detail, images=error.images)
        else:  # raised by the router
            body = Refused(error=ROUTING.get(error.status_code, error.detail))
        return JSONResponse(body.model_dump(), error.status_code, error.headers)

    for kind in (HTTPException, BusyError, Exception):
        app.add_exception_handler(kind, refuse)
