"""A server that runs in a thread, and classifiers whose answers can be foretold."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

import httpx
import numpy
from PIL import Image

from crossprompt.inference.base import Array, ImageClassifier
from crossprompt.inference.server.app import build_app
from crossprompt.inference.server.limits import Limits
from crossprompt.inference.server.process import Server, address_of, bind


@contextmanager
def running(
    served: ImageClassifier, limits: Limits | None = None, key: str | None = None
) -> Iterator[httpx.Client]:
    """A client of a server that listens on a free port; both end with the block."""
    limits = limits or Limits()
    ready = threading.Event()
    bound = bind("127.0.0.1", 0)
    server = Server(build_app(served, limits, key), limits.timeout, ready.set)
    thread = threading.Thread(target=server.run, args=([bound],))
    thread.start()
    try:
        assert ready.wait(30)
        with httpx.Client(base_url=address_of(bound), timeout=30, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


class Colors(ImageClassifier):
    """Says how much of a picture is red, green and blue: every picture has its own answer."""

    class_names: Sequence[str] = ("red", "green", "blue")
    enough = None
    fingerprint = "colors"

    def prepare(self, image: Image.Image) -> Array:
        mean = numpy.asarray(image, numpy.float32).mean((0, 1)) + 1
        return (mean / mean.sum()).reshape(3, 1, 1)

    def probabilities(self, images: Array) -> Array:
        return images.reshape(-1, 3)


class Blocked(Colors):
    """Answers when it is let go."""

    def __init__(self) -> None:
        self.let_go, self.begun = threading.Event(), threading.Event()
        self.warm = False

    def probabilities(self, images: Array) -> Array:
        if self.warm:
            self.begun.set()
            assert self.let_go.wait(30)
        self.warm = True
        return super().probabilities(images)


def picture(number: int = 0, form: str = "png", side: int = 16) -> bytes:
    """A picture of one color, another one for every number below 4096."""
    red, green, blue = (number % 16, number // 16 % 16, number // 256 % 16)
    stream = BytesIO()
    Image.new("RGB", (side, side), (17 * red, 17 * green, 17 * blue)).save(stream, form)
    return stream.getvalue()


def shares(content: bytes) -> list[float]:
    """Probabilities that ``Colors`` gives a picture, in the order of its classes."""
    colors = Colors()
    prepared = colors.prepare(Image.open(BytesIO(content)).convert("RGB"))
    return [float(share) for share in colors.probabilities(prepared[None])[0]]


def upload(*contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    """Files of a form, as httpx takes them."""
    return [("images", (f"{place}.png", content)) for place, content in enumerate(contents)]


def probabilities_in(response: httpx.Response) -> list[list[float]]:
    """The shares of every picture, in the order of the classes of ``Colors``."""
    return [
        [{x["label"]: x["probability"] for x in answer["top"]}[name] for name in Colors.class_names]
        for answer in response.json()["predictions"]
    ]
