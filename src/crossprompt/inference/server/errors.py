"""Responses to requests that are refused or fail: a status, and one line without internals."""

from collections.abc import Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from crossprompt.inference.server.limits import BusyError
from crossprompt.inference.server.schemas import BadImage, Refused

RETRY_AFTER = {"Retry-After": "1"}
"""Seconds after which a client may try again."""
ROUTING = {
    404: "there is nothing at this path; /openapi.json lists what there is",
    405: "this path does not take that method; /openapi.json lists what there is",
}


class RefusalError(HTTPException):
    """A refused request.

    Args:
        status: HTTP status.
        message: what was found, what was expected, what to do.
        images: the bad ones, with their reasons.
        headers: of the response.
    """

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
