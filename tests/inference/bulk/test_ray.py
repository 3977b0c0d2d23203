"""A Ray cluster of two workers gives the rows that one process gives."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from crossprompt.errors import JobError, RequestError
from crossprompt.inference.base import Input
from crossprompt.inference.bulk.run import Engine, open_inputs, predict_on_ray
from crossprompt.utils.ray import Cluster
from tests.inference.bulk.numbered import Reader, picture, predict, write_files, write_tar

pytestmark = [
    pytest.mark.slow,
    # Ray warns of what it sets itself
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
]


class Dying(Reader):
    """Its first process dies at an image, as one does that is lost."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def predict_stream(self, paths, top_k: int = 1, batch_size: int = 4):
        if any(given.name.endswith("9.png") for given in paths) and not self.mark.exists():
            self.mark.touch()
            os._exit(1)
        return super().predict_stream(paths, top_k, batch_size)


class Opening:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __call__(self) -> Dying:
        return Dying(self.mark)


def on_ray(open_classifier: Callable[[], Reader], workers: int) -> Engine:
    cluster = Cluster(workers=workers)
    return partial(predict_on_ray, open_classifier=open_classifier, top_k=1, cluster=cluster)


@pytest.fixture
def inputs(tmp_path, monkeypatch) -> list[Input]:
    """Forty-three images in files, two of which cannot be read, and in a shard."""
    monkeypatch.chdir(tmp_path)
    # Ray's workers are polite by default, and starve where others compute beside the tests
    monkeypatch.setenv("RAY_worker_niceness", "0")
    root = Path(__file__).parents[3]  # the workers import this file
    monkeypatch.setenv("PYTHONPATH", f"{root / 'src'}{os.pathsep}{root}")
    paths = write_files(tmp_path / "photos", range(30))
    Path(paths[5]).write_bytes(b"no image")
    (tmp_path / "list.csv").write_text("path\nphotos/3.png\ngone.png\n", "utf-8")
    write_tar(tmp_path / "a.tar", {f"{i}.png": picture(i) for i in range(100, 111)})
    return list(open_inputs(["photos", "a.tar", "list.csv"]))


def test_two_workers_of_which_one_is_lost_write_the_same_bytes(inputs, tmp_path) -> None:
    assert predict(inputs, tmp_path / "local.jsonl") == (2, [])
    engine = on_ray(Opening(tmp_path / "died"), workers=2)
    assert predict(inputs, tmp_path / "ray.jsonl", engine) == (2, [])
    assert (tmp_path / "died").exists()
    assert (tmp_path / "ray.jsonl").read_bytes() == (tmp_path / "local.jsonl").read_bytes()


def fail() -> Reader:
    raise RequestError("the classifier is not here")


def test_a_worker_that_cannot_open_the_classifier_is_an_error_with_its_reason(
    inputs, tmp_path
) -> None:
    with pytest.raises(JobError, match="the classifier is not here"):
        predict(inputs, tmp_path / "ray.jsonl", on_ray(fail, workers=1))
