"""The contract of every method: the exported model agrees. An exception is a strict xfail."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from crossprompt.classifier.classifier import Classifier, freeze
from crossprompt.classifier.export import export_classifier
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item
from crossprompt.inference.onnx import OnnxClassifier, load_onnx
from crossprompt.methods import METHODS
from crossprompt.methods.heads import FORMS
from tests.backbone import random_images, write_items
from tests.classifier.export.exporting import narrow_clip
from tests.methods.cases import Case
from tests.saved import train

pytestmark = pytest.mark.slow
Pair = tuple[Classifier, OnnxClassifier]
EXCEPTIONS: dict[str, str] = {}
"""Method to the reason why it cannot be exported."""


Shapes = tuple[str, frozenset[tuple[str, tuple[int, ...]]]]


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    return write_items(tmp_path_factory.mktemp("images"), [0, 1, 2, 3, 0, 1, 2, 3])


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Classifier], Pair]:
    """A classifier's export, and the classifier that it was made of.

    A form is rebuilt from its tensors alone, so two classifiers of one form with tensors of the
    same shapes have the same graph: the first speaks for all, as each takes seconds.
    """
    folder, done = tmp_path_factory.mktemp("exports"), dict[Shapes, Pair]()

    def export(classifier: Classifier) -> Pair:
        form = classifier.frozen
        shapes = frozenset((key, tuple(x.shape)) for key, x in form.state_dict().items())
        if (form.form, shapes) not in done:
            path = folder / f"{len(done)}.onnx"
            assert export_classifier(classifier, path).noise.difference <= 1e-4
            done[form.form, shapes] = classifier, load_onnx(path)
        return done[form.form, shapes]

    return export


def frozen(name: str, clip: CLIP, items: list[Item]) -> Classifier:
    """With prompts of one length for all, so that most have tensors of the same shapes."""
    has_length = "length" in (setting.name for setting in METHODS[name].Config.describe())
    method = Case(name, {"length": 4} if has_length else {}).build(clip)
    return freeze(train(method, clip, items), clip, items)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=[
                pytest.mark.xfail(strict=True, reason=reason)
                for method, reason in EXCEPTIONS.items()
                if method == name
            ],
        )
        for name in METHODS
    ],
)
def test_the_exported_model_agrees_in_any_batch(
    name: str, items: list[Item], exports: Callable[[Classifier], Pair]
) -> None:
    clip = narrow_clip()
    classifier, exported = exports(frozen(name, clip, items))
    images = random_images(7, seed=5)
    expected = classifier.logits(images).softmax(-1).numpy()
    assert np.ptp(expected, axis=0).max() > 0.01  # the tolerance means something
    together = exported.probabilities(images.numpy())
    np.testing.assert_allclose(together, expected, atol=1e-4)
    for size in (1, 3):
        parts = [exported.probabilities(x.numpy()) for x in images.split(size)]
        np.testing.assert_allclose(np.concatenate(parts), together, atol=1e-6)
    crowd = torch.cat([images[:1], 9 * random_images(2, seed=6)])
    np.testing.assert_allclose(exported.probabilities(crowd.numpy())[:1], together[:1], atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_exported_for_some_method(form: str, items: list[Item]) -> None:
    clip = narrow_clip()
    assert form in {frozen(name, clip, items).frozen.form for name in METHODS}
