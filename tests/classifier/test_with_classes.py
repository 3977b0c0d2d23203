"""Other classes for a classifier that was saved: its prompts stay, nothing is trained."""

from pathlib import Path

import pytest
import torch

from crossprompt.classifier.classifier import Inference, freeze
from crossprompt.classifier.loading import load
from crossprompt.clip.model import CLIP
from crossprompt.data.dataset import Item
from crossprompt.errors import RequestError
from crossprompt.methods import build_method
from tests.artifacts.keep import FOLDER, kept_clip
from tests.backbone import NAMES, even_clip, random_images, write_items
from tests.methods.cases import Case, cases
from tests.saved import train

pytestmark = pytest.mark.slow

OTHERS = ("tabby", "red cat", "dogs and cats")


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    folder: Path = tmp_path_factory.mktemp("images")
    return write_items(folder, [0, 1, 2, 3])


BOUND = "it has learned its own classes, and says so: see the next test"


@cases(
    {
        "linear_probe": BOUND,
        "tip_adapter": BOUND,
        "tip_adapter_f": BOUND,
        "taskres": BOUND,
        "coop-class_specific=True": BOUND,
    }
)
def test_a_loaded_classifier_takes_other_classes_as_freezing_with_them_would(
    case: Case, clip: CLIP, items: list[Item], tmp_path: Path
) -> None:
    method = train(case.build(clip), clip, items)
    freeze(method, clip, items, information={"metrics": {"x": 0.5}}).save(tmp_path / "run")
    found = load(tmp_path / "run", clip).with_classes(OTHERS)
    expected = freeze(method.with_class_names(clip, OTHERS), clip, items)
    images = random_images(2)
    torch.testing.assert_close(found.logits(images), expected.logits(images), atol=1e-5, rtol=0)
    assert found.class_names == OTHERS
    assert found.information == {"inference": "calibrated", "learned_with": list(NAMES)}
    again = load(found.save(tmp_path / "others"), clip)
    assert torch.equal(again.logits(images), found.logits(images))
    back = again.with_classes(NAMES)  # and nothing was lost on the way
    first = load(tmp_path / "run", clip).logits(images)
    torch.testing.assert_close(back.logits(images), first, atol=1e-5, rtol=0)


@cases()
def test_what_a_method_says_of_itself_is_what_happens(
    case: Case, clip: CLIP, items: list[Item]
) -> None:
    method = train(case.build(clip), clip, items)
    classifier, reason = (
        freeze(method, clip, items),
        method.class_specific_parameters(method.config),
    )
    if reason is None:
        classifier.with_classes(OTHERS)
        return
    for others in (OTHERS, NAMES):  # also as many as before
        with pytest.raises(RequestError, match=f"{case.name} .*{reason}"):
            classifier.with_classes(others)


@pytest.mark.parametrize("inference", ["batch", "per-image"])
def test_a_classifier_for_study_takes_no_other_classes(clip: CLIP, inference: Inference) -> None:
    classifier = freeze(build_method("dcp", clip, NAMES, length=2), clip, inference=inference)
    with pytest.raises(RequestError, match=inference):
        classifier.with_classes(OTHERS)


def test_a_classifier_that_kept_no_text_prompts_says_so() -> None:
    kept = load(FOLDER / "static-prompts-dcp", kept_clip())
    with pytest.raises(RequestError, match="text prompts"):
        kept.with_classes(OTHERS)


def test_a_released_variant_that_kept_no_text_prompts_has_them_in_what_it_learned(
    clip: CLIP, items: list[Item]
) -> None:
    method = train(build_method("dcp", clip, NAMES, length=2, variant="released"), clip, items)
    classifier = freeze(method, clip, items)
    expected, images = classifier.with_classes(OTHERS), random_images(2)
    del classifier.frozen.text_prompt_0
    assert torch.equal(classifier.with_classes(OTHERS).logits(images), expected.logits(images))


@pytest.mark.parametrize(
    ("names", "told"), [(["cat"], "at least two"), (["cat", "cat"], "stands for 2 classes")]
)
def test_unusable_class_names_are_told(names: list[str], told: str) -> None:
    with pytest.raises(RequestError, match=told):
        load(FOLDER / "adapter", kept_clip()).with_classes(names)
