"""Images/s that the server classifies, next to the same prediction without a server.

    python -m benchmarks.serving --requests 10000 --garbage-mb 50 --repeats 3
    python -m benchmarks.serving --backbone vit-b-16 --pictures 64 --requests 100 --garbage-mb 0

The classifier is zero-shot, on the embedded model or on one of real size with random weights; the
pictures are the demo's. Offline, images are decoded from memory in threads and scored in batches,
in this process; the server is a process of its own, asked from threads of this one, so that client
and server share the machine. No more images are under way than the server's queue holds. Every
answer is compared with the offline one of the same picture.
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
from benchmarks.document import Document
from benchmarks.timing import Function, alternate, medians
from benchmarks.workload import BACKBONES, Setting
from crossprompt import Classifier, build_method, freeze, load_clip, load_dataset
from crossprompt.classifier.classifier import BATCH
from crossprompt.clip.load import save_clip
from crossprompt.data.images import decode_image
from crossprompt.data.prefetch import prefetch
from crossprompt.inference.server.limits import Limits
from crossprompt.utils.device import DTYPES, choose_dtype

BOUNDARY = "pictures"
CLOSE = {"fp32": 1e-4, "bf16": 2e-2}
"""How far probabilities may lie apart that were computed in batches of other sizes."""
MB = 1_000_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--json", action="store_true", help="print one JSON document, no table")
    parser.add_argument("--pictures", type=int, default=542, help="pictures in a round (542)")
    parser.add_argument("--images", type=int, nargs="+", default=[1, 4, 16], help="in a request")
    parser.add_argument("--clients", type=int, default=32, help="requests under way (32)")
    parser.add_argument("--requests", type=int, default=10_000, help="that are checked (10000)")
    parser.add_argument("--garbage-mb", type=int, default=50, help="MB of nonsense to send (50)")
    parser.add_argument("--dtype", choices=list(CLOSE), default="fp32")
    parser.add_argument("--backbone", choices=["tiny", *BACKBONES], default="tiny")
    document.add_repeats(parser)
    chosen = parser.parse_args(arguments)
    setting = Setting(chosen.backbone, torch.device("cpu"), (chosen.dtype,), BATCH, chosen.repeats)
    rows, others = measure(setting, chosen)
    document.show(document.document("serving", setting, rows, **others), table, chosen.json)


def measure(
    setting: Setting, chosen: argparse.Namespace
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A row for every number of images in a request, and how the server took what it was sent."""
    data = load_dataset("emoji")
    paths = [item.path for split in data.splits.values() for item in split]
    contents = [path.read_bytes() for path in dict.fromkeys(paths)][: chosen.pictures]
    with tempfile.TemporaryDirectory() as folder:
        place = backbone(setting, Path(folder) / "backbone")
        clip = load_clip(place, dtype=choose_dtype(chosen.dtype, setting.device))
        classifier = freeze(build_method("zero_shot", clip, data.class_names), clip)
        expected = offline(classifier, contents)
        classifier.save(folder)
        with server(Path(folder), "--dtype", chosen.dtype, "--backbone", place) as address:
            client = Client(address, contents, expected, classifier, CLOSE[chosen.dtype])
            functions: dict[str, Function] = {"offline": partial(offline, classifier, contents)}
            for images in chosen.images:
                numbers = range(len(contents))
                rounds = [tuple(numbers[i : i + images]) for i in numbers[::images]]
                clients = under_way(chosen.clients, images)
                functions[str(images)] = partial(client.ask_all, rounds, clients)
            seconds = alternate(functions, setting.repeats, setting.device)
            client.expect("right")
            client.tally.clear()
            document.say(f"serving: {chosen.requests} requests")
            client.ask_all(client.some(chosen.requests), chosen.clients)
            checked = dict(client.tally)
            document.say(f"serving: {chosen.garbage_mb} MB of garbage")
            garbage = client.send_garbage(chosen.garbage_mb * MB, chosen.clients)
            client.tally.clear()
            client.ask_all([(0,)], 1)
            client.expect("right")
    rates = {name: len(contents) / value for name, value in medians(seconds).items()}
    rows = [
        {
            "images": images,
            "clients": under_way(chosen.clients, images),
            "images_per_second": rates[str(images)],
            "offline": rates["offline"],
        }
        for images in chosen.images
    ]
    return rows, {"checked": checked, "garbage": garbage, "all_seconds": seconds}


def under_way(clients: int, images: int) -> int:
    """Requests at a time whose images the server's queue has room for."""
    return min(clients, Limits().queue // images)


def backbone(setting: Setting, folder: Path) -> str:
    """What ``--backbone`` takes for it: a real size is written with random weights."""
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
    """``crossprompt serve`` on a free port, for as long as the block takes."""
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
    """Asks the server from threads, and checks what it answers.

    Args:
        address: host and port.
        contents: encoded images.
        expected: their probabilities, ``[images, classes]``.
        classifier: whose classes they are.
        close: how far a probability may lie off.
    """

    def __init__(
        self,
        address: str,
        contents: Sequence[bytes],
        expected: numpy.ndarray,
        classifier: Classifier,
        close: float,
    ) -> None:
        self._address, self._contents, self._close = address, contents, close
        self._expected = [
            dict(zip(classifier.class_names, row, strict=True)) for row in expected.tolist()
        ]
        self.tally: Counter[str] = Counter()

    def some(self, requests: int) -> list[tuple[int, ...]]:
        """One to four pictures for each of so many requests."""
        stream = random.Random(1)
        return [
            tuple(stream.randrange(len(self._contents)) for _ in range(stream.randint(1, 4)))
            for _ in range(requests)
        ]

    def ask_all(self, requests: Sequence[tuple[int, ...]], clients: int) -> None:
        """Send every request; ``tally`` counts right, wrong and other answers."""
        remaining = iter(requests)  # whose next is one step of the interpreter

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
            abs(share["probability"] - self._expected[picture][share["label"]]) < self._close
            for picture, prediction in zip(pictures, found, strict=True)
            for share in prediction["top"]
        )
        return "right" if right else "wrong"

    def expect(self, judgement: str) -> None:
        """Raise if anything else was tallied: what was refused took no time to compute."""
        if set(self.tally) != {judgement}:
            raise RuntimeError(f"found {dict(self.tally)}, expected nothing but {judgement!r}")

    def send_garbage(self, total: int, clients: int) -> dict[str, int]:
        """Send noise and damaged pictures, ``total`` bytes; how often each status was answered."""
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
    """Noise that begins as nothing, or as a picture does, or a picture cut short."""
    noise = stream.randbytes(stream.randrange(1, 60_000))
    beginning = stream.choice(contents)[: stream.choice((0, 16, 60))]
    starts = (b"\xff\xd8\xff\xe0\x00\x10JFIF", b"GIF89a", b"RIFF\xff\0\0\0WEBPVP8 ", beginning)
    return stream.choice(starts) + noise


def post(connection: http.client.HTTPConnection, contents: Sequence[bytes]) -> tuple[int, Any]:
    """Status and answer."""
    head = 'Content-Disposition: form-data; name="images"; filename="x"'
    parts = [f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content for content in contents]
    body = b"\r\n".join([*parts, f"--{BOUNDARY}--\r\n".encode()])
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    connection.request("POST", "/v1/predict", body, headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def table(found: Document) -> str:
    """Images/s, then what became of every request."""
    rates = ["server (images/s)", "offline (images/s)", "x its time"]
    header = ["images in a request", "requests at a time", *rates]
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
        f"Requests whose every answer was compared with the offline one: {answered}. "
        f"Answers to garbage: {refused}; the server went on."
    )


if __name__ == "__main__":
    main()
