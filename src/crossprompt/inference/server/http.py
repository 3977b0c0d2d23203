"""Reads a request's body within its limits and in memory only, as multipart or JSON."""

import asyncio
import base64
from collections.abc import AsyncGenerator

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from crossprompt.inference.server.limits import MIB, Limits, Reserve
from crossprompt.inference.server.schemas import TOP_K, Asked, BadImage, RefusalError

MULTIPART, JSON = "multipart/form-data", "application/json"
FIELD_BYTES = 1024
"""Longest form field that is no file."""
STATUSES = {"Too many files": 413, "Too many fields": 422, "Part exceeded": 422}
"""Beginnings of starlette's messages about a form to the status; any other is 400."""
Chunks = AsyncGenerator[bytes, None]
Images = tuple[list[bytes], int]
"""Files as they were sent, and the number of classes to list for each."""


class MemoryForm(MultiPartParser):
    """Starlette's form parser, without temporary files and expecting the form's end."""

    spool_max_size = 0  # never to the disk: the limit on the body is that on memory

    def __init__(self, request: Request, chunks: Chunks, max_files: int) -> None:
        super().__init__(
            request.headers,
            self._until_end(chunks),
            max_files=max_files,
            max_fields=1,
            max_part_size=FIELD_BYTES,
        )
        self._complete = False

    def on_end(self) -> None:
        self._complete = True

    async def _until_end(self, chunks: Chunks) -> Chunks:
        async for chunk in chunks:
            yield chunk
        if not self._complete:
            raise MultiPartException("The form is cut off.")


async def read_body(request: Request, limits: Limits, reserve: Reserve) -> Images:
    """Read a request up to its end or its limits.

    Raises:
        RefusalError: it is too large, too slow, of another type, or damaged.
        BusyError: all requests together hold too much.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (MULTIPART, JSON):
        raise RefusalError(415, f"found the content type {kind[:80]!r}; send {MULTIPART} or {JSON}")
    chunks = _limited(request, limits, reserve)
    reading = _read_form(request, chunks, limits) if kind == MULTIPART else _read_json(chunks)
    try:
        images, top_k = await asyncio.wait_for(reading, limits.timeout)
    except TimeoutError as error:
        message = f"the request did not arrive within {limits.timeout:g} seconds; send less at once"
        raise RefusalError(408, message) from error
    except ClientDisconnect as error:
        raise RefusalError(400, "the connection was closed within the request") from error
    if not images:
        raise RefusalError(422, "found no image; send at least one file named images")
    if len(images) > limits.max_images:
        raise RefusalError(413, f"send at most {limits.max_images} images at once")
    return images, top_k


async def _limited(request: Request, limits: Limits, reserve: Reserve) -> Chunks:
    """The body as it arrives, cut off where it is too large."""
    most = f"{limits.max_upload / MIB:g} MiB"
    error = RefusalError(413, f"the request is larger than {most}; send fewer or smaller images")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limits.max_upload:
        raise error
    size = 0
    async for chunk in request.stream():
        reserve("bytes", len(chunk))
        size += len(chunk)
        if size > limits.max_upload:
            raise error
        yield chunk


async def _read_form(request: Request, chunks: Chunks, limits: Limits) -> Images:
    try:
        form = await MemoryForm(request, chunks, limits.max_images).parse()
    except MultiPartException as error:
        status = next((s for start, s in STATUSES.items() if error.message.startswith(start)), 400)
        message = f"{error.message} Send at most {limits.max_images} files named images"
        raise RefusalError(status, f"{message} and, if wanted, a field named top_k") from error
    except ValueError as error:  # a text is not in the encoding that the form names
        raise RefusalError(400, "the form cannot be decoded; send it in UTF-8") from error
    images, top_k = [], str(TOP_K)
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile) and name == "images":
                images.append(await value.read())
                await value.close()  # here already, so that only one file is held twice
            elif isinstance(value, str) and name == "top_k":
                top_k = value
            else:
                kind = "field" if isinstance(value, str) else "file"
                message = f"found a {kind} named {name[:80]!r}; send files named images"
                raise RefusalError(422, f"{message} and, if wanted, a field named top_k")
    finally:
        await form.close()
    if not (top_k.isascii() and top_k.isdecimal() and len(top_k) < 10 and int(top_k) >= 1):
        raise RefusalError(422, f"top_k is {top_k[:80]!r}, expected a whole number above 0")
    return images, int(top_k)


async def _read_json(chunks: Chunks) -> Images:
    body = b"".join([chunk async for chunk in chunks])
    return await asyncio.to_thread(_parse_json, body)  # takes a while if it is large


def _parse_json(body: bytes) -> Images:
    try:
        asked = Asked.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part)[:80] for part in first["loc"]) or "the body"
        raise RefusalError(422, f"{place}: {first['msg']}") from error
    images = []
    for position, text in enumerate(asked.images):
        try:
            images.append(base64.b64decode(text, validate=True))
        except ValueError as error:
            reason = "not base64 of an image file; of a data URL, send what follows the comma"
            bad = [BadImage(position=position, reason=reason)]
            message = f"image {position} (counted from 0) is {reason}"
            raise RefusalError(422, message, bad) from error
    return images, asked.top_k
