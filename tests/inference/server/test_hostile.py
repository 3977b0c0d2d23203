"""Hostile requests are refused, and the server goes on."""

import random
import re
import socket
import struct
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image

from crossprompt.inference.server import process as running_module
from crossprompt.inference.server.limits import Limits
from tests.inference.server.servers import (
    Colors,
    picture,
    probabilities_in,
    running,
    shares,
    upload,
)

pytestmark = pytest.mark.slow
MIB = 2**20
INTERNALS = re.compile(r"Traceback|File \"|site-packages|/tmp|/usr|\.py|0x[0-9a-f]{6}|<_io|PIL\.")


@pytest.fixture
def spill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files would be written to."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def check_alive(client: httpx.Client) -> None:
    response = client.post("/v1/predict", files=upload(picture(9)))
    assert response.status_code == 200
    assert probabilities_in(response)[0] == pytest.approx(shares(picture(9)), abs=1e-6)


def damaged(generator: random.Random, form: str) -> bytes:
    stream = BytesIO()
    noise = Image.frombytes("RGB", (24, 24), generator.randbytes(24 * 24 * 3))
    noise.convert("P" if form == "gif" else "RGB").save(stream, form)
    content = bytearray(stream.getvalue()[: generator.randrange(1, 4000)])
    for _ in range(generator.randrange(8)):
        content[generator.randrange(min(len(content), 300))] = generator.randrange(256)
    return bytes(content)


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "gif", "bmp", "avif"])
def test_damaged_images_are_answered_or_refused_and_never_fail(
    client: httpx.Client, form: str
) -> None:
    generator = random.Random(form)
    statuses = set()
    for _ in range(25):
        response = client.post("/v1/predict", files=upload(damaged(generator, form)))
        statuses.add(response.status_code)
        assert not INTERNALS.search(response.text), response.text
    assert statuses <= {200, 422}
    assert 422 in statuses
    check_alive(client)


def test_garbage_of_any_type_is_refused(client: httpx.Client) -> None:
    generator = random.Random(0)
    types = [
        "application/json",
        "multipart/form-data; boundary=a",
        "multipart/form-data; charset=punycode; boundary=" + "a" * 300,
        "text/plain",
        "multipart/form-data; boundary=\u00e9",
    ]
    for number in range(60):
        body = generator.randbytes(generator.randrange(1, 20_000))
        if number % 3 == 0:
            body = b"--a\r\nContent-Disposition: form-data; name=images; filename=x\r\n\r\n" + body
        headers = {"Content-Type": types[number % len(types)].encode("latin-1")}
        response = client.post("/v1/predict", content=body, headers=headers)
        assert 400 <= response.status_code < 500
        assert not INTERNALS.search(response.text), response.text
    check_alive(client)


HEAD = b'--a\r\nContent-Disposition: form-data; name="images"; filename="x"\r\n\r\n'


def large(total: int) -> Iterator[bytes]:
    yield HEAD
    for _ in range(total // MIB):
        yield bytes(MIB)


@pytest.mark.parametrize("declared", [True, False])
def test_too_large_an_upload_is_refused_before_it_is_read(spill: Path, declared: bool) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=a"}
    if declared:
        headers["Content-Length"] = str(len(HEAD) + 40 * MIB)
    with running(Colors(), Limits(max_upload_mb=2.0)) as client:
        tracemalloc.start()
        response = client.post("/v1/predict", content=large(40 * MIB), headers=headers)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert response.status_code == 413
        assert "2 MiB" in response.json()["error"]
        assert peak < 12 * MIB
        assert "crossprompt_bytes_held 0.0" in client.get("/metrics").text
        check_alive(client)
    assert list(spill.iterdir()) == []


def test_a_large_upload_that_is_allowed_is_kept_off_the_disk(
    spill: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file was opened")

    noise = Image.frombytes("RGB", (1000, 1000), random.Random(0).randbytes(3_000_000))
    stream = BytesIO()
    noise.save(stream, "png")
    with running(Colors()) as client:
        monkeypatch.setattr("tempfile.TemporaryFile", refuse)
        monkeypatch.setattr("tempfile.SpooledTemporaryFile", refuse)
        response = client.post("/v1/predict", files=upload(stream.getvalue()))
    assert probabilities_in(response)[0] == pytest.approx(shares(stream.getvalue()), abs=1e-6)
    assert list(spill.iterdir()) == []


def test_uploads_that_are_too_much_together_are_sent_away() -> None:
    with running(Colors(), Limits(max_upload_mb=1.0)) as client:
        address = (client.base_url.host, client.base_url.port)
        slow = []
        head = (
            b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n"
            b"Content-Type: multipart/form-data; boundary=a\r\n\r\n" + HEAD
        )
        for _ in range(8):
            slow.append(socket.create_connection(address))
            slow[-1].sendall(head + bytes(990_000))
        deadline = time.monotonic() + 10
        while not re.search(r"bytes_held 7\.9\d+e\+06", client.get("/metrics").text):
            assert time.monotonic() < deadline
        response = client.post("/v1/predict", files=upload(bytes(900_000)))
        for connection in slow:
            connection.close()
        assert response.status_code == 503
        assert "bytes" in response.json()["error"]
        while "bytes_held 0.0" not in client.get("/metrics").text:
            assert time.monotonic() < deadline
        check_alive(client)


def bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + width)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    chunks = (b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*parts) for parts in chunks)


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (9000, 9000, "9,000 x 9,000"),
        (1, 20_000, "1 x 20,000"),
        (20_000, 100, "20,000 x 100"),
    ],
)
def test_a_small_file_of_a_huge_image_is_refused(
    client: httpx.Client, width: int, height: int, size: str
) -> None:
    content = bomb(width, height)
    assert len(content) < 100_000
    response = client.post("/v1/predict", files=upload(content))
    assert response.status_code == 422
    (refused,) = response.json()["images"]
    assert refused["position"] == 0
    assert size in refused["reason"]


def test_kinds_of_files_that_cameras_and_the_web_do_without_are_not_decoded(
    client: httpx.Client,
) -> None:
    for form in ("tiff", "eps", "ico", "tga", "pcx", "jpeg2000"):
        response = client.post("/v1/predict", files=upload(picture(3, form)))
        assert response.status_code == 422
        told = response.json()["error"]
        assert "JPEG, MPO, PNG, WEBP" in told
        assert "Pillow" not in told


def test_a_request_that_trickles_in_is_given_up() -> None:
    with running(Colors(), Limits(timeout=0.3)) as client:
        address = (client.base_url.host, client.base_url.port)
        with socket.create_connection(address, timeout=5) as slow:
            slow.sendall(
                b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n"
                b"Content-Type: application/json\r\n\r\n{"
            )
            answer = slow.recv(65536)
            while b"}" not in answer:
                answer += slow.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"0.3 seconds" in answer
        check_alive(client)


def test_who_never_sends_a_whole_head_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_module, "HEAD_WITHIN", 0.3)
    with running(Colors()) as client:
        address = (client.base_url.host, client.base_url.port)
        with (
            socket.create_connection(address, timeout=5) as silent,
            socket.create_connection(address, timeout=5) as trickling,
        ):
            begin = time.monotonic()
            for letter in b"GET / HTTP":
                trickling.sendall(bytes([letter]))
                time.sleep(0.02)
            assert silent.recv(1) == b""
            assert trickling.recv(1) == b""
            assert time.monotonic() - begin < 2
        time.sleep(0.4)  # a client that has been answered is left in peace
        check_alive(client)


def test_a_client_that_goes_away_leaves_nothing_behind(client: httpx.Client) -> None:
    address = (client.base_url.host, client.base_url.port)
    for _ in range(5):
        with socket.create_connection(address) as gone:
            gone.sendall(
                b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n"
                b"Content-Type: application/json\r\n\r\n{"
            )
    deadline = time.monotonic() + 5
    while "crossprompt_requests_held 0.0" not in client.get("/metrics").text:
        assert time.monotonic() < deadline
    check_alive(client)


def test_what_is_no_http_is_refused(client: httpx.Client) -> None:
    address = (client.base_url.host, client.base_url.port)
    for garbage in (b"\x16\x03\x01\x02\x00garbage\r\n\r\n", b"GET\r\n\r\n", bytes(100_000)):
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(garbage)
            assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
    check_alive(client)


def test_three_hundred_requests_at_once_lose_and_mix_up_nothing(client: httpx.Client) -> None:
    def ask(number: int) -> None:
        contents = [picture(number + 300 * place) for place in range(1 + number % 3)]
        response = client.post("/v1/predict", files=upload(*contents))
        assert response.status_code == 200
        for found, content in zip(probabilities_in(response), contents, strict=True):
            assert found == pytest.approx(shares(content), abs=1e-6)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(300)))
    assert "crossprompt_requests_held 0.0" in client.get("/metrics").text
