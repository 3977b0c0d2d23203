"""A request's body: read within its limits, into memory only, as multipart or JSON."""

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from fastapi import Request
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from crossprompt.inference.server.backpressure import Held
from crossprompt.inference.server.errors import RefusalError
from crossprompt.inference.server.form import Form
from crossprompt.inference.server.limits import MIB, Limits
from crossprompt.inference.server.schemas import TOP_K, Asked, BadImage

MULTIPART, JSON = "multipart/form-data", "application/json"
Chunks = AsyncGenerator[bytes, None]


@dataclass(frozen=True)
class Wanted:
    """What a request asks for."""

    images: list[bytes]
    """Files as they were sent."""
    top_k: int
    """Classes to list for each."""


async def read_body(request: Request, limits: Limits, held: Held) -> Wanted:
    """Read a request to the end, or no further than it may go.

    Raises:
        RefusalError: it is too large, too slow, of another type, damaged, or asks for what there
            is not.
    """
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in (MULTIPART, JSON):
        raise RefusalError(415, f"found the content type {kind[:80]!r}; send {MULTIPART} or {JSON}")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limits.max_upload:
        raise _too_large(limits)
    chunks = _limited(request, limits, held)
    form = kind == MULTIPART
    reading = _read_form(content_type, chunks, limits) if form else _read_json(chunks)
    try:
        wanted = await asyncio.wait_for(reading, limits.timeout)
    except TimeoutError as error:
        message = f"the request did not arrive within {limits.timeout:g} seconds; send less at once"
        raise RefusalError(408, message) from error
    except ClientDisconnect as error:
        raise RefusalError(
            400, "the connection was closed before the request was complete"
        ) from error
    _check_count(len(wanted.images), limits)
    return wanted


async def _limited(request: Request, limits: Limits, held: Held) -> Chunks:
    """The body as it arrives; what is too much is not waited for."""
    async for chunk in request.stream():
        held.add_bytes(len(chunk))
        if held.bytes > limits.max_upload:
            raise _too_large(limits)
        yield chunk


def _too_large(limits: Limits) -> RefusalError:
    most = f"{limits.max_upload / MIB:g} MiB"
    return RefusalError(413, f"the request is larger than {most}; send fewer or smaller images")


def _check_count(count: int, limits: Limits) -> None:
    if count == 0:
        raise RefusalError(422, "found no image; send at least one file named images")
    if count > limits.max_images:
        raise RefusalError(413, f"found {count}; send at most {limits.max_images} images at once")


async def _read_form(content_type: str, chunks: Chunks, limits: Limits) -> Wanted:
    form = Form(content_type, limits.max_images)
    async for chunk in chunks:
        form.write(chunk)
    form.close()
    return Wanted(form.images, TOP_K if form.top_k is None else _whole(form.top_k))


def _whole(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) < 10 and int(word) >= 1):
        raise RefusalError(422, f"top_k is {word[:80]!r}, expected a whole number above 0")
    return int(word)


async def _read_json(chunks: Chunks) -> Wanted:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
    return await asyncio.to_thread(_parse_json, bytes(body))  # which takes a while if it is large


def _parse_json(body: bytes) -> Wanted:
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
        except (binascii.Error, ValueError) as error:
            reason = "not base64 of an image file"
            if text.startswith("data:"):
                reason += ", but a data URL; leave out what comes before its comma"
            bad = [BadImage(position=position, reason=reason)]
            raise RefusalError(
                422, f"image {position} (counted from 0) is {reason}", bad
            ) from error
    return Wanted(images, asked.top_k)
