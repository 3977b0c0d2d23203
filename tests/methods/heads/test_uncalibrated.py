from pathlib import Path

import pytest
import torch

from crossprompt.classifier.classifier import Classifier, Inference, freeze
from crossprompt.classifier.evaluate import evaluate
from crossprompt.clip.model import CLIP
from crossprompt.errors import RequestError
from crossprompt.methods import Method, build_method
from crossprompt.methods.heads.uncalibrated import PerBatch, PerImage
from tests.backbone import NAMES, even_clip, random_images, write_items


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return even_clip()


@pytest.fixture
def method(clip: CLIP) -> Method:
    return build_method("dcp", clip, NAMES, length=4)


def test_as_released_an_images_score_depends_on_its_batch(clip: CLIP, method: Method) -> None:
    classifier, images = freeze(method, clip, inference="batch"), random_images(4)
    together = classifier.logits(images)
    assert torch.equal(together, method(clip, images).detach())
    alone = torch.cat([classifier.logits(image[None]) for image in images])
    assert (together - alone).abs().max() > 1e-3


def test_per_image_every_image_is_its_own_batch(clip: CLIP, method: Method) -> None:
    classifier, images = freeze(method, clip, inference="per-image"), random_images(4)
    together = classifier.logits(images)
    alone = torch.cat([method(clip, image[None]) for image in images]).detach()
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("inference", ["batch", "per-image"])
def test_inference_for_study_needs_no_calibration_and_cannot_be_saved(
    clip: CLIP, method: Method, tmp_path: Path, inference: Inference
) -> None:
    classifier = freeze(method, clip, inference=inference)
    with pytest.raises(RequestError, match=f"'{inference}'"):
        classifier.save(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_result_says_how_it_was_answered(clip: CLIP, method: Method, tmp_path: Path) -> None:
    items = write_items(tmp_path, [0, 1, 2])
    result = evaluate(freeze(method, clip, inference="batch"), items, batch_size=2)
    assert (result.inference, result.batch_size) == ("batch", 2)
    assert evaluate(freeze(method, clip, items), items).inference == "calibrated"


@pytest.mark.parametrize("form", [PerBatch, PerImage])
def test_it_is_never_rebuilt(clip: CLIP, form: type[PerBatch] | type[PerImage]) -> None:
    with pytest.raises(ValueError, match="not saved"):
        form.from_state({}, clip, 4)


def test_a_damaged_file_leaves_no_hole_in_a_stream(
    clip: CLIP, method: Method, tmp_path: Path
) -> None:
    items = write_items(tmp_path, [0, 1])
    (tmp_path / "bad.png").write_bytes(b"no image")
    paths = [items[0].path, tmp_path / "bad.png", items[1].path]
    classifier: Classifier = freeze(method, clip, inference="per-image")
    found = classifier.predict(paths, batch_size=1)
    assert [prediction.error is None for prediction in found] == [True, False, True]
