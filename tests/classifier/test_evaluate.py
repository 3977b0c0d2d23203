from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossprompt.classifier import evaluate as encoded
from crossprompt.classifier.classifier import Classifier, freeze
from crossprompt.classifier.evaluate import (
    bootstrap_interval,
    calibration_error,
    encode_once,
    evaluate,
    summarize,
)
from crossprompt.clip.model import CLIP
from crossprompt.data import Split
from crossprompt.data.dataset import Item
from crossprompt.errors import RequestError
from crossprompt.methods import METHODS, build_method
from crossprompt.methods.base import FeatureMethod
from tests.backbone import NAMES, even_clip, write_items
from tests.saved import classify

PROBABILITIES = np.array(
    [
        [0.70, 0.20, 0.10],
        [0.20, 0.75, 0.05],
        [0.90, 0.05, 0.05],
        [0.10, 0.85, 0.05],
        [0.05, 0.90, 0.05],
    ]
)
LABELS = np.array([0, 0, 0, 1, 1])
"""Predicted are 0, 1, 0, 1, 1: one of five is wrong."""


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    folder: Path = tmp_path_factory.mktemp("images")
    return write_items(folder, [0, 1, 2, 3, 0, 1, 2])


@pytest.fixture(scope="module")
def classifier(clip: CLIP, items: list[Item]) -> Classifier:
    return freeze(build_method("coop", clip, NAMES), clip, items)


def test_the_numbers_are_those_worked_out_by_hand() -> None:
    result = summarize(PROBABILITIES, LABELS, ("a", "b", "c"))
    assert result.accuracy == pytest.approx(4 / 5)
    # class a: precision 2/2, recall 2/3, F1 4/5; class b: precision 2/3, recall 2/2, F1 4/5
    assert result.macro_f1 == pytest.approx(4 / 5)
    assert result.per_class == {"a": pytest.approx(2 / 3), "b": pytest.approx(1)}
    assert result.confusion == [[2, 1, 0], [0, 2, 0], [0, 0, 0]]
    # bins of a fifteenth: 0.70 and 0.75 lie in 11 and 12 (10/15 < 0.70 <= 11/15 < 0.75 <= 12/15),
    # 0.85 in 13, both 0.90 in 14
    gaps = [abs(1 - 0.70), abs(0 - 0.75), abs(1 - 0.85), 2 * abs(1 - 0.90)]
    assert result.ece == pytest.approx(sum(gaps) / 5)
    assert (result.n, result.inference, result.batch_size) == (5, "calibrated", 64)


def test_a_class_that_is_never_right_counts_in_macro_f1() -> None:
    result = summarize(PROBABILITIES, np.array([0, 2, 0, 1, 1]), ("a", "b", "c"))
    # a: 1; b: precision 2/3, recall 1, F1 4/5; c: 0
    assert result.macro_f1 == pytest.approx((1 + 4 / 5 + 0) / 3)
    assert result.per_class["c"] == 0


def test_confidence_and_accuracy_are_compared_within_a_bin() -> None:
    # three in the bin up to 10/15, one in that up to 11/15, two in the last
    confidence = np.array([0.61, 0.65, 0.66, 0.68, 1.0, 1.0])
    right = np.array([True, False, False, True, True, False])
    gaps = [abs(1 / 3 - (0.61 + 0.65 + 0.66) / 3), abs(1 - 0.68), abs(1 / 2 - 1)]
    expected = 3 / 6 * gaps[0] + 1 / 6 * gaps[1] + 2 / 6 * gaps[2]
    assert calibration_error(confidence, right) == pytest.approx(expected)
    assert calibration_error(np.ones(4), np.ones(4, dtype=bool)) == 0
    assert calibration_error(np.zeros(4), np.zeros(4, dtype=bool)) == 0


def test_the_interval_is_that_of_resampled_images() -> None:
    right = np.arange(200) % 4 != 0  # 150 of 200
    generator = np.random.default_rng(5)
    drawn = generator.choice(right, size=(20_000, 200)).mean(1)
    expected = np.percentile(drawn, [2.5, 97.5])
    np.testing.assert_allclose(bootstrap_interval(right), expected, atol=0.01)
    assert bootstrap_interval(right) == bootstrap_interval(right)
    assert bootstrap_interval(np.ones(9, dtype=bool)) == (1.0, 1.0)


def test_evaluating_is_predicting_every_image(classifier: Classifier, items: list[Item]) -> None:
    predicted = classifier.predict([item.path for item in items])
    right = [p.label == NAMES[item.label] for p, item in zip(predicted, items, strict=True)]
    truth = [item.label for item in items]
    confusion = np.zeros((4, 4), dtype=int)
    for label, prediction in zip(truth, predicted, strict=True):
        confusion[label, NAMES.index(str(prediction.label))] += 1
    seen: list[tuple[int, int]] = []
    result = evaluate(classifier, items, batch_size=3, progress=lambda *done: seen.append(done))
    assert result.accuracy == pytest.approx(np.mean(right))
    assert result.confusion == confusion.tolist()
    assert (result.n, result.batch_size) == (7, 3)
    assert seen == [(3, 7), (6, 7), (7, 7)]
    # perfect where the labels are what it says
    said = [
        Item(item.path, NAMES.index(str(p.label))) for item, p in zip(items, predicted, strict=True)
    ]
    assert evaluate(classifier, said).accuracy == 1


def test_the_result_is_plain_values(classifier: Classifier, items: list[Item]) -> None:
    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(type(k) is str and plain(v) for k, v in value.items())
        if isinstance(value, (list, tuple)):
            return all(plain(v) for v in value)
        return type(value) in (int, float, str)

    result = evaluate(classifier, items).to_json()
    assert plain(result)
    assert set(result) >= {"accuracy", "macro_f1", "per_class", "ece", "n", "interval", "confusion"}


ITS_TEXT_TOWER_RUNS = pytest.mark.xfail(strict=True, reason="every image has its own texts")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=ITS_TEXT_TOWER_RUNS if name == "cocoop" else ()) for name in METHODS],
)
def test_once_frozen_no_text_is_encoded(clip: CLIP, items: list[Item], name: str) -> None:
    frozen, calls = classify(clip, items, name), []
    handles = [
        module.register_forward_pre_hook(lambda *_: calls.append(1))
        for module in clip.text.modules()
    ]
    evaluate(frozen, items)
    frozen.predict([item.path for item in items])
    assert calls == []
    freeze(build_method("coop", clip, NAMES), clip, items)  # the hooks do count
    assert calls
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([], {}, "no images"),
        ([0, 4], {}, "0 to 4.*0 to 3"),
        ([-1, 0], {}, "-1 to 0.*0 to 3"),
        ([0], {"batch_size": 0}, "batch_size is 0, expected 1 or more"),
    ],
)
def test_a_wrong_request_is_an_error(
    classifier: Classifier,
    tmp_path: Path,
    labels: list[int],
    options: dict[str, int],
    message: str,
) -> None:
    with pytest.raises(RequestError, match=message):
        evaluate(classifier, write_items(tmp_path, labels), **options)


def test_an_unreadable_image_is_an_error_that_names_it(
    classifier: Classifier, items: list[Item], tmp_path: Path
) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(RequestError, match=r"empty\.png"):
        evaluate(classifier, [*items, Item(tmp_path / "empty.png", 0)])


@pytest.fixture
def split(tmp_path) -> Split:
    return Split(tuple(write_items(tmp_path, [0, 1, 2, 3] * 3)))


ON_FEATURES = [
    name
    for name, method in METHODS.items()
    if issubclass(method, FeatureMethod) and name != "cocoop"  # whose texts depend on the image
]


@pytest.mark.parametrize("name", ["coop", "tip_adapter", "clip_adapter", "linear_probe", "dcp"])
def test_the_result_is_that_of_evaluating_image_by_image(name, split) -> None:
    classifier = classify(even_clip(), list(split), name)
    found = evaluate(classifier, split, cache_features=True)
    expected = evaluate(classifier, split)
    assert found.confusion == expected.confusion
    assert found.ece == pytest.approx(expected.ece, abs=1e-5)
    assert (found.n, found.inference) == (12, "calibrated")


def test_a_split_is_encoded_once_for_all_that_score_features(split, monkeypatch) -> None:
    classifiers = [classify(even_clip(), list(split), name) for name in ON_FEATURES]
    counted = []
    original = encoded.encode_split
    monkeypatch.setattr(
        encoded, "encode_split", lambda *given: counted.append(given) or original(*given)
    )
    monkeypatch.setattr(encoded, "read_batches", None)  # which would read each time
    encode_once.cache_clear()
    for classifier in classifiers:
        evaluate(classifier, split, cache_features=True)
    assert len(counted) == 1
    evaluate(classifiers[0], split[:4], cache_features=True)
    assert len(counted) == 2


def test_labels_without_a_class_are_told_as_ever(split, tmp_path) -> None:
    classifier = classify(even_clip(), list(split), "coop")
    wrong = Split(tuple(write_items(tmp_path / "more", [0, 7])))
    with pytest.raises(RequestError, match=r"0 to 7.*0 to 3"):
        evaluate(classifier, wrong, cache_features=True)
    with pytest.raises(RequestError, match="no images"):
        evaluate(classifier, Split(), cache_features=True)
