"""The page for people, and the plain description of the interface for those who write programs."""

from importlib.resources import files

from fastapi import FastAPI
from fastapi.responses import Response

from crossprompt.serve.description import describe

ASSETS = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Path to file and type. Nothing else is ever read from the disk."""


def add_pages(app: FastAPI) -> None:
    """Serve the page and ``/docs``."""
    folder = files("crossprompt.serve") / "page"
    for path, (name, kind) in ASSETS.items():
        _add(app, path, (folder / name).read_bytes(), kind)
    _add(app, "/docs", describe(app.openapi()).encode(), "text/html; charset=utf-8")


def _add(app: FastAPI, path: str, content: bytes, kind: str) -> None:
    async def page() -> Response:
        return Response(content, media_type=kind)

    app.add_api_route(path, page, methods=["GET", "HEAD"], include_in_schema=False)
