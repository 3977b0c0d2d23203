import math
from collections.abc import Iterator
from inspect import unwrap
from itertools import count
from pathlib import Path
from time import sleep
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from crossprompt.classifier.classifier import Classifier, freeze
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item
from crossprompt.data.images import read_image
from crossprompt.errors import JobError, RequestError
from crossprompt.methods import build_method
from tests.backbone import NAMES, even_clip, write_items


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    folder: Path = tmp_path_factory.mktemp("images")
    return write_items(folder, [0, 1, 2, 3, 0, 1, 2])


@pytest.fixture(scope="module")
def classifier(clip: CLIP, items: list[Item]) -> Classifier:
    return freeze(build_method("dcp", clip, NAMES, length=4), clip, items)


def test_predictions_are_the_softmax_best_first_in_the_order_of_the_paths(
    clip: CLIP, classifier: Classifier, items: list[Item]
) -> None:
    paths = [item.path for item in reversed(items)]
    found = classifier.predict(paths, top_k=3, batch_size=2)
    images = torch.stack([clip.preprocess(read_image(path)) for path in paths])
    expected = classifier.logits(images).softmax(-1)
    assert [prediction.path for prediction in found] == [str(path) for path in paths]
    for prediction, row in zip(found, expected, strict=True):
        order = row.argsort(descending=True)[:3].tolist()
        assert [name for name, _ in prediction.top] == [NAMES[label] for label in order]
        for (_, probability), label in zip(prediction.top, order, strict=True):
            assert math.isclose(probability, row[label].item(), abs_tol=1e-5)
        assert (prediction.label, prediction.probability) == prediction.top[0]
        assert prediction.error is None


def test_the_answer_is_the_same_at_any_batch_size(
    classifier: Classifier, items: list[Item]
) -> None:
    paths = [item.path for item in items]
    one, all_at_once = (classifier.predict(paths, batch_size=size) for size in (1, 64))
    for a, b in zip(one, all_at_once, strict=True):
        assert a.label == b.label
        assert a.probability == pytest.approx(b.probability, abs=1e-5)


def test_top_k_is_at_most_every_class_and_sums_to_one(
    classifier: Classifier, items: list[Item]
) -> None:
    (found,) = classifier.predict([items[0].path], top_k=99)
    assert sorted(name for name, _ in found.top) == sorted(NAMES)
    assert sum(probability for _, probability in found.top) == pytest.approx(1, abs=1e-5)
    (single,) = classifier.predict([items[0].path], top_k=1)
    assert single.top == [(found.label, pytest.approx(found.probability))]


def test_a_file_that_cannot_be_read_is_a_row_with_its_error(
    classifier: Classifier, items: list[Item], tmp_path: Path
) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "cut.png").write_bytes(items[0].path.read_bytes()[:60])
    good = items[0].path
    bad = [tmp_path / name for name in ("empty.png", "text.png", "cut.png", "missing.png")]
    paths = [bad[0], good, bad[1], bad[2], good, bad[3]]
    for batch_size in (1, 2, 64):
        found = classifier.predict(paths, batch_size=batch_size)
        assert [prediction.path for prediction in found] == [str(path) for path in paths]
        assert [prediction.error is not None for prediction in found] == [
            path in bad for path in paths
        ]
        for prediction in found:
            if prediction.error is not None:
                assert (prediction.label, prediction.probability, prediction.top) == (
                    None,
                    None,
                    [],
                )
        assert "0 bytes" in str(found[0].error)
        assert "no such file" in str(found[-1].error)


def test_a_path_comes_back_as_it_was_given(
    classifier: Classifier, items: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(items[0].path.parent)
    given = [f"./{items[0].path.name}", f".//{items[1].path.name}", "./missing.png"]
    assert [prediction.path for prediction in classifier.predict(given)] == given


def test_no_images_give_no_predictions(classifier: Classifier) -> None:
    assert classifier.predict([]) == []


def test_a_stream_reads_only_a_little_ahead(classifier: Classifier, items: list[Item]) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        for number in count():
            taken += 1
            yield items[number % len(items)].path

    stream = classifier.predict_stream(endless(), batch_size=2)
    first = next(stream)
    after_one = taken
    assert first.path == str(items[0].path)
    assert after_one < 64
    for _ in range(40):
        next(stream)
    assert 41 <= taken < 41 + 64
    assert taken > after_one  # it went on with what it gave out
    stream.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k is 0, expected 1 or more"),
        ({"batch_size": 0}, "batch_size is 0, expected 1 or more"),
        ({"top_k": "3"}, "top_k is '3'"),
        ({"batch_size": 2.5}, r"batch_size is 2\.5"),
    ],
)
def test_a_wrong_setting_is_an_error_before_any_work(
    classifier: Classifier, options: dict[str, Any], message: str
) -> None:
    def refuse() -> Iterator[Path]:
        raise AssertionError("read already")
        yield

    predict: Any = unwrap(type(classifier).predict_stream)  # as without the tests' type checks
    with pytest.raises(RequestError, match=message):
        predict(classifier, refuse(), **options)


def test_a_single_path_is_an_error_that_says_what_to_do(classifier: Classifier) -> None:
    predict: Any = unwrap(type(classifier).predict_stream)  # as without the tests' type checks
    for path in ("a.jpg", Path("a.jpg")):
        with pytest.raises(RequestError, match=r"a\.jpg"):
            predict(classifier, path)


def test_an_opened_image_is_classified_as_its_file(
    classifier: Classifier, items: list[Item], tmp_path: Path
) -> None:
    turned, exif = tmp_path / "turned.jpg", Image.Exif()
    exif[0x0112] = 6  # a camera held upright
    Image.open(items[0].path).convert("RGB").resize((90, 50)).save(turned, exif=exif)
    paths = [items[1].path, turned]
    opened = [Image.open(path) for path in paths]
    assert classifier.predict(opened) == classifier.predict(paths)


class Slow(Image.Image):
    """Notes how many threads read it at a time."""

    inside, most = 0, 0

    def load(self) -> Any:
        Slow.inside += 1
        Slow.most = max(Slow.most, Slow.inside)
        sleep(0.01)
        Slow.inside -= 1
        return super().load()


def test_an_opened_image_that_is_given_twice_is_read_by_one_thread_at_a_time(
    classifier: Classifier,
) -> None:
    image = Image.new("RGB", (9, 9))
    image.__class__ = Slow
    assert len({answer.label for answer in classifier.predict([image] * 8)}) == 1
    assert Slow.most == 1


def test_images_in_memory_have_numbers_for_names(classifier: Classifier, items: list[Item]) -> None:
    read, deep = read_image(items[0].path), Image.new("F", (9, 9))
    first, second, third = classifier.predict(iter([items[1].path, read, deep]))
    assert (first.path, second.path, third.path) == (str(items[1].path), "image 2", "image 3")
    assert second.top == classifier.predict([items[1].path, items[0].path])[1].top
    assert third.error is not None
    assert third.error.startswith("32-bit pixels (mode F) have no fixed range")
    (empty,) = classifier.predict([Image.new("RGB", (0, 5))])
    assert empty.error == "no pixels, 0 x 5"
    assert classifier.predict(items[:1]) == classifier.predict([items[0].path])


def test_what_would_score_no_numbers_is_not_frozen(clip: CLIP) -> None:
    method = build_method("coop", clip, NAMES, length=2)
    with torch.no_grad():
        method.text_prompt.fill_(3e38)
    with pytest.raises(JobError, match="coop"):
        freeze(method, clip)


def test_what_is_no_image_is_an_error_that_says_what_would_be(classifier: Classifier) -> None:
    predict: Any = unwrap(type(classifier).predict_stream)  # as without the tests' type checks
    with pytest.raises(RequestError, match=r"ndarray.*fromarray"):
        list(predict(classifier, (array for array in [np.zeros((8, 8, 3), np.uint8)])))
    with pytest.raises(RequestError, match="table"):
        predict(classifier, SimpleNamespace(columns=["path"]))
    with pytest.raises(RequestError, match="Image"):
        predict(classifier, Image.new("RGB", (8, 8)))


def test_its_repr_names_the_classes(classifier: Classifier) -> None:
    names = str(list(NAMES))[1:-1]
    assert (
        repr(classifier)
        == f"Classifier({len(NAMES)} classes: {names}, dcp on {classifier.clip.name})"
    )
    study = freeze(classifier.method, classifier.clip, inference="batch")
    assert repr(study).endswith(", inference 'batch')")


@pytest.mark.parametrize("name", ["linear_probe", "tip_adapter", "tip_adapter_f"])
def test_what_training_fills_cannot_be_frozen_before(clip: CLIP, items: list[Item], name) -> None:
    with pytest.raises(RequestError, match=f"{name}.* call train"):
        freeze(build_method(name, clip, NAMES), clip, items)


def test_an_unknown_inference_is_an_error(clip: CLIP, items: list[Item]) -> None:
    unchecked: Any = unwrap(freeze)  # as without the tests' type checks
    with pytest.raises(RequestError, match="inference is 'fast'"):
        unchecked(build_method("coop", clip, NAMES), clip, items, inference="fast")


def test_only_prompts_that_depend_on_images_need_training_images(clip: CLIP) -> None:
    for name in ("zero_shot", "coop"):
        assert freeze(build_method(name, clip, NAMES), clip).class_names == NAMES
    with pytest.raises(RequestError, match="no training images"):
        freeze(build_method("dcp", clip, NAMES), clip)


def test_freezing_copies_what_was_learned(clip: CLIP, items: list[Item]) -> None:
    method = build_method("dcp", clip, NAMES, length=4).train()
    frozen = freeze(method, clip, items, information={"data": "pets"})
    images = torch.stack([clip.preprocess(read_image(item.path)) for item in items])
    before = frozen.logits(images)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(1.0)
    assert torch.equal(frozen.logits(images), before)
    assert not before.requires_grad
    assert not method.training
    assert frozen.information == {"data": "pets", "inference": "calibrated"}


def test_the_seed_chooses_the_calibration_images(
    clip: CLIP, items: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossprompt.methods.features.CALIBRATION_IMAGES", 4)
    images = torch.stack([clip.preprocess(read_image(item.path)) for item in items])

    def score(seed: int) -> torch.Tensor:
        method = build_method("dcp", clip, NAMES, length=4)
        return freeze(method, clip, items, seed=seed).logits(images)

    assert torch.equal(score(1), score(1))
    assert any(not torch.equal(score(1), score(seed)) for seed in (2, 3, 4))
