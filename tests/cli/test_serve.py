"""``crossprompt serve``."""

import ast
import os
import signal
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from crossprompt import load
from crossprompt.classifier.classifier import Classifier
from crossprompt.cli import main, serve
from crossprompt.inference.base import Array
from crossprompt.inference.server import limits
from crossprompt.inference.server import process as running
from crossprompt.inference.server.auth import read_key
from crossprompt.inference.server.metrics import Middleware


def ready(client: httpx.Client) -> int:
    try:
        return client.get("/readyz").status_code
    except httpx.ConnectError:  # the port is taken, but nobody listens yet
        return 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_stopped_finishes_what_it_accepted(
    run, photos, monkeypatch, capsys, number
) -> None:
    file = photos / "cat" / "0.png"
    (expected,) = load(run, dtype="fp32").predict([file], top_k=3)
    bound: list[socket.socket] = []
    begun, asked, answers = threading.Event(), threading.Event(), []
    bind, score = running.bind, Classifier.probabilities

    def remembered(host: str, port: int) -> socket.socket:
        bound.append(bind(host, port))
        return bound[0]

    def slow(self: Classifier, images: Array) -> Array:
        if asked.is_set():
            begun.set()
            time.sleep(0.3)
        return score(self, images)

    def ask_and_stop() -> None:
        while not bound:
            time.sleep(0.01)
        address = running.address_of(bound[0])
        with httpx.Client(base_url=address, timeout=20, trust_env=False) as client:
            stop = threading.Thread(target=lambda: begun.wait(20) and os.kill(os.getpid(), number))
            stop.start()
            while ready(client) != 200:
                time.sleep(0.02)
            asked.set()
            files = [("images", ("0.png", file.read_bytes()))] * 2
            answers.append(client.post("/v1/predict", files=files))
            stop.join()

    monkeypatch.setattr(running, "bind", remembered)
    monkeypatch.setattr(Classifier, "probabilities", slow)
    asking = threading.Thread(target=ask_and_stop)
    asking.start()
    arguments = ["serve", str(run), "--port", "0", "--dtype", "fp32", "--max-batch", "1"]
    before = signal.getsignal(number)
    assert main(arguments) == 0
    asking.join()
    assert signal.getsignal(number) == before
    assert "(3 classes) at http://127.0.0.1:" in capsys.readouterr().out
    assert len(answers[0].json()["predictions"]) == 2
    for answer in answers[0].json()["predictions"]:
        found = {share["label"]: share["probability"] for share in answer["top"]}
        assert found == pytest.approx(dict(expected.top), abs=1e-5)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Middleware]:
    """The apps that were served, each stopped at once."""
    apps: list[Middleware] = []

    def serve_briefly(app, bound, timeout, ready) -> None:
        apps.append(app)
        ready()

    monkeypatch.setattr(running, "serve", serve_briefly)
    return apps


def test_a_port_in_use_is_told_before_anything_is_loaded(capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve", "nowhere", "--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert f"port {port} of 127.0.0.1" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--port", "65536"], "'65536'"),
        (["--port", "http"], "'http'"),
        (["--host", "no.such.host.invalid"], "'no.such.host.invalid'"),
        (["--host", "192.0.2.1"], "192.0.2.1"),
        (["--max-images", "200"], "200"),
        (["--timeout", "0"], "timeout is 0.0"),
        (["--max-wait-ms", "-1"], "max_wait_ms is -1.0"),
        (["--max-batch", "many"], "'many'"),
        (["--api-key-file", "nowhere.key"], "nowhere.key"),
        (["--api-key-file", "empty.key"], "empty.key"),
        (["--port", "0"], "nowhere"),
    ],
)
def test_a_wrong_request_is_refused(arguments, named, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.key").write_text("\n")
    assert main(["serve", "nowhere", *arguments]) == 2
    found = capsys.readouterr().err
    assert named in found
    assert found.count("\n") == 1


@pytest.mark.parametrize(
    ("host", "key", "warned"),
    [("0.0.0.0", None, True), ("0.0.0.0", "k" * 20, False), ("localhost", None, False)],
)
def test_who_opens_the_server_to_all_is_warned(
    run, served, capsys, tmp_path, monkeypatch, host, key, warned
) -> None:
    monkeypatch.delenv("CROSSPROMPT_API_KEY", raising=False)
    arguments = ["serve", str(run), "--host", host, "--port", "0"]
    if key:
        (tmp_path / "key").write_text(f"{key}\n")
        arguments += ["--api-key-file", str(tmp_path / "key")]
    assert main(arguments) == 0
    assert ("warning" in capsys.readouterr().err) == warned
    assert len(served) == 1


def test_the_key_may_stand_in_the_environment(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CROSSPROMPT_API_KEY", "from-the-environment")
    assert read_key(None) == "from-the-environment"
    (tmp_path / "key").write_text("from-a-file\n")
    assert read_key(tmp_path / "key") == "from-a-file"
    monkeypatch.delenv("CROSSPROMPT_API_KEY")
    assert read_key(None) is None
    monkeypatch.setenv("CROSSPROMPT_API_KEY", "two words")
    with pytest.raises(ValueError, match="CROSSPROMPT_API_KEY"):
        read_key(None)


def test_what_is_missing_is_said_with_the_way_to_get_it(monkeypatch, capsys) -> None:
    monkeypatch.setattr(serve, "PACKAGES", ("fastapi", "no-such-package"))
    assert main(["serve", "nowhere"]) == 2
    error = capsys.readouterr().err
    assert "no-such-package" in error
    assert "pip install 'crossprompt[serve]'" in error


def test_the_help_needs_none_of_these_packages() -> None:
    package = Path(limits.__file__).parent
    for file in (Path(serve.__file__), package / "__init__.py", package / "limits.py"):
        for node in ast.parse(file.read_text("utf-8")).body:
            names = [alias.name for alias in getattr(node, "names", [])]
            for name in [node.module] if isinstance(node, ast.ImportFrom) else names:
                assert name.partition(".")[0] not in serve.PACKAGES
                assert not name.startswith("crossprompt.inference.server.") or name.endswith(
                    ".limits"
                )
