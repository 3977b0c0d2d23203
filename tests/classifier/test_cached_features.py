"""Images that many classifiers are measured on are encoded once."""

import pytest

from crossprompt.classifier import evaluate as encoded
from crossprompt.classifier.evaluate import encode_once, evaluate
from crossprompt.data import Split
from crossprompt.errors import RequestError
from crossprompt.methods import METHODS
from crossprompt.methods.base import FeatureMethod
from tests.backbone import even_clip, write_items
from tests.saved import classify


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
    with pytest.raises(RequestError, match="0 to 7, expected 0 to 3"):
        evaluate(classifier, wrong, cache_features=True)
    with pytest.raises(RequestError, match="no images"):
        evaluate(classifier, Split(), cache_features=True)
