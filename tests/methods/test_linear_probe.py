import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn.functional import normalize

from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item
from crossprompt.errors import RequestError
from crossprompt.methods import build_method, linear_probe
from crossprompt.methods.features import Examples
from crossprompt.methods.linear_probe import C_SEARCHED, LinearProbe
from tests.backbone import NAMES, even_clip, random_images, write_items


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


def features(clip: CLIP, images: Tensor) -> np.ndarray:
    return normalize(clip.encode_images(images), dim=-1).numpy()


def solve(clip: CLIP, examples: Examples, classes: int, c: float) -> LogisticRegression:
    """As scikit-learn's manual has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression = LogisticRegression(C=c, max_iter=1000)
        regression.fit(features(clip, examples.calibration), [x.label for x in examples.train])
    assert len(regression.classes_) == classes
    return regression


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_probabilities_equal_scikit_learns(clip: CLIP, tmp_path: Path, classes: int) -> None:
    examples = Examples(clip, write_items(tmp_path, [label % classes for label in range(10)]))
    method = build_method("linear_probe", clip, NAMES[:classes], c=7.5)
    method.prepare(clip, examples)
    images = random_images(6)
    expected = solve(clip, examples, classes, 7.5).predict_proba(features(clip, images))
    found = method(clip, images).softmax(-1).detach().numpy()
    assert found.shape == (6, classes)
    assert np.abs(expected - 1 / classes).max() > 0.05  # they say something
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_c_is_the_best_on_the_validation_images_and_the_smallest_of_equals(
    clip: CLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = write_items(tmp_path / "train", [0, 0, 0, 1, 1, 1])
    val = write_items(tmp_path / "val", [0, 0, 1, 1])
    tried: list[float] = []
    scores = dict.fromkeys(C_SEARCHED, 0.5) | {C_SEARCHED[3]: 0.75, C_SEARCHED[5]: 0.75}

    def accuracy(regression: LogisticRegression, images: np.ndarray, labels: list[int]) -> float:
        assert labels == [item.label for item in val]
        tried.append(regression.C)
        return scores[regression.C]

    monkeypatch.setattr(LogisticRegression, "score", accuracy)
    method = build_method("linear_probe", clip, NAMES[:2])
    assert isinstance(method, LinearProbe)
    method.prepare(clip, Examples(clip, train, val))
    assert tuple(tried) == C_SEARCHED
    expected = solve(clip, Examples(clip, train), 2, C_SEARCHED[3])
    weight = (method.weight[1] - method.weight[0]).detach().numpy()
    np.testing.assert_allclose(weight, expected.coef_[0], rtol=1e-3)


def test_the_search_measures_accuracy_on_the_validation_images(clip: CLIP, tmp_path: Path) -> None:
    train = write_items(tmp_path / "train", [0, 1, 2, 3] * 3)
    # the labels of the validation images are what the most regularized solution says
    images = write_items(tmp_path / "val", [0] * 12)
    val_images = Examples(clip, images).calibration
    first, *others = (solve(clip, Examples(clip, train), 4, c) for c in C_SEARCHED)
    wanted = first.predict(features(clip, val_images))
    assert any((other.predict(features(clip, val_images)) != wanted).any() for other in others)
    val = [Item(item.path, int(label)) for item, label in zip(images, wanted, strict=True)]
    method = build_method("linear_probe", clip, NAMES)
    method.prepare(clip, Examples(clip, train, val))
    assert isinstance(method, LinearProbe)
    np.testing.assert_allclose(method.weight.detach().numpy(), first.coef_, atol=1e-5)


def test_without_validation_images_c_is_fixed(clip: CLIP, tmp_path: Path) -> None:
    examples = Examples(clip, write_items(tmp_path, [0, 1, 2, 3] * 2))
    method = build_method("linear_probe", clip, NAMES)
    method.prepare(clip, examples)
    assert isinstance(method, LinearProbe)
    expected = solve(clip, examples, 4, linear_probe.C_WITHOUT_VALIDATION)
    np.testing.assert_allclose(method.weight.detach().numpy(), expected.coef_, atol=1e-5)


def test_to_stop_before_convergence_is_no_warning(
    clip: CLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_probe, "ITERATIONS", 2)
    examples = Examples(clip, write_items(tmp_path, [0, 1, 2, 3] * 2))
    method = build_method("linear_probe", clip, NAMES, c=1e6)
    method.prepare(clip, examples)  # warnings are errors in the tests
    assert method(clip, random_images(2)).detach().std() > 0


def test_it_is_solved_and_not_trained() -> None:
    assert LinearProbe.recipe(16).epochs == 0


def test_a_class_without_training_images_is_an_error_that_names_it(
    clip: CLIP, tmp_path: Path
) -> None:
    examples = Examples(clip, write_items(tmp_path, [0, 1, 0, 1]))
    with pytest.raises(RequestError, match="'hot air balloon', 'dogs'"):
        build_method("linear_probe", clip, NAMES).prepare(clip, examples)


@pytest.mark.parametrize("c", [0.0, -1.0, float("nan")])
def test_a_c_that_is_not_positive_is_an_error(clip: CLIP, c: float) -> None:
    with pytest.raises(RequestError, match=f"c is {c}"):
        build_method("linear_probe", clip, NAMES, c=c)
