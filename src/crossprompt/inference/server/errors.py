"""Every answer that is not the one asked for: a status, and one line that tells no internals."""

from collections.abc import Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from crossprompt.inference.server.schemas import BadImage, Refused

LATER = 1
"""Seconds after which a client may try again."""
MISSING = {
    404: "there is nothing at this path; /docs lists what there is",
    405: "this path does not take that method; /docs lists what there is",
}
"""What the router does not find."""


class RefusalError(Exception):
    """A request is refused.

    Args:
        status: of HTTP.
        message: what was found, what was expected, what to do.
        images: those that are to blame, with their reasons.
        headers: of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        images: Sequence[BadImage] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.images, self.headers = list(images), dict(headers or {})


class BusyError(RefusalError):
    """The server has as much to do as it may; the same request can be answered later."""

    def __init__(self, message: str) -> None:
        super().__init__(503, message, headers={"Retry-After": str(LATER)})


def answer(refusal: RefusalError) -> JSONResponse:
    """What the client is told."""
    told = Refused(error=refusal.message, images=refusal.images)
    return JSONResponse(told.model_dump(), refusal.status, refusal.headers)


def add_handlers(app: FastAPI) -> None:
    """Give all refusals and failures of an app one form."""

    async def refuse(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RefusalError)
        return answer(error)

    async def explain(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # of the router: no such path or method
        message = MISSING.get(error.status_code, str(error.detail))
        return answer(RefusalError(error.status_code, message, headers=error.headers))

    async def fail(request: Request, error: Exception) -> JSONResponse:
        # uvicorn logs the traceback
        return answer(RefusalError(500, "the server failed; its log says why"))

    app.add_exception_handler(RefusalError, refuse)
    app.add_exception_handler(HTTPException, explain)
    app.add_exception_handler(Exception, fail)
