"""A paper's evaluation as grids, and what it is estimated to take."""

from collections import Counter
from pathlib import Path

import pytest

from crossprompt.data.benchmarks import BENCHMARKS
from crossprompt.errors import RequestError
from crossprompt.methods import build_method
from crossprompt.reproduce import FEW_SHOT, STUDIES, estimate, missing_data, total
from tests.backbone import even_clip
from tests.data.fake_benchmarks import FAKES

DCP = STUDIES["dcp"]


def test_the_study_is_every_data_set_at_every_number_of_shots_with_three_seeds() -> None:
    cells = DCP.cells("tiny", "fp32")
    trainings = {cell.of_training.key: cell for cell in cells}.values()
    assert len(trainings) == 11 * 5 * 3
    assert Counter(cell.dataset for cell in trainings) == dict.fromkeys(FEW_SHOT, 15)
    assert {(cell.shots, cell.seed) for cell in trainings} == {
        (shots, seed) for shots in (1, 2, 4, 8, 16) for seed in (1, 2, 3)
    }
    assert {(cell.inference, cell.test_batch_size, cell.batch_order) for cell in cells} == {
        ("calibrated", None, None),
        ("batch", 16, "listed"),
    }
    assert {str(cell.options) for cell in cells} == {"{'variant': 'released'}"}
    assert not any(cell.training for cell in cells)  # the published recipe
    shifted = [cell for cell in trainings if cell.protocol == "domain-generalisation"]
    assert {(cell.dataset, cell.shots) for cell in shifted} == {("imagenet", 16)}


def test_a_data_set_that_is_none_of_the_eleven_is_refused() -> None:
    with pytest.raises(RequestError, match="'pacs' is none of the eleven: imagenet"):
        DCP.cells("tiny", "fp32", ["pacs"])


def test_steps_and_images_follow_from_published_sizes() -> None:
    clip = even_clip()
    said: list[str] = []
    (textures,) = estimate(DCP.cells("tiny", "fp32", ["dtd"]), clip, said.append)
    assert said == ["measuring a step with the 47 classes of dtd"]
    assert textures.trainings == 15
    assert textures.steps == 3 * 20 * sum(shots * 47 // 4 for shots in (1, 2, 4, 8, 16))
    assert textures.tests == 15 * 2 * BENCHMARKS["dtd"].sizes["test"]
    assert textures.hours > 0
    names = [str(number) for number in range(47)]
    learned = sum(x.nbytes for x in build_method("dcp", clip, names).parameters())
    assert textures.disk_mb == pytest.approx((30 * 20_000 + 2 * learned) / 1e6, abs=0.1)
    assert total([textures, textures])["disk_mb"] == pytest.approx(2 * textures.disk_mb)
    assert total([textures])["peak_gb"] == textures.peak_gb > 0.1


def test_imagenet_is_tested_on_its_shifted_sets_at_most_shots_alone() -> None:
    (found,) = estimate(DCP.cells("tiny", "fp32", ["imagenet"])[:2], even_clip())
    assert found.tests == 2 * 50_000
    cells = [c for c in DCP.cells("tiny", "fp32", ["imagenet"]) if c.shots == 16][:2]
    (found,) = estimate(cells, even_clip())
    assert found.tests == 2 * (50_000 + 10_000 + 50_889 + 7_500 + 30_000)


def test_what_is_wrong_with_the_data_is_told_by_data_set(tmp_path: Path) -> None:
    FAKES["dtd"](tmp_path)
    problems = missing_data(["dtd", "imagenet"], tmp_path)
    assert set(problems) == {"dtd", "imagenet", *BENCHMARKS["imagenet"].shifted}
    assert "published" in " ".join(problems["dtd"])
