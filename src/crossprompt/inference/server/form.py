"""A multipart form, read into memory as it arrives; what it may not hold is refused at once."""

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from crossprompt.inference.server.errors import RefusalError

FIELD_BYTES = 1024
"""Longest field that is no file."""
IMAGES, TOP_K = "images", "top_k"
"""What parts may be called."""


@dataclass
class Part:
    """A part of the form."""

    disposition: bytes = b""
    """Its header Content-Disposition."""
    name: str = ""
    """What it is called."""
    is_file: bool = False
    """Whether it has a file name."""
    content: bytearray = field(default_factory=bytearray)
    """What it holds."""


class Form:
    """Takes a form piece by piece.

    Args:
        content_type: of the request.
        max_images: files that it may hold.

    Raises:
        RefusalError: the content type names no boundary between the parts, or too long a one.
    """

    def __init__(self, content_type: str, max_images: int) -> None:
        self.images: list[bytes] = []
        self.top_k: str | None = None
        self._max_images, self._part, self._header = max_images, Part(), b""
        self._complete = False
        _, parameters = parse_options_header(content_type)
        try:
            self._parser = MultipartParser(
                parameters[b"boundary"],
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._add_header_name,
                    "on_header_value": self._add_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._name_part,
                    "on_part_data": self._add,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except (KeyError, FormParserError) as error:
            raise _damaged() from error

    def write(self, chunk: bytes) -> None:
        """Take the next bytes of the body.

        Raises:
            RefusalError: they are no form, or hold what nobody asked for.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _damaged() from error

    def close(self) -> None:
        """Say that nothing follows.

        Raises:
            RefusalError: something should.
        """
        if not self._complete:
            raise _damaged()

    def _begin(self) -> None:
        self._part, self._header = Part(), b""

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        if self._header.lower() == b"content-disposition":
            self._part.disposition += data[start:end]

    def _end_header(self) -> None:
        self._header = b""

    def _name_part(self) -> None:
        _, options = parse_options_header(self._part.disposition)
        self._part.is_file = b"filename" in options
        self._part.name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._part.name != (IMAGES if self._part.is_file else TOP_K):
            kind = "file" if self._part.is_file else "field without a file"
            message = f"found a {kind} named {self._part.name[:80]!r}; send files named {IMAGES}"
            raise RefusalError(422, f"{message} and, if wanted, a field named {TOP_K}")
        if self._part.is_file and len(self.images) == self._max_images:
            raise RefusalError(413, f"send at most {self._max_images} images at once")

    def _add(self, data: bytes, start: int, end: int) -> None:
        self._part.content += data[start:end]
        if not self._part.is_file and len(self._part.content) > FIELD_BYTES:
            raise RefusalError(422, f"{TOP_K} is too long; expected a whole number above 0")

    def _end_part(self) -> None:
        if self._part.is_file:
            self.images.append(bytes(self._part.content))
        elif self.top_k is None:
            self.top_k = self._part.content.decode("utf-8", "replace")
        else:
            raise RefusalError(422, f"found {TOP_K} twice; send it once")

    def _end(self) -> None:
        self._complete = True


def _damaged() -> RefusalError:
    return RefusalError(
        400, "the form is damaged; send multipart/form-data with files named images"
    )
