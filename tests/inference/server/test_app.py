"""The JSON API."""

import base64
import hmac
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from crossprompt.inference.server import auth as access
from crossprompt.inference.server.limits import Limits
from tests.backbone import NAMES, even_clip, write_items
from tests.inference.server.servers import (
    Blocked,
    Colors,
    picture,
    probabilities_in,
    running,
    shares,
    upload,
)
from tests.saved import classify

pytestmark = pytest.mark.slow
KEY = "a-key-that-nobody-guesses"


def as_json(*contents: bytes, **more: object) -> dict[str, object]:
    return {"images": [base64.b64encode(content).decode() for content in contents], **more}


@pytest.mark.parametrize("method", ["dcp", "tip_adapter"])
def test_every_answer_is_the_one_given_offline_whatever_shares_its_batch(
    method: str, tmp_path: Path
) -> None:
    items = write_items(tmp_path, [0, 1, 2, 3] * 6)
    classifier = classify(even_clip(), items, method)
    expected = classifier.predict([item.path for item in items], top_k=4)
    limits = Limits(max_wait_ms=20.0, max_batch=7)
    with running(classifier, limits) as client, ThreadPoolExecutor(8) as pool:

        def ask(number: int) -> list[tuple[str, float]]:
            file = items[number].path.read_bytes()
            answer = client.post("/v1/predict", files=upload(file), data={"top_k": "4"}).json()
            (found,) = answer["predictions"]
            assert (found["label"], found["probability"]) == tuple(found["top"][0].values())
            return [(share["label"], share["probability"]) for share in found["top"]]

        found = list(pool.map(ask, range(len(items))))
        sizes = re.search(r"batch_images_count (\d+)", client.get("/metrics").text)
        assert sizes is not None
        assert int(sizes[1]) < len(items)  # some did share
    for answer, prediction in zip(found, expected, strict=True):
        assert dict(answer) == pytest.approx(dict(prediction.top), abs=1e-5)
        assert set(dict(answer)) == set(NAMES)


def test_several_images_are_answered_in_their_order(client: httpx.Client) -> None:
    contents = [picture(number, form) for number, form in enumerate(["png", "webp", "gif", "bmp"])]
    for response in (
        client.post("/v1/predict", files=upload(*contents)),
        client.post("/v1/predict", json=as_json(*contents)),
    ):
        assert response.status_code == 200
        for found, content in zip(probabilities_in(response), contents, strict=True):
            assert found == pytest.approx(shares(content), abs=1e-6)


@pytest.mark.parametrize(("top_k", "count"), [(1, 1), (2, 2), (99, 3)])
def test_as_many_classes_are_listed_as_there_are_to_list(
    client: httpx.Client, top_k: int, count: int
) -> None:
    by_form = client.post("/v1/predict", files=upload(picture(7)), data={"top_k": str(top_k)})
    by_json = client.post("/v1/predict", json=as_json(picture(7), top_k=top_k))
    assert by_form.json() == by_json.json()
    (answer,) = by_form.json()["predictions"]
    found = [share["probability"] for share in answer["top"]]
    assert found == sorted(found, reverse=True)
    assert len(found) == count


def test_the_classes_and_limits_are_told(client: httpx.Client) -> None:
    answer = client.get("/v1/classes").json()
    assert answer["classes"] == list(Colors.class_names)
    assert answer["max_upload_bytes"] == 20 * 2**20
    assert "JPEG" in answer["formats"]


def test_the_server_says_that_it_lives_and_is_ready(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}


GOOD = picture()
FORM = {"content-type": "multipart/form-data; boundary=a"}
JSON = {"content-type": "application/json"}
WRONG: dict[str, tuple[dict[str, object], int, str]] = {
    "no content type": ({"content": b"x"}, 415, "multipart/form-data"),
    "another type": ({"content": GOOD, "headers": {"content-type": "image/png"}}, 415, "image/png"),
    "no boundary": (
        {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
        400,
        "boundary",
    ),
    "damaged form": ({"content": b"--a\r\nx", "headers": FORM}, 400, "form"),
    "a form that is cut off": (
        {
            "content": b"--a\r\nContent-Disposition: form-data; name=images; filename=x\r\n\r\ny",
            "headers": FORM,
        },
        400,
        "form",
    ),
    "a form in no encoding": (
        {
            "content": b"--a\r\nContent-Disposition: form-data; name=top_k\r\n\r\n1\r\n--a--",
            "headers": {"content-type": "multipart/form-data; charset=undefined; boundary=a"},
        },
        400,
        "UTF-8",
    ),
    "no image": ({"files": {"top_k": (None, "3")}}, 422, "no image"),
    "another file": ({"files": {"photo": GOOD}}, 422, "'photo'"),
    "another field": ({"files": upload(GOOD), "data": {"topk": "3"}}, 422, "'topk'"),
    "many fields": (
        {"files": upload(GOOD), "data": {f"f{n}": "3" for n in range(20)}},
        422,
        "fields",
    ),
    "a field twice": ({"files": upload(GOOD), "data": {"top_k": ["3", "4"]}}, 422, "top_k"),
    "a long field": ({"files": upload(GOOD), "data": {"top_k": "3" * 9999}}, 422, "top_k"),
    "top_k of 0": ({"files": upload(GOOD), "data": {"top_k": "0"}}, 422, "top_k is '0'"),
    "top_k of words": ({"files": upload(GOOD), "data": {"top_k": "²"}}, 422, "top_k is '²'"),
    "no JSON": ({"content": b"{", "headers": JSON}, 422, "JSON"),
    "deep JSON": ({"content": b"[" * 99999, "headers": JSON}, 422, "JSON"),
    "another key": ({"json": as_json(GOOD, topk=3)}, 422, "topk"),
    "top_k as text": ({"json": as_json(GOOD, top_k="3")}, 422, "top_k"),
    "an empty list": ({"json": as_json()}, 422, "images"),
    "no base64": ({"json": {"images": ["%%%%"]}}, 422, "image 0"),
    "a data URL": ({"json": {"images": ["data:image/png;base64,aaaa"]}}, 422, "data URL"),
    "many files": ({"files": upload(*[GOOD] * 17)}, 413, "16"),
    "many texts": ({"json": as_json(*[GOOD] * 17)}, 413, "16"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_request_is_told_what_is_wrong(client: httpx.Client, name: str) -> None:
    request, status, message = WRONG[name]
    response = client.post("/v1/predict", **request)
    assert response.status_code == status
    assert message in response.json()["error"]


def test_all_bad_images_of_a_request_are_named(client: httpx.Client) -> None:
    response = client.post("/v1/predict", files=upload(GOOD, b"", GOOD, b"no image"))
    assert response.status_code == 422
    answer = response.json()
    assert "image 1 (counted from 0)" in answer["error"]
    assert [image["position"] for image in answer["images"]] == [1, 3]
    assert "not an image format" in answer["images"][1]["reason"]


def test_other_paths_and_methods_are_refused_in_the_same_form(client: httpx.Client) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("GET", "/v1/predict", 405)):
        response = client.request(method, path)
        assert response.status_code == status
        assert "/openapi.json" in response.json()["error"]
    assert client.get("/v1/predict").headers["allow"] == "POST"


def test_requests_are_counted_by_paths_that_there_are(client: httpx.Client) -> None:
    client.get("/made/up")
    client.post("/v1/predict", files=upload(GOOD))
    text = client.get("/metrics").text
    assert 'crossprompt_requests_total{path="other",status="404"}' in text
    assert 'crossprompt_requests_total{path="/v1/predict",status="200"}' in text
    assert "made" not in text
    assert "crossprompt_images_held 0.0" in text


def test_without_the_key_nothing_is_classified_or_told() -> None:
    with running(Colors(), key=KEY) as client:
        for path in ("/v1/classes", "/metrics", "/v1/predict"):
            method = "POST" if path == "/v1/predict" else "GET"
            for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": f"Basic {KEY}"}):
                response = client.request(method, path, headers=headers)
                assert response.status_code == 401
                assert response.headers["www-authenticate"] == "Bearer"
                assert "Authorization: Bearer KEY" in response.json()["error"]
        for path in ("/", "/docs", "/openapi.json", "/healthz", "/readyz"):
            assert client.get(path, follow_redirects=True).status_code == 200
        client.headers["Authorization"] = f"Bearer {KEY}"
        assert client.get("/v1/classes").status_code == 200
        assert client.post("/v1/predict", files=upload(GOOD)).status_code == 200
        document = client.get("/openapi.json").json()
        assert document["paths"]["/v1/predict"]["post"]["security"]
        assert KEY not in json.dumps(document)


def test_the_key_is_compared_in_a_time_that_does_not_tell_how_much_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    original = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return original(one, other)

    monkeypatch.setattr(access.hmac, "compare_digest", compare)
    with running(Colors(), key=KEY) as client:
        for word, status in ((KEY[:-1], 401), (KEY, 200)):
            headers = {"Authorization": f"Bearer {word}"}
            assert client.get("/v1/classes", headers=headers).status_code == status
    assert compared == [(KEY[:-1].encode(), KEY.encode()), (KEY.encode(), KEY.encode())]


def test_pictures_that_nobody_sent_are_not_counted() -> None:
    with running(Colors()) as client:  # which has classified a gray one
        assert "crossprompt_images_total 0.0" in client.get("/metrics").text
        client.post("/v1/predict", files=upload(GOOD, GOOD))
        assert "crossprompt_images_total 2.0" in client.get("/metrics").text


def test_a_full_queue_sends_clients_away_for_a_while() -> None:
    served = Blocked()
    limits = Limits(queue=3, max_images=2, max_batch=1)
    with running(served, limits) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/v1/predict", files=upload(GOOD, picture(1)))
        assert served.begun.wait(10)
        refused = client.post("/v1/predict", files=upload(GOOD, GOOD))
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert "images" in refused.json()["error"]
        assert client.get("/healthz").status_code == 200
        served.let_go.set()
        assert first.result(10).status_code == 200
        assert client.post("/v1/predict", files=upload(GOOD, GOOD)).status_code == 200


def test_a_request_that_is_not_answered_in_time_is_sent_away_and_makes_room() -> None:
    served = Blocked()
    with running(served, Limits(timeout=0.2, max_batch=1)) as client:
        response = client.post("/v1/predict", files=upload(GOOD, GOOD, GOOD))
        assert response.status_code == 503
        assert "0.2 seconds" in response.json()["error"]
        served.let_go.set()
        assert client.post("/v1/predict", files=upload(GOOD)).status_code == 200
        assert "crossprompt_images_held 0.0" in client.get("/metrics").text


class Broken(Colors):
    def probabilities(self, images):
        if len(set(images.ravel().tolist())) > 1:  # all but the gray image that warms it up
            raise RuntimeError("weights of /secret/path do not fit")
        return super().probabilities(images)


def test_a_failure_is_answered_without_a_word_about_internals() -> None:
    with running(Broken()) as client:
        response = client.post("/v1/predict", files=upload(picture(5)))
        assert response.status_code == 500
        assert response.json()["images"] == []
        assert "secret" not in response.text
        assert "crossprompt_failures_total 1.0" in client.get("/metrics").text
        assert client.post("/v1/predict", files=upload(picture(0))).status_code == 200
