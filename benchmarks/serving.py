"""Images/s of the HTTP server, next to the same prediction without a server.

    python -m benchmarks.serving --requests 10000 --garbage-mb 50 --repeats 3
    python -m benchmarks.serving --backbone vit-b-16 --pictures 64 --requests 100 --garbage-mb 0

The classifier is zero-shot, on the embedded model or on one of real size with random weights; the
pictures are the demo's. Offline, this process decodes images from memory in threads and scores them
in batches. The server is a separate process; threads of this one send the requests, so client and
server share the machine. The images in flight never exceed the server's queue. Every prediction is
compared with the offline one of the same picture.
"""

import argparse
import http.client
import json
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy
import torch

from benchmarks import document
from benchmarks.document import Document, Row
from benchmarks.timing import Function, alternate, medians
from benchmarks.workload import BACKBONES, Setting
from crossprompt import Classifier, build_method, freeze, load_clip, load_dataset
from crossprompt.classifier.classifier import BATCH
from crossprompt.clip.load import save_clip
from crossprompt.data.images import decode_image, prefetch
from crossprompt.inference.server.limits import Limits
from crossprompt.utils.device import DTYPES, choose_dtype

BOUNDARY = "pictures"
TOLERANCES = {"fp32": 1e-4, "bf16": 2e-2}
"""Largest difference of probabilities from batches of different sizes."""
MB = 1_000_000


def main(arguments: Sequence[str] | None = None) -> None:
    parser = document.new_parser(__doc__)
    parser.add_argument("--pictures", type=int, default=542, help="pictures in a round (542)")
    parser.add_argument(
        "--images", type=int, nargs="+", default=[1, 4, 16], help="images per request"
    )
    parser.add_argument("--clients", type=int, default=32, help="concurrent requests (32)")
    parser.add_argument(
        "--requests", type=int, default=10_000, help="requests that are checked (10000)"
    )
    parser.add_argument("--garbage-mb", type=int, default=50, help="MB of nonsense to send (50)")
    parser.add_argument("--dtype", choices=list(TOLERANCES), default="fp32")
    parser.add_argument("--backbone", choices=["tiny", *BACKBONES], default="tiny")
    document.add_repeats(parser)
    options = parser.parse_args(arguments)
    setting = Setting(
        options.backbone, torch.device("cpu"), (options.dtype,), BATCH, options.repeats
    )
    rows, others = measure(setting, options)
    document.show(document.document("serving", setting, rows, **others), table, options.json)


def measure(setting: Setting, options: argparse.Namespace) -> tuple[list[Row], dict[str, Any]]:
    """Rows for every number of images per request, and the tallies of all answers."""
    data = load_dataset("emoji")
    paths = [item.path for split in data.splits.values() for item in split]
    contents = [path.read_bytes() for path in dict.fromkeys(paths)][: options.pictures]
    with tempfile.TemporaryDirectory() as folder:
        place = backbone(setting, Path(folder) / "backbone")
        clip = load_clip(place, dtype=choose_dtype(options.dtype, setting.device))
        classifier = freeze(build_method("zero_shot", clip, data.class_names), clip)
        expected = offline(classifier, contents)
        classifier.save(folder)
        with server(Path(folder), "--dtype", options.dtype, "--backbone", place) as address:
            client = Client(address, contents, expected, classifier, TOLERANCES[options.dtype])
            functions: dict[str, Function] = {"offline": partial(offline, classifier, contents)}
            for images in options.images:
                numbers = range(len(contents))
                rounds = [tuple(numbers[i : i + images]) for i in numbers[::images]]
                clients = concurrent(options.clients, images)
                functions[str(images)] = partial(client.send_all, rounds, clients)
            seconds = alternate(functions, setting.repeats, setting.device)
            client.expect("right")
            client.tally.clear()
            document.report_progress(f"serving: {options.requests} requests")
            client.send_all(client.some(options.requests), options.clients)
            checked = dict(client.tally)
            document.report_progress(f"serving: {options.garbage_mb} MB of garbage")
            garbage = client.send_garbage(options.garbage_mb * MB, options.clients)
            client.tally.clear()
            client.send_all([(0,)], 1)
            client.expect("right")
    rates = {name: len(contents) / value for name, value in medians(seconds).items()}
    rows = [
        {
            "images": images,
            "clients": concurrent(options.clients, images),
            "images_per_second": rates[str(images)],
            "offline": rates["offline"],
        }
        for images in options.images
    ]
    return rows, {"checked": checked, "garbage": garbage, "all_seconds": seconds}


def concurrent(clients: int, images: int) -> int:
    """Concurrent requests whose images fit into the server's queue."""
    return min(clients, Limits().queue // images)


def backbone(setting: Setting, folder: Path) -> str:
    """Value of ``--backbone``: ``tiny``, or a folder with random weights of a real size."""
    if setting.backbone == "tiny":
        return "tiny"
    save_clip(setting.clip(setting.dtypes[0]), folder, DTYPES[setting.dtypes[0]])
    return str(folder)


def offline(classifier: Classifier, contents: Sequence[bytes]) -> numpy.ndarray:
    """Probabilities ``[images, classes]`` of encoded images."""
    transform = classifier.clip.preprocess

    def read(content: bytes) -> torch.Tensor:
        return transform(decode_image(BytesIO(content), transform.enough))

    read_ahead = prefetch(read, contents)
    rows = []
    while batch := list(islice(read_ahead, BATCH)):
        rows.append(classifier.logits(torch.stack(batch)).softmax(-1))
    return torch.cat(rows).numpy()


@contextmanager
def server(folder: Path, *words: str) -> Iterator[str]:
    """Run ``crossprompt serve`` on a free port while the context is open."""
    command = [sys.executable, "-m", "crossprompt", "serve", str(folder), "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://([\d.:]+)", process.stdout.readline())
        try:
            if found is None:
                raise RuntimeError("the server did not start")
            yield found[1]
        finally:
            process.terminate()
    if process.returncode:
        raise RuntimeError(f"the server ended with {process.returncode}, expected 0")


class Client:
    """Sends requests from threads, and checks the answers.

    Args:
        address: host and port.
        contents: encoded images.
        expected: their probabilities, ``[images, classes]``.
        classifier: has the class names.
        tolerance: largest difference of a probability.
    """

    def __init__(
        self,
        address: str,
        contents: Sequence[bytes],
        expected: numpy.ndarray,
        classifier: Classifier,
        tolerance: float,
    ) -> None:
        self._address, self._contents, self._tolerance = address, contents, tolerance
        self._expected = [
            dict(zip(classifier.class_names, row, strict=True)) for row in expected.tolist()
        ]
        self.tally: Counter[str] = Counter()

    def some(self, requests: int) -> list[tuple[int, ...]]:
        """Draw one to four pictures for each request."""
        stream = random.Random(1)
        return [
            tuple(stream.randrange(len(self._contents)) for _ in range(stream.randint(1, 4)))
            for _ in range(requests)
        ]

    def send_all(self, requests: Sequence[tuple[int, ...]], clients: int) -> None:
        """Send every request; ``tally`` counts right, wrong and other answers."""
        remaining = iter(requests)  # shared by the threads: its next is atomic

        def work(_: int) -> Counter[str]:
            tally: Counter[str] = Counter()
            connection = http.client.HTTPConnection(self._address, timeout=60)
            for pictures in remaining:
                status, answer = post(connection, [self._contents[i] for i in pictures])
                tally[self._judge(pictures, status, answer)] += 1
            connection.close()
            return tally

        with ThreadPoolExecutor(clients) as pool:
            for tally in pool.map(work, range(clients)):
                self.tally += tally

    def _judge(self, pictures: tuple[int, ...], status: int, answer: Any) -> str:
        if status != 200:
            return str(status)
        found = answer["predictions"]
        right = len(found) == len(pictures) and all(
            abs(share["probability"] - self._expected[picture][share["label"]]) < self._tolerance
            for picture, prediction in zip(pictures, found, strict=True)
            for share in prediction["top"]
        )
        return "right" if right else "wrong"

    def expect(self, judgement: str) -> None:
        """Raise unless all answers were judged so: a refused request takes no time to compute."""
        if set(self.tally) != {judgement}:
            raise RuntimeError(f"found {dict(self.tally)}, expected nothing but {judgement!r}")

    def send_garbage(self, total: int, clients: int) -> dict[str, int]:
        """Send ``total`` bytes of noise and damaged pictures, and count the statuses."""
        numbers = count()
        per_client = total // clients

        def work(_: int) -> Counter[str]:
            tally: Counter[str] = Counter()
            connection = http.client.HTTPConnection(self._address, timeout=60)
            sent = 0
            while sent < per_client:
                content = garbage(random.Random(next(numbers)), self._contents)
                status, _ = post(connection, [content])
                tally[str(status)] += 1
                sent += len(content)
            connection.close()
            return tally

        with ThreadPoolExecutor(clients) as pool:
            return dict(sum(pool.map(work, range(clients)), Counter()))


def garbage(stream: random.Random, contents: Sequence[bytes]) -> bytes:
    """Noise, noise after the header of a picture, or a picture cut short."""
    noise = stream.randbytes(stream.randrange(1, 60_000))
    beginning = stream.choice(contents)[: stream.choice((0, 16, 60))]
    starts = (b"\xff\xd8\xff\xe0\x00\x10JFIF", b"GIF89a", b"RIFF\xff\0\0\0WEBPVP8 ", beginning)
    return stream.choice(starts) + noise


def post(connection: http.client.HTTPConnection, contents: Sequence[bytes]) -> tuple[int, Any]:
    """Send a request; returns status and answer."""
    head = 'Content-Disposition: form-data; name="images"; filename="x"'
    parts = [f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content for content in contents]
    body = b"\r\n".join([*parts, f"--{BOUNDARY}--\r\n".encode()])
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    connection.request("POST", "/v1/predict", body, headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def table(found: Document) -> str:
    """Images/s, then the tallies of all requests."""
    rates = ["server (images/s)", "offline (images/s)", "x offline time"]
    header = ["images per request", "concurrent requests", *rates]
    rows = [
        [
            str(row["images"]),
            str(row["clients"]),
            f"{row['images_per_second']:.0f}",
            f"{row['offline']:.0f}",
            f"{row['offline'] / row['images_per_second']:.2f}",
        ]
        for row in found["rows"]
    ]
    answered = ", ".join(f"{number:,} {kind}" for kind, number in found["checked"].items())
    refused = ", ".join(f"{number:,} x {kind}" for kind, number in found["garbage"].items())
    return (
        f"{document.markdown(header, rows)}\n\n"
        f"Requests compared with offline predictions: {answered}. "
        f"Answers to garbage: {refused}; the server kept running."
    )


if __name__ == "__main__":
    main()
